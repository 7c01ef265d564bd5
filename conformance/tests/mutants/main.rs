//! Our gateway with one deliberate defect each: every mutant breaks exactly its checks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod handshake;
mod invokes;
mod messages;
mod nodes;
mod pairing;
mod proxy;
mod pushes;
mod repeats;
mod runs;
mod slow;
mod transport;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use openclaw_conformance::json::Value;
use openclaw_conformance::judge::judge;
use openclaw_conformance::object;
use openclaw_conformance::scenarios;
use openclaw_conformance::verdict::Verdict;
use openclaw_gateway_service::config::limits::LimitsConfig;
use proxy::Change;

/// A defect.
pub(crate) struct Mutant {
    name: &'static str,
    change: Change,
    /// The checks that it breaks, and no others; `*` ends a beginning.
    breaks: &'static [&'static str],
    /// Whether it is judged by what takes a minute, behind a gateway with short times.
    slow: bool,
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
        slow: false,
    }
}

/// Checks that no mutant trips yet, each with its reason.
const UNTRIPPED: &[(&str, &str)] = &[
    ("EVT-007/throughout", "protocol 3 only"),
    ("FRM-003/row", "a liberty cannot be broken"),
    ("FRM-010/others", "needs a gateway that harms others"),
    ("HSK-001/others", "needs a gateway that harms others"),
    (
        "HSK-017/early",
        "needs a gateway that waits for the challenge to be read",
    ),
    ("NOD-034/at-once", "protocol 3 only"),
    ("NOD-035/again", "protocol 3 only"),
    ("NOD-035/approved", "protocol 3 only"),
    ("NOD-035/asked", "protocol 3 only"),
    ("NOD-035/verified", "protocol 3 only"),
    ("TRN-006/frame", "needs a gateway that reads by packets"),
    ("TRN-006/head", "needs a gateway that reads by packets"),
    ("TRN-008/others", "needs a gateway that harms others"),
];

/// Changes the value at a path of members; nothing where the path leads nowhere.
pub(crate) fn set(value: Value, path: &str, to: impl Into<Value>) -> Value {
    match path.split_once('.') {
        None => value.with(path, to),
        Some((name, rest)) => match value.at(name).cloned() {
            Some(inner) => value.with(name, set(inner, rest, to)),
            None => value,
        },
    }
}

/// Takes the member at a path out.
pub(crate) fn unset(value: Value, path: &str) -> Value {
    match path.split_once('.') {
        None => value.without(path),
        Some((name, rest)) => match value.at(name).cloned() {
            Some(inner) => value.with(name, unset(inner, rest)),
            None => value,
        },
    }
}

pub(crate) fn push(event: &str, payload: Value) -> Value {
    object! {"type": "event", "event": event, "payload": payload, "seq": 0}
}

/// Stands for a close.
pub(crate) fn close() -> Value {
    object! {"close": "now"}
}

/// Refuses what was granted.
pub(crate) fn refuse(value: Value) -> Value {
    let error = object! {"code": "INVALID_REQUEST", "message": "no"};
    value.with("ok", false).with("error", error)
}

/// Grants what was refused.
pub(crate) fn granted(value: Value) -> Value {
    value
        .without("error")
        .with("ok", true)
        .with("payload", object! {})
}

pub(crate) fn is_push(value: &Value, event: &str) -> bool {
    value.text("event") == Some(event)
}

pub(crate) fn is_hello(value: &Value) -> bool {
    value.text("payload.type") == Some("hello-ok")
}

/// Whether it is the last answer of a run.
pub(crate) fn is_final(value: &Value) -> bool {
    let status = value.text("payload.status");
    value.text("type") == Some("res")
        && value.at("payload.runId").is_some()
        && matches!(status, Some("ok" | "error"))
}

fn all() -> Vec<&'static Mutant> {
    [
        transport::MUTANTS,
        handshake::MUTANTS,
        pairing::MUTANTS,
        nodes::MUTANTS,
        invokes::MUTANTS,
        messages::MUTANTS,
        pushes::MUTANTS,
        runs::MUTANTS,
        repeats::MUTANTS,
        // The last are played first.
        slow::MUTANTS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a mutant breaks, and what of it was found to be wrong rather than untestable.
fn broken(mutant: &Mutant, timeout: Duration) -> [BTreeSet<&'static str>; 2] {
    let mut limits = LimitsConfig::default();
    // Every mutant is sent the largest message that it takes.
    limits.core.frame = 1 << 20;
    let minute = mutant.slow.then(|| slow::hurry(&mut limits, timeout));
    let gateway = support::Gateway::with(limits);
    let address = proxy::start(gateway.address, mutant.change);
    let mut options = support::options(address, timeout);
    if let Some(minute) = minute {
        options.slow = true;
        options.minute = minute;
        options.only = slow::checks();
    }
    let report = judge(options).unwrap();
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

#[test]
fn every_mutant_breaks_exactly_its_checks() {
    let queue = Mutex::new(all());
    let wrong = Mutex::new(Vec::new());
    let outright = Mutex::new(BTreeSet::new());
    let only = std::env::var("MUTANT").ok();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some(mutant) = { queue.lock().unwrap().pop() } {
                    if only
                        .as_ref()
                        .is_some_and(|only| !mutant.name.contains(only))
                    {
                        continue;
                    }
                    let due = expected(mutant);
                    let [mut found, mut bad] = broken(mutant, Duration::from_millis(1_500));
                    if found != due {
                        // On a busy machine something may have come too late.
                        [found, bad] = broken(mutant, Duration::from_secs(6));
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
fn every_check_is_broken_by_a_mutant_or_listed_as_not_yet() {
    let tripped: BTreeSet<&str> = all().into_iter().flat_map(expected).collect();
    let listed: BTreeSet<&str> = UNTRIPPED.iter().map(|(check, _)| *check).collect();
    let untripped: BTreeSet<&str> = scenarios::checks()
        .into_iter()
        .filter(|check| !tripped.contains(check))
        .collect();
    assert_eq!(untripped, listed);
}
