//! Defects of frames, requests, scopes and limits.

use openclaw_conformance::json::Value;
use openclaw_conformance::object;

use crate::proxy::Change::{Frame as Frames, Message};
use crate::{Mutant, close, granted, is_hello, mutant, push, refuse, set, unset};
use openclaw_conformance::wire::{CLOSE, Frame, TEXT};

fn message(value: &Value) -> &str {
    value.text("error.message").unwrap_or("")
}

fn is_invalid_frame(value: &Value) -> bool {
    message(value).starts_with("invalid request frame: ") && !message(value).contains("JSON")
}

fn id_is(value: &Value, id: &str) -> bool {
    value.text("type") == Some("res") && value.text("id") == Some(id)
}

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "ends at broken JSON",
        Message(|memory, value| {
            memory.cut |= memory.scopes.is_some() && message(&value).ends_with("must be JSON");
            if memory.cut {
                vec![close()]
            } else {
                vec![value]
            }
        }),
        &["FRM-001/stays"],
    ),
    mutant(
        "blames itself for wrong frames",
        Message(|_, value| {
            vec![if is_invalid_frame(&value) {
                set(value, "error.code", "UNAVAILABLE")
            } else {
                value
            }]
        }),
        &["FRM-002/answered", "FRM-004/refused", "FRM-005/refused"],
    ),
    mutant(
        "forgets the id of wrong frames",
        Message(|_, value| {
            vec![if is_invalid_frame(&value) {
                value.with("id", "?")
            } else {
                value
            }]
        }),
        &["FRM-002/id"],
    ),
    mutant(
        "ends after wrong frames",
        Message(|memory, value| {
            memory.count += i64::from(is_invalid_frame(&value));
            memory.cut = memory.count == 9;
            if memory.cut {
                vec![value, close()]
            } else {
                vec![value]
            }
        }),
        &["FRM-002/stays", "FRM-004/refused", "FRM-005/refused"],
    ),
    mutant(
        "mangles ids",
        Message(|_, value| {
            let id = value.text("id").unwrap_or("").to_owned();
            vec![if id.is_ascii() {
                value
            } else {
                value.with("id", "?")
            }]
        }),
        &["FRM-007/same", "TRN-003/character"],
    ),
    mutant(
        "knows no traces",
        Message(|_, value| {
            vec![if id_is(&value, "traced") {
                refuse(value)
            } else {
                value
            }]
        }),
        &["FRM-011/taken"],
    ),
    mutant(
        "opens the methods of nodes",
        Message(|_, value| {
            vec![if is_foreign(&value) {
                granted(value)
            } else {
                value
            }]
        }),
        &["SCP-011/each", "SCP-011/refused"],
    ),
    mutant(
        "refuses the methods of nodes for their parameters",
        Message(|_, value| {
            vec![if is_foreign(&value) {
                let text = "invalid node.event params: at root: unexpected property 'event'";
                set(value, "error.message", text)
            } else {
                value
            }]
        }),
        &["SCP-011/each", "SCP-011/refused"],
    ),
    mutant(
        "refuses without words",
        Message(|_, value| {
            let unknown = message(&value).starts_with("unknown method");
            vec![if unknown {
                unset(value, "error.message")
            } else {
                value
            }]
        }),
        &["FRM-006/throughout"],
    ),
    mutant(
        "says lists",
        Frames(|_, frame| {
            if frame.opcode == TEXT {
                vec![frame, Frame::server(TEXT, "[]")]
            } else {
                vec![frame]
            }
        }),
        &["FRM-008/throughout", "FRM-006/throughout"],
    ),
    mutant(
        "pushes without a name",
        Message(|_, value| {
            let nameless = object! {"type": "event", "payload": object! {}, "seq": 0};
            if is_hello(&value) {
                vec![value, nameless]
            } else {
                vec![value]
            }
        }),
        &["FRM-009/throughout", "EVT-006/throughout"],
    ),
    mutant(
        "pushes what is not listed",
        Message(|_, value| {
            if is_hello(&value) {
                vec![value, push("surprise", object! {})]
            } else {
                vec![value]
            }
        }),
        &["EVT-006/throughout"],
    ),
    mutant(
        "answers twice",
        Message(|memory, value| {
            if memory.method(&value) == "status" {
                vec![value.clone(), value]
            } else {
                vec![value]
            }
        }),
        &["REQ-001/once"],
    ),
    mutant(
        "says ok to an unknown method",
        Message(|_, value| {
            vec![if message(&value).starts_with("unknown method") {
                granted(value)
            } else {
                value
            }]
        }),
        &["REQ-002/refused"],
    ),
    mutant(
        "answers two of three twins",
        Message(|memory, value| {
            memory.count += i64::from(id_is(&value, "twin"));
            if id_is(&value, "twin") && memory.count == 3 {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["REQ-003/each"],
    ),
    mutant(
        "loses one of many",
        Message(|_, value| {
            if id_is(&value, "m7") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["REQ-004/all"],
    ),
    mutant(
        "blames itself for wrong parameters",
        Message(|_, value| {
            let invalid = message(&value).starts_with("invalid agent.wait params");
            vec![if invalid {
                set(value, "error.code", "UNAVAILABLE")
            } else {
                value
            }]
        }),
        &["REQ-005/refused"],
    ),
    mutant(
        "ends after wrong parameters",
        Message(|memory, value| {
            let (method, params) = memory.asked(&value);
            memory.cut |= method == "chat.abort"
                && params == object! {}
                && value.text("error.code") == Some("INVALID_REQUEST");
            if memory.cut {
                vec![value, close()]
            } else {
                vec![value]
            }
        }),
        &["REQ-005/stays", "REQ-007/refused"],
    ),
    mutant(
        "looks at the parameters of health",
        Message(|memory, value| {
            let (method, params) = memory.asked(&value);
            let refused = method == "health" && !params.is_object();
            vec![if refused { refuse(value) } else { value }]
        }),
        &["REQ-006/ignored"],
    ),
    mutant(
        "takes any profile",
        Message(|_, value| {
            vec![if id_is(&value, "profile") {
                granted(value)
            } else {
                value
            }]
        }),
        &["REQ-007/refused"],
    ),
    mutant(
        "begins what is for another profile",
        Message(|memory, value| {
            let (_, said) = memory.asked(&object! {"id": "begun"});
            let lists = memory.method(&value) == "system-presence" && said.is_object();
            vec![if lists {
                value.with("payload", vec![said])
            } else {
                value
            }]
        }),
        &["REQ-007/not-begun"],
    ),
    mutant(
        "passes on what clients push",
        Message(|memory, value| {
            let mut shared = memory.shared.0.lock().unwrap();
            shared.0 += i64::from(id_is(&value, "s"));
            let reader = memory.scopes.as_deref() == Some("[\"operator.read\"]");
            if reader && shared.0 == 1 && value.text("type") == Some("res") {
                shared.0 = 2;
                return vec![push("tick", object! {"ts": 1, "relayed": true}), value];
            }
            vec![value]
        }),
        &["FRM-005/not-obeyed"],
    ),
    mutant(
        "has no time in health",
        Message(|memory, value| {
            vec![if memory.method(&value) == "health" {
                unset(value, "payload.ts")
            } else {
                value
            }]
        }),
        &["REQ-008/health"],
    ),
    mutant(
        "opens status to everybody",
        Message(|memory, value| {
            let missing =
                memory.method(&value) == "status" && message(&value).starts_with("missing");
            vec![if missing { granted(value) } else { value }]
        }),
        &["SCP-001/refused", "SCP-009/none", "SCP-010/unknown"],
    ),
    mutant(
        "refuses scopes without details",
        Message(|_, value| {
            vec![if message(&value).starts_with("missing") {
                unset(value, "error.details")
            } else {
                value
            }]
        }),
        &["NOD-011/admin", "SCP-002/details"],
    ),
    mutant(
        "implies no scope",
        Message(|memory, value| {
            let writes = memory.scopes.as_deref() == Some("[\"operator.write\"]");
            let refused = writes && memory.method(&value) == "status";
            let error = object! {"code": "FORBIDDEN", "message": "missing scope: operator.read"};
            vec![if refused {
                value.with("ok", false).with("error", error)
            } else {
                value
            }]
        }),
        &["SCP-003/implied"],
    ),
    mutant(
        "refuses implied scopes in its own words",
        Message(|memory, value| {
            let writes = memory.scopes.as_deref() == Some("[\"operator.write\"]");
            let refused = writes && memory.method(&value) == "status";
            let error = object! {"code": "FORBIDDEN", "message": "not for you"};
            vec![if refused {
                value.with("ok", false).with("error", error)
            } else {
                value
            }]
        }),
        &["SCP-003/implied"],
    ),
    mutant(
        "shows presence to everybody",
        Message(|_, value| {
            let none =
                is_hello(&value) && value.at("payload.auth.scopes") == Some(&Value::List(vec![]));
            vec![if none {
                set(value, "payload.snapshot.presence", vec![object! {}])
            } else {
                value
            }]
        }),
        &["NOD-010/presence", "SCP-004/presence"],
    ),
    mutant(
        "wants a scope for health",
        Message(|memory, value| {
            let none = memory.scopes.as_deref() == Some("[\"operator.pairing\"]");
            vec![if none && memory.method(&value) == "health" {
                refuse(value)
            } else {
                value
            }]
        }),
        &["SCP-006/health"],
    ),
    mutant(
        "names unknown methods to anybody",
        Message(|memory, value| {
            let unknown = memory.method(&value) == "no.such.method";
            vec![if unknown {
                set(value, "error.message", "unknown method")
            } else {
                value
            }]
        }),
        &["SCP-007/unknown", "SCP-008/refused"],
    ),
    mutant(
        "loses what came in pieces",
        Message(|_, value| {
            if id_is(&value, "pieces") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["TRN-003/pieces", "TRN-003/control"],
    ),
    mutant(
        "reads no binary",
        Message(|_, value| {
            if id_is(&value, "binary") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["TRN-007/binary"],
    ),
    mutant(
        "takes no full message",
        Message(|_, value| {
            if id_is(&value, "large") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["LIM-007/after-hello"],
    ),
    mutant(
        "keeps a socket that said too much",
        Frames(|memory, frame| {
            let large = frame.opcode == CLOSE && matches!(frame.close(), Ok((Some(1009), _)));
            memory.keep |= large;
            if large { vec![] } else { vec![frame] }
        }),
        &["LIM-002*", "TRN-002/length"],
    ),
];

/// Whether an operator is refused what only nodes do.
fn is_foreign(value: &Value) -> bool {
    message(value) == "unauthorized role: operator"
}
