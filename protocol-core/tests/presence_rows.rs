//! Which rows the presence list has, and for how long.

mod support;

use openclaw_protocol_core::hub::Row;
use openclaw_protocol_core::limits::Limits;
use serde_json::{Value, json};
use support::watching::{DEVICE, lists, watched};
use support::{Gateway, Joiner, READ, millis, seconds};

fn hosts(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["host"].as_str().expect("a host"))
        .collect()
}

fn beacon(instance: &str, text: &str) -> Row {
    Row {
        instance_id: Some(instance.into()),
        host: Some(instance.into()),
        text: Some(text.into()),
        ..Row::default()
    }
}

#[test]
fn a_row_says_what_is_known_and_nothing_else() {
    let mut gateway = Gateway::new();
    gateway.pass(seconds(1));
    gateway.join(&Joiner {
        scopes: READ,
        ..DEVICE
    });
    let rows = gateway.presence();
    let at = support::BEGINNING_MS + 1_000;
    assert_eq!(
        rows[0],
        json!({"host":"lab","mode":"gateway","reason":"self","ts":support::BEGINNING_MS})
    );
    assert_eq!(
        rows[1],
        json!({
            "host":"Phone","version":"1.2.3","platform":"linux","mode":"ui","deviceId":"d1",
            "roles":["operator"],"scopes":["operator.read"],"reason":"connect",
            "onlineSince":at,"ts":at,"text":"Node: Phone · mode ui",
        })
    );
}

#[test]
fn everybody_has_a_row_but_probes() {
    let mut gateway = Gateway::new();
    gateway.join(&Joiner {
        id: "cli",
        mode: "cli",
        ..Joiner::default()
    });
    gateway.join(&Joiner::default());
    gateway.join(&Joiner {
        id: "node-host",
        mode: "node",
        role: "node",
        ..Joiner::default()
    });
    gateway.join(&Joiner {
        id: "openclaw-probe",
        mode: "probe",
        ..Joiner::default()
    });
    let mut modes: Vec<Value> = gateway
        .presence()
        .iter()
        .map(|row| row["mode"].clone())
        .collect();
    modes.sort_by_key(Value::to_string);
    assert_eq!(modes, ["backend", "cli", "gateway", "node"]);
}

#[test]
fn one_device_or_instance_has_one_row_however_many_sockets() {
    let (mut gateway, reader) = watched();
    let first = gateway.join(&DEVICE);
    let second = gateway.join(&DEVICE);
    let tool = Joiner {
        id: "cli",
        mode: "cli",
        instance: Some("i1"),
        ..Joiner::default()
    };
    gateway.join(&tool);
    gateway.join(&tool);
    gateway.pass(seconds(1));
    assert_eq!(lists(&mut gateway, reader).pop().unwrap().len(), 4);
    gateway.disconnect(first);
    gateway.pass(seconds(2));
    assert_eq!(
        lists(&mut gateway, reader),
        Vec::<Vec<Value>>::new(),
        "it is still there"
    );
    gateway.disconnect(second);
    gateway.pass(seconds(2));
    let rows = lists(&mut gateway, reader).pop().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows.iter()
            .filter(|row| row["reason"] == "disconnect")
            .count(),
        1
    );
}

#[test]
fn a_row_of_a_device_ui_or_node_stays_five_minutes() {
    for joiner in [
        DEVICE,
        Joiner {
            device: None,
            ..DEVICE
        },
        Joiner {
            id: "node-host",
            mode: "node",
            role: "node",
            ..Joiner::default()
        },
        Joiner {
            id: "cli",
            mode: "cli",
            ..DEVICE
        },
    ] {
        let (mut gateway, reader) = watched();
        let conn = gateway.join(&joiner);
        gateway.pass(seconds(2));
        gateway.disconnect(conn);
        gateway.pass(seconds(2));
        let rows = lists(&mut gateway, reader).pop().unwrap();
        let row = rows
            .iter()
            .find(|row| row["reason"] == "disconnect")
            .expect("its row");
        assert_eq!(row["ts"], support::BEGINNING_MS + 4_000);
        gateway.pass(millis(297_999));
        assert_eq!(lists(&mut gateway, reader).len(), 0);
        gateway.pass(millis(1));
        assert_eq!(
            lists(&mut gateway, reader).pop().unwrap().len(),
            2,
            "{joiner:?}"
        );
    }
}

#[test]
fn a_row_of_a_tool_goes_with_its_connection() {
    let (mut gateway, reader) = watched();
    let tool = gateway.join(&Joiner {
        id: "cli",
        mode: "cli",
        ..Joiner::default()
    });
    gateway.pass(seconds(2));
    assert_eq!(lists(&mut gateway, reader).pop().unwrap().len(), 3);
    gateway.disconnect(tool);
    gateway.pass(seconds(2));
    assert_eq!(lists(&mut gateway, reader).pop().unwrap().len(), 2);
}

#[test]
fn a_device_that_comes_back_takes_its_row_again() {
    let (mut gateway, reader) = watched();
    let conn = gateway.join(&DEVICE);
    gateway.pass(seconds(2));
    gateway.disconnect(conn);
    gateway.pass(seconds(299));
    gateway.join(&DEVICE);
    gateway.pass(seconds(400));
    let rows = lists(&mut gateway, reader).pop().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows[1..].iter().all(|row| row["reason"] == "connect"));
}

#[test]
fn a_closing_connection_has_left() {
    let (mut gateway, reader) = watched();
    let conn = gateway.join(&DEVICE);
    gateway.pass(seconds(2));
    gateway.hear(reader);
    gateway.close(conn, 4001, "device removed");
    gateway.pass(millis(1));
    let rows = lists(&mut gateway, reader).pop().unwrap();
    assert_eq!(
        rows.iter()
            .filter(|row| row["reason"] == "disconnect")
            .count(),
        1
    );
}

#[test]
fn of_tools_the_newest_fifty_are_listed() {
    let (mut gateway, reader) = watched();
    gateway.join(&DEVICE);
    let names: Vec<String> = (0..60).map(|n| format!("tool {n}")).collect();
    for name in &names {
        gateway.join(&Joiner {
            id: "cli",
            mode: "cli",
            name: Some(name),
            ..Joiner::default()
        });
    }
    gateway.pass(seconds(2));
    let rows = lists(&mut gateway, reader).pop().unwrap();
    let mut listed = hosts(&rows);
    assert_eq!(listed.len(), 52, "the gateway, the device and fifty tools");
    assert!(listed.contains(&"Phone"));
    listed.retain(|host| host.starts_with("tool"));
    assert_eq!(listed.len(), 50);
    assert!(listed.contains(&"tool 59") && !listed.contains(&"tool 9"));
}

#[test]
fn the_list_is_bounded_and_drops_who_has_left_first() {
    let mut gateway = Gateway::with(Limits {
        presence_rows: 4,
        ..Limits::default()
    });
    let joiner = |name: &'static str| Joiner {
        device: Some(name),
        name: Some(name),
        ..DEVICE
    };
    gateway.join(&joiner("a"));
    let b = gateway.join(&joiner("b"));
    gateway.join(&joiner("c"));
    gateway.pass(seconds(2));
    gateway.disconnect(b);
    gateway.join(&joiner("d"));
    assert_eq!(hosts(&gateway.presence()), ["lab", "a", "c", "d"]);
    gateway.join(&joiner("e"));
    assert_eq!(
        hosts(&gateway.presence()),
        ["lab", "c", "d", "e"],
        "then the oldest"
    );
    gateway.join(&Joiner {
        name: Some("tool"),
        ..Joiner::default()
    });
    assert_eq!(
        hosts(&gateway.presence()),
        ["lab", "c", "d", "e"],
        "tools before others"
    );
}

#[test]
fn announcements_cannot_grow_the_list_without_bound() {
    let (mut gateway, reader) = watched();
    for n in 0..700 {
        let now = gateway.now();
        gateway.hub.announce(beacon(&format!("b{n}"), "x"), now);
        gateway.settle();
        gateway.hear(reader);
    }
    assert_eq!(gateway.presence().len(), 500);
}

#[test]
fn whoever_comes_under_the_name_of_somebody_else_leaves_that_row_as_it_was() {
    let (mut gateway, _) = watched();
    let app = gateway.join(&DEVICE);
    gateway.pass(seconds(60));
    let before = gateway.presence();
    let tool = Joiner {
        id: "cli",
        mode: "cli",
        name: Some("openclaw health"),
        ..DEVICE
    };
    for stays in [millis(20), seconds(20)] {
        let tools: Vec<_> = (0..60).map(|_| gateway.join(&tool)).collect();
        gateway.pass(stays);
        assert_eq!(
            gateway.presence(),
            before,
            "the app is shown, not its tools"
        );
        for conn in tools {
            gateway.disconnect(conn);
        }
        gateway.pass(seconds(2));
        assert_eq!(gateway.presence(), before);
    }
    let second = gateway.join(&Joiner {
        name: Some("The same, again"),
        ..DEVICE
    });
    assert!(hosts(&gateway.presence()).contains(&"The same, again"));
    gateway.disconnect(second);
    assert_eq!(gateway.presence(), before);
    gateway.disconnect(app);
    let after = gateway.presence();
    assert_eq!(after.len(), before.len());
    assert!(after.iter().any(|row| row["reason"] == "disconnect"));
}

#[test]
fn a_beacon_outlives_the_tool_that_sent_it() {
    let (mut gateway, reader) = watched();
    let tool = gateway.join(&Joiner {
        instance: Some("me"),
        name: Some("tool"),
        ..Joiner::default()
    });
    let now = gateway.now();
    gateway.hub.announce(beacon("me", "all is well"), now);
    gateway.settle();
    let told = lists(&mut gateway, reader).pop().expect("at once");
    let says_so = |rows: &[Value]| rows.iter().any(|row| row["text"] == "all is well");
    assert!(says_so(&told));
    gateway.disconnect(tool);
    gateway.pass(seconds(299));
    assert!(says_so(&gateway.presence()));
    gateway.pass(seconds(1));
    assert_eq!(gateway.presence().len(), 2);
    assert_eq!(lists(&mut gateway, reader).last().unwrap().len(), 2);
}

#[test]
fn an_instance_has_one_row_however_long_or_strange_its_name() {
    for name in ["é".repeat(100), "x".repeat(300), "a\u{7}b".to_owned()] {
        let (mut gateway, _) = watched();
        gateway.join(&Joiner {
            instance: Some(&name),
            ..Joiner::default()
        });
        let now = gateway.now();
        gateway.hub.announce(beacon(&name, "here"), now);
        assert_eq!(
            gateway.presence().len(),
            3,
            "the gateway, the reader, and it"
        );
    }
}

#[test]
fn the_list_takes_no_more_than_half_of_a_frame_and_the_newest_stays_on_it() {
    let mut gateway = Gateway::with(Limits {
        frame: 65_536,
        ..Limits::default()
    });
    let text = "x".repeat(4_000);
    for n in 0..40 {
        let now = gateway.now();
        gateway.hub.announce(beacon(&format!("b{n}"), &text), now);
        assert!(gateway.hub.presence().len() <= 32_768);
    }
    let listed = gateway.presence();
    assert_eq!(hosts(&listed)[..2], ["lab", "b32"], "as many as fit");
    assert_eq!(listed.last().unwrap()["host"], "b39");
    let reader = gateway.join(&Joiner {
        scopes: READ,
        ..Joiner::default()
    });
    assert!(gateway.hub.session(reader).is_some(), "readers get in");
}

#[test]
fn a_row_that_runs_out_does_not_hurry_the_next_push() {
    let (mut gateway, reader) = watched();
    let conn = gateway.join(&DEVICE);
    gateway.pass(seconds(2));
    gateway.disconnect(conn);
    gateway.pass(millis(299_500));
    gateway.join(&Joiner {
        device: Some("another"),
        ..DEVICE
    });
    gateway.pass(millis(100));
    gateway.hear(reader);
    gateway.pass(millis(899));
    assert_eq!(lists(&mut gateway, reader).len(), 0);
    gateway.pass(millis(1));
    let rows = lists(&mut gateway, reader).pop().expect("a list");
    assert!(rows.iter().all(|row| row["reason"] != "disconnect"));
}

#[test]
fn a_device_that_is_operator_and_node_has_one_row_that_names_both() {
    let (mut gateway, reader) = watched();
    let host = Joiner {
        id: "node-host",
        mode: "node",
        role: "node",
        ..DEVICE
    };
    let page = Joiner {
        scopes: READ,
        ..DEVICE
    };
    let node = gateway.join(&host);
    gateway.join(&page);
    gateway.pass(seconds(1));
    let rows = lists(&mut gateway, reader).pop().unwrap();
    let row = rows.iter().find(|row| row["deviceId"] == "d1").unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(row["roles"], json!(["operator", "node"]));
    assert_eq!(row["scopes"], json!(["operator.read"]));
    gateway.disconnect(node);
    gateway.pass(seconds(2));
    let rows = lists(&mut gateway, reader).pop().unwrap();
    let row = rows.iter().find(|row| row["deviceId"] == "d1").unwrap();
    assert_eq!(row["roles"], json!(["operator"]), "it is no node any more");
    assert_eq!(row["reason"], "connect");
}
