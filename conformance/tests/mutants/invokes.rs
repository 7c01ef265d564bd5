//! Defects of what is asked of nodes, and of what nodes tell.

use openclaw_conformance::json::Value;

use crate::nodes::{answers, dropped, holds, is_unpaired, when};
use crate::proxy::Change::Message;
use crate::{Mutant, granted, is_hello, is_push, mutant, refuse, set, unset};

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "lists no nodes",
        Message(|memory, value| {
            when(answers(memory, &value, "node.list"), value, |value| {
                set(value, "payload.nodes", Vec::new())
            })
        }),
        &["NOD-002/listed", "NOD-025/active"],
    ),
    mutant(
        "does not say since when a node is there",
        Message(|memory, value| {
            when(answers(memory, &value, "node.describe"), value, |value| {
                unset(value, "payload.connectedAtMs")
            })
        }),
        &["NOD-002/described"],
    ),
    mutant(
        "describes nodes that are not there",
        Message(|memory, value| {
            let ours = answers(memory, &value, "node.describe") && holds(memory, "operator.read");
            when(ours && value.flag("ok") == Some(false), value, granted)
        }),
        &["NOD-002/unknown"],
    ),
    mutant(
        "asks nodes under a key of its own",
        Message(|_, value| {
            when(is_asked(&value), value, |value| {
                set(value, "payload.idempotencyKey", "x")
            })
        }),
        &["NOD-003/request"],
    ),
    mutant(
        "keeps the parameters of commands",
        Message(|_, value| {
            let ours = is_asked(&value) && value.text("payload.command") == Some("system.notify");
            when(ours, value, |value| set(value, "payload.paramsJSON", "{}"))
        }),
        &["NOD-003/params"],
    ),
    mutant(
        "keeps the parameters of programs",
        Message(|_, value| {
            let ours = is_asked(&value) && value.text("payload.command") == Some("system.run");
            when(ours, value, |value| set(value, "payload.paramsJSON", "{}"))
        }),
        &["NOD-030*"],
    ),
    mutant(
        "does not say that it took a result",
        Message(|memory, value| {
            let taken = value.flag("payload.ok") == Some(true);
            let ours = taken && answers(memory, &value, "node.invoke.result");
            when(
                ours && value.at("payload.ignored").is_none(),
                value,
                |value| unset(value, "payload.ok"),
            )
        }),
        &["NOD-003/taken"],
    ),
    mutant(
        "does not say which command is answered",
        Message(|memory, value| {
            when(answers(memory, &value, "node.invoke"), value, |value| {
                unset(value, "payload.command")
            })
        }),
        &["NOD-003/answer", "NOD-003/text"],
    ),
    mutant(
        "hands results on as texts",
        Message(|memory, value| {
            let text = value.at("payload.payloadJSON").cloned();
            let text = text.filter(|text| *text != Value::Null);
            match text {
                Some(text) if answers(memory, &value, "node.invoke") => {
                    vec![set(value, "payload.payload", text)]
                }
                _ => vec![value],
            }
        }),
        &["NOD-003/text"],
    ),
    mutant(
        "does not say what is wrong when a node is late",
        Message(|_, value| {
            let late = value.text("error.details.nodeError.code") == Some("TIMEOUT");
            when(late, value, |value| unset(value, "error.details.nodeError"))
        }),
        &["NOD-004/timeout"],
    ),
    mutant(
        "does not say that a node has gone",
        Message(|_, value| {
            let message = value.text("error.message").unwrap_or("");
            let gone = message.contains("node disconnected");
            when(gone, value, |value| {
                set(value, "error.message", "it failed")
            })
        }),
        &["NOD-004/gone", "NOD-021/running"],
    ),
    mutant(
        "does not say why a command is not allowed",
        Message(|_, value| {
            let barred = value.at("error.details.command").is_some();
            when(barred, value, |value| unset(value, "error.details.reason"))
        }),
        &["NOD-006/not-allowed", "NOD-006/not-declared"],
    ),
    mutant(
        "does not say what an invocation lacks",
        Message(|memory, value| {
            let message = value.text("error.message").unwrap_or("");
            let wrong = message.starts_with("invalid node.invoke params");
            when(
                wrong && answers(memory, &value, "node.invoke"),
                value,
                refuse,
            )
        }),
        &["NOD-006/params"],
    ),
    mutant(
        "invokes commands of unknown nodes",
        Message(|memory, value| {
            let nobody = memory.asked(&value).1.text("nodeId") == Some("nobody");
            when(
                nobody && answers(memory, &value, "node.invoke"),
                value,
                granted,
            )
        }),
        &["NOD-006/unknown"],
    ),
    mutant(
        "does not know that a node is not there",
        Message(|_, value| {
            let gone = value.text("error.details.code") == Some("NOT_CONNECTED");
            when(gone, value, |value| set(value, "error.details.code", "x"))
        }),
        &["NOD-006/gone"],
    ),
    mutant(
        "does not know what came too late",
        Message(|memory, value| {
            when(
                answers(memory, &value, "node.invoke.result"),
                value,
                |value| unset(value, "payload.ignored"),
            )
        }),
        &["NOD-007*", "NOD-020/other"],
    ),
    mutant(
        "numbers what is for one node alone",
        Message(|_, value| when(is_asked(&value), value, |value| value.with("seq", 0))),
        &["NOD-008/number"],
    ),
    mutant(
        "takes nothing back from nodes",
        Message(|_, value| dropped(is_push(&value, "node.invoke.cancel"), value)),
        &["NOD-009/cancel"],
    ),
    mutant(
        "gives nodes more time than there is",
        Message(|_, value| {
            let given = value.integer("payload.timeoutMs");
            let ours = is_asked(&value) && given.is_some_and(|given| given <= 20_000);
            when(ours, value, |value| set(value, "payload.timeoutMs", 99_999))
        }),
        &["NOD-017/given"],
    ),
    mutant(
        "gives nodes all the time that they need",
        Message(|_, value| {
            let usual = value.integer("payload.timeoutMs") == Some(30_000);
            when(is_asked(&value) && usual, value, |value| {
                set(value, "payload.timeoutMs", 0)
            })
        }),
        &["NOD-017/usual"],
    ),
    mutant(
        "has words of its own for what fails on nodes",
        Message(|_, value| {
            let message = value.text("error.message").unwrap_or("");
            let failed = message.starts_with("E1: ") || message == "node invoke failed";
            when(failed, value, |value| {
                set(value, "error.message", "it failed")
            })
        }),
        &["NOD-018*"],
    ),
    mutant(
        "does not say whether a node was asked",
        Message(|_, value| vec![unset(value, "error.details.nodeCommandDispatched")]),
        &["NOD-019*"],
    ),
    mutant(
        "takes results in the name of other nodes",
        Message(|_, value| {
            let ours = value.text("error.message") == Some("nodeId mismatch");
            when(ours, value, granted)
        }),
        &["NOD-020/mismatch"],
    ),
    mutant(
        "has the later connection of a node wait",
        Message(|memory, value| {
            let device = memory.asked(&value).1.at("device.id").cloned();
            if let (true, Some(device)) = (is_hello(&value), device) {
                let mut shared = memory.shared.0.lock().unwrap();
                memory.count = i64::from(shared.1.contains(&device));
                shared.1.push(device);
            }
            dropped(memory.count == 1 && is_asked(&value), value)
        }),
        &["NOD-021/later"],
    ),
    mutant(
        "hears every connection of a node",
        Message(|memory, value| {
            let ours = memory.asked(&value).1.text("event") == Some("conformance");
            when(ours && is_unpaired(&value), value, granted)
        }),
        &["NOD-021/earlier"],
    ),
    mutant(
        "asks a node that was not ready under the same id",
        Message(|memory, value| {
            let bare = value.at("payload.paramsJSON") == Some(&Value::Null);
            if !is_asked(&value) || !bare {
                return vec![value];
            }
            let first = memory.held.iter().find(|first| {
                first.at("payload.idempotencyKey") == value.at("payload.idempotencyKey")
            });
            let id = first.and_then(|first| first.at("payload.id")).cloned();
            memory.held.push(value.clone());
            match id {
                Some(id) => vec![set(value, "payload.id", id)],
                None => vec![value],
            }
        }),
        &["NOD-022*"],
    ),
    mutant(
        "does not say that a node is not ready",
        Message(|_, value| {
            let ours = value.text("error.details.nodeError.code") == Some("NODE_NOT_READY");
            when(ours, value, |value| {
                set(value, "error.message", "it failed")
            })
        }),
        &["NOD-022/given-up"],
    ),
    mutant(
        "does not say what became of events",
        Message(|memory, value| {
            when(answers(memory, &value, "node.event"), value, |value| {
                unset(value, "payload.reason")
            })
        }),
        &[
            "NOD-023*",
            "NOD-024/invalid",
            "NOD-024/told",
            "NOD-025/cleared",
            "NOD-025/permission",
            "NOD-025/told",
        ],
    ),
    mutant(
        "tells nobody how hosts do",
        Message(|_, value| dropped(is_push(&value, "node.hostStats"), value)),
        &["NOD-024/listed", "NOD-024/told"],
    ),
    mutant(
        "tells nobody who is active",
        Message(|_, value| dropped(is_push(&value, "node.presence"), value)),
        &[
            "NOD-025/active",
            "NOD-025/cleared",
            "NOD-025/latest",
            "NOD-025/told",
        ],
    ),
    mutant(
        "repeats nothing on nodes",
        Message(|memory, value| {
            let with_params = value.text("payload.paramsJSON").is_some();
            if !is_asked(&value) || !with_params {
                return vec![value];
            }
            let first = memory.held.iter().find(|first| {
                first.at("payload.idempotencyKey") == value.at("payload.idempotencyKey")
            });
            let id = first.and_then(|first| first.at("payload.id")).cloned();
            memory.held.push(value.clone());
            match id {
                Some(id) => vec![set(value, "payload.id", id)],
                None => vec![value],
            }
        }),
        &[
            "NOD-003/taken",
            "NOD-003/text",
            "NOD-017/usual",
            "NOD-018*",
            "NOD-019/dispatched",
            "NOD-028/repeat",
        ],
    ),
    mutant(
        "invokes its own business",
        Message(|memory, value| {
            let private = value.text("error.code") == Some("INVALID_REQUEST")
                && value.at("error.details.command").is_some()
                && value.at("error.details.reason").is_none();
            when(
                private && answers(memory, &value, "node.invoke"),
                value,
                granted,
            )
        }),
        &["NOD-029/private"],
    ),
    mutant(
        "waits for all progress",
        Message(|memory, value| {
            when(
                answers(memory, &value, "node.invoke.progress"),
                value,
                |value| set(value, "payload.ignored", false),
            )
        }),
        &["NOD-031/ignored"],
    ),
    mutant(
        "does not say how often work changed",
        Message(|memory, value| {
            when(
                answers(memory, &value, "node.pending.enqueue"),
                value,
                |value| unset(value, "payload.revision"),
            )
        }),
        &["NOD-032/queued"],
    ),
    mutant(
        "has the same work wait twice",
        Message(|memory, value| {
            let ours = answers(memory, &value, "node.pending.enqueue");
            memory.count += i64::from(ours);
            when(ours && memory.count == 2, value, |value| {
                set(value, "payload.queued.id", "x")
            })
        }),
        &["NOD-032/once"],
    ),
    mutant(
        "has work wait for nobody",
        Message(|memory, value| {
            let ours = answers(memory, &value, "node.pending.enqueue");
            when(ours && is_unpaired(&value), value, granted)
        }),
        &["NOD-032/unpaired"],
    ),
    mutant(
        "keeps the work of nodes",
        Message(|memory, value| {
            when(
                answers(memory, &value, "node.pending.drain"),
                value,
                |value| set(value, "payload.items", Vec::new()),
            )
        }),
        &["NOD-032/baseline", "NOD-032/drained"],
    ),
    mutant(
        "lets nobody know what waits for an app",
        Message(|_, value| {
            let ours = value.text("error.details.code") == Some("QUEUED_UNTIL_FOREGROUND");
            when(ours, value, |value| set(value, "error.details.code", "x"))
        }),
        &["NOD-033/queued"],
    ),
    mutant(
        "keeps what waits for an app",
        Message(|memory, value| {
            when(
                answers(memory, &value, "node.pending.pull"),
                value,
                |value| set(value, "payload.actions", Vec::new()),
            )
        }),
        &["NOD-033/pulled"],
    ),
    mutant(
        "never gets rid of what waits for an app",
        Message(|memory, value| {
            when(
                answers(memory, &value, "node.pending.ack"),
                value,
                |value| set(value, "payload.remainingCount", 1),
            )
        }),
        &["NOD-033/acked"],
    ),
];

/// Whether a node is asked for a command.
fn is_asked(value: &Value) -> bool {
    is_push(value, "node.invoke.request")
}
