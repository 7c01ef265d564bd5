//! What is known to differ, and why.

use std::fs;
use std::path::Path;

/// One line of `deviations.txt`.
pub(crate) struct Deviation {
    transcript: String,
    theirs: String,
    ours: String,
    text: String,
    used: bool,
}

impl Deviation {
    /// Whether this line tells of a difference; it is not stale then.
    pub(crate) fn covers(&mut self, transcript: &str, theirs: &str, ours: &str) -> bool {
        let covers = fits(&self.transcript, transcript)
            && fits(&self.theirs, theirs)
            && fits(&self.ours, ours);
        self.used |= covers;
        covers
    }

    /// The line, if nothing needed it.
    pub(crate) fn unused(&self) -> Option<&str> {
        (!self.used).then_some(&self.text)
    }
}

pub(crate) fn deviations(folder: &Path) -> Vec<Deviation> {
    let text = fs::read_to_string(folder.join("deviations.txt")).expect("deviations");
    let is_line = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    text.lines()
        .filter(is_line)
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [transcript, theirs, ours, reason] = parts[..] else {
                panic!("a deviation has four parts: {line}");
            };
            assert!(!reason.is_empty(), "a deviation has a reason: {line}");
            Deviation {
                transcript: transcript.to_owned(),
                theirs: theirs.to_owned(),
                ours: ours.to_owned(),
                text: line.to_owned(),
                used: false,
            }
        })
        .collect()
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = text.strip_prefix(parts.next().unwrap_or("")) else {
        return false;
    };
    let mut rest = rest;
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => rest.is_empty() || text.ends_with(part),
    }
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("*b", "ba", false),
        ("a*c", "abc", true),
        ("a*c", "acb", false),
        ("*", "", true),
        ("post-*", "presence", false),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}
