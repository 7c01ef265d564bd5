//! The table of clauses, the checks and the documents agree.

use std::collections::BTreeSet;

use openclaw_conformance::clause::{self, AREAS, RETIRED, Side};
use openclaw_conformance::watch::THROUGHOUT;
use openclaw_conformance::{client, scenarios};
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::hello::VersionRange;

const PAGE: &str = include_str!("../../docs/clauses.md");

fn checks() -> Vec<&'static str> {
    [scenarios::checks(), client::scenarios::checks()].concat()
}

#[test]
fn the_page_of_clauses_is_the_one_that_is_written() {
    assert!(
        PAGE == clause::markdown(&checks()),
        "run: openclaw-conformance list --markdown > docs/clauses.md"
    );
}

#[test]
fn ids_are_used_once_and_belong_to_an_area() {
    let ids: BTreeSet<&str> = clause::all().map(|clause| clause.id).collect();
    assert_eq!(ids.len(), clause::all().count());
    for clause in clause::all() {
        let (area, number) = clause.id.split_once('-').expect("an area and a number");
        assert!(AREAS.iter().any(|(own, _)| *own == area), "{}", clause.id);
        assert!(
            number.len() == 3 && number.parse::<u32>().is_ok(),
            "{}",
            clause.id
        );
        let late = number.parse::<u32>().is_ok_and(|number| number > 100);
        assert_eq!(late, clause.judges == Side::Client, "{}", clause.id);
        assert!(
            clause.says.ends_with('.') && !clause.source.is_empty(),
            "{}",
            clause.id
        );
    }
}

/// A clause that goes away leaves a hole in its area's numbers unless its id is retired, and a retired id is taken.
#[test]
fn ids_are_never_given_again() {
    let mut ids: Vec<&str> = clause::all().map(|clause| clause.id).collect();
    ids.extend(RETIRED);
    let taken: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(taken.len(), ids.len(), "a retired id is in the table");
    for id in &taken {
        let (area, number) = id.split_once('-').expect("an area and a number");
        let number: u32 = number.parse().expect("a number");
        let before = format!("{area}-{:03}", number - 1);
        assert!(
            number % 100 == 1 || taken.contains(before.as_str()),
            "{before} is neither in the table nor retired"
        );
    }
}

#[test]
fn every_check_has_a_clause_and_one_owner() {
    let checks = checks();
    let different: BTreeSet<&&str> = checks.iter().collect();
    assert_eq!(different.len(), checks.len());
    for check in checks {
        assert!(clause::of(check).is_some(), "{check}");
        assert!(check.contains('/'), "{check}");
    }
    for scenario in scenarios::all() {
        assert!(
            scenario
                .checks
                .iter()
                .all(|check| !THROUGHOUT.contains(check))
        );
    }
    for (own, side) in [
        (scenarios::checks(), Side::Gateway),
        (client::scenarios::checks(), Side::Client),
    ] {
        for check in own {
            assert!(
                clause::of(check).is_some_and(|clause| clause.judges == side),
                "{check}"
            );
        }
    }
}

#[test]
fn every_fault_of_a_peer_has_its_clause_in_the_table() {
    for fault in [
        PeerFault::HandshakeTimeout,
        PeerFault::FirstMessageNotJson,
        PeerFault::FirstMessageNoRequest,
        PeerFault::FirstRequestNotConnect,
        PeerFault::Versions(VersionRange { min: 1, max: 1 }),
        PeerFault::Role,
        PeerFault::WorkerRole,
        PeerFault::TooMuchBeforeHello,
        PeerFault::TooLarge { limit: 1 },
        PeerFault::NotUtf8,
        PeerFault::WebSocket,
        PeerFault::SecondConnect,
        PeerFault::Malformed,
        PeerFault::MalformedInRow,
        PeerFault::TooManyCalls,
        PeerFault::TooMuchHeld,
        PeerFault::TooMuchInput,
        PeerFault::Silent,
        PeerFault::SlowConsumer,
    ] {
        assert!(clause::of(fault.clause()).is_some(), "{fault:?}");
    }
    // Of these two the finding cannot be made here.
    for id in ["HSK-005", "FRM-002"] {
        assert!(clause::of(id).is_some(), "{id}");
    }
}
