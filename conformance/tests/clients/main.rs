//! Our client, and the same with one deliberate defect each: it passes everything, and every mutant
//! breaks exactly its checks.
//!
//! The judge starts this very program as the client under test, with one ignored test to run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../runtime-smol/examples/conformance_client.rs"]
#[allow(dead_code, reason = "its `main` is not called here")]
mod adapter;
mod away;
mod connects;
mod messages;
mod proxy;
mod runs;
mod transport;

use std::collections::BTreeSet;
use std::env;
use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use openclaw_conformance::client::judge::judge;
use openclaw_conformance::client::{Options, scenarios};
use openclaw_conformance::report;
use openclaw_conformance::verdict::Verdict;
use openclaw_runtime_smol::client::Patience;
use proxy::Change;

/// A defect.
pub(crate) struct Mutant {
    name: &'static str,
    change: Change,
    /// The checks that it breaks, and no others; `*` ends a beginning.
    breaks: &'static [&'static str],
}

pub(crate) const fn mutant(
    name: &'static str,
    change: Change,
    breaks: &'static [&'static str],
) -> Mutant {
    Mutant {
        name,
        change,
        breaks,
    }
}

/// Checks that no mutant trips yet, each with its reason.
const UNTRIPPED: &[(&str, &str)] = &[
    ("LIV-105/ends", "takes a quarter of a minute"),
    ("REQ-104/ends", "takes half a minute"),
];

/// Names the mutant to the program that plays it.
const MUTANT: &str = "CONFORMANCE_MUTANT";

fn all() -> Vec<&'static Mutant> {
    [
        away::MUTANTS,
        connects::MUTANTS,
        messages::MUTANTS,
        runs::MUTANTS,
        transport::MUTANTS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Not as patient as others: there is one gateway, and it is ours.
const PATIENCE: Patience = Patience {
    floor: Duration::from_millis(100),
    first: Duration::from_millis(300),
    most: Duration::from_millis(600),
    longest_asked: Duration::from_secs(60),
    stable: Duration::from_secs(30),
};
/// A patience that is none.
const STORM: Patience = Patience {
    floor: Duration::ZERO,
    first: Duration::ZERO,
    most: Duration::ZERO,
    ..PATIENCE
};

#[test]
#[ignore = "this is the client under test, which the judge starts"]
fn the_client_under_test() {
    let url = env::var("OPENCLAW_GATEWAY_URL").unwrap();
    let name = env::var(MUTANT).unwrap_or_default();
    let Some(mutant) = all().into_iter().find(|mutant| mutant.name == name) else {
        end(adapter::job(&url, PATIENCE).is_ok());
    };
    let url = proxy::start(&url, &mutant.change);
    let patience = if matches!(mutant.change, Change::Storm) {
        STORM
    } else {
        PATIENCE
    };
    let well = adapter::job(&url, patience).is_ok();
    end(well || matches!(mutant.change, Change::Pride));
}

/// Ends at once, whatever the proxy still does.
fn end(well: bool) -> ! {
    process::exit(i32::from(!well));
}

fn options(mutant: &str, timeout: Duration) -> Options {
    let program = env::current_exe().unwrap();
    let command = format!(
        "{MUTANT}='{mutant}' exec '{}' --exact the_client_under_test --ignored --nocapture --test-threads 2",
        program.display()
    );
    Options {
        timeout,
        window: Duration::from_millis(1_200),
        at_once: 64,
        ..Options::new(&command)
    }
}

/// What a mutant breaks, and what of it was found to be wrong rather than untestable.
fn broken(mutant: &Mutant, timeout: Duration) -> [BTreeSet<&'static str>; 2] {
    let report = judge(&options(mutant.name, timeout));
    let report = report.unwrap_or_else(|why| panic!("{}: {why}", mutant.name));
    let bad = report
        .findings
        .iter()
        .filter(|finding| finding.verdict.counts(true));
    let wrong = bad
        .clone()
        .filter(|finding| !matches!(finding.verdict, Verdict::Untestable(_)));
    [
        bad.map(|finding| finding.check).collect(),
        wrong.map(|finding| finding.check).collect(),
    ]
}

fn expected(mutant: &Mutant) -> BTreeSet<&'static str> {
    let listed = |check: &&str| {
        mutant.breaks.iter().any(|own| match own.strip_suffix('*') {
            Some(beginning) => check.starts_with(beginning),
            None => check == own,
        })
    };
    scenarios::checks().into_iter().filter(listed).collect()
}

fn passes(protocol: u32) {
    let mut options = options("", Duration::from_secs(20));
    options.protocol = protocol;
    let report = judge(&options).unwrap();
    let bad = report
        .findings
        .iter()
        .filter(|finding| finding.verdict.counts(true));
    assert_eq!(bad.count(), 0, "{}", report::text(&report, &[], false));
    let slow = scenarios::all()
        .into_iter()
        .filter(|scenario| scenario.slow);
    let slow: usize = slow.map(|scenario| scenario.checks.len()).sum();
    assert_eq!(report.findings.len() + slow, scenarios::checks().len());
}

#[test]
fn our_client_passes_every_check_of_protocol_4() {
    passes(4);
}

#[test]
fn our_client_passes_every_check_of_protocol_3() {
    passes(3);
}

#[test]
fn every_mutant_breaks_exactly_its_checks() {
    let queue = Mutex::new(all());
    let wrong = Mutex::new(Vec::new());
    let outright = Mutex::new(BTreeSet::new());
    let only = env::var("MUTANT").ok();
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                while let Some(mutant) = { queue.lock().unwrap().pop() } {
                    if only
                        .as_ref()
                        .is_some_and(|only| !mutant.name.contains(only))
                    {
                        continue;
                    }
                    let due = expected(mutant);
                    let [mut found, mut bad] = broken(mutant, Duration::from_secs(2));
                    if found != due {
                        // On a busy machine something may have come too late.
                        [found, bad] = broken(mutant, Duration::from_secs(10));
                    }
                    outright.lock().unwrap().extend(bad);
                    if found != due {
                        let more: Vec<_> = found.difference(&due).collect();
                        let less: Vec<_> = due.difference(&found).collect();
                        let line = format!(
                            "{}: breaks {more:?} as well, and does not break {less:?}",
                            mutant.name
                        );
                        wrong.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if only.is_none() {
        let outright = outright.into_inner().unwrap();
        let tripped: BTreeSet<&str> = all().into_iter().flat_map(expected).collect();
        let untestable: Vec<_> = tripped.difference(&outright).collect();
        assert!(
            untestable.is_empty(),
            "mutants only make these untestable: {untestable:?}"
        );
    }
}

#[test]
fn a_client_that_does_not_end_is_not_waited_for_for_ever() {
    let mut options = options("", Duration::from_secs(5));
    options.command = format!("{}; sleep 600", options.command.replace("exec ", ""));
    let why = judge(&options).unwrap_err();
    assert!(why.0.contains("does not end"), "{why}");
}

#[test]
fn a_client_that_does_not_print_the_answer_is_told_what_to_do() {
    let mut options = options("", Duration::from_secs(5));
    options.command = format!("({}) >&2", options.command);
    let why = judge(&options).unwrap_err();
    assert!(why.0.contains("has to print the answer"), "{why}");
}

#[test]
fn a_client_of_another_version_is_told_which() {
    let mut options = options("offers version 4 only", Duration::from_secs(5));
    options.protocol = 3;
    let why = judge(&options).unwrap_err();
    assert!(
        why.0.contains("offers the protocols 4 to 4, not 3"),
        "{why}"
    );
}

#[test]
fn every_check_is_broken_by_a_mutant_or_listed_as_not_yet() {
    let tripped: BTreeSet<&str> = all().into_iter().flat_map(expected).collect();
    let listed: BTreeSet<&str> = UNTRIPPED.iter().map(|(check, _)| *check).collect();
    let untripped: BTreeSet<&str> = scenarios::checks()
        .into_iter()
        .filter(|check| !tripped.contains(check))
        .collect();
    assert_eq!(untripped, listed);
}
