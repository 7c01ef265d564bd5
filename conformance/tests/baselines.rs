//! The baselines that are shipped name checks that there are, each with its reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use openclaw_conformance::baseline::Baseline;
use openclaw_conformance::clause::{self, Side};
use openclaw_conformance::{client, scenarios};

const GUIDE: &str = include_str!("../../docs/conformance.md");

/// The files, what they are about, and the protocol that each release speaks.
const SHIPPED: [(&str, Side, u32); 3] = [
    ("gateway-client-2026.9.1.txt", Side::Client, 4),
    ("openclaw-2026.3.13.txt", Side::Gateway, 3),
    ("openclaw-2026.9.6.txt", Side::Gateway, 4),
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/baselines"))
}

#[test]
fn every_baseline_is_known_here_and_told_in_the_guide() {
    let entries = fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, SHIPPED.map(|(name, ..)| name));
    for name in names {
        assert!(GUIDE.contains(&name), "{name}");
    }
}

#[test]
fn every_line_names_a_check_and_a_reason() {
    for (name, side, _) in SHIPPED {
        let checks = match side {
            Side::Gateway => scenarios::checks(),
            Side::Client => client::scenarios::checks(),
        };
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let baseline = Baseline::parse(&text, &checks).unwrap();
        assert_ne!(baseline, Baseline::default(), "{name}");
    }
}

#[test]
fn every_line_is_about_a_clause_of_the_protocol_that_is_spoken() {
    for (name, side, protocol) in SHIPPED {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for check in lines.filter_map(|line| line.split_whitespace().next()) {
            let clause = clause::of(check).unwrap();
            assert!(
                clause.applies(protocol) && clause.judges == side,
                "{name}: {check}"
            );
        }
    }
}
