//! Recordings of the reference gateway, replayed: the same client, and gateways that say the same
//! but where `deviations.txt` names the difference and its reason. `v3` holds those of a reference
//! that spoke protocol 3, replayed with its clients' range.

mod deviations;
mod differences;
mod names;
mod playing;
mod words;

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deviations::deviations;
use differences::differences;
use playing::replayed;
use serde_json::Value;
use support::millis;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// One line of a cut recording.
struct Step {
    at: Duration,
    conn: String,
    line: Value,
}

fn read(path: &Path) -> Vec<Step> {
    let text = fs::read_to_string(path).expect("a transcript");
    let step = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        Step {
            at: millis(line["t"].as_u64().expect("a time")),
            conn: line["conn"].as_str().unwrap_or("").to_owned(),
            line,
        }
    };
    text.lines().map(step).collect()
}

/// What each connection heard, in the words of `cut.py`.
type Heard = BTreeMap<String, Vec<String>>;

fn recorded(steps: &[Step]) -> Heard {
    let mut heard = Heard::new();
    for step in steps {
        let lines = heard.entry(step.conn.clone()).or_default();
        lines.extend(step.line["hear"].as_str().map(str::to_owned));
    }
    heard
}

/// Replays every recording of a folder against its own list of deviations, and counts them.
fn replay(folder: &Path) -> usize {
    let mut known = deviations(folder);
    let mut unknown = Vec::new();
    let mut count = 0;
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("transcripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    for path in files {
        count += 1;
        let name = path.file_stem().expect("a name").to_string_lossy();
        let steps = read(&path);
        let (theirs, ours) = (recorded(&steps), replayed(&steps));
        for (conn, heard) in &ours {
            for (gone, new) in differences(&theirs[conn], heard) {
                let mut found = false;
                for one in &mut known {
                    found |= one.covers(&name, &gone, &new);
                }
                if !found {
                    unknown.push(format!("{name} | {gone} | {new} | "));
                }
            }
        }
    }
    let unused: Vec<&str> = known.iter().filter_map(|one| one.unused()).collect();
    assert!(
        unknown.is_empty() && unused.is_empty(),
        "not written down:\n{}\nwritten down and not seen:\n{}",
        unknown.join("\n"),
        unused.join("\n")
    );
    count
}

#[test]
fn recordings_of_the_reference_replay_but_for_the_deviations_that_are_written_down() {
    let count = replay(&folder());
    assert!(count > 100, "{count} transcripts");
}

#[test]
fn recordings_of_protocol_3_replay_but_for_the_deviations_that_are_written_down() {
    let count = replay(&folder().join("v3"));
    assert!(count > 30, "{count} transcripts");
}
