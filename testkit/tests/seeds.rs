//! The bodies of the fuzz targets over the committed seeds, and over changes of them.

#![allow(missing_docs)]

mod changes;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use changes::Changes;
use openclaw_testkit::fuzz::TARGETS;

/// How many changed seeds each target is tried with.
const TRIES: usize = 600;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The seeds of a target by their names, in order.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder().join("seeds").join(target)).expect("a folder of seeds");
    let mut seeds: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let bytes = fs::read(entry.path()).expect("a readable seed");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    seeds.sort();
    seeds
}

fn body(target: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found.expect("a target of that name").1
}

/// Runs a body; what breaks it is told with its name, as one can put it into a file.
fn keeps(target: &str, name: &str, bytes: &[u8]) {
    let run = AssertUnwindSafe(|| body(target)(bytes));
    if let Err(panic) = catch_unwind(run) {
        eprintln!("{target} breaks over {name}: b\"{}\"", bytes.escape_ascii());
        resume_unwind(panic);
    }
}

fn holds(target: &str) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for (name, bytes) in &seeds {
        keeps(target, name, bytes);
    }
    let words = fs::read(folder().join("protocol.dict")).expect("the dictionary");
    let mut changes = Changes::new(target, changes::words(&words));
    // The few large seeds are for themselves: changed, they cost more than they find.
    let small: Vec<_> = seeds.iter().filter(|seed| seed.1.len() < 4_096).collect();
    for index in 0..TRIES {
        let (name, bytes) = small[index % small.len()];
        let other = &small[changes.below(small.len())].1;
        let changed = changes.of(bytes, other);
        keeps(target, &format!("change {index} of {name}"), &changed);
    }
}

#[test]
fn first_frames() {
    holds("first_frame");
}

#[test]
fn frames() {
    holds("frame");
}

#[test]
fn operations_of_a_server() {
    holds("server_ops");
}

#[test]
fn operations_of_a_client() {
    holds("client_ops");
}

#[test]
fn parameters_of_connect() {
    holds("connect_params");
}

#[test]
fn transcripts() {
    holds("transcript");
}

#[test]
fn worlds() {
    holds("world");
}

#[test]
fn proofs_of_devices() {
    holds("device_auth");
}

#[test]
fn configurations() {
    holds("config");
}

#[test]
fn http_requests() {
    holds("http_request");
}

#[test]
fn every_body_has_its_target_and_its_seeds() {
    let names = |path: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder().join(path)).expect("a folder");
        entries
            .map(|entry| {
                let name = entry.expect("an entry").file_name();
                name.to_string_lossy().trim_end_matches(".rs").to_owned()
            })
            .collect()
    };
    let bodies: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), bodies);
    assert_eq!(names("seeds"), bodies);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("the manifest");
    for body in bodies {
        assert!(manifest.contains(&format!("name = \"{body}\"")), "{body}");
    }
}
