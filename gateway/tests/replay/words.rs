//! What a gateway says in the words of `cut.py`.

use serde_json::{Value, json};

use super::names::Names;

/// What of a payload is compared, where it is there.
const PATHS: [&str; 10] = [
    "/protocol",
    "/auth/role",
    "/auth/scopes",
    "/runId",
    "/sessionKey",
    "/agentId",
    "/status",
    "/aborted",
    "/runIds",
    "/stopReason",
];
/// What is compared of devices and nodes, of what is asked of nodes and of what they answer.
const OF_NODES: [&str; 36] = [
    "requestId",
    "id",
    "invokeId",
    "nodeId",
    "deviceId",
    "decision",
    "displayName",
    "role",
    "roles",
    "scopes",
    "approvedVia",
    "remoteIp",
    "isRepair",
    "silent",
    "caps",
    "commands",
    "permissions",
    "requiredApproveScopes",
    "approvalState",
    "pendingRequestId",
    "pendingDeclaredCaps",
    "pendingDeclaredCommands",
    "pendingDeclaredPermissions",
    "paired",
    "connected",
    "command",
    "paramsJSON",
    "timeoutMs",
    "idempotencyKey",
    "ok",
    "ignored",
    "payload",
    "payloadJSON",
    "event",
    "handled",
    "reason",
];
/// Lists of devices and nodes.
const LISTS: [&str; 3] = ["nodes", "pending", "paired"];
/// What of an error's details is compared, where it is there.
const DETAILS: [&str; 18] = [
    "code",
    "reason",
    "authReason",
    "canRetryWithDeviceToken",
    "recommendedNextStep",
    "missingScope",
    "requiredScopes",
    "execution",
    "clientMinProtocol",
    "clientMaxProtocol",
    "expectedProtocol",
    "minimumProbeProtocol",
    "command",
    "nodeError",
    "nodeCommandDispatched",
    "requestId",
    "deviceId",
    "requestedRole",
];

/// One frame in the words of `cut.py`; `None` for what is left out there too.
pub(crate) fn shape(frame: &Value, names: &Names) -> Option<String> {
    let payload = &frame["payload"];
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    if frame["type"] == "event" {
        let first = |one: &Value, other: &Value| if one.is_null() { other } else { one }.clone();
        return match word(&frame["event"]).as_str() {
            "connect.challenge" | "tick" | "health" => None,
            "agent" => {
                let data = &payload["data"];
                let detail = first(&data["phase"], &data["delta"]);
                Some(format!("event agent {} {detail}", word(&payload["stream"])))
            }
            "chat" => {
                let state = word(&payload["state"]);
                Some(format!("event chat {state} {}", payload["deltaText"]))
            }
            other => {
                let direct = frame.get("seq").map_or(" direct", |_| "");
                let tells = other.starts_with("node.") || other.starts_with("device.");
                let said = if tells {
                    of_nodes(payload, names)
                } else {
                    String::new()
                };
                Some(format!("event {other}{direct}{said}"))
            }
        };
    }
    let named: String = PATHS
        .iter()
        .filter_map(|path| {
            let value = payload.pointer(path)?;
            Some(format!(" {}={value}", path[1..].replace('/', ".")))
        })
        .collect();
    let named = named + &of_nodes(payload, names);
    let id = &frame["id"];
    if frame["ok"] == true {
        return Some(format!("res {id} ok{named}"));
    }
    let error = &frame["error"];
    let code = word(&error["code"]);
    let details: String = DETAILS
        .iter()
        .filter_map(|name| Some(format!(" {name}={}", error["details"].get(name)?)))
        .collect();
    let retryable = if error["retryable"] == true {
        " retryable"
    } else {
        ""
    };
    Some(format!(
        "res {id} {code} {}{retryable}{details}{named}",
        error["message"]
    ))
}

fn of_nodes(value: &Value, names: &Names) -> String {
    let mut said = String::new();
    for name in OF_NODES {
        let value = value.get(name);
        let list = LISTS.contains(&name) && value.is_some_and(Value::is_array);
        if let Some(value) = value.filter(|_| !list) {
            said += &format!(" {name}={}", told(name, value, names));
        }
    }
    if value["node"].is_object() {
        said += &format!(" node={{{}}}", of_nodes(&value["node"], names).trim());
    }
    for name in LISTS {
        if let Some(list) = value[name].as_array() {
            let list = list.iter().map(|one| of_nodes(one, names));
            let list: Vec<String> = list.map(|one| one.trim().to_owned()).collect();
            said += &format!(" {name}=[{}]", list.join(", "));
        }
    }
    said
}

fn told(name: &str, value: &Value, names: &Names) -> Value {
    match (name, value.as_str(), value.as_u64()) {
        // What was never waited for: nobody can refer to it.
        ("requestId", Some(id), _) if !id.is_empty() && !names.knows(id) => json!("$other"),
        // What is left of the time, rounded up to what was asked for.
        ("timeoutMs", _, Some(time)) => json!(time.div_ceil(100) * 100),
        _ => value.clone(),
    }
}
