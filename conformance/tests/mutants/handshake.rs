//! Defects of the handshake.

use openclaw_conformance::json::Value;
use openclaw_conformance::object;

use crate::proxy::Change::{Message, Numbers};
use crate::proxy::Memory;
use crate::{Mutant, close, granted, is_hello, is_push, mutant, push, refuse, set, unset};

const CHALLENGE: &str = "connect.challenge";

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "gives no challenge",
        Message(|_, value| {
            if is_push(&value, CHALLENGE) {
                vec![]
            } else {
                vec![value]
            }
        }),
        &[
            "HSK-010/challenge",
            "HSK-011/nonces",
            "NOD-002*",
            "NOD-003*",
            "NOD-004*",
            "NOD-005*",
            "NOD-006*",
            "NOD-007*",
            "NOD-008*",
            "NOD-009*",
            "NOD-01*",
            "NOD-02*",
            "NOD-030*",
            "NOD-031*",
            "NOD-032*",
            "NOD-033*",
            "SCP-006/node",
            "SCP-008*",
            "SCP-011/each",
            "EVT-002/number",
            "HSK-024*",
            "HSK-027*",
            "HSK-029*",
            "HSK-026*",
            "HSK-031*",
            "HSK-032*",
            "HSK-035*",
            "HSK-036*",
            "HSK-037*",
            "HSK-038*",
            "HSK-039*",
            "HSK-040*",
            "HSK-041*",
            "HSK-042*",
            "HSK-043*",
            "HSK-044*",
        ],
    ),
    mutant(
        "numbers the challenge",
        Numbers(|_, value| {
            if is_push(&value, CHALLENGE) {
                vec![value.with("seq", 0)]
            } else {
                vec![value]
            }
        }),
        &["EVT-002/number"],
    ),
    mutant(
        "gives everybody one nonce",
        Message(|_, value| {
            if is_push(&value, CHALLENGE) {
                vec![set(value, "payload.nonce", "n")]
            } else {
                vec![value]
            }
        }),
        &[
            "HSK-011/nonces",
            "NOD-002*",
            "NOD-003*",
            "NOD-004*",
            "NOD-005*",
            "NOD-006*",
            "NOD-007*",
            "NOD-008*",
            "NOD-009*",
            "NOD-01*",
            "NOD-02*",
            "NOD-030*",
            "NOD-031*",
            "NOD-032*",
            "NOD-033*",
            "SCP-006/node",
            "SCP-008*",
            "SCP-011/each",
            "HSK-024/signature",
            "HSK-027*",
            "HSK-026/again",
            "HSK-026/answered",
            "HSK-031*",
            "HSK-032*",
            "HSK-035*",
            "HSK-036*",
            "HSK-037*",
            "HSK-038*",
            "HSK-039*",
            "HSK-040*",
            "HSK-041*",
            "HSK-042*",
            "HSK-043*",
            "HSK-044*",
        ],
    ),
    mutant(
        "pushes before hello",
        Message(|_, value| {
            if is_hello(&value) {
                vec![push("tick", object! {"ts": 1}).without("seq"), value]
            } else {
                vec![value]
            }
        }),
        &["EVT-003/throughout"],
    ),
    mutant(
        "accepts a health request first",
        Message(|memory, value| {
            let early = memory.scopes.is_none() && memory.method(&value) == "health";
            memory.keep |= early;
            memory.cut |= early;
            if early {
                vec![object! {"type": "res", "id": "c", "ok": true, "payload": object! {}}]
            } else {
                vec![value]
            }
        }),
        &["HSK-004*"],
    ),
    mutant(
        "refuses without a word",
        Message(|memory, value| {
            let refused = memory.scopes.is_none() && value.flag("ok") == Some(false);
            if refused { vec![] } else { vec![value] }
        }),
        &[
            "HSK-004/answered",
            "HSK-005/answered",
            "HSK-006/answered",
            "HSK-006/details",
            "HSK-007/answered",
            "HSK-015/answered",
            "HSK-016/answered",
            "HSK-019/order",
            "HSK-022/answered",
            "HSK-024/id",
            "HSK-024/nonce",
            "HSK-024/signature",
            "HSK-024/time",
            "HSK-029/answered",
            "HSK-033/answered",
            "NOD-001/answered",
            "HSK-024/key",
            "HSK-024/reason",
            "HSK-026*",
            "HSK-031*",
            "HSK-032/answered",
            "HSK-032/ends",
            "HSK-035*",
            "HSK-037*",
            "HSK-041*",
            "HSK-042*",
            "HSK-043/revoked*",
            "HSK-043/rotated",
            "HSK-044/pending",
            "HSK-044/secrets",
        ],
    ),
    mutant(
        "does not say which versions",
        Message(|_, value| {
            if value.text("error.message") == Some("protocol mismatch") {
                return vec![unset(value, "error.details")];
            }
            vec![value]
        }),
        &["HSK-006/details", "HSK-019/order"],
    ),
    mutant(
        "chooses another version",
        Message(|_, value| {
            if is_hello(&value) {
                vec![set(value, "payload.protocol", 100)]
            } else {
                vec![value]
            }
        }),
        &["HSK-012*"],
    ),
    mutant(
        "does not say why a device is refused",
        Message(|_, value| {
            let code = value.text("error.details.code").unwrap_or("");
            vec![
                if code.starts_with("DEVICE_AUTH") || code == "AUTH_TOKEN_MISSING" {
                    unset(value, "error.details")
                } else {
                    value
                },
            ]
        }),
        &[
            "HSK-024/id",
            "HSK-024/key",
            "HSK-024/nonce",
            "HSK-024/reason",
            "HSK-024/signature",
            "HSK-024/time",
            "HSK-029/answered",
        ],
    ),
    mutant(
        "names the code of a device that is refused and no reason",
        Message(|_, value| {
            let code = value.text("error.details.code").unwrap_or("");
            vec![if code.starts_with("DEVICE_AUTH") {
                unset(value, "error.details.reason")
            } else {
                value
            }]
        }),
        &["HSK-024/reason"],
    ),
    mutant(
        "believes no device",
        Message(|memory, value| welcome(memory, value, |params| params.at("device").is_some())),
        &[
            "HSK-027*",
            "NOD-002*",
            "NOD-003*",
            "NOD-004*",
            "NOD-005*",
            "NOD-006*",
            "NOD-007*",
            "NOD-008*",
            "NOD-009*",
            "NOD-01*",
            "NOD-02*",
            "NOD-030*",
            "NOD-031*",
            "NOD-032*",
            "NOD-033*",
            "SCP-006/node",
            "SCP-008*",
            "SCP-011/each",
            "HSK-031*",
            "HSK-032*",
            "HSK-036*",
            "HSK-037*",
            "HSK-038*",
            "HSK-039*",
            "HSK-040*",
            "HSK-042/approved",
            "HSK-043*",
            "HSK-044/name",
            "HSK-044/paired",
            "HSK-044/secrets",
        ],
    ),
    mutant(
        "lets no probe in",
        Message(|memory, value| {
            welcome(memory, value, |params| {
                params.text("client.mode") == Some("probe")
            })
        }),
        &["HSK-028/probe"],
    ),
    mutant(
        "knows no passwords",
        Message(|memory, value| {
            welcome(memory, value, |params| params.at("auth.password").is_some())
        }),
        &["HSK-030/password"],
    ),
    mutant(
        "wants to be told the role",
        Message(|memory, value| {
            welcome(memory, value, |params| {
                params.is_object() && params.at("role").is_none()
            })
        }),
        &["HSK-034/defaults"],
    ),
    mutant(
        "lets in whoever has the token in the query",
        Message(|memory, value| {
            let query = memory.request.lock().unwrap().contains("?token=");
            vec![if query && value.flag("ok") == Some(false) {
                granted(value)
            } else {
                value
            }]
        }),
        &["TRN-005/query"],
    ),
    mutant(
        "grants scopes to browsers",
        Message(|memory, value| {
            let browser = memory.request.lock().unwrap().contains("Origin: http:");
            let scopes: &[&str] = &["operator.read"];
            vec![if browser && is_hello(&value) {
                set(value, "payload.auth.scopes", scopes)
            } else {
                value
            }]
        }),
        &["SCP-009/origin"],
    ),
    mutant(
        "answers the first wrong token last",
        Message(|memory, value| {
            if value.text("error.details.code") == Some("AUTH_TOKEN_MISMATCH") {
                let mut shared = memory.shared.0.lock().unwrap();
                shared.0 += 1;
                if shared.0 == 2 {
                    std::thread::sleep(std::time::Duration::from_millis(700));
                }
            }
            vec![value]
        }),
        &["HSK-021/later"],
    ),
    mutant(
        "has no connection id",
        Message(|_, value| {
            vec![if is_hello(&value) {
                unset(value, "payload.server.connId")
            } else {
                value
            }]
        }),
        &["HSK-013/server", "HSK-020/ids"],
    ),
    mutant(
        "lists no features",
        Message(|_, value| {
            vec![if is_hello(&value) {
                unset(value, "payload.features")
            } else {
                value
            }]
        }),
        &["HSK-013/features", "REQ-009/listed", "EVT-006/throughout"],
    ),
    mutant(
        "has no uptime",
        Message(|_, value| {
            vec![if is_hello(&value) {
                unset(value, "payload.snapshot.uptimeMs")
            } else {
                value
            }]
        }),
        &["HSK-013/snapshot"],
    ),
    mutant(
        "has no policy",
        Message(|_, value| {
            vec![if is_hello(&value) {
                unset(value, "payload.policy.tickIntervalMs")
            } else {
                value
            }]
        }),
        &["HSK-013/policy"],
    ),
    mutant(
        "ticks without a pause",
        Message(|_, value| {
            vec![if is_hello(&value) {
                set(value, "payload.policy.tickIntervalMs", 0)
            } else {
                value
            }]
        }),
        &["LIM-008/policy"],
    ),
    mutant(
        "does not say what was granted",
        Message(|_, value| {
            vec![if is_hello(&value) {
                unset(value, "payload.auth")
            } else {
                value
            }]
        }),
        &[
            "HSK-014/auth",
            "HSK-031*",
            "HSK-032*",
            "HSK-036*",
            "HSK-037/forgotten",
            "HSK-039*",
            "HSK-040*",
            "HSK-042/approved",
            "HSK-043/revoked",
            "HSK-043/rotated",
            "NOD-010/hello",
        ],
    ),
    mutant(
        "is not in its own list",
        Message(|_, value| {
            vec![if is_hello(&value) {
                set(value, "payload.snapshot.presence", Vec::new())
            } else {
                value
            }]
        }),
        &["STA-005/self"],
    ),
    mutant(
        "hides a method",
        Message(|_, value| {
            let methods: &[&str] = &["health"];
            vec![if is_hello(&value) {
                set(value, "payload.features.methods", methods)
            } else {
                value
            }]
        }),
        &["REQ-009/listed"],
    ),
    mutant(
        "answers before hello",
        Message(|memory, value| {
            if is_hello(&value) && value.text("id") == Some("c") {
                memory.held.push(value);
                return vec![];
            }
            let mut all = vec![value];
            if all[0].text("type") == Some("res") {
                all.append(&mut memory.held);
            }
            all
        }),
        &["HSK-018/order"],
    ),
    mutant(
        "forgets what came with connect",
        Message(|_, value| {
            if value.text("id") == Some("two") {
                vec![]
            } else {
                vec![value]
            }
        }),
        &["HSK-018/answered"],
    ),
    mutant(
        "accepts a second connect",
        Message(|memory, value| {
            vec![if second(memory, &value) {
                value
                    .without("error")
                    .with("ok", true)
                    .with("payload", object! {})
            } else {
                value
            }]
        }),
        &["HSK-009/answered"],
    ),
    mutant(
        "ends at a second connect",
        Message(|memory, value| {
            memory.cut |= second(memory, &value);
            if memory.cut {
                vec![value, close()]
            } else {
                vec![value]
            }
        }),
        &["HSK-009/stays"],
    ),
    mutant(
        "takes no full first message",
        Message(|memory, value| {
            let large = *memory.sent.lock().unwrap() >= 65_536;
            memory.cut |= is_hello(&value) && large;
            if memory.cut {
                vec![close()]
            } else {
                vec![value]
            }
        }),
        &["LIM-007/before-hello"],
    ),
];

/// Refuses whoever connects with such parameters.
fn welcome(memory: &Memory, value: Value, whom: fn(&Value) -> bool) -> Vec<Value> {
    let (_, params) = memory.asked(&value);
    vec![if is_hello(&value) && whom(&params) {
        refuse(value).without("payload")
    } else {
        value
    }]
}

fn second(memory: &Memory, value: &Value) -> bool {
    memory.scopes.is_some() && value.text("id") == Some("again")
}
