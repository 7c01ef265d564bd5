//! What a certain gateway is known to break.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::judge::Report;

/// The most bytes of a file.
const MOST: u64 = 1 << 20;

/// Checks that are expected to fail, each with its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    rows: BTreeMap<String, String>,
}

impl Baseline {
    /// Reads a file of at most 1 MiB.
    ///
    /// # Errors
    /// What is wrong with the file, or with a line of it.
    pub fn read(path: &Path, known: &[&str]) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let wrong = |why: String| format!("{}: {why}", path.display());
        File::open(path)
            .and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
            .map_err(|error| wrong(error.to_string()))?;
        if bytes.len() as u64 > MOST {
            return Err(wrong("larger than 1 MiB, so no baseline".to_owned()));
        }
        let text = str::from_utf8(&bytes).map_err(|_| wrong("not UTF-8".to_owned()))?;
        Self::parse(text, known).map_err(wrong)
    }

    /// Reads lines of a check's id and a reason; `#` begins a line that says nothing, and a byte order mark may come
    /// first.
    ///
    /// # Errors
    /// The line that is wrong, and why.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, String> {
        let mut rows = BTreeMap::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (check, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let wrong = |why: &str| Err(format!("line {number}: {check} {why}"));
            if !known.contains(&check) {
                return wrong("is no check");
            }
            if reason.trim().is_empty() {
                return wrong("has no reason");
            }
            if rows
                .insert(check.to_owned(), reason.trim().to_owned())
                .is_some()
            {
                return wrong("is there twice");
            }
        }
        Ok(Self { rows })
    }

    /// What differs between a report and what was expected; nothing where all is as expected.
    #[must_use]
    pub fn surprises(&self, report: &Report, strict: bool) -> Vec<String> {
        let mut surprises = Vec::new();
        for finding in &report.findings {
            let counts = finding.verdict.counts(strict);
            match self.rows.get(finding.check) {
                None if counts => surprises.push(format!("unexpected: {}", finding.check)),
                // A SHOULD may stand in a baseline, so that it serves with and without strictness.
                Some(_) if !finding.verdict.counts(true) => {
                    let word = finding.verdict.word();
                    surprises.push(format!("expected to fail: {} ({word})", finding.check));
                }
                Some(_) | None => {}
            }
        }
        surprises
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Finding;
    use crate::verdict::Verdict;
    use std::time::Duration;

    fn report(verdict: Verdict) -> Report {
        Report {
            findings: vec![Finding {
                check: "A-1/a",
                scenario: "s",
                verdict,
            }],
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_failure_and_a_pass_can_both_surprise() {
        let known = ["A-1/a"];
        let empty = Baseline::default();
        let listed = Baseline::parse("# note\n\nA-1/a because\n", &known).unwrap();
        let fail = report(Verdict::Fail("x".into()));
        let warn = report(Verdict::Warn("x".into()));
        let pass = report(Verdict::Pass);
        assert_eq!(empty.surprises(&fail, false), ["unexpected: A-1/a"]);
        assert!(empty.surprises(&pass, true).is_empty());
        assert!(empty.surprises(&warn, false).is_empty());
        assert_eq!(empty.surprises(&warn, true).len(), 1);
        assert!(listed.surprises(&fail, false).is_empty());
        assert!(listed.surprises(&warn, false).is_empty());
        assert_eq!(
            listed.surprises(&pass, false),
            ["expected to fail: A-1/a (pass)"]
        );
    }

    #[test]
    fn a_file_has_an_end_and_may_begin_with_a_mark() {
        let known = ["A-1/a"];
        let why = Baseline::read(Path::new("/dev/zero"), &known).unwrap_err();
        assert!(why.contains("/dev/zero: larger than 1 MiB"), "{why}");
        let marked = Baseline::parse("\u{feff}A-1/a because\n", &known).unwrap();
        assert_eq!(marked, Baseline::parse("A-1/a because\n", &known).unwrap());
    }

    #[test]
    fn a_line_needs_a_check_and_a_reason() {
        let known = ["A-1/a"];
        for text in ["B-1/b why", "A-1/a", "A-1/a why\nA-1/a why"] {
            assert!(Baseline::parse(text, &known).is_err(), "{text}");
        }
    }
}
