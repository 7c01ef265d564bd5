//! Defects of pushes, their numbers, and presence.

use openclaw_conformance::json::Value;
use openclaw_conformance::object;

use crate::proxy::Change::{Message, Numbers};
use crate::proxy::Memory;
use crate::{Mutant, is_hello, is_push, mutant, push, set, unset};

fn presence(memory: &mut Memory, value: Value, change: fn(Value, i64) -> Value) -> Vec<Value> {
    if !is_push(&value, "presence") {
        return vec![value];
    }
    let mut shared = memory.shared.0.lock().unwrap();
    shared.0 += 1;
    vec![change(value, shared.0)]
}

/// Drops presence where a window has come, or has gone.
fn without_window(value: Value, reason: &str) -> Vec<Value> {
    let rows = value.list("payload.presence").unwrap_or(&[]);
    let window = rows
        .iter()
        .any(|row| row.text("mode") == Some("ui") && row.text("reason") == Some(reason));
    if is_push(&value, "presence") && window {
        vec![]
    } else {
        vec![value]
    }
}

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "repeats a number",
        Numbers(|_, value| {
            let seq = value.integer("seq").filter(|seq| *seq > 1);
            vec![match seq {
                Some(seq) => value.with("seq", seq - 1),
                None => value,
            }]
        }),
        &["EVT-001/throughout"],
    ),
    mutant(
        "skips a number",
        Numbers(|_, value| {
            let seq = value.integer("seq").filter(|seq| *seq > 2);
            vec![match seq {
                Some(seq) => value.with("seq", seq + 1),
                None => value,
            }]
        }),
        &["EVT-001/throughout"],
    ),
    mutant(
        "counts for all connections together",
        Numbers(|memory, value| {
            if value.integer("seq").is_none() {
                return vec![value];
            }
            let mut shared = memory.shared.0.lock().unwrap();
            shared.0 += 1;
            vec![value.with("seq", shared.0)]
        }),
        &["EVT-001/throughout"],
    ),
    mutant(
        "pushes presence without versions",
        Message(|memory, value| presence(memory, value, |value, _| value.without("stateVersion"))),
        &["EVT-005/throughout", "STA-002/raised"],
    ),
    mutant(
        "forgets the version bump",
        Message(|_, value| {
            let path = if is_hello(&value) {
                "payload.snapshot.stateVersion.presence"
            } else {
                "stateVersion.presence"
            };
            vec![set(value, path, 5)]
        }),
        &["STA-002/raised"],
    ),
    mutant(
        "counts versions backwards",
        Message(|memory, value| {
            presence(memory, value, |value, count| {
                let version = object! {"presence": 0 - count, "health": 0 - count};
                value.with("stateVersion", version)
            })
        }),
        &["STA-001/throughout", "STA-002/raised"],
    ),
    mutant(
        "lists nobody",
        Message(|memory, value| {
            let lists =
                memory.method(&value) == "system-presence" && value.flag("ok") == Some(true);
            vec![if lists {
                value.with("payload", Vec::new())
            } else {
                value
            }]
        }),
        &["STA-003/listed"],
    ),
    mutant(
        "pushes no presence",
        Message(|_, value| {
            if is_push(&value, "presence") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &[
            "STA-004*",
            "STA-002/raised",
            "STA-007/came",
            "STA-008/went",
            "EVT-005/throughout",
        ],
    ),
    mutant(
        "pushes half of the presence list",
        Message(|_, value| {
            let rows = value.list("payload.presence").unwrap_or(&[]);
            let windows = rows.iter().filter(|row| row.text("mode") == Some("ui"));
            let windows: Vec<Value> = windows.cloned().collect();
            vec![if is_push(&value, "presence") {
                set(value, "payload.presence", windows)
            } else {
                value
            }]
        }),
        &["STA-004/whole"],
    ),
    mutant(
        "does not say who comes",
        Message(|_, value| without_window(value, "connect")),
        &["STA-007/came"],
    ),
    mutant(
        "does not say who goes",
        Message(|_, value| without_window(value, "disconnect")),
        &["STA-008/went"],
    ),
    mutant(
        "replays what was pushed",
        Message(|memory, value| {
            let mut shared = memory.shared.0.lock().unwrap();
            if is_push(&value, "agent") {
                shared.1.push(value.clone());
            }
            let mut all = vec![value];
            if is_hello(&all[0]) {
                all.extend(shared.1.clone());
            }
            all
        }),
        &["EVT-011/nothing"],
    ),
    mutant(
        "leaks presence",
        Message(|memory, value| {
            let stranger = memory.scopes.as_deref() == Some("[]");
            if stranger && memory.method(&value) == "health" {
                let version = object! {"presence": 1_000, "health": 1_000};
                let leak = push("presence", object! {"presence": Vec::new()});
                return vec![leak.with("stateVersion", version), value];
            }
            vec![value]
        }),
        &["SCP-005/presence"],
    ),
    mutant(
        "leaks runs",
        Message(|memory, value| {
            let mut shared = memory.shared.0.lock().unwrap();
            if is_push(&value, "agent") {
                shared.1.push(value.clone());
            }
            let stranger = memory.scopes.as_deref() == Some("[]");
            if stranger && memory.method(&value) == "health" {
                let mut all = shared.1.clone();
                all.push(value);
                return all;
            }
            vec![value]
        }),
        &["SCP-005/run"],
    ),
    mutant(
        "tells observers nothing",
        Message(|memory, value| {
            let observer = memory.scopes.as_deref() == Some("[\"operator.read\"]");
            if observer && is_push(&value, "agent") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["EVT-010/observer"],
    ),
    mutant(
        "pushes no tools",
        Message(|_, value| {
            if value.text("payload.stream") == Some("tool") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["EVT-008/asked"],
    ),
    mutant(
        "pushes tools to everybody",
        Message(|memory, value| {
            let observer = memory.scopes.as_deref() == Some("[\"operator.read\"]");
            if observer && value.text("payload.data.phase") == Some("start") {
                let tool = set(value.clone(), "payload.stream", "tool");
                return vec![value, unset(tool, "payload.data")];
            }
            vec![value]
        }),
        &["EVT-008/unasked"],
    ),
];
