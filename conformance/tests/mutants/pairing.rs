//! Defects of devices that are paired.

use openclaw_conformance::json::Value;
use openclaw_conformance::object;
use openclaw_conformance::wire::{CLOSE, Frame, close_payload};

use crate::proxy::Change::{Frame as Frames, Message};
use crate::proxy::Memory;
use crate::{Mutant, granted, is_hello, mutant, push, refuse, set, unset};

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "has every device of its host asked for",
        Message(|memory, value| {
            let is_new = by_cli(memory, &value, "auth.token") && !is_known(memory, &value);
            vec![if is_hello(&value) && is_new {
                refuse(value)
                    .without("payload")
                    .with("error", required("not-paired"))
            } else {
                // There is nobody to be approved behind this defect.
                let unknown = value.text("error.message") == Some("unknown requestId");
                let ours = memory.asked(&value).1.text("requestId") == Some("asked-for");
                if unknown && ours {
                    granted(value)
                } else {
                    value
                }
            }]
        }),
        &["HSK-038/silent"],
    ),
    mutant(
        "gives no device tokens",
        Message(|_, value| {
            vec![if is_hello(&value) {
                unset(value, "payload.auth.deviceToken")
            } else {
                value
            }]
        }),
        &[
            "HSK-031*",
            "HSK-032*",
            "HSK-036*",
            "HSK-037/forgotten",
            "HSK-039/same",
            "HSK-040/as-token",
            "HSK-042/approved",
            "HSK-043/rotated",
            "HSK-043/revoked",
        ],
    ),
    mutant(
        "gives another token at every connect",
        Message(|memory, value| {
            let token = value
                .text("payload.auth.deviceToken")
                .unwrap_or("")
                .to_owned();
            let alone = memory.asked(&value).1.at("auth.deviceToken").is_some();
            vec![if alone && !token.is_empty() {
                set(value, "payload.auth.deviceToken", format!("{token}x"))
            } else {
                value
            }]
        }),
        &["HSK-039/same"],
    ),
    mutant(
        "wants the secret as well as the device token",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let alone = params.at("auth.deviceToken").is_some();
            vec![if is_hello(&value) && alone {
                refuse(value).without("payload")
            } else {
                value
            }]
        }),
        &["HSK-036/alone", "HSK-032/narrower"],
    ),
    mutant(
        "knows device tokens by one name only",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let own = params
                .text("auth.token")
                .is_some_and(|token| token.len() == 43);
            vec![if is_hello(&value) && own {
                refuse(value).without("payload")
            } else {
                value
            }]
        }),
        &["HSK-040/as-token"],
    ),
    mutant(
        "grants a token all that it opens",
        Message(|memory, value| {
            let alone = memory.asked(&value).1.at("auth.deviceToken").is_some();
            let all: &[&str] = &["operator.read"];
            vec![if is_hello(&value) && alone {
                set(value, "payload.auth.scopes", all)
            } else {
                value
            }]
        }),
        &["HSK-032/narrower"],
    ),
    mutant(
        "takes a token that opens too little for a wrong one",
        Message(|_, value| recoded(value, "AUTH_SCOPE_MISMATCH", "AUTH_DEVICE_TOKEN_MISMATCH")),
        &["HSK-032/answered"],
    ),
    mutant(
        "stays after more scopes than were approved",
        Message(|memory, value| {
            memory.keep |= value.text("error.details.code") == Some("AUTH_SCOPE_MISMATCH");
            memory.cut |= memory.keep;
            vec![value]
        }),
        &["HSK-032/ends"],
    ),
    mutant(
        "takes a wrong device token for a wrong secret",
        Message(|memory, value| {
            let known = is_known(memory, &value);
            if known {
                return vec![value];
            }
            recoded(value, "AUTH_DEVICE_TOKEN_MISMATCH", "AUTH_TOKEN_MISMATCH")
        }),
        &["HSK-031/other"],
    ),
    mutant(
        "takes a device token that was made up for a wrong secret",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            if params
                .text("auth.deviceToken")
                .is_some_and(|token| token.starts_with("xxx"))
            {
                return recoded(value, "AUTH_DEVICE_TOKEN_MISMATCH", "AUTH_TOKEN_MISMATCH");
            }
            vec![value]
        }),
        &["HSK-031/wrong"],
    ),
    mutant(
        "does not know bootstrap tokens",
        Message(|_, value| recoded(value, "AUTH_BOOTSTRAP_TOKEN_INVALID", "AUTH_TOKEN_MISMATCH")),
        &["HSK-031/bootstrap"],
    ),
    mutant(
        "stays after a bootstrap token that nobody issued",
        Message(|memory, value| {
            memory.keep |= value.text("error.details.code") == Some("AUTH_BOOTSTRAP_TOKEN_INVALID");
            memory.cut |= memory.keep;
            vec![value]
        }),
        &["HSK-031/ends"],
    ),
    mutant(
        "lets device tokens in without their devices",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let bare = params.at("auth.deviceToken").is_some() && params.at("device").is_none();
            vec![if bare { granted(value) } else { value }]
        }),
        &["HSK-031/no-device"],
    ),
    mutant(
        "names no request",
        Message(|_, value| {
            vec![if is_required(&value, "not-paired") {
                unset(value, "error.details.requestId")
            } else {
                value
            }]
        }),
        &[
            "HSK-026/again",
            "HSK-026/answered",
            "HSK-035*",
            "HSK-041*",
            "HSK-042*",
            "HSK-044/pending",
        ],
    ),
    mutant(
        "stays where a device has to wait",
        Message(|memory, value| {
            memory.keep |= is_required(&value, "not-paired");
            memory.cut |= memory.keep;
            vec![value]
        }),
        &["HSK-026/ends"],
    ),
    mutant(
        "asks anew at every connect",
        Message(|memory, value| {
            if !is_required(&value, "not-paired") {
                return vec![value];
            }
            let mut shared = memory.shared.0.lock().unwrap();
            shared.0 += 1;
            vec![if shared.0 > 1 {
                set(value, "error.details.requestId", "another")
            } else {
                value
            }]
        }),
        &["HSK-026/again"],
    ),
    mutant(
        "tells nobody who waits",
        Message(|_, value| without_push(value, "device.pair.requested")),
        &["HSK-035/requested"],
    ),
    mutant(
        "tells nobody what became of those who wait",
        Message(|_, value| without_push(value, "device.pair.resolved")),
        &["HSK-035/approved", "HSK-035/rejected"],
    ),
    mutant(
        "says that every request was approved",
        Message(|_, value| {
            vec![if value.at("payload.deviceId").is_some()
                && value.text("payload.decision") == Some("rejected")
            {
                set(value, "payload.decision", "approved")
            } else {
                value
            }]
        }),
        &["HSK-035/rejected"],
    ),
    mutant(
        "tells everybody who waits",
        Message(|memory, value| {
            let writes = memory.scopes.as_deref() == Some("[\"operator.write\"]");
            if writes && memory.method(&value) == "health" {
                let told = push("device.pair.requested", object! {"deviceId": "x"});
                return vec![told, value];
            }
            vec![value]
        }),
        &["HSK-035/others"],
    ),
    mutant(
        "calls every upgrade a new device",
        Message(|_, value| {
            let upgrade = value
                .text("error.details.reason")
                .is_some_and(|reason| reason.ends_with("-upgrade"));
            vec![if upgrade {
                set(value, "error.details.reason", "not-paired")
            } else {
                value
            }]
        }),
        &[
            "HSK-041/machine",
            "HSK-041/role",
            "HSK-041/scopes",
            "HSK-035/rejected",
            "HSK-042/rejected",
        ],
    ),
    mutant(
        "does not care on which machine a device is",
        Message(|_, value| {
            vec![if is_required(&value, "metadata-upgrade") {
                granted(value)
            } else {
                value
            }]
        }),
        &["HSK-041/machine"],
    ),
    mutant(
        "makes nodes of operators",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let node = params.text("role") == Some("node") && params.at("device").is_some();
            let upgrade = is_required(&value, "role-upgrade");
            vec![if node && upgrade {
                granted(value)
            } else {
                value
            }]
        }),
        &["HSK-041/role"],
    ),
    mutant(
        "lets nobody in who was approved",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let page = params.text("client.id") == Some("test") && params.at("device").is_some();
            vec![if is_hello(&value) && page {
                refuse(value)
                    .without("payload")
                    .with("error", required("not-paired"))
            } else {
                value
            }]
        }),
        &["HSK-042/approved"],
    ),
    mutant(
        "approves twice",
        Message(|memory, value| {
            let again = memory.method(&value) == "device.pair.approve"
                && value.text("error.message") == Some("unknown requestId")
                && memory.asked(&value).1.text("requestId") != Some("nobody-asked");
            vec![if again { granted(value) } else { value }]
        }),
        &["HSK-042/used"],
    ),
    mutant(
        "lets in who was rejected",
        Message(|memory, value| {
            if !is_required(&value, "scope-upgrade") {
                return vec![value];
            }
            let mut shared = memory.shared.0.lock().unwrap();
            shared.0 += 1;
            vec![if shared.0 > 1 { granted(value) } else { value }]
        }),
        &["HSK-042/rejected"],
    ),
    mutant(
        "does not show who waits",
        Message(|memory, value| {
            vec![if memory.method(&value) == "device.pair.list" {
                set(value, "payload.pending", Vec::new())
            } else {
                value
            }]
        }),
        &["HSK-041/machine", "HSK-044/pending"],
    ),
    mutant(
        "does not show who is paired",
        Message(|memory, value| {
            vec![if memory.method(&value) == "device.pair.list" {
                set(value, "payload.paired", Vec::new())
            } else {
                value
            }]
        }),
        &["HSK-044/paired", "HSK-044/name"],
    ),
    mutant(
        "forgets the names of devices",
        Message(|memory, value| {
            if memory.method(&value) != "device.pair.list" {
                return vec![value];
            }
            let rows = value.list("payload.paired").unwrap_or(&[]).iter();
            let rows: Vec<Value> = rows
                .map(|row| row.clone().without("operatorLabel"))
                .collect();
            vec![set(value, "payload.paired", rows)]
        }),
        &["HSK-044/name"],
    ),
    mutant(
        "shows operators the tokens of devices",
        Message(|memory, value| {
            let mut shared = memory.shared.0.lock().unwrap();
            if let Some(token) = value.at("payload.auth.deviceToken") {
                shared.1.push(token.clone());
            }
            vec![
                if memory.method(&value) == "device.token.rotate" && value.flag("ok") == Some(true)
                {
                    let tokens = shared.1.clone();
                    set(value, "payload.tokens", tokens)
                } else {
                    value
                },
            ]
        }),
        &["HSK-044/secrets"],
    ),
    mutant(
        "closes what a device has open as if it had gone",
        Frames(|_, frame| {
            let revoked =
                frame.opcode == CLOSE && frame.payload.starts_with(&4001_u16.to_be_bytes());
            vec![if revoked {
                Frame::server(CLOSE, close_payload(1001, "bye"))
            } else {
                frame
            }]
        }),
        &[
            "HSK-037/ends",
            "HSK-043/revoked-ends",
            "HSK-043/rotated-ends",
            "NOD-016/ends",
        ],
    ),
    mutant(
        "lets tokens in that were taken back",
        Message(|memory, value| {
            let (_, params) = memory.asked(&value);
            let made_up = params
                .text("auth.deviceToken")
                .is_none_or(|token| token.starts_with("xxx"));
            let wrong = value.text("error.details.code") == Some("AUTH_DEVICE_TOKEN_MISMATCH");
            vec![if wrong && !made_up {
                granted(value)
            } else {
                value
            }]
        }),
        &[
            "HSK-031/other",
            "HSK-037/forgotten",
            "HSK-043/revoked",
            "HSK-043/rotated",
        ],
    ),
    mutant(
        "opens devices to everybody",
        Message(|memory, value| {
            let ours = value.text("error.details.missingScope") == Some("operator.pairing");
            vec![if ours && memory.method(&value).starts_with("device.") {
                granted(value)
            } else {
                value
            }]
        }),
        &["SCP-012/refused"],
    ),
    mutant(
        "opens devices to administrators only",
        Message(|memory, value| {
            let pairing = memory.scopes.as_deref() == Some("[\"operator.pairing\"]");
            let message = "missing scope: operator.admin";
            vec![
                if pairing && memory.method(&value) == "device.pair.reject" {
                    let error = object! {"code": "FORBIDDEN", "message": message};
                    refuse(value).with("error", error)
                } else {
                    value
                },
            ]
        }),
        &["SCP-012/implied"],
    ),
];

/// Whether it answers a device of the gateway's own host that presents this.
fn by_cli(memory: &Memory, value: &Value, presented: &str) -> bool {
    let (_, params) = memory.asked(value);
    params.text("client.id") == Some("cli")
        && params.at("device").is_some()
        && params.at(presented).is_some()
}

/// Whether it answers a device that was let in before; notes that it was.
fn is_known(memory: &Memory, value: &Value) -> bool {
    let (_, params) = memory.asked(value);
    let Some(id) = params.at("device.id").cloned() else {
        return true;
    };
    let mut shared = memory.shared.0.lock().unwrap();
    let known = shared.1.contains(&id);
    if is_hello(value) {
        shared.1.push(id);
    }
    known
}

fn required(reason: &str) -> Value {
    object! {
        "code": "NOT_PAIRED",
        "message": "pairing required",
        "details": object! {
            "code": "PAIRING_REQUIRED", "reason": reason, "requestId": "asked-for",
        },
    }
}

fn is_required(value: &Value, reason: &str) -> bool {
    value.text("error.details.code") == Some("PAIRING_REQUIRED")
        && value.text("error.details.reason") == Some(reason)
}

/// Refuses for another reason.
fn recoded(value: Value, from: &str, to: &str) -> Vec<Value> {
    vec![if value.text("error.details.code") == Some(from) {
        set(value, "error.details.code", to)
    } else {
        value
    }]
}

fn without_push(value: Value, event: &str) -> Vec<Value> {
    if value.text("event") == Some(event) {
        vec![]
    } else {
        vec![value]
    }
}
