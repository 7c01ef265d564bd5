//! Our own gateway passes everything.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use openclaw_conformance::judge::judge;
use openclaw_conformance::{report, scenarios};

fn passes(protocol: u32) {
    let gateway = support::Gateway::new();
    let mut options = support::options(gateway.address, Duration::from_secs(20));
    options.protocol = protocol;
    let report = judge(options).unwrap();
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
fn our_gateway_passes_every_check_of_protocol_4() {
    passes(4);
}

#[test]
fn our_gateway_passes_every_check_of_protocol_3() {
    passes(3);
}
