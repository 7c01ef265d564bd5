//! What nodes tell of themselves.

use super::support::seconds;
use super::*;

fn tell(world: &mut World, host: ConnId, event: &str, payload: Value) -> Value {
    let params = json!({"event": event, "payload": payload});
    let answer = world.ask(host, "node.event", params);
    ok(&answer).clone()
}

fn told(handled: bool, reason: &str, event: &str) -> Value {
    json!({"ok": true, "event": event, "handled": handled, "reason": reason})
}

#[test]
fn what_nobody_knows_is_not_handled_and_what_nobody_approved_is_not_heard() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = world.join(&node(1));
    let params = json!({"event": "node.presence.alive", "payload": {"trigger": "manual"}});
    let early = world.ask(host, "node.event", params);
    assert_eq!(early["error"]["details"]["code"], "PAIRING_CHANGED");
    approve(&mut world, boss, &node(1));
    assert_eq!(
        tell(&mut world, host, "no.such.event", json!({})),
        told(false, "unsupported_event", "no.such.event")
    );
}

#[test]
fn a_node_that_is_alive_is_noted_once_a_minute() {
    const ALIVE: &str = "node.presence.alive";
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &node(1));
    world.advance(seconds(10));
    let alive = json!({"trigger": "significant_location"});
    assert_eq!(
        tell(&mut world, host, ALIVE, alive.clone()),
        told(true, "persisted", ALIVE)
    );
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["lastSeenReason"], "significant_location");
    assert_eq!(shown["lastSeenAtMs"], world.now().unix_ms);
    assert_eq!(
        tell(&mut world, host, ALIVE, alive.clone()),
        told(true, "throttled", ALIVE)
    );
    world.advance(seconds(60));
    let strange = json!({"trigger": "whim"});
    assert_eq!(
        tell(&mut world, host, ALIVE, strange),
        told(true, "persisted", ALIVE)
    );
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["lastSeenReason"], "background");
    for bad in [json!(7), json!("x"), Value::Null] {
        assert_eq!(
            tell(&mut world, host, ALIVE, bad),
            told(false, "invalid_payload", ALIVE)
        );
    }
    let written = json!({"event": ALIVE, "payload": 7, "payloadJSON": "{\"trigger\":\"manual\"}"});
    let answer = world.ask(host, "node.event", written);
    assert_eq!(ok(&answer)["handled"], true, "what is written counts first");
}

#[test]
fn a_hosts_load_is_told_to_who_may_read() {
    const STATS: &str = "node.host.stats";
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let deaf = world.operator(&[PAIRING]);
    let host = approved(&mut world, boss, &node(1));
    world.hear(deaf);
    let stats = json!({
        "cpuCount": 2, "loadAverage": [0.5, 1.0, 2.25],
        "memoryTotalBytes": 100, "memoryFreeBytes": 40,
    });
    assert_eq!(
        tell(&mut world, host, STATS, stats.clone()),
        told(true, "updated", STATS)
    );
    let mut shown = stats.clone();
    shown["updatedAtMs"] = json!(world.now().unix_ms);
    let heard = pushes(&world.hear(boss), "node.hostStats");
    assert_eq!(
        heard[0]["payload"],
        json!({"nodeId": id_of(&node(1)), "hostStats": shown})
    );
    assert!(heard[0]["seq"].is_u64());
    assert!(pushes(&world.hear(deaf), "node.hostStats").is_empty());
    assert_eq!(described(&mut world, boss, &node(1))["hostStats"], shown);
    for (name, value) in [
        ("cpuCount", json!(0)),
        ("cpuCount", json!(4097)),
        ("memoryFreeBytes", json!(101)),
        ("loadAverage", json!([1, 2])),
        ("diskTotalBytes", json!(5)),
        ("surprise", json!(1)),
    ] {
        let mut bad = stats.clone();
        bad[name] = value;
        assert_eq!(
            tell(&mut world, host, STATS, bad),
            told(false, "invalid_payload", STATS),
            "{name}"
        );
    }
    assert!(pushes(&world.hear(boss), "node.hostStats").is_empty());
}

#[test]
fn a_users_activity_is_told_where_the_node_may_see_it() {
    const ACTIVITY: &str = "node.presence.activity";
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let plain = approved(&mut world, boss, &node(1));
    assert_eq!(
        tell(&mut world, plain, ACTIVITY, json!({"idleSeconds": 1})),
        told(false, "permission_required", ACTIVITY)
    );
    let caller = Caller {
        permissions: json!({"accessibility": true}),
        ..node(2)
    };
    let host = approved(&mut world, boss, &caller);
    world.hear(boss);
    let clear = json!({"action": "clear"});
    assert_eq!(
        tell(&mut world, host, ACTIVITY, clear.clone()),
        told(true, "already_clear", ACTIVITY)
    );
    assert_eq!(
        tell(&mut world, host, ACTIVITY, json!({"idleSeconds": 5})),
        told(true, "updated", ACTIVITY)
    );
    let now = world.now().unix_ms;
    let id = id_of(&caller);
    let heard = pushes(&world.hear(boss), "node.presence");
    assert_eq!(
        heard[0]["payload"],
        json!({"nodeId": id, "lastActiveAtMs": now - 5_000, "presenceUpdatedAtMs": now})
    );
    assert_eq!(
        tell(&mut world, host, ACTIVITY, clear),
        told(true, "cleared", ACTIVITY)
    );
    let heard = pushes(&world.hear(boss), "node.presence");
    assert_eq!(
        heard[0]["payload"],
        json!({"nodeId": id, "lastActiveAtMs": null, "presenceUpdatedAtMs": null})
    );
    for bad in [
        json!({"idleSeconds": 2_592_001}),
        json!({"action": "x"}),
        json!({}),
    ] {
        assert_eq!(
            tell(&mut world, host, ACTIVITY, bad),
            told(false, "invalid_payload", ACTIVITY)
        );
    }
}

#[test]
fn a_node_tells_only_of_programs_that_it_was_asked_to_run() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let caller = Caller {
        commands: &["system.run"],
        ..node(1)
    };
    let host = approved(&mut world, boss, &caller);
    let run = json!({"command": "system.run", "params": {"command": ["ls"], "runId": "r1"}});
    ask(&mut world, boss, host, "i", which(&caller, run));
    let tells = |world: &mut World, event: &str, run: &str| {
        tell(world, host, event, json!({"runId": run, "command": "ls"}))
    };
    let plain = json!({"ok": true});
    let unmatched = |event| told(false, "unmatched_exec_event", event);
    assert_eq!(
        tells(&mut world, "exec.started", "r2"),
        unmatched("exec.started")
    );
    assert_eq!(tells(&mut world, "exec.started", "r1"), plain);
    assert_eq!(tells(&mut world, "exec.finished", "r1"), plain);
    assert_eq!(
        tells(&mut world, "exec.finished", "r1"),
        unmatched("exec.finished"),
        "it is over"
    );
}

#[test]
fn a_device_that_is_operator_and_node_is_there_once() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    approved(&mut world, boss, &node(1));
    let page = Caller {
        id: "openclaw-macos",
        mode: "ui",
        scopes: &[READ],
        platform: "linux",
        family: Some("Linux"),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    world.join(&page);
    let rows = world.ask(boss, "system-presence", json!({}));
    let rows = ok(&rows).as_array().unwrap().clone();
    let own: Vec<&Value> = rows
        .iter()
        .filter(|row| row["deviceId"] == id_of(&page))
        .collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["roles"], json!(["operator", "node"]));
    assert_eq!(own[0]["scopes"], json!([READ]));
}
