//! Connections that we close.

use super::{READ, Scenario, scenario};
use crate::bench::{Bench, Ending, Trouble};
use crate::wire::{CLOSE, Frame, close_payload};

pub(super) const SCENARIOS: &[Scenario] = &[scenario(
    "our close",
    &[
        "CLO-001/before-hello",
        "CLO-001/after-hello",
        "CLO-001/empty",
    ],
    ours,
)];

fn ours(bench: &Bench) -> Result<(), Trouble> {
    for (id, payload) in [
        ("CLO-001/before-hello", close_payload(1000, "")),
        ("CLO-001/after-hello", close_payload(1001, "going away")),
        ("CLO-001/empty", Vec::new()),
    ] {
        let mut conn = if id == "CLO-001/before-hello" {
            bench.open()?
        } else {
            bench.operator(READ)?
        };
        conn.send_frame(&Frame::client(CLOSE, payload))?;
        let ending = conn.ending()?;
        bench.check(id, matches!(ending, Ending::Closed(..)), || {
            format!("a close is followed by this: {ending}")
        });
    }
    Ok(())
}
