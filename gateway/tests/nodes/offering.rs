//! What nodes offer, and how it comes to hold.

use super::*;

fn boss(world: &mut World) -> ConnId {
    world.operator(&[ADMIN])
}

#[test]
fn a_node_without_a_device_does_not_come_in() {
    let mut world = World::new();
    let bare = Caller {
        device: None,
        ..node(1)
    };
    let error = world.refused(local(), &bare);
    assert_eq!(error["code"], "NOT_PAIRED");
    assert_eq!(error["message"], "device identity required");
    assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
}

#[test]
fn a_node_has_no_scopes_and_sees_nobody() {
    let mut world = World::new();
    let greedy = Caller {
        scopes: &[ADMIN],
        ..node(1)
    };
    let conn = world.open(local());
    let hello = world.knock(conn, &greedy);
    let hello = ok(&hello);
    assert_eq!(hello["auth"]["role"], "node");
    assert_eq!(hello["auth"]["scopes"], json!([]));
    assert!(hello["auth"]["deviceToken"].is_string());
    assert_eq!(hello["snapshot"]["presence"], json!([]));
    assert_eq!(hello["snapshot"].get("configPath"), None);
    for method in ["status", "node.list", "nonsense", "device.pair.list"] {
        let answer = world.ask(conn, method, json!({}));
        assert_eq!(message(&answer), "unauthorized role: node", "{method}");
    }
    ok(&world.ask(conn, "health", json!({})));
}

#[test]
fn operators_do_not_speak_for_nodes() {
    let mut world = World::new();
    let boss = boss(&mut world);
    for method in [
        "node.event",
        "node.invoke.result",
        "node.invoke.progress",
        "node.pending.drain",
        "node.pending.pull",
        "node.pending.ack",
    ] {
        let answer = world.ask(boss, method, json!({}));
        assert_eq!(message(&answer), "unauthorized role: operator", "{method}");
    }
}

#[test]
fn from_elsewhere_the_device_of_a_node_waits_first() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let (_, refused) = world.knock_from(remote(1), &node(1));
    let error = &refused["error"];
    assert_eq!(error["details"]["reason"], "not-paired");
    assert_eq!(error["details"]["requestedRole"], "node");
    assert_eq!(waiting(&mut world, boss, &node(1)), Value::Null);
    let params = json!({"requestId": error["details"]["requestId"]});
    ok(&world.ask(boss, "device.pair.approve", params));
    let (_, hello) = world.knock_from(remote(1), &node(1));
    ok(&hello);
    let request = waiting(&mut world, boss, &node(1));
    assert_eq!(request["remoteIp"], "192.0.2.1");
    assert_eq!(request.get("silent"), None);
}

#[test]
fn what_a_node_offers_waits_for_an_approval() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let reader = world.operator(&[READ]);
    let host = world.join(&node(1));
    let heard = world.hear(boss);
    let resolved = pushes(&heard, "device.pair.resolved");
    assert_eq!(resolved[0]["payload"]["decision"], "approved");
    let requested = pushes(&heard, "node.pair.requested");
    assert_eq!(requested.len(), 1);
    assert!(requested[0]["seq"].is_u64());
    let request = requested[0]["payload"].clone();
    assert_eq!(
        request,
        json!({
            "requestId": request["requestId"], "nodeId": id_of(&node(1)),
            "clientId": "node-host", "clientMode": "node", "displayName": "Shed",
            "platform": "linux", "version": "1.2.3", "deviceFamily": "Linux",
            "caps": ["system"], "commands": ["system.which", "system.notify"],
            "requiredApproveScopes": [PAIRING, ADMIN], "silent": true, "ts": request["ts"],
        })
    );
    assert!(pushes(&world.hear(reader), "node.pair.requested").is_empty());
    assert_eq!(waiting(&mut world, boss, &node(1)), request);

    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["approvalState"], "pending-approval");
    assert_eq!(shown["connected"], true);
    assert_eq!(
        (&shown["caps"], &shown["commands"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(
        shown["pendingDeclaredCommands"],
        json!(["system.notify", "system.which"])
    );
    let blind = described(&mut world, reader, &node(1));
    assert_eq!(blind["approvalState"], "pending-approval");
    assert_eq!(blind.get("pendingRequestId"), None);
    assert_eq!(blind.get("pendingDeclaredCommands"), None);

    let answer = world.ask(boss, "node.invoke", which(&node(1), json!({})));
    assert_eq!(answer["error"]["details"]["code"], "PAIRING_CHANGED");
    assert_eq!(answer["error"]["retryable"], true);

    world.hear(boss);
    let params = json!({"requestId": request["requestId"]});
    let answer = world.ask(boss, "node.pair.approve", params.clone());
    assert_eq!(ok(&answer)["requestId"], request["requestId"]);
    assert_eq!(ok(&answer)["node"]["commands"], request["commands"]);
    let to_node = pushes(&world.hear(host), "node.pair.resolved");
    let to_boss = pushes(&world.hear(boss), "node.pair.resolved");
    assert_eq!((to_node.len(), to_boss.len()), (1, 1));
    assert_eq!(to_node[0].get("seq"), None);
    assert!(to_boss[0]["seq"].is_u64());
    assert_eq!(to_node[0]["payload"], to_boss[0]["payload"]);
    assert_eq!(to_boss[0]["payload"]["decision"], "approved");

    let again = world.ask(boss, "node.pair.approve", params);
    assert_eq!(message(&again), "unknown requestId");
    let shown = described(&mut world, reader, &node(1));
    assert_eq!(shown["approvalState"], "approved");
    assert_eq!(shown["commands"], json!(["system.notify", "system.which"]));
}

#[test]
fn of_two_sockets_of_a_node_the_newer_hears_of_its_approval() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let old = world.join(&node(1));
    let new = world.join(&node(1));
    approve(&mut world, boss, &node(1));
    let told = pushes(&world.hear(new), "node.pair.resolved");
    assert_eq!(told.len(), 1);
    assert_eq!(world.hear(old), [] as [Value; 0]);
}

#[test]
fn approving_needs_what_the_commands_need() {
    let mut world = World::new();
    let boss = boss(&mut world);
    for (seed, commands, needed) in [
        (1, &[][..], &[PAIRING][..]),
        (2, &["system.notify"], &[PAIRING, WRITE]),
        (3, &["system.notify", "system.run"], &[PAIRING, ADMIN]),
    ] {
        let caller = Caller {
            commands,
            ..node(seed)
        };
        world.join(&caller);
        let request = waiting(&mut world, boss, &caller);
        assert_eq!(request["requiredApproveScopes"], json!(needed));
        let params = json!({"requestId": request["requestId"]});
        if needed.len() > 1 {
            let weak = world.operator(&[PAIRING, READ]);
            let answer = world.ask(weak, "node.pair.approve", params.clone());
            let missing = needed[1];
            assert_eq!(message(&answer), format!("missing scope: {missing}"));
            assert_eq!(answer["error"]["code"], "FORBIDDEN");
            let details = &answer["error"]["details"];
            assert_eq!(details["missingScope"], missing);
            assert_eq!(details["requiredScopes"], json!(needed));
        }
        let able = world.operator(needed);
        ok(&world.ask(able, "node.pair.approve", params));
    }
}

#[test]
fn a_command_that_the_platform_does_not_have_is_not_asked_for() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let caller = Caller {
        caps: &["camera", "lab"],
        commands: &["camera.snap", "lab.echo", " system.which ", "system.which"],
        ..node(1)
    };
    world.join(&caller);
    let request = waiting(&mut world, boss, &caller);
    assert_eq!(request["commands"], json!(["system.which"]));
    assert_eq!(request["caps"], json!(["lab"]));
}

#[test]
fn coming_back_with_the_same_asks_nobody_and_with_more_asks_again() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let first = approved(&mut world, boss, &node(1));
    world.cut(first);
    let second = world.join(&node(1));
    assert_eq!(waiting(&mut world, boss, &node(1)), Value::Null);
    world.cut(second);

    let wider = Caller {
        commands: &["system.which", "system.run"],
        ..node(1)
    };
    world.hear(boss);
    let third = world.join(&wider);
    let request = waiting(&mut world, boss, &node(1));
    assert_eq!(request["commands"], json!(["system.which", "system.run"]));
    assert_eq!(request.get("silent"), None);
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["approvalState"], "pending-reapproval");
    assert_eq!(shown["commands"], json!(["system.which"]), "what both hold");
    world.cut(third);

    let fourth = world.join(&wider);
    assert_eq!(
        waiting(&mut world, boss, &node(1)),
        request,
        "it is the same"
    );
    world.cut(fourth);
    world.hear(boss);
    world.join(&node(1));
    assert_eq!(waiting(&mut world, boss, &node(1)), Value::Null);
    let resolved = pushes(&world.hear(boss), "node.pair.resolved");
    assert_eq!(resolved[0]["payload"]["requestId"], request["requestId"]);
    assert_eq!(resolved[0]["payload"]["decision"], "rejected");
}

#[test]
fn another_wish_takes_the_place_of_the_one_before() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let first = world.join(&node(1));
    let before = waiting(&mut world, boss, &node(1));
    world.cut(first);
    world.hear(boss);
    world.join(&Caller {
        commands: &["system.notify"],
        ..node(1)
    });
    let after = waiting(&mut world, boss, &node(1));
    assert_ne!(after["requestId"], before["requestId"]);
    let heard = world.hear(boss);
    let told: Vec<&Value> = heard
        .iter()
        .filter(|frame| {
            let name = frame["event"].as_str().unwrap_or_default();
            name.starts_with("node.pair.")
        })
        .collect();
    assert_eq!(told[0]["payload"]["decision"], "rejected");
    assert_eq!(told[0]["payload"]["requestId"], before["requestId"]);
    assert_eq!(told[1]["payload"]["requestId"], after["requestId"]);
}

#[test]
fn a_permission_holds_only_where_it_was_approved_and_not_taken_back() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let caller = Caller {
        permissions: json!({"screen": true, "mic": false}),
        ..node(1)
    };
    let first = world.join(&caller);
    let shown = described(&mut world, boss, &caller);
    assert_eq!(shown["permissions"], json!({"mic": false}));
    approve(&mut world, boss, &caller);
    let shown = described(&mut world, boss, &caller);
    assert_eq!(shown["permissions"], json!({"mic": false, "screen": true}));
    world.cut(first);
    world.join(&Caller {
        permissions: json!({"screen": false}),
        ..node(1)
    });
    let shown = described(&mut world, boss, &caller);
    assert_eq!(shown["permissions"], json!({"mic": false, "screen": false}));
    assert_eq!(waiting(&mut world, boss, &caller), Value::Null);
}

#[test]
fn a_rejected_node_stays_and_keeps_what_it_had() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let first = approved(&mut world, boss, &node(1));
    world.cut(first);
    let wider = Caller {
        commands: &["system.which", "system.run"],
        ..node(1)
    };
    let host = world.join(&wider);
    let request = waiting(&mut world, boss, &wider);
    let params = json!({"requestId": request["requestId"]});
    let answer = world.ask(boss, "node.pair.reject", params.clone());
    assert_eq!(ok(&answer)["nodeId"], id_of(&wider));
    assert_eq!(world.close(host), None);
    assert!(pushes(&world.hear(host), "node.pair.resolved").is_empty());
    let shown = described(&mut world, boss, &wider);
    assert_eq!(shown["approvalState"], "approved");
    assert_eq!(shown["commands"], json!(["system.which"]));
    let again = world.ask(boss, "node.pair.reject", params);
    assert_eq!(message(&again), "unknown requestId");
}

#[test]
fn a_removed_node_loses_its_sockets_and_a_device_that_is_more_keeps_the_rest() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let only_node = approved(&mut world, boss, &node(1));
    let operator = Caller {
        id: "cli",
        mode: "cli",
        scopes: &[READ],
        platform: "linux",
        family: Some("Linux"),
        device: Some(Device::new(2)),
        ..Caller::default()
    };
    let host = approved(&mut world, boss, &node(2));
    let terminal = world.join(&operator);
    for (caller, conn) in [(node(1), only_node), (node(2), host)] {
        let params = json!({"nodeId": id_of(&caller)});
        let answer = world.ask(boss, "node.pair.remove", params.clone());
        assert_eq!(ok(&answer), &params);
        let told = pushes(&world.hear(boss), "node.pair.resolved");
        assert_eq!(told[0]["payload"]["requestId"], "");
        assert_eq!(told[0]["payload"]["decision"], "removed");
        assert_eq!(world.close(conn), Some((4001, "device removed")));
        let again = world.ask(boss, "node.pair.remove", params.clone());
        assert_eq!(message(&again), "unknown nodeId");
        let gone = world.ask(boss, "node.describe", params);
        assert_eq!(message(&gone), "unknown nodeId");
    }
    assert_eq!(world.close(terminal), None, "it is no node's");
    let devices = world.ask(boss, "device.pair.list", json!({}));
    let paired = ok(&devices)["paired"].as_array().unwrap().clone();
    assert_eq!(paired.len(), 1);
    assert_eq!(paired[0]["roles"], json!(["operator"]));
    let (_, back) = world.knock_from(local(), &node(2));
    assert_eq!(back["error"]["details"]["reason"], "role-upgrade");
}

#[test]
fn a_device_that_is_forgotten_is_no_node_any_more() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let conn = approved(&mut world, boss, &node(1));
    let params = json!({"deviceId": id_of(&node(1))});
    ok(&world.ask(boss, "device.pair.remove", params));
    assert_eq!(world.close(conn), Some((4001, "device removed")));
    world.cut(conn);
    world.join(&node(1));
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(
        shown["approvalState"], "pending-approval",
        "nothing came back"
    );
}

#[test]
fn an_operator_names_a_node_that_was_approved() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let rename = |world: &mut World, name: &str| {
        let params = json!({"nodeId": id_of(&node(1)), "displayName": name});
        world.ask(boss, "node.rename", params)
    };
    let first = world.join(&node(1));
    assert_eq!(message(&rename(&mut world, "x")), "unknown nodeId");
    approve(&mut world, boss, &node(1));
    assert_eq!(message(&rename(&mut world, "  ")), "displayName required");
    assert!(message(&rename(&mut world, &"x".repeat(65))).contains("64 characters"));
    let answer = rename(&mut world, " Attic ");
    assert_eq!(ok(&answer)["displayName"], "Attic");
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["displayName"], "Attic");
    world.cut(first);
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["displayName"], "Attic", "whether it is there or not");
    assert_eq!(shown["connected"], false);
    assert!(shown["lastDisconnectedAtMs"].is_u64());
}

#[test]
fn the_list_has_who_is_there_first_and_then_by_name() {
    let mut world = World::new();
    let boss = boss(&mut world);
    for (seed, name) in [(1, "b"), (2, "A"), (3, "c"), (4, "d")] {
        let caller = Caller {
            name: Some(name),
            ..node(seed)
        };
        let conn = world.join(&caller);
        if name == "A" {
            world.cut(conn);
        }
    }
    let list = world.ask(boss, "node.list", json!({}));
    let nodes = ok(&list)["nodes"].as_array().unwrap().clone();
    let names: Vec<&str> = nodes
        .iter()
        .map(|node| node["displayName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b", "c", "d", "A"]);
}

#[test]
fn a_node_that_declares_too_much_does_not_come_in() {
    let mut world = World::new();
    let many: Vec<String> = (0..257).map(|number| format!("c{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = world.refused(
        local(),
        &Caller {
            commands: &many,
            ..node(1)
        },
    );
    assert_eq!(
        error["message"],
        "invalid connect params: at /commands: must not have more than 256 items of 128 bytes"
    );
}

#[test]
fn a_device_token_alone_decides_over_its_own_node_only() {
    let mut world = World::new();
    let boss = boss(&mut world);
    world.join(&node(1));
    world.join(&node(2));
    let operator = Caller {
        id: "cli",
        mode: "cli",
        scopes: &[PAIRING, READ],
        platform: "linux",
        family: Some("Linux"),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    let (_, hello) = world.knock_from(local(), &operator);
    let token = ok(&hello)["auth"]["deviceToken"].clone();
    let own = world.join(&Caller {
        auth: json!({"deviceToken": token}),
        ..operator
    });
    let list = world.ask(own, "node.pair.list", json!({}));
    let pending = ok(&list)["pending"].as_array().unwrap().clone();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0]["nodeId"], id_of(&node(1)));
    let foreign = waiting(&mut world, boss, &node(2))["requestId"].clone();
    for (method, denied) in [
        ("node.pair.approve", "node pairing approval denied"),
        ("node.pair.reject", "node pairing rejection denied"),
    ] {
        for id in [foreign.clone(), json!("bogus")] {
            let answer = world.ask(own, method, json!({"requestId": id}));
            assert_eq!(message(&answer), denied);
        }
    }
    for (method, more, denied) in [
        ("node.pair.remove", json!({}), "node pairing removal denied"),
        (
            "node.rename",
            json!({"displayName": "x"}),
            "node rename denied",
        ),
    ] {
        let mut params = more;
        params["nodeId"] = json!(id_of(&node(2)));
        let answer = world.ask(own, method, params);
        assert_eq!(message(&answer), denied);
    }
}

#[test]
fn who_waits_is_shown_as_who_they_say_they_are_now() {
    let mut world = World::new();
    let boss = boss(&mut world);
    let first = world.join(&node(1));
    let before = waiting(&mut world, boss, &node(1));
    world.cut(first);
    world.hear(boss);
    let renamed = Caller {
        name: Some("Somebody else"),
        ..node(1)
    };
    world.join(&renamed);
    let after = waiting(&mut world, boss, &node(1));
    assert_eq!(after["requestId"], before["requestId"]);
    assert_eq!(after["displayName"], "Somebody else");
    assert!(pushes(&world.hear(boss), "node.pair.requested").is_empty());
}
