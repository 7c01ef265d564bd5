//! Nodes: what they offer, what is asked of them, and what they tell.

mod asking;
mod crowds;
mod lasting;
mod legacy;
mod offering;
mod stubborn;
mod telling;
mod waiting;

#[path = "../support/mod.rs"]
mod support;

use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, READ, Settings, WRITE, World, local, remote};

const PAIRING: &str = "operator.pairing";

/// A node on a Linux host, as the published node host introduces itself.
fn node(seed: u8) -> Caller<'static> {
    Caller {
        id: "node-host",
        mode: "node",
        role: "node",
        versions: (4, 4),
        caps: &["system"],
        commands: &["system.which", "system.notify"],
        platform: "linux",
        family: Some("Linux"),
        name: Some("Shed"),
        device: Some(Device::new(seed)),
        ..Caller::default()
    }
}

fn id_of(caller: &Caller<'_>) -> String {
    caller.device.as_ref().expect("a device").id()
}

fn ok(answer: &Value) -> &Value {
    assert_eq!(answer["ok"], true, "{answer}");
    &answer["payload"]
}

fn message(answer: &Value) -> &str {
    assert_eq!(answer["ok"], false, "{answer}");
    answer["error"]["message"].as_str().expect("a message")
}

/// The pushes of a name, out of everything that was heard.
fn pushes(frames: &[Value], name: &str) -> Vec<Value> {
    let named = frames.iter().filter(|frame| frame["event"] == name);
    named.cloned().collect()
}

/// Has a node join, and approves what it offers.
fn approved(world: &mut World, boss: ConnId, caller: &Caller<'_>) -> ConnId {
    let conn = world.join(caller);
    approve(world, boss, caller);
    world.hear(conn);
    conn
}

fn approve(world: &mut World, boss: ConnId, caller: &Caller<'_>) {
    let request = waiting(world, boss, caller);
    let params = json!({"requestId": request["requestId"]});
    ok(&world.ask(boss, "node.pair.approve", params));
    world.hear(boss);
}

/// The request of a node.
fn waiting(world: &mut World, boss: ConnId, caller: &Caller<'_>) -> Value {
    let list = world.ask(boss, "node.pair.list", json!({}));
    let pending = ok(&list)["pending"].as_array().expect("a list").clone();
    let id = id_of(caller);
    let mut own = pending.into_iter().filter(|entry| entry["nodeId"] == *id);
    let first = own.next().unwrap_or(Value::Null);
    assert_eq!(own.next(), None, "a node has one request at most");
    first
}

fn described(world: &mut World, conn: ConnId, caller: &Caller<'_>) -> Value {
    let answer = world.ask(conn, "node.describe", json!({"nodeId": id_of(caller)}));
    ok(&answer).clone()
}

/// Asks a node for something, and returns how the node is asked.
fn ask(world: &mut World, boss: ConnId, host: ConnId, id: &str, params: Value) -> Value {
    world.request(boss, id, "node.invoke", params);
    let heard = world.hear(host);
    let mut asked = pushes(&heard, "node.invoke.request");
    assert_eq!(asked.len(), 1, "{heard:?} {:?}", world.answer(boss, id));
    let asked = asked.remove(0);
    assert_eq!(asked.get("seq"), None, "it is for one node alone");
    asked["payload"].clone()
}

fn which(caller: &Caller<'_>, more: Value) -> Value {
    let mut params = json!({
        "nodeId": id_of(caller),
        "command": "system.which",
        "idempotencyKey": "k",
    });
    for (name, value) in more.as_object().expect("an object") {
        params[name] = value.clone();
    }
    params
}
