//! Defects of runs.

use openclaw_conformance::json::Value;

use crate::proxy::Change::Message;
use crate::proxy::Memory;
use crate::{Mutant, is_final, is_push, mutant, set, unset};

pub(crate) fn is_ack(value: &Value) -> bool {
    value.text("payload.status") == Some("accepted")
}

/// Whether it is the last answer of an agent request.
pub(crate) fn ends(memory: &Memory, value: &Value) -> bool {
    is_final(value) && memory.method(value) == "agent"
}

fn phase(value: &Value, phase: &str) -> bool {
    value.text("payload.stream") == Some("lifecycle")
        && value.text("payload.data.phase") == Some(phase)
}

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "acknowledges in other words",
        Message(|_, value| {
            vec![if is_ack(&value) {
                unset(value, "payload.acceptedAt")
            } else {
                value
            }]
        }),
        &["RUN-001/ack"],
    ),
    mutant(
        "ends before it begins",
        Message(|memory, value| {
            if is_ack(&value) {
                memory.held.push(value);
                return vec![];
            }
            let mut all = vec![value];
            if ends(memory, &all[0]) {
                all.append(&mut memory.held);
            }
            all
        }),
        &[
            "IDM-001/same",
            "IDM-002/stored",
            "IDM-004/elsewhere",
            "IDM-005/final",
            "RUN-001/ack",
            "RUN-002/status",
            "RUN-004/ack-first",
            "RUN-006/final",
            "RUN-009*",
            "RUN-014/told",
        ],
    ),
    mutant(
        "ends in other words",
        Message(|memory, value| {
            vec![if ends(memory, &value) {
                set(value, "payload.status", "done")
            } else {
                value
            }]
        }),
        &["RUN-002/status"],
    ),
    mutant(
        "runs agents that nobody has",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            vec![if params.text("agentId") == Some("nobody-has-this") {
                set(value, "error.code", "UNAVAILABLE")
            } else {
                value
            }]
        }),
        &["RUN-013/refused"],
    ),
    mutant(
        "does not tell of an abort",
        Message(|_, value| {
            let aborted = is_push(&value, "chat") && value.text("payload.state") == Some("aborted");
            if aborted { vec![] } else { vec![value] }
        }),
        &["RUN-014/told"],
    ),
    mutant(
        "ends twice",
        Message(|memory, value| {
            if ends(memory, &value) {
                vec![value.clone(), value]
            } else {
                vec![value]
            }
        }),
        &["IDM-002/once", "RUN-002/once"],
    ),
    mutant(
        "never ends",
        Message(|memory, value| {
            if ends(memory, &value) {
                vec![]
            } else {
                vec![value]
            }
        }),
        &[
            "EVT-008*",
            "EVT-010/observer",
            "EVT-011/nothing",
            "IDM-001/one-run",
            "IDM-002*",
            "IDM-003/conflict",
            "IDM-004/elsewhere",
            "IDM-005/final",
            "RUN-002*",
            "RUN-003/same",
            "RUN-004*",
            "RUN-005/numbers",
            "RUN-006/final",
            "RUN-009/final",
            "RUN-011/text",
            "SCP-005/run",
        ],
    ),
    mutant(
        "ends another run",
        Message(|memory, value| {
            vec![if ends(memory, &value) {
                set(value, "payload.runId", "other")
            } else {
                value
            }]
        }),
        &["RUN-003/same", "RUN-006/final"],
    ),
    mutant(
        "pushes before it acknowledges",
        Message(|memory, value| {
            if is_ack(&value) {
                memory.held.push(value);
                return vec![];
            }
            let mut all = vec![value];
            if all[0].at("payload.runId").is_some() {
                all.append(&mut memory.held);
            }
            all
        }),
        &["RUN-004/ack-first"],
    ),
    mutant(
        "never says that it starts",
        Message(|_, value| {
            if phase(&value, "start") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["IDM-001/one-run", "RUN-004/start-first", "RUN-005/numbers"],
    ),
    mutant(
        "says too late that it ends",
        Message(|memory, value| {
            let last = phase(&value, "end") || phase(&value, "error");
            if last && memory.scopes.as_deref() == Some("[\"operator.write\"]") {
                memory.held.push(value);
                return vec![];
            }
            let mut all = vec![value];
            if ends(memory, &all[0]) {
                all.append(&mut memory.held);
            }
            all
        }),
        &["RUN-004/end", "RUN-004/over"],
    ),
    mutant(
        "says too late what was said",
        Message(|memory, value| {
            if is_push(&value, "chat") && value.text("payload.state") == Some("final") {
                memory.held.push(value);
                return vec![];
            }
            let mut all = vec![value];
            if ends(memory, &all[0]) {
                all.append(&mut memory.held);
            }
            all
        }),
        &["RUN-004/chat", "RUN-004/over"],
    ),
    mutant(
        "pushes after the end",
        Message(|memory, value| {
            if phase(&value, "end") || phase(&value, "error") {
                let next = value.integer("payload.seq").unwrap_or(0) + 1;
                memory.held.push(set(value.clone(), "payload.seq", next));
            }
            let mut all = vec![value];
            if ends(memory, &all[0]) {
                all.append(&mut memory.held);
            }
            all
        }),
        &["RUN-004/over"],
    ),
    mutant(
        "does not number a run",
        Message(|_, value| {
            vec![if is_push(&value, "agent") {
                set(value, "payload.seq", 1)
            } else {
                value
            }]
        }),
        &["RUN-005/numbers"],
    ),
    mutant(
        "pushes other words",
        Message(|_, value| {
            let said = value.text("payload.stream") == Some("assistant");
            vec![if said {
                set(value, "payload.data.text", "other")
            } else {
                value
            }]
        }),
        &["RUN-011/text"],
    ),
    mutant(
        "fails without an error",
        Message(|memory, value| {
            let failed = ends(memory, &value) && value.flag("ok") == Some(false);
            vec![if failed {
                value.without("error").with("ok", true)
            } else {
                value
            }]
        }),
        &["RUN-006/final"],
    ),
    mutant(
        "runs without a key",
        Message(|_, value| {
            let refused = value
                .text("error.message")
                .is_some_and(|text| text.starts_with("invalid agent params"));
            vec![if refused {
                set(value, "error.code", "UNAVAILABLE")
            } else {
                value
            }]
        }),
        &["RUN-007/refused", "RUN-013/refused", "SCP-003/implied"],
    ),
    mutant(
        "refuses a run twice",
        Message(|_, value| {
            let refused = value
                .text("error.message")
                .is_some_and(|text| text.starts_with("invalid agent params"));
            if refused {
                vec![value.clone(), value]
            } else {
                vec![value]
            }
        }),
        &["RUN-007/once"],
    ),
    mutant(
        "knows the end of every run",
        Message(|_, value| {
            let timeout = value.text("payload.status") == Some("timeout");
            vec![if timeout {
                set(value, "payload.status", "ok")
            } else {
                value
            }]
        }),
        &["RUN-008/timeout"],
    ),
    mutant(
        "knows the end of a run in flight",
        Message(|memory, value| {
            let timeout = value.text("payload.status") == Some("timeout");
            let (_, params) = memory.asked(&value);
            let begun = params
                .text("runId")
                .is_some_and(|run| run.starts_with("waited"));
            vec![if timeout && begun {
                set(value, "payload.status", "ok")
            } else {
                value
            }]
        }),
        &["RUN-008/timeout"],
    ),
    mutant(
        "waits for another run",
        Message(|memory, value| {
            let waited = is_final(&value) && memory.method(&value) == "agent.wait";
            vec![if waited {
                unset(value, "payload.runId")
            } else {
                value
            }]
        }),
        &["RUN-008/end"],
    ),
    mutant(
        "ends runs with their clients",
        Message(|memory, value| {
            let waited = is_final(&value) && memory.method(&value) == "agent.wait";
            vec![if waited {
                set(value, "payload.status", "error")
            } else {
                value
            }]
        }),
        &["RUN-010/goes-on"],
    ),
    mutant(
        "does not name what it aborts",
        Message(|_, value| {
            let aborted = value.flag("payload.aborted") == Some(true);
            vec![if aborted {
                set(value, "payload.runIds", Vec::new())
            } else {
                value
            }]
        }),
        &["RUN-009/named"],
    ),
    mutant(
        "forgets what it aborts",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let endless = params.text("message") == Some("/hang");
            if endless && ends(memory, &value) {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["RUN-009/final"],
    ),
    mutant(
        "aborts what is over",
        Message(|_, value| {
            let nothing = value.flag("payload.aborted") == Some(false);
            vec![if nothing {
                set(value, "payload.aborted", true)
            } else {
                value
            }]
        }),
        &["RUN-009/nothing"],
    ),
];
