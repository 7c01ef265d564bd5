//! What operators are told of nodes that go, and of the one that somebody used last.

mod support;

use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, World, local};

const NOTIFY: &str = "system.notify";

/// A node that may know when somebody uses it, and that was approved; with its id.
fn node(world: &mut World, admin: ConnId, seed: u8) -> (ConnId, String) {
    let caller = Caller {
        id: "node-host",
        mode: "node",
        role: "node",
        platform: "linux",
        family: Some("Linux"),
        device: Some(Device::new(seed)),
        ..Caller::default()
    };
    let nonce = format!("nonce-{seed}");
    let conn = world.open_with(local(), &nonce);
    let mut params = caller.params(&nonce, world.now().unix_ms);
    params["commands"] = json!([NOTIFY]);
    params["permissions"] = json!({"accessibility": true});
    let hello = world.ask(conn, "connect", params);
    assert_eq!(hello["ok"], true, "{hello}");
    let list = world.ask(admin, "node.pair.list", json!({}));
    let request = list["payload"]["pending"][0]["requestId"].clone();
    let approved = world.ask(admin, "node.pair.approve", json!({"requestId": request}));
    assert_eq!(approved["ok"], true, "{approved}");
    (conn, Device::new(seed).id())
}

fn order(node_id: &str) -> Value {
    json!({"nodeId": node_id, "command": NOTIFY, "idempotencyKey": "k"})
}

#[test]
fn what_runs_on_a_node_that_is_removed_is_answered_as_a_changed_pairing() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let (_, id) = node(&mut world, admin, 1);
    world.request(admin, "call", "node.invoke", order(&id));
    world.ask(admin, "node.pair.remove", json!({"nodeId": id}));
    let answer = world.answer(admin, "call");
    assert_eq!(
        answer["error"],
        json!({
            "code": "UNAVAILABLE",
            "message": "node pairing changed while invocation was active",
            "details": {"code": "PAIRING_CHANGED"},
            "retryable": true,
        })
    );
}

#[test]
fn the_node_that_somebody_used_last_is_named_as_long_as_it_is_there() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let (first, _) = node(&mut world, admin, 1);
    let (second, id) = node(&mut world, admin, 2);
    for (conn, idle) in [(first, 60), (second, 5)] {
        let event = json!({"event": "node.presence.activity", "payload": {"idleSeconds": idle}});
        let answer = world.ask(conn, "node.event", event);
        assert_eq!(answer["payload"]["reason"], "updated", "{answer}");
    }
    let list = world.ask(admin, "node.list", json!({}));
    assert_eq!(list["payload"]["activeNodeId"], json!(id));
    let nodes = list["payload"]["nodes"].as_array().expect("a list");
    for row in nodes {
        let is_active = row["nodeId"] == json!(id);
        assert_eq!(
            row.get("active"),
            is_active.then_some(&json!(true)),
            "{row}"
        );
    }
    world.cut(second);
    let list = world.ask(admin, "node.list", json!({}));
    assert_ne!(list["payload"]["activeNodeId"], json!(id));
}

#[test]
fn callers_of_protocol_3_are_told_that_a_node_is_not_there() {
    let mut world = World::new();
    let caller = Caller {
        scopes: &[ADMIN],
        versions: (3, 3),
        ..Caller::default()
    };
    let admin = world.join(&caller);
    let answer = world.ask(admin, "node.invoke", order("nobody"));
    assert_eq!(answer["error"]["message"], "node not connected");
    assert_eq!(answer["error"]["details"]["code"], "NOT_CONNECTED");
}

#[test]
fn somebody_was_there_when_they_were_last_there() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let (conn, id) = node(&mut world, admin, 1);
    let begun = world.now().unix_ms;
    for (payload, reason, idle) in [
        (json!({"idleSeconds": 60}), "updated", 60),
        (json!({"idleSeconds": 5}), "updated", 5),
        (json!({"idleSeconds": 600}), "updated", 5),
        (json!({"idleSeconds": 0, "saturated": true}), "updated", 5),
        (
            json!({"idleSeconds": 0, "source": "app"}),
            "stale_connection",
            5,
        ),
        (
            json!({"idleSeconds": 0, "source": "somebody"}),
            "invalid_payload",
            5,
        ),
    ] {
        let event = json!({"event": "node.presence.activity", "payload": payload});
        let answer = world.ask(conn, "node.event", event);
        assert_eq!(answer["payload"]["reason"], reason, "{answer}");
        let entry = world.ask(admin, "node.describe", json!({"nodeId": id}));
        assert_eq!(
            entry["payload"]["lastActiveAtMs"],
            json!(begun - idle * 1_000),
            "{payload}"
        );
    }
}
