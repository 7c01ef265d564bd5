//! Who is listed, under which name, and how often that is told.

mod support;

use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, READ, World, millis, seconds, story};

fn rows(world: &mut World, conn: ConnId) -> Vec<Value> {
    let answer = world.ask(conn, "system-presence", json!({}));
    answer["payload"].as_array().expect("a list").clone()
}

fn announce(world: &mut World, conn: ConnId, params: Value) {
    let answer = world.ask(conn, "system-event", params);
    assert_eq!(answer["payload"], json!({"ok": true}));
}

/// The presence pushes of a hundred calls of `openclaw health` within three seconds, of which each
/// is connected for a while.
fn storm(connected: u64) -> usize {
    let mut world = World::new();
    let watcher = world.operator(&[READ]);
    world.advance(seconds(5));
    world.hear(watcher);
    let before = rows(&mut world, watcher);
    let program = Caller {
        id: "cli",
        mode: "cli",
        scopes: &[READ],
        ..Caller::default()
    };
    for _ in 0..100 {
        let conn = world.join(&program);
        assert_eq!(world.ask(conn, "health", json!({}))["ok"], true);
        world.advance(millis(connected));
        world.cut(conn);
        world.advance(millis(30 - connected));
    }
    assert_eq!(rows(&mut world, watcher), before, "nobody is left");
    world.advance(seconds(2));
    assert_eq!(rows(&mut world, watcher), before);
    let told = story(&world.hear(watcher));
    told.iter().filter(|line| *line == "presence").count()
}

#[test]
fn a_hundred_calls_of_health_are_told_to_nobody_and_leave_no_rows() {
    for connected in [5, 20, 29] {
        assert_eq!(storm(connected), 0, "each is connected for {connected} ms");
    }
}

#[test]
fn the_gateway_is_listed_first_and_clients_since_when_they_are_connected() {
    let mut world = World::new();
    world.advance(seconds(7));
    let conn = world.operator(&[READ]);
    let joined = world.now().unix_ms;
    world.advance(seconds(60));
    let rows = rows(&mut world, conn);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["reason"], "self");
    assert_eq!(rows[0]["mode"], "gateway");
    assert_eq!(rows[1]["reason"], "connect");
    assert_eq!(rows[1]["onlineSince"], joined);
    assert_eq!(rows[1]["ts"], joined);
}

#[test]
fn a_beacon_is_known_by_its_instance_else_its_device_else_its_text() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let beacons = [
        json!({"text": "a", "instanceId": "i", "deviceId": "d"}),
        json!({"text": "b", "instanceId": "i", "deviceId": "e", "lastInputSeconds": 5}),
        json!({"text": "c", "deviceId": "d", "lastInputSeconds": 7}),
        json!({"text": "d", "deviceId": "d"}),
        json!({"text": "note"}),
        json!({"text": "note", "mode": "ui"}),
        json!({"text": "another note"}),
    ];
    for beacon in beacons {
        announce(&mut world, admin, beacon);
    }
    let rows = rows(&mut world, admin);
    let mut listed: Vec<(&str, Option<u64>)> = rows
        .iter()
        .filter(|row| row["reason"] != "self" && row["reason"] != "connect")
        .map(|row| {
            (
                row["text"].as_str().expect("a text"),
                row["lastInputSeconds"].as_u64(),
            )
        })
        .collect();
    listed.sort_unstable();
    assert_eq!(
        listed,
        [
            ("another note", None),
            ("b", Some(5)),
            ("d", None),
            ("note", None)
        ]
    );
}

#[test]
fn a_beacon_of_somebody_who_is_connected_is_their_row() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let ways = [
        Caller {
            instance: Some("i1"),
            ..Caller::default()
        },
        Caller {
            instance: Some("i2"),
            device: Some(Device::new(1)),
            ..Caller::default()
        },
    ];
    for caller in ways {
        let joined = world.now().unix_ms;
        let conn = world.join(&caller);
        world.advance(seconds(30));
        let instance = caller.instance.expect("a name");
        announce(
            &mut world,
            admin,
            json!({
                "text": "busy", "instanceId": instance, "lastInputSeconds": 3,
            }),
        );
        let mine: Vec<Value> = rows(&mut world, admin)
            .into_iter()
            .filter(|row| row["instanceId"] == instance)
            .collect();
        assert_eq!(mine.len(), 1, "{mine:?}");
        assert_eq!(mine[0]["text"], "busy");
        assert_eq!(mine[0]["lastInputSeconds"], 3);
        assert_eq!(mine[0]["onlineSince"], joined);
        let device = caller.device.map(|device| device.id());
        assert_eq!(mine[0]["deviceId"].as_str(), device.as_deref());
        world.advance(seconds(600));
        let still = rows(&mut world, admin);
        assert!(
            still.iter().any(|row| row["text"] == "busy"),
            "it is connected"
        );
        world.cut(conn);
    }
}
