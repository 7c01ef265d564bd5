//! A gateway that breaks the rules of WebSocket: nothing that it says afterwards may count.

use super::{Scenario, scenario};
use crate::bench::Trouble;
use crate::client::Job;
use crate::client::stage::Stage;
use crate::wire::{self, Frame};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("masked frame", Job::Health, &["TRN-108/mask"], |stage| {
        breaks(stage, "TRN-108/mask", &[Frame::client(wire::PING, "x")])
    }),
    scenario(
        "reserved bit",
        Job::Health,
        &["TRN-108/reserved"],
        |stage| {
            let mut frame = Frame::server(wire::PING, "x");
            frame.reserved = 4;
            breaks(stage, "TRN-108/reserved", &[frame])
        },
    ),
    scenario(
        "unknown opcode",
        Job::Health,
        &["TRN-108/opcode"],
        |stage| breaks(stage, "TRN-108/opcode", &[Frame::server(11, "x")]),
    ),
    scenario(
        "no beginning",
        Job::Health,
        &["TRN-108/continuation"],
        |stage| {
            let frame = Frame::server(wire::CONTINUATION, "x");
            breaks(stage, "TRN-108/continuation", &[frame])
        },
    ),
    scenario(
        "two beginnings",
        Job::Health,
        &["TRN-108/interleaved"],
        |stage| {
            let mut frame = Frame::server(wire::TEXT, "{");
            frame.fin = false;
            breaks(stage, "TRN-108/interleaved", &[frame])
        },
    ),
    scenario("long ping", Job::Health, &["TRN-108/long-ping"], |stage| {
        let frame = Frame::server(wire::PING, [b'x'; 126]);
        breaks(stage, "TRN-108/long-ping", &[frame])
    }),
    scenario("not UTF-8", Job::Health, &["TRN-109/text"], |stage| {
        let frame = Frame::server(wire::TEXT, b"{\"type\":\"event\",\"event\":\"\xff\"}");
        breaks(stage, "TRN-109/text", &[frame])
    }),
];

/// Sends frames that no gateway may send, and then the answer as if nothing had been.
fn breaks(stage: &Stage<'_>, check: &'static str, frames: &[Frame]) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("health")?;
    for frame in frames {
        session.send_frame(frame)?;
    }
    session.answer(&request, stage.health())?;
    let exit = stage.end_of(&mut session)?;
    stage.check(check, exit.failed(), || exit.to_string());
    Ok(())
}
