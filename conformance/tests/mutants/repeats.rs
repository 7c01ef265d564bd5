//! Defects of runs that are asked for again.

use openclaw_conformance::object;

use crate::proxy::Change::Message;
use crate::proxy::Memory;
use crate::runs::{ends, is_ack};
use crate::{Mutant, mutant, push, set, unset};

/// The number of the acknowledgement or the end on this connection.
fn counted(memory: &mut Memory, is: bool) -> i64 {
    memory.count += i64::from(is);
    if is { memory.count } else { 0 }
}

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "names another run to a repeat",
        Message(|memory, value| {
            let second = counted(memory, is_ack(&value)) == 2;
            vec![if second {
                set(value, "payload.runId", "other")
            } else {
                value
            }]
        }),
        &["IDM-001/same"],
    ),
    mutant(
        "runs a repeat again",
        Message(|memory, value| {
            let run = value.text("payload.runId").unwrap_or("").to_owned();
            if counted(memory, is_ack(&value)) == 2 {
                let data = object! {"phase": "start"};
                let again = object! {"runId": run, "stream": "lifecycle", "data": data, "seq": 1};
                return vec![value, push("agent", again)];
            }
            vec![value]
        }),
        &["IDM-001/one-run"],
    ),
    mutant(
        "leaves a repeat in the dark",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let slow = params
                .text("message")
                .is_some_and(|text| text.starts_with("/slow"));
            let second = slow && ends(memory, &value) && value.text("id") == Some("r3");
            if second { vec![] } else { vec![value] }
        }),
        &["IDM-005/final"],
    ),
    mutant(
        "stores another end",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let quick = params.text("message") == Some("hello there");
            let second = quick && ends(memory, &value) && value.text("id") == Some("r3");
            vec![if second {
                unset(value, "payload.result")
            } else {
                value
            }]
        }),
        &["IDM-002/stored"],
    ),
    mutant(
        "answers a repeat twice",
        Message(|memory, value| {
            let is_end = ends(memory, &value);
            let second = counted(memory, is_end) == 2 && value.text("id") == Some("r3");
            if second {
                vec![value.clone(), value]
            } else {
                vec![value]
            }
        }),
        &["IDM-002/once"],
    ),
    mutant(
        "knows no repeat elsewhere",
        Message(|memory, value| {
            let acked = counted(memory, is_ack(&value)) > 0 || memory.count > 0;
            let elsewhere = ends(memory, &value) && !acked;
            vec![if elsewhere {
                set(value, "payload.status", "timeout")
            } else {
                value
            }]
        }),
        &["IDM-004/elsewhere"],
    ),
    mutant(
        "takes another body under a used key",
        Message(|_, value| {
            let conflict = value.text("error.details.code") == Some("IDEMPOTENCY_CONFLICT");
            vec![if conflict {
                value
                    .without("error")
                    .with("ok", true)
                    .with("payload", object! {})
            } else {
                value
            }]
        }),
        &["IDM-003/conflict"],
    ),
];
