//! A report as people, programs and build servers read it.

use std::fmt::Write;

use crate::clause;
use crate::json::Value;
use crate::judge::{Finding, Report};
use crate::object;

const WORDS: [&str; 5] = ["pass", "fail", "warn", "untestable", "not applicable"];

/// The most characters of a reason that are shown.
const SHOWN: usize = 600;

fn why(finding: &Finding) -> String {
    let why = finding.verdict.why().unwrap_or("");
    let mut shown: String = why.chars().take(SHOWN).collect();
    if shown.len() < why.len() {
        shown.push('…');
    }
    shown
}

/// A text on one line, whose control characters are escaped, so that it cannot move what a terminal shows.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        // Those that turn the direction of writing are none for Unicode.
        let turns = matches!(
            c,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if c.is_control() || turns {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn count(report: &Report, word: &str) -> usize {
    let same = |finding: &&Finding| finding.verdict.word() == word;
    report.findings.iter().filter(same).count()
}

/// A line for each check that did not pass, and the counts.
#[must_use]
pub fn text(report: &Report, surprises: &[String], verbose: bool) -> String {
    let mut page = String::new();
    for finding in &report.findings {
        let word = finding.verdict.word();
        if word == "pass" && !verbose {
            continue;
        }
        let _ = writeln!(page, "{word:<14} {}", finding.check);
        if let Some(clause) = clause::of(finding.check).filter(|_| word != "pass") {
            let _ = writeln!(page, "    {} {}", clause.level, clause.says);
            let _ = writeln!(page, "    {}: {}", finding.scenario, visible(&why(finding)));
        }
    }
    let counts: Vec<String> = WORDS
        .iter()
        .map(|word| format!("{} {word}", count(report, word)))
        .collect();
    for surprise in surprises {
        let _ = writeln!(page, "{surprise}");
    }
    let end = if surprises.is_empty() {
        "as expected"
    } else {
        "NOT as expected"
    };
    let seconds = report.took.as_secs_f32();
    let _ = writeln!(page, "{}; {end}, in {seconds:.1} s", counts.join(", "));
    page
}

/// One object.
#[must_use]
pub fn json(report: &Report, surprises: &[String]) -> String {
    let checks: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let level = clause::of(finding.check).map_or(String::new(), |c| c.level.to_string());
            object! {
                "check": finding.check,
                "level": level,
                "scenario": finding.scenario,
                "verdict": finding.verdict.word(),
                "why": finding.verdict.why().map_or(Value::Null, |_| Value::from(why(finding))),
            }
        })
        .collect();
    let millis = i64::try_from(report.took.as_millis()).unwrap_or(i64::MAX);
    let surprises: Vec<Value> = surprises.iter().map(Value::from).collect();
    let value = object! {
        "expected": surprises.is_empty(),
        "surprises": surprises,
        "tookMs": millis,
        "checks": checks,
    };
    format!("{value}\n")
}

/// A test suite in the format that build servers took over from JUnit.
#[must_use]
pub fn junit(report: &Report, surprises: &[String]) -> String {
    let mut cases = String::new();
    let mut failures = 0;
    for finding in &report.findings {
        let surprise = surprises
            .iter()
            .find(|line| line.split(' ').any(|word| word == finding.check));
        let name = escaped(finding.check);
        let class = escaped(finding.scenario);
        let _ = write!(cases, "  <testcase classname=\"{class}\" name=\"{name}\"");
        let why = escaped(&why(finding));
        let word = finding.verdict.word();
        if let Some(surprise) = surprise {
            failures += 1;
            let surprise = escaped(surprise);
            let _ = writeln!(
                cases,
                "><failure message=\"{surprise}\">{word}: {why}</failure></testcase>"
            );
        } else if word == "pass" {
            let _ = writeln!(cases, "/>");
        } else {
            let _ = writeln!(cases, "><skipped message=\"{word}: {why}\"/></testcase>");
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"openclaw-conformance\" tests=\"{}\" failures=\"{failures}\" time=\"{:.3}\">\n{cases}</testsuite>\n",
        report.findings.len(),
        report.took.as_secs_f32()
    )
}

/// Characters that XML does not have are left out.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;
    use std::time::Duration;

    #[test]
    fn what_a_peer_said_is_cut_and_cannot_move_the_terminal() {
        let said = format!("\u{1b}[2J\r\u{202e}é{}", "x".repeat(2 * SHOWN));
        let report = Report {
            findings: vec![Finding {
                check: "HSK-010/challenge",
                scenario: "challenge",
                verdict: Verdict::Fail(said),
            }],
            took: Duration::ZERO,
        };
        let shown = text(&report, &[], false);
        assert!(shown.contains("\\u{1b}[2J\\r\\u{202e}éx"), "{shown}");
        let read = Value::parse(json(&report, &[]).trim()).unwrap();
        let why = read.text("checks.0.why").unwrap();
        assert_eq!(why.chars().count(), SHOWN + 1);
        assert!(why.starts_with('\u{1b}') && why.ends_with('…'), "{why}");
    }

    #[test]
    fn every_format_tells_what_failed_and_why() {
        let report = Report {
            findings: vec![Finding {
                check: "HSK-010/challenge",
                scenario: "challenge",
                verdict: Verdict::Fail("first came <\"null\">\u{1}".into()),
            }],
            took: Duration::from_millis(1500),
        };
        let surprises = ["unexpected: HSK-010/challenge".to_owned()];
        let shown = text(&report, &surprises, false);
        assert!(shown.contains("HSK-010/challenge") && shown.contains("NOT as expected"));
        let read = Value::parse(json(&report, &surprises).trim()).unwrap();
        assert_eq!(read.text("checks.0.verdict"), Some("fail"));
        let xml = junit(&report, &surprises);
        assert!(
            xml.contains("failures=\"1\"") && xml.contains("&lt;&quot;null&quot;&gt;</failure>")
        );
    }
}
