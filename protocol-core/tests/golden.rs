//! Conversations in `transcripts/`, replayed byte for byte.
//!
//! [`openclaw_testkit::transcript`] says what a line is. `UPDATE_GOLDEN=1 cargo test --test golden`
//! rewrites the files.

use std::path::PathBuf;

use openclaw_testkit::transcript::replay;

fn transcripts() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

#[test]
fn our_own_conversations_replay_byte_for_byte() {
    let rewrite = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let files = transcripts();
    assert_eq!(files.len(), 7);
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("text");
        let replayed = replay(&expected).unwrap_or_else(|bad| panic!("{}: {bad}", file.display()));
        if rewrite {
            std::fs::write(&file, &replayed).expect("written");
            continue;
        }
        for (number, (replayed, expected)) in replayed.lines().zip(expected.lines()).enumerate() {
            assert_eq!(replayed, expected, "{}:{}", file.display(), number + 1);
        }
        assert_eq!(replayed, expected, "{}", file.display());
    }
    assert!(
        !rewrite,
        "rewritten: look at the difference, then run without UPDATE_GOLDEN"
    );
}
