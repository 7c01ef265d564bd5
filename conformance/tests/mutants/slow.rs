//! Defects that show when time has passed, behind a gateway whose times are short.

use std::time::Duration;

use openclaw_conformance::scenarios;
use openclaw_conformance::wire::{CLOSE, PING};
use openclaw_gateway_service::config::limits::LimitsConfig;

use crate::proxy::Change::{self, Endless, Frame as Frames, Message};
use crate::{Mutant, is_push, mutant};

/// Shortens what the slow checks wait for, and then the minute in which it must come.
pub(crate) fn hurry(limits: &mut LimitsConfig, soon: Duration) -> Duration {
    limits.core.handshake = soon;
    limits.core.tick = soon;
    limits.core.ping = soon;
    limits.core.health = soon;
    limits.server.http.head_time = soon;
    soon * 8
}

/// The checks that are made only where time is taken for them.
pub(crate) fn checks() -> Vec<String> {
    let slow = scenarios::all()
        .into_iter()
        .filter(|scenario| scenario.slow);
    let checks = slow.flat_map(|scenario| scenario.checks);
    checks.map(|check| (*check).to_owned()).collect()
}

const fn slow(name: &'static str, change: Change, breaks: &'static [&'static str]) -> Mutant {
    Mutant {
        slow: true,
        ..mutant(name, change, breaks)
    }
}

pub(crate) const MUTANTS: &[Mutant] = &[
    slow("has no defect", Frames(|_, frame| vec![frame]), &[]),
    slow(
        "never ticks",
        Message(|_, value| {
            if is_push(&value, "tick") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["EVT-004/tick"],
    ),
    slow(
        "keeps a socket that never speaks",
        Frames(|memory, frame| {
            let late = frame.opcode == CLOSE && memory.scopes.is_none();
            memory.keep |= late;
            if late { vec![] } else { vec![frame] }
        }),
        &["HSK-001/ends"],
    ),
    slow(
        "never pings",
        Frames(|_, frame| {
            if frame.opcode == PING {
                vec![]
            } else {
                vec![frame]
            }
        }),
        &["LIV-003/ping"],
    ),
    slow(
        "never refreshes health",
        Message(|_, value| {
            if is_push(&value, "health") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["STA-006/pushed"],
    ),
    slow("reads a head that never ends", Endless, &["TRN-010/ends"]),
];
