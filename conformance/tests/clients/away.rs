//! Defects of leaving and of coming back.

use std::sync::atomic::Ordering;

use openclaw_conformance::wire::CLOSE;

use crate::proxy::Change::{Frames, Hears, Storm, Sulks};
use crate::proxy::{Step, Way, set, unset};
use crate::{Mutant, mutant};

const TICK: &str = "payload.policy.tickIntervalMs";

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "does not notice silence",
        Hears(|_, value| {
            vec![match value.integer(TICK) {
                Some(_) => set(value, TICK, 60_000),
                None => value,
            }]
        }),
        &["LIV-103*"],
    ),
    mutant(
        "does not come back after silence",
        Frames(|memory, way, frame| {
            if way == Way::Up && frame.opcode == CLOSE && !memory.closed {
                memory.shared.shut.store(true, Ordering::SeqCst);
            }
            vec![Step::On(frame)]
        }),
        &["LIV-103/back"],
    ),
    mutant(
        "is impatient with ticks",
        Hears(|_, value| {
            vec![match value.integer(TICK) {
                Some(1_000) => set(value, TICK, 100),
                _ => value,
            }]
        }),
        &["LIV-104/stays"],
    ),
    mutant(
        "does not come back after a restart",
        Frames(|memory, way, frame| {
            let code = frame.close().ok().and_then(|(code, _)| code);
            if way == Way::Down && frame.opcode == CLOSE && code == Some(1012) {
                memory.shared.shut.store(true, Ordering::SeqCst);
            }
            vec![Step::On(frame)]
        }),
        &["CLO-105/back", "CLO-106/sooner", "EVT-103/calm"],
    ),
    mutant(
        "does not wait for a restart",
        Hears(|_, value| vec![unset(value, "payload.restartExpectedMs")]),
        &["CLO-106/sooner"],
    ),
    mutant(
        "does not come back after a cut",
        Sulks,
        &["CLO-107/back", "IDM-102/joins"],
    ),
    mutant("comes back at once", Storm, &["CLO-108/storm"]),
];
