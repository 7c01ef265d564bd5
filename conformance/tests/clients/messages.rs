//! Defects of requests, answers and pushes.

use openclaw_conformance::json::Value;
use openclaw_conformance::object;
use openclaw_conformance::wire::{CLOSE, Frame, TEXT};

use crate::proxy::Change::{Frames, Hears, Says};
use crate::proxy::{Memory, Step, Way, is, set};
use crate::{Mutant, mutant};

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "adds a member",
        Says(|_, value| vec![value.with("extra", true)]),
        &["FRM-101/throughout"],
    ),
    mutant(
        "uses an id twice",
        Says(|memory, value| {
            if is(&value, "health") {
                memory.kept = value.text("id").unwrap_or("").to_owned();
            }
            vec![if is(&value, "status") {
                value.with("id", memory.kept.as_str())
            } else {
                value
            }]
        }),
        &["FRM-103/throughout", "REQ-101/any-order"],
    ),
    mutant(
        "dies of unknown members",
        Hears(|_, value| {
            let known = value.at("laterMember").is_none();
            vec![if known { value } else { Value::Null }]
        }),
        &["FRM-104/members"],
    ),
    mutant(
        "dies of unknown events",
        Hears(|_, value| {
            let event = value.text("event").unwrap_or("");
            let known = !event.starts_with("event.of");
            vec![if known { value } else { Value::Null }]
        }),
        &["FRM-105/events"],
    ),
    mutant(
        "takes any answer for its own",
        Hears(|memory, value| {
            let strange = value.text("id") == Some("nobody-asked");
            let mut asked = memory.asked.iter();
            let own = asked.find(|(_, method)| *method == "health");
            vec![match own {
                Some((id, _)) if strange => value.with("id", id),
                _ => value,
            }]
        }),
        &["FRM-106/strangers"],
    ),
    mutant(
        "takes answers in the order of its requests",
        Hears(|memory, value| {
            let other = match memory.method(&value) {
                "health" => "status",
                "status" => "health",
                _ => return vec![value],
            };
            let mut asked = memory.asked.iter();
            let other = asked.find(|(_, method)| *method == other);
            vec![match other {
                Some((id, _)) => value.with("id", id),
                None => value,
            }]
        }),
        &["REQ-101/any-order"],
    ),
    mutant(
        "takes a failure for an answer",
        Hears(|memory, value| {
            let failed = value.flag("ok") == Some(false) && memory.method(&value) == "health";
            vec![if failed { well(value) } else { value }]
        }),
        &["REQ-102/told"],
    ),
    mutant(
        "takes the end of a connection for an answer",
        Frames(|memory, way, frame| {
            let asked = memory.asked.iter().find(|(_, method)| *method == "health");
            match asked {
                Some((id, _)) if way == Way::Down && frame.opcode == CLOSE => {
                    let answer = object! {"type": "res", "id": id, "ok": true};
                    let answer = answer.with("payload", object! {"ok": true});
                    let answer = Frame::server(TEXT, answer.to_string());
                    vec![Step::On(answer), Step::On(frame)]
                }
                _ => vec![Step::On(frame)],
            }
        }),
        &["REQ-103/told"],
    ),
    mutant(
        "does not see gaps",
        Hears(|memory, value| vec![numbered(memory, value, |count, _| count)]),
        &["EVT-101*"],
    ),
    mutant(
        "sees gaps where none are",
        Hears(|memory, value| vec![numbered(memory, value, |_, seq| seq * 2)]),
        &["EVT-102/calm", "EVT-103/calm"],
    ),
    mutant(
        "numbers over connections",
        Hears(|memory, value| {
            let before = if memory.connection > 1 { 7 } else { 0 };
            vec![match value.integer("seq") {
                Some(seq) => value.with("seq", seq + before),
                None => value,
            }]
        }),
        &["EVT-103/calm"],
    ),
];

fn well(value: Value) -> Value {
    let value = value.without("error");
    set(value.with("ok", true), "payload", object! {"ok": true})
}

/// Gives a push another number, made from the count of numbered pushes and from its own.
fn numbered(memory: &mut Memory, value: Value, number: fn(i64, i64) -> i64) -> Value {
    let Some(seq) = value.integer("seq") else {
        return value;
    };
    memory.count += 1;
    value.with("seq", number(memory.count, seq))
}
