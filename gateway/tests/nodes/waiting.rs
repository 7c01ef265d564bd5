//! What waits for nodes that are not there, or not in the foreground.

use super::support::{millis, seconds};
use super::*;

fn enqueue(world: &mut World, boss: ConnId, more: Value) -> Value {
    let mut params = json!({"nodeId": id_of(&node(1)), "type": "location.request"});
    for (name, value) in more.as_object().expect("an object") {
        params[name] = value.clone();
    }
    world.ask(boss, "node.pending.enqueue", params)
}

fn kinds(drained: &Value) -> Vec<&str> {
    let items = drained["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item["type"].as_str().expect("a type"))
        .collect()
}

#[test]
fn work_waits_for_its_node_and_is_given_to_it_once() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let early = enqueue(&mut world, boss, json!({}));
    assert_eq!(early["error"]["details"]["code"], "PAIRING_CHANGED");
    let host = approved(&mut world, boss, &node(1));
    world.cut(host);
    let answer = enqueue(&mut world, boss, json!({}));
    let queued = ok(&answer).clone();
    let now = world.now().unix_ms;
    assert_eq!(
        queued,
        json!({
            "nodeId": id_of(&node(1)), "revision": 1, "wakeTriggered": false,
            "queued": {
                "id": queued["queued"]["id"], "type": "location.request", "priority": "normal",
                "createdAtMs": now, "expiresAtMs": now + 86_400_000,
            },
        })
    );
    world.advance(seconds(1));
    let same = enqueue(&mut world, boss, json!({"priority": "high"}));
    assert_eq!(ok(&same), &queued, "of each kind there is one");
    let urgent = json!({"type": "status.request", "priority": "high"});
    assert_eq!(ok(&enqueue(&mut world, boss, urgent))["revision"], 2);

    let host = world.join(&node(1));
    let drained = world.ask(host, "node.pending.drain", json!({"maxItems": 1}));
    assert_eq!(
        kinds(ok(&drained)),
        ["status.request"],
        "the urgent one first"
    );
    assert_eq!(ok(&drained)["hasMore"], true);
    assert_eq!(ok(&drained)["revision"], 3);
    let drained = world.ask(host, "node.pending.drain", json!({}));
    assert_eq!(kinds(ok(&drained)), ["location.request", "status.request"]);
    assert_eq!(ok(&drained)["items"][1]["id"], "baseline-status");
    assert_eq!(ok(&drained)["items"][1]["expiresAtMs"], Value::Null);
    assert_eq!(ok(&drained)["hasMore"], false);
    let drained = world.ask(host, "node.pending.drain", json!({}));
    assert_eq!(kinds(ok(&drained)), ["status.request"]);
    assert_eq!(ok(&drained)["revision"], 0);
}

#[test]
fn work_that_nobody_wants_any_more_is_not_given() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &node(1));
    ok(&enqueue(&mut world, boss, json!({"expiresInMs": 1_000})));
    world.advance(millis(1_000));
    let drained = world.ask(host, "node.pending.drain", json!({}));
    assert_eq!(ok(&drained)["items"][0]["id"], "baseline-status");
    ok(&enqueue(&mut world, boss, json!({"expiresInMs": 1_000})));
    world.advance(millis(1_000));
    let again = enqueue(&mut world, boss, json!({}));
    assert_eq!(
        ok(&again)["queued"]["createdAtMs"],
        world.now().unix_ms,
        "what is over makes way"
    );
}

#[test]
fn work_has_its_bounds() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &node(1));
    for (more, expected) in [
        (json!({"type": "x"}), "at /type: must be equal to one of"),
        (
            json!({"expiresInMs": 999}),
            "at /expiresInMs: must be >= 1000",
        ),
        (
            json!({"expiresInMs": 86_400_001}),
            "at /expiresInMs: must be <= 86400000",
        ),
    ] {
        let answer = enqueue(&mut world, boss, more);
        assert!(message(&answer).contains(expected), "{answer}");
    }
    for most in [0, 11] {
        let answer = world.ask(host, "node.pending.drain", json!({"maxItems": most}));
        assert!(message(&answer).contains("at /maxItems"), "{answer}");
    }
    for ids in [json!([]), json!(vec!["x"; 257])] {
        let answer = world.ask(host, "node.pending.ack", json!({"ids": ids}));
        assert!(message(&answer).contains("at /ids"), "{answer}");
    }
}

/// A phone that can do little in the background.
fn phone() -> Caller<'static> {
    Caller {
        id: "openclaw-ios",
        platform: "iOS 18.1",
        family: Some("iPhone"),
        caps: &["camera"],
        commands: &["camera.list"],
        ..node(1)
    }
}

#[test]
fn a_command_that_needs_the_foreground_waits_until_the_app_is_back() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &phone());
    let mut ids = Vec::new();
    for key in ["a", "a", "b"] {
        let params = which(
            &phone(),
            json!({"command": "camera.list", "idempotencyKey": key, "params": {"n": 1}}),
        );
        let asked = ask(&mut world, boss, host, "i", params);
        let failed = json!({
            "id": asked["id"], "nodeId": id_of(&phone()), "ok": false,
            "error": {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "not now"},
        });
        ok(&world.ask(host, "node.invoke.result", failed));
        let answer = world.answer(boss, "i");
        assert_eq!(
            message(&answer),
            "node command queued until iOS returns to foreground"
        );
        let details = &answer["error"]["details"];
        assert_eq!(details["code"], "QUEUED_UNTIL_FOREGROUND");
        ids.push(details["queuedActionId"].clone());
    }
    assert_eq!(ids[0], ids[1], "the same key is the same command");
    let pulled = world.ask(host, "node.pending.pull", json!({}));
    let actions = ok(&pulled)["actions"].as_array().unwrap().clone();
    assert_eq!(actions.len(), 2);
    assert_eq!(actions[0]["paramsJSON"], "{\"n\":1}");
    let ack = json!({"ids": [ids[0], ids[0], "unknown"]});
    let answer = world.ask(host, "node.pending.ack", ack);
    assert_eq!(
        ok(&answer),
        &json!({"nodeId": id_of(&phone()), "ackedIds": [ids[0], "unknown"], "remainingCount": 1})
    );
    world.advance(seconds(600));
    let host = world.join(&phone());
    let pulled = world.ask(host, "node.pending.pull", json!({}));
    assert_eq!(ok(&pulled)["actions"], json!([]), "ten minutes are enough");
}

#[test]
fn a_command_that_the_background_does_not_hinder_fails_as_it_is() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &node(1));
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let failed = json!({
        "id": asked["id"], "nodeId": id_of(&node(1)), "ok": false,
        "error": {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "not now"},
    });
    ok(&world.ask(host, "node.invoke.result", failed));
    let answer = world.answer(boss, "i");
    assert_eq!(message(&answer), "NODE_BACKGROUND_UNAVAILABLE: not now");
}
