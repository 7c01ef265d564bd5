//! Defects of nodes that come in and are approved.

use openclaw_conformance::json::Value;
use openclaw_conformance::object;

use crate::proxy::Change::Message;
use crate::proxy::Memory;
use crate::{Mutant, close, granted, is_hello, is_push, mutant, push, refuse, set, unset};

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "has every node of its host asked for",
        Message(|memory, value| {
            let unknown = value.text("error.message") == Some("unknown requestId");
            let ours = memory.asked(&value).1.text("requestId") == Some("asked-for");
            if unknown && ours {
                return vec![granted(value)];
            }
            let is_new = is_hello(&value) && is_node(memory, &value) && is_first(memory, &value);
            when(is_new, value, |value| {
                let details = object! {
                    "code": "PAIRING_REQUIRED", "reason": "not-paired", "requestId": "asked-for",
                };
                let error = object! {
                    "code": "NOT_PAIRED", "message": "pairing required", "details": details,
                };
                refuse(value).without("payload").with("error", error)
            })
        }),
        &["HSK-038/node"],
    ),
    mutant(
        "grants nodes scopes",
        Message(|memory, value| {
            let scopes: &[&str] = &["operator.read"];
            when(is_node(memory, &value), value, |value| {
                set(value, "payload.auth.scopes", scopes)
            })
        }),
        &["NOD-010/hello"],
    ),
    mutant(
        "shows nodes who is there",
        Message(|memory, value| {
            when(is_node(memory, &value), value, |value| {
                set(value, "payload.snapshot.presence", vec![object! {}])
            })
        }),
        &["NOD-010/presence"],
    ),
    mutant(
        "tells nobody what nodes declare",
        Message(|_, value| dropped(is_push(&value, "node.pair.requested"), value)),
        &["NOD-005/pending", "NOD-005/requested", "NOD-014/asked"],
    ),
    mutant(
        "lists nothing to those who may only pair",
        Message(|memory, value| {
            let ours =
                answers(memory, &value, "node.pair.list") && holds(memory, "operator.pairing");
            when(ours, value, |value| {
                set(value, "payload.pending", Vec::new())
            })
        }),
        &["NOD-005/pending"],
    ),
    mutant(
        "lets nodes ask for anything",
        Message(|_, value| {
            let all: &[&str] = &["system.which", "conformance.unheard-of", "system.notify"];
            when(is_wide(&value), value, |value| {
                set(value, "payload.commands", all)
            })
        }),
        &["NOD-005/pending", "NOD-026/withheld"],
    ),
    mutant(
        "has every node approved by those who may pair",
        Message(|_, value| {
            let pairing: &[&str] = &["operator.pairing"];
            when(is_wide(&value), value, |value| {
                set(value, "payload.requiredApproveScopes", pairing)
            })
        }),
        &["NOD-005/pending", "NOD-011/scopes"],
    ),
    mutant(
        "describes nodes that wait as approved",
        Message(|memory, value| {
            let waits = value.text("payload.approvalState") == Some("pending-approval");
            when(waits && holds(memory, "operator.admin"), value, |value| {
                set(value, "payload.approvalState", "approved")
            })
        }),
        &["NOD-005/waiting"],
    ),
    mutant(
        "shows everybody what nodes ask for",
        Message(|memory, value| {
            let waits = value.text("payload.approvalState") == Some("pending-approval");
            when(waits && holds(memory, "operator.read"), value, |value| {
                set(value, "payload.pendingRequestId", "x")
            })
        }),
        &["NOD-027/hidden"],
    ),
    mutant(
        "tells everybody what nodes ask for",
        Message(|memory, value| {
            if answers(memory, &value, "health") && holds(memory, "operator.read") {
                return vec![push("node.pair.requested", object! {"nodeId": "x"}), value];
            }
            vec![value]
        }),
        &["NOD-027/others"],
    ),
    mutant(
        "invokes what nobody approved",
        Message(|memory, value| {
            let unpaired = answers(memory, &value, "node.invoke") && is_unpaired(&value);
            when(unpaired && holds(memory, "operator.admin"), value, granted)
        }),
        &["NOD-005/unused"],
    ),
    mutant(
        "hears nodes that nobody approved",
        Message(|memory, value| {
            let event = memory.asked(&value).1;
            let ours = event.text("event") == Some("node.host.stats") && is_unpaired(&value);
            when(ours, value, granted)
        }),
        &["NOD-005/unheard"],
    ),
    mutant(
        "lets anybody who may pair approve programs",
        Message(|memory, value| {
            let few = value.text("error.code") == Some("FORBIDDEN");
            when(
                few && answers(memory, &value, "node.pair.approve"),
                value,
                granted,
            )
        }),
        &["NOD-011/admin"],
    ),
    mutant(
        "wants an administrator for every node",
        Message(|memory, value| {
            let ours = answers(memory, &value, "node.pair.approve");
            when(ours && holds(memory, "operator.pairing"), value, refuse)
        }),
        &["NOD-011/admin", "NOD-011/enough"],
    ),
    mutant(
        "does not say what was approved",
        Message(|memory, value| {
            when(
                answers(memory, &value, "node.pair.approve"),
                value,
                |value| unset(value, "payload.node.commands"),
            )
        }),
        &["NOD-012/approved"],
    ),
    mutant(
        "tells no operator that a node was approved",
        Message(|_, value| {
            let told = is_decision(&value, "approved") && value.at("seq").is_some();
            dropped(told, value)
        }),
        &["NOD-012/told"],
    ),
    mutant(
        "tells no node that it was approved",
        Message(|_, value| {
            let told = is_decision(&value, "approved") && value.at("seq").is_none();
            dropped(told, value)
        }),
        &["NOD-012/node"],
    ),
    mutant(
        "approves nodes twice",
        Message(|memory, value| {
            let used = value.text("error.message") == Some("unknown requestId");
            when(
                used && answers(memory, &value, "node.pair.approve"),
                value,
                granted,
            )
        }),
        &["NOD-012/used"],
    ),
    mutant(
        "has a node come back before it can be used",
        Message(|memory, value| {
            let ours = answers(memory, &value, "node.invoke") && value.flag("ok") == Some(true);
            when(ours && holds(memory, "operator.admin"), value, refuse)
        }),
        &["NOD-012/at-once"],
    ),
    mutant(
        "says that every node was approved",
        Message(|_, value| {
            when(is_decision(&value, "rejected"), value, |value| {
                set(value, "payload.decision", "approved")
            })
        }),
        &["NOD-013/rejected", "NOD-014/cleared", "NOD-014/replaced"],
    ),
    mutant(
        "tells a node that it was rejected",
        Message(|memory, value| {
            memory.count |= i64::from(is_node(memory, &value));
            if memory.count == 1 && answers(memory, &value, "health") {
                let told = push("node.pair.resolved", object! {"decision": "rejected"});
                return vec![told.without("seq"), value];
            }
            vec![value]
        }),
        &["NOD-013/stays"],
    ),
    mutant(
        "does not ask again for a node that was rejected",
        Message(|memory, value| {
            let rejected =
                answers(memory, &value, "node.pair.reject") && value.flag("ok") == Some(true);
            let listed = answers(memory, &value, "node.pair.list");
            let mut shared = memory.shared.0.lock().unwrap();
            shared.0 += i64::from(rejected);
            let ours = listed && shared.0 == 1;
            shared.0 += i64::from(ours);
            when(ours, value, |value| {
                set(value, "payload.pending", Vec::new())
            })
        }),
        &["NOD-013/again", "NOD-014/cleared"],
    ),
    mutant(
        "approves a node that declares more",
        Message(|_, value| {
            let waits = value.text("payload.approvalState") == Some("pending-reapproval");
            when(waits, value, |value| {
                set(value, "payload.approvalState", "approved")
            })
        }),
        &["NOD-014/kept"],
    ),
    mutant(
        "asks for less than a node declares",
        Message(|_, value| {
            let few: &[&str] = &["system.notify"];
            let ours = is_push(&value, "node.pair.requested")
                && value.at("payload.commands") == Some(&few.into());
            when(ours, value, |value| {
                set(value, "payload.commands", Vec::new())
            })
        }),
        &["NOD-014/asked"],
    ),
    mutant(
        "asks anew whenever a node comes back",
        Message(|memory, value| {
            let few: &[&str] = &["system.notify"];
            let row = value
                .at("payload.pending.0")
                .cloned()
                .unwrap_or(Value::Null);
            let again = row.at("silent").is_none() && row.at("commands") == Some(&few.into());
            if !answers(memory, &value, "node.pair.list") || !again {
                return vec![value];
            }
            let mut shared = memory.shared.0.lock().unwrap();
            shared.0 += 1;
            let row = row.with("requestId", format!("another {}", shared.0));
            vec![set(value, "payload.pending", vec![row])]
        }),
        &["NOD-014/replaced", "NOD-014/same"],
    ),
    mutant(
        "names nodes that nobody approved",
        Message(|memory, value| {
            let unknown = value.text("error.message") == Some("unknown nodeId");
            when(
                unknown && answers(memory, &value, "node.rename"),
                value,
                granted,
            )
        }),
        &["NOD-015/unknown"],
    ),
    mutant(
        "takes names as they come",
        Message(|memory, value| {
            let named = value.text("payload.displayName") == Some("Kitchen");
            when(
                named && answers(memory, &value, "node.rename"),
                value,
                |value| set(value, "payload.displayName", "  Kitchen "),
            )
        }),
        &["NOD-015/renamed"],
    ),
    mutant(
        "takes blanks for a name",
        Message(|_, value| {
            let blank = value.text("error.message") == Some("displayName required");
            when(blank, value, granted)
        }),
        &["NOD-015/blank"],
    ),
    mutant(
        "forgets the names of nodes that go",
        Message(|memory, value| {
            let named = value.text("payload.displayName") == Some("Kitchen");
            if !named || !answers(memory, &value, "node.describe") {
                return vec![value];
            }
            let mut shared = memory.shared.0.lock().unwrap();
            shared.0 += 1;
            when(shared.0 > 1, value, |value| {
                unset(value, "payload.displayName")
            })
        }),
        &["NOD-015/kept"],
    ),
    mutant(
        "tells nobody that a node was removed",
        Message(|_, value| dropped(is_decision(&value, "removed"), value)),
        &["NOD-016/told"],
    ),
    mutant(
        "removes nodes twice",
        Message(|memory, value| {
            let unknown = value.text("error.message") == Some("unknown nodeId");
            when(
                unknown && answers(memory, &value, "node.pair.remove"),
                value,
                granted,
            )
        }),
        &["NOD-016/forgotten"],
    ),
    mutant(
        "takes the end of a pairing for an ordinary failure",
        Message(|memory, value| {
            let ours = answers(memory, &value, "node.invoke") && is_unpaired(&value);
            let known = memory.asked(&value).1.text("nodeId") != Some("nobody");
            when(
                ours && known && holds(memory, "operator.write"),
                value,
                |value| unset(value, "error.details.code"),
            )
        }),
        &["NOD-016/running"],
    ),
    mutant(
        "refuses health to nodes",
        Message(|memory, value| {
            memory.count |= i64::from(is_node(memory, &value));
            let ours = memory.count == 1 && answers(memory, &value, "health");
            when(ours, value, refuse)
        }),
        &["NOD-006/not-allowed", "NOD-013/stays", "SCP-006/node"],
    ),
    mutant(
        "lets nodes do what operators do",
        Message(|_, value| {
            let ours = value.text("error.message") == Some("unauthorized role: node");
            when(ours, value, granted)
        }),
        &["SCP-008/refused"],
    ),
    mutant(
        "closes the earlier connection of a node",
        Message(|memory, value| {
            let replaced = answers(memory, &value, "node.event") && is_unpaired(&value);
            let known = memory.asked(&value).1.text("event") == Some("conformance");
            if replaced && known {
                memory.cut = true;
                vec![value, close()]
            } else {
                vec![value]
            }
        }),
        &["NOD-021/stays"],
    ),
];

/// Changes what is said where something holds.
pub(crate) fn when(holds: bool, value: Value, change: impl FnOnce(Value) -> Value) -> Vec<Value> {
    vec![if holds { change(value) } else { value }]
}

/// Says nothing where something holds.
pub(crate) fn dropped(holds: bool, value: Value) -> Vec<Value> {
    if holds { vec![] } else { vec![value] }
}

/// Whether it answers this method.
pub(crate) fn answers(memory: &Memory, value: &Value, method: &str) -> bool {
    value.text("type") == Some("res") && memory.method(value) == method
}

/// Whether the connection was granted this scope alone, or none where it is empty.
pub(crate) fn holds(memory: &Memory, scope: &str) -> bool {
    let granted = memory.scopes.as_deref();
    match scope {
        "" => granted == Some("[]"),
        scope => granted == Some(&format!("[\"{scope}\"]")),
    }
}

/// Whether it is refused because a pairing does not hold.
pub(crate) fn is_unpaired(value: &Value) -> bool {
    value.text("error.details.code") == Some("PAIRING_CHANGED")
}

fn is_node(memory: &Memory, value: &Value) -> bool {
    is_hello(value) && memory.asked(value).1.text("role") == Some("node")
}

/// Whether a device is let in for the first time; notes that it was.
fn is_first(memory: &Memory, value: &Value) -> bool {
    let id = memory.asked(value).1.at("device.id").cloned();
    let id = id.unwrap_or(Value::Null);
    let mut shared = memory.shared.0.lock().unwrap();
    let known = shared.1.contains(&id);
    shared.1.push(id);
    !known
}

/// Whether operators are told that a node asks for more than one command.
fn is_wide(value: &Value) -> bool {
    is_push(value, "node.pair.requested")
        && value
            .list("payload.commands")
            .is_some_and(|all| all.len() > 1)
}

fn is_decision(value: &Value, decision: &str) -> bool {
    is_push(value, "node.pair.resolved") && value.text("payload.decision") == Some(decision)
}
