//! What the gateway that we play says when it lets a client in.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::json::Value;
use crate::object;

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// The payload of hello-ok; what was asked for is granted.
#[must_use]
pub fn hello_ok(connect: &Value, protocol: u32, connection: u32, tick_ms: i64) -> Value {
    let hello = object! {
        "type": "hello-ok",
        "protocol": i64::from(protocol),
        "server": object! {
            "version": "2026.9.6",
            "connId": format!("conn-{connection}"),
            // One life: a run that a connection leaves behind can be joined over the next.
            "bootId": "one-life",
        },
        "features": object! {
            "methods": &METHODS[..],
            "events": &EVENTS[..],
            "capabilities": Vec::new(),
        },
        "snapshot": object! {
            "presence": Vec::new(),
            "health": object! {"ok": true, "ts": now_ms()},
            "stateVersion": object! {"presence": 1, "health": 1},
            "uptimeMs": 1_000,
        },
        "policy": object! {
            "maxPayload": 26_214_400,
            "maxBufferedBytes": 52_428_800,
            "tickIntervalMs": tick_ms,
        },
    };
    if protocol < 4 {
        return hello;
    }
    let scopes = connect.at("params.scopes").cloned();
    let auth = object! {
        "method": "token",
        "role": connect.text("params.role").unwrap_or("operator"),
        "scopes": scopes.unwrap_or(Value::List(Vec::new())),
    };
    hello.with("auth", auth)
}

const METHODS: [&str; 6] = [
    "health",
    "status",
    "system-presence",
    "agent",
    "agent.wait",
    "chat.abort",
];

const EVENTS: [&str; 8] = [
    "connect.challenge",
    "agent",
    "chat",
    "presence",
    "tick",
    "health",
    "heartbeat",
    "shutdown",
];
