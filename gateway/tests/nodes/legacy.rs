//! Nodes of protocol 3, and nodes that are no devices.

use super::*;

fn old(seed: u8) -> Caller<'static> {
    Caller {
        versions: (3, 3),
        ..node(seed)
    }
}

/// An administrator who speaks protocol 3.
fn old_boss(world: &mut World) -> ConnId {
    world.join(&Caller {
        versions: (3, 3),
        scopes: &[ADMIN],
        ..Caller::default()
    })
}

#[test]
fn in_protocol_3_what_a_node_offers_holds_once_its_device_is_paired() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = world.join(&old(1));
    assert_eq!(waiting(&mut world, boss, &old(1)), Value::Null);
    let shown = described(&mut world, boss, &old(1));
    assert_eq!(shown["approvalState"], "approved");
    assert_eq!(shown["commands"], json!(["system.notify", "system.which"]));
    let asked = ask(&mut world, boss, host, "i", which(&old(1), json!({})));
    let told = json!({"id": asked["id"], "nodeId": id_of(&old(1)), "ok": true});
    ok(&world.ask(host, "node.invoke.result", told));
    ok(&world.answer(boss, "i"));
    world.cut(host);
    let shown = described(&mut world, boss, &old(1));
    assert_eq!(shown["approvalState"], "approved");
    assert_eq!(shown["connected"], false);
    let answer = world.ask(boss, "node.invoke", which(&old(1), json!({})));
    assert_eq!(message(&answer), "node not connected");
    let params = json!({"nodeId": id_of(&old(1))});
    ok(&world.ask(boss, "node.pair.remove", params));
    let answer = world.ask(boss, "node.invoke", which(&old(1), json!({})));
    assert_eq!(answer["error"]["details"]["code"], "PAIRING_CHANGED");
}

#[test]
fn speaking_protocol_3_does_not_get_around_what_was_not_approved() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let first = world.join(&node(1));
    world.cut(first);
    world.join(&old(1));
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["approvalState"], "pending-approval");
    assert_eq!(shown["commands"], json!([]));
    let answer = world.ask(boss, "node.invoke", which(&node(1), json!({})));
    assert_eq!(answer["error"]["details"]["code"], "PAIRING_CHANGED");
    approve(&mut world, boss, &node(1));
    world.join(&Caller {
        commands: &["system.which", "system.run"],
        ..old(1)
    });
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["commands"], json!(["system.which"]));
    assert_eq!(shown["approvalState"], "pending-reapproval");
}

#[test]
fn a_rejected_node_does_not_come_around_by_speaking_protocol_3() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let first = world.join(&node(1));
    let request = waiting(&mut world, boss, &node(1));
    let params = json!({"requestId": request["requestId"]});
    ok(&world.ask(boss, "node.pair.reject", params));
    world.cut(first);
    world.join(&old(1));
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["commands"], json!([]), "{shown}");
}

#[test]
fn only_protocol_3_knows_nodes_by_a_name_and_a_token() {
    let mut world = World::new();
    let new = world.operator(&[ADMIN]);
    for method in ["node.pair.request", "node.pair.verify"] {
        let answer = world.ask(new, method, json!({"nodeId": "lamp"}));
        assert_eq!(message(&answer), format!("unknown method: {method}"));
    }
    let boss = old_boss(&mut world);
    world.hear(new);
    let wanted = json!({
        "nodeId": "lamp", "displayName": "Lamp", "platform": "esp", "version": "1",
        "caps": ["light"], "commands": ["light.on"], "remoteIp": "192.0.2.7",
    });
    let answer = world.ask(boss, "node.pair.request", wanted.clone());
    let request = ok(&answer)["request"].clone();
    assert_eq!(
        ok(&answer),
        &json!({"status": "pending", "created": true, "request": {
            "requestId": request["requestId"], "nodeId": "lamp", "displayName": "Lamp",
            "platform": "esp", "version": "1", "caps": ["light"], "commands": ["light.on"],
            "remoteIp": "192.0.2.7", "isRepair": false, "ts": request["ts"],
        }})
    );
    assert_eq!(pushes(&world.hear(new), "node.pair.requested").len(), 1);
    let again = world.ask(boss, "node.pair.request", wanted.clone());
    assert_eq!(ok(&again)["created"], false);
    assert_eq!(ok(&again)["request"], request);
    assert!(pushes(&world.hear(new), "node.pair.requested").is_empty());

    let params = json!({"requestId": request["requestId"]});
    let unknown = world.ask(new, "node.pair.approve", params.clone());
    assert_eq!(message(&unknown), "unknown requestId");
    let answer = world.ask(boss, "node.pair.approve", params);
    let token = ok(&answer)["node"]["token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 43);
    let resolved = pushes(&world.hear(new), "node.pair.resolved");
    assert_eq!(resolved[0]["payload"]["nodeId"], "lamp");

    let verify = |world: &mut World, id: &str, token: &str| {
        let params = json!({"nodeId": id, "token": token});
        let answer = world.ask(boss, "node.pair.verify", params);
        ok(&answer).clone()
    };
    assert_eq!(verify(&mut world, "lamp", "wrong"), json!({"ok": false}));
    assert_eq!(verify(&mut world, "other", &token), json!({"ok": false}));
    let right = verify(&mut world, "lamp", &token);
    assert_eq!(right["ok"], true);
    assert_eq!(right["node"]["displayName"], "Lamp");
    let list = world.ask(boss, "node.pair.list", json!({}));
    assert_eq!(ok(&list)["paired"][0]["nodeId"], "lamp");
    assert_eq!(
        ok(&list)["paired"][0].get("token"),
        None,
        "it was told once"
    );
    let list = world.ask(boss, "node.list", json!({}));
    assert_eq!(ok(&list)["nodes"], json!([]));

    let repair = world.ask(boss, "node.pair.request", wanted);
    assert_eq!(ok(&repair)["request"]["isRepair"], true);
    let params = json!({"requestId": ok(&repair)["request"]["requestId"]});
    let answer = world.ask(boss, "node.pair.reject", params);
    assert_eq!(ok(&answer)["nodeId"], "lamp");
    assert_eq!(verify(&mut world, "lamp", &token)["ok"], true);
    let long = json!({"nodeId": "lamp", "displayName": "x".repeat(65)});
    assert_eq!(world.ask(boss, "node.rename", long)["ok"], false);
    let rename = json!({"nodeId": "lamp", "displayName": "Light"});
    ok(&world.ask(boss, "node.rename", rename));
    assert_eq!(
        verify(&mut world, "lamp", &token)["node"]["displayName"],
        "Light"
    );
    world.hear(new);
    ok(&world.ask(new, "node.pair.remove", json!({"nodeId": "lamp"})));
    let resolved = pushes(&world.hear(new), "node.pair.resolved");
    assert_eq!(resolved[0]["payload"]["decision"], "removed");
    assert_eq!(verify(&mut world, "lamp", &token), json!({"ok": false}));
}

#[test]
fn what_waits_for_a_node_of_protocol_3_goes_with_it() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    world.join(&old(1));
    let work = json!({"nodeId": id_of(&old(1)), "type": "status.request"});
    ok(&world.ask(boss, "node.pending.enqueue", work));
    ok(&world.ask(boss, "node.pair.remove", json!({"nodeId": id_of(&old(1))})));
    let dropped = openclaw_gateway_service::nodes::NodeChange::Drop(id_of(&old(1)));
    let dropped = openclaw_gateway_service::pairing::Change::Node(dropped);
    assert!(world.ledger.written().contains(&dropped));
}
