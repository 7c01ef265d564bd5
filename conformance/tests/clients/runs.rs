//! Defects of agent runs.

use openclaw_conformance::json::Value;

use crate::proxy::Change::{Frames, Hears, Says};
use crate::proxy::{Step, Way, is, is_final, set, unset};
use crate::{Mutant, mutant};
use std::sync::atomic::Ordering;

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "runs without a key",
        Says(|_, value| {
            vec![if is(&value, "agent") {
                unset(value, "params.idempotencyKey")
            } else {
                value
            }]
        }),
        &["RUN-101/key"],
    ),
    mutant(
        "takes the acknowledgement for the end",
        Hears(|_, value| {
            let ack = value.text("payload.status") == Some("accepted");
            vec![if ack {
                set(value, "payload.status", "ok")
            } else {
                value
            }]
        }),
        &[
            "RUN-102*",
            "RUN-103/pushes",
            "RUN-104/told",
            "IDM-102/joins",
        ],
    ),
    mutant(
        "dies of an unknown stream",
        Hears(|_, value| {
            let known = value.text("payload.stream") != Some("stream-of-a-later-release");
            vec![if known { value } else { Value::Null }]
        }),
        &["RUN-103/pushes"],
    ),
    mutant(
        "takes a failed run for a good one",
        Hears(|_, value| {
            let failed = value.text("payload.status") == Some("error");
            vec![if failed {
                value.without("error").with("ok", true)
            } else {
                value
            }]
        }),
        &["RUN-104/told"],
    ),
    mutant(
        "waits for an acknowledgement",
        Hears(|memory, value| {
            memory.count += i64::from(value.text("payload.status") == Some("accepted"));
            let early = is_final(&value) && memory.count == 0;
            if early { vec![] } else { vec![value] }
        }),
        &["RUN-105/at-once", "IDM-102/joins"],
    ),
    mutant(
        "repeats a run under another key",
        Says(|memory, value| {
            let again = is(&value, "agent") && memory.connection > 1;
            vec![if again {
                set(value, "params.idempotencyKey", "another")
            } else {
                value
            }]
        }),
        &["IDM-101/same"],
    ),
    mutant(
        "forgets its runs",
        Frames(|memory, way, frame| {
            let text = String::from_utf8_lossy(&frame.payload);
            if way == Way::Down && text.contains("\"accepted\"") {
                memory.count = 1;
            }
            if memory.count == 1 {
                memory.shared.shut.store(true, Ordering::SeqCst);
            }
            vec![Step::On(frame)]
        }),
        &["IDM-102/joins"],
    ),
    mutant(
        "takes in_flight for the end",
        Hears(|_, value| {
            let goes_on = value.text("payload.status") == Some("in_flight");
            vec![if goes_on {
                set(value, "payload.status", "ok")
            } else {
                value
            }]
        }),
        &["IDM-102/joins", "IDM-103/in-flight"],
    ),
];
