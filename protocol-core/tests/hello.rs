//! What a newcomer is told, and what becomes of what it sent meanwhile.

mod support;

use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{Applicants, Gateway, Joiner, closes, millis, seconds};

fn challenged() -> (Gateway, ConnId) {
    let mut gateway = Gateway::new();
    let conn = gateway.open();
    assert_eq!(gateway.frames(conn).len(), 1);
    (gateway, conn)
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut params = Joiner::default().params();
    change(&mut params);
    params
}

fn hello_of(gateway: &mut Gateway, joiner: &Joiner<'_>) -> Value {
    let conn = gateway.open();
    gateway.request(conn, "c", "connect", joiner.params());
    let frames = gateway.frames(conn);
    assert_eq!(frames[1]["id"], "c");
    assert_eq!(frames[1]["ok"], true);
    frames[1]["payload"].clone()
}

#[test]
fn the_newest_common_version_is_spoken() {
    for (min, max, chosen) in [
        (3, 3, 3),
        (2, 3, 3),
        (3, 4, 4),
        (4, 4, 4),
        (4, 5, 4),
        (1, 99, 4),
    ] {
        let (mut gateway, conn) = challenged();
        let params = with(|params| {
            params["minProtocol"] = json!(min);
            params["maxProtocol"] = json!(max);
        });
        gateway.request(conn, "c", "connect", params);
        let frames = gateway.frames(conn);
        assert_eq!(frames[0]["payload"]["protocol"], chosen, "{min}..{max}");
        assert_eq!(gateway.hub.session(conn).unwrap().protocol, chosen);
    }
}

#[test]
fn a_role_or_scopes_left_out_are_operator_and_none() {
    let (mut gateway, conn) = challenged();
    let params = with(|params| {
        params.as_object_mut().unwrap().remove("role");
        params.as_object_mut().unwrap().remove("scopes");
    });
    gateway.request(conn, "c", "connect", params);
    let frames = gateway.frames(conn);
    assert_eq!(
        frames[0]["payload"]["auth"],
        json!({"role": "operator", "scopes": []})
    );
}

#[test]
fn what_was_sent_along_with_connect_is_answered_after_hello_in_order() {
    let (mut gateway, conn) = challenged();
    gateway.policy = Applicants::Wait;
    let connect =
        json!({"type":"req","id":"c","method":"connect","params":Joiner::default().params()});
    gateway.say_at_once(
        conn,
        &[
            &connect.to_string(),
            r#"{"type":"req","id":"one","method":"health"}"#,
            r#"{"type":"req","id":"again","method":"connect"}"#,
            r#"{"type":"req","id":"two","method":"health"}"#,
        ],
    );
    assert!(!gateway.hub.wants_input(conn), "reading pauses");
    assert!(gateway.calls.is_empty() && gateway.hear(conn).is_empty());
    gateway.admit_next();
    assert!(gateway.hub.wants_input(conn));
    while let Some((call, _)) = gateway.calls.pop_front() {
        gateway.reply(call, json!({}));
    }
    let frames = gateway.frames(conn);
    let ids: Vec<&Value> = frames.iter().map(|frame| &frame["id"]).collect();
    // The second connect needs no application, so its answer does not wait for that of `one`.
    assert_eq!(ids, ["c", "again", "one", "two"]);
    assert_eq!(
        frames[1]["error"]["message"],
        "connect is only valid as the first request"
    );
}

#[test]
fn a_connection_that_closes_among_what_was_held_asks_nothing_more_of_the_application() {
    let (mut gateway, conn) = challenged();
    gateway.policy = Applicants::Wait;
    let connect =
        json!({"type":"req","id":"c","method":"connect","params":Joiner::default().params()})
            .to_string();
    let mut texts = vec![connect.as_str()];
    texts.extend(["{"; 5]);
    texts.push(r#"{"type":"req","id":"late","method":"agent"}"#);
    gateway.say_at_once(conn, &texts);
    gateway.admit_next();
    let heard = gateway.hear(conn);
    assert_eq!(
        closes(&heard),
        Some((1008, "too many malformed messages in a row"))
    );
    assert!(
        gateway.calls.is_empty(),
        "a request after the close is not asked"
    );
    assert_eq!(gateway.presence().len(), 1, "and no row stays");
}

#[test]
fn no_more_than_the_bound_is_held_before_hello() {
    let text = |length: usize| {
        let empty = r#"{"type":"req","id":"p","method":"x","params":""}"#.len();
        format!(
            r#"{{"type":"req","id":"p","method":"x","params":"{}"}}"#,
            "p".repeat(length - empty)
        )
    };
    for (second, closes_at) in [
        (32_768, None),
        (32_769, Some((1008, "too much sent before hello-ok"))),
    ] {
        let (mut gateway, conn) = challenged();
        gateway.policy = Applicants::Wait;
        gateway.request(conn, "c", "connect", Joiner::default().params());
        gateway.say(conn, &text(32_768));
        assert_eq!(gateway.hear(conn), []);
        gateway.say(conn, &text(second));
        assert_eq!(closes(&gateway.hear(conn)), closes_at);
    }
}

#[test]
fn letting_somebody_in_who_has_gone_does_nothing() {
    let (mut gateway, conn) = challenged();
    gateway.policy = Applicants::Wait;
    gateway.request(conn, "c", "connect", Joiner::default().params());
    let version = gateway.hub.state_version();
    gateway.disconnect(conn);
    gateway.admit_next();
    assert_eq!(gateway.hub.admitted(), 0);
    assert_eq!(gateway.hub.connections(), 0);
    assert_eq!(gateway.hub.state_version(), version);
    assert_eq!(gateway.hear(conn), []);
}

#[test]
fn hello_has_every_member_it_can_fill_and_none_that_it_cannot() {
    let mut gateway = Gateway::new();
    gateway.pass(millis(1_500));
    let hello = hello_of(
        &mut gateway,
        &Joiner {
            scopes: &["operator.admin"],
            ..Joiner::default()
        },
    );
    let members = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        members(&hello),
        [
            "auth", "features", "policy", "protocol", "server", "snapshot", "type"
        ]
    );
    assert_eq!(hello["type"], "hello-ok");
    assert_eq!(members(&hello["server"]), ["bootId", "connId", "version"]);
    assert!(hello["server"]["connId"].is_string());
    assert_eq!(
        hello["features"],
        json!({
            "methods": ["health", "agent"],
            "events": ["tick", "health", "presence", "chat"],
            "capabilities": [],
        })
    );
    assert_eq!(
        hello["policy"],
        json!({"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000})
    );
    assert_eq!(
        hello["auth"],
        json!({"role": "operator", "scopes": ["operator.admin"]})
    );
    let snapshot = &hello["snapshot"];
    assert_eq!(
        members(snapshot),
        [
            "authMode",
            "configPath",
            "health",
            "presence",
            "sessionDefaults",
            "stateDir",
            "stateVersion",
            "suspension",
            "uptimeMs",
        ]
    );
    assert_eq!(snapshot["suspension"], json!({"phase": "accepting"}));
    assert_eq!(snapshot["uptimeMs"], 1_500);
    assert_eq!(snapshot["health"]["ok"], true);
    assert!(snapshot["stateVersion"]["presence"].is_u64());
    assert!(snapshot["stateVersion"]["health"].is_u64());
}

#[test]
fn hello_lists_the_newcomer_and_its_push_does_not_reach_it() {
    let mut gateway = Gateway::new();
    let conn = gateway.open();
    let joiner = Joiner {
        scopes: support::READ,
        ..Joiner::default()
    };
    gateway.request(conn, "c", "connect", joiner.params());
    let hello = gateway.frames(conn)[1]["payload"].clone();
    let rows = hello["snapshot"]["presence"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["reason"], "self");
    assert_eq!(rows[1]["reason"], "connect");
    gateway.pass(seconds(5));
    assert_eq!(gateway.hear(conn), []);
}

#[test]
fn who_may_not_read_is_told_less() {
    let mut gateway = Gateway::new();
    for joiner in [
        Joiner::default(),
        Joiner {
            scopes: &["operator.pairing"],
            ..Joiner::default()
        },
        Joiner {
            role: "node",
            id: "node-host",
            mode: "node",
            ..Joiner::default()
        },
    ] {
        let snapshot = hello_of(&mut gateway, &joiner)["snapshot"].clone();
        assert_eq!(snapshot["presence"], json!([]), "{joiner:?}");
        for member in ["configPath", "stateDir", "authMode"] {
            assert_eq!(snapshot.get(member), None, "{joiner:?}");
        }
    }
    let reader = Joiner {
        scopes: support::READ,
        ..Joiner::default()
    };
    let snapshot = hello_of(&mut gateway, &reader)["snapshot"].clone();
    assert_eq!(snapshot.get("configPath"), None);
}

#[test]
fn no_push_goes_out_before_hello() {
    let (mut gateway, conn) = challenged();
    gateway
        .hub
        .announce_shutdown("gateway stopping", None, gateway.clock.now());
    gateway.settle();
    assert_eq!(gateway.hear(conn), []);
}

#[test]
fn a_draining_gateway_says_so_to_newcomers() {
    let mut gateway = Gateway::new();
    gateway.hub.drain();
    let hello = hello_of(&mut gateway, &Joiner::default());
    assert_eq!(
        hello["snapshot"]["suspension"],
        json!({"phase": "draining"})
    );
}

#[test]
fn the_oldest_silent_socket_makes_room_for_a_new_one() {
    let mut gateway = Gateway::with(Limits {
        strangers: 2,
        strangers_per_address: 1,
        ..Limits::default()
    });
    let admitted = gateway.operator(support::NOTHING);
    let first = gateway.open();
    let second = gateway.open();
    assert_eq!(closes(&gateway.hear(first)), None);
    let third = gateway.open();
    assert_eq!(
        closes(&gateway.hear(first)),
        Some((1013, "too many connections without a handshake"))
    );
    for open in [admitted, second, third] {
        assert_eq!(closes(&gateway.hear(open)), None);
    }
    assert_eq!(
        gateway.hub.admitted(),
        1,
        "who is shown the door was not admitted"
    );

    let far = "192.0.2.7".parse().unwrap();
    let mut gateway = Gateway::with(Limits {
        strangers_per_address: 1,
        ..Limits::default()
    });
    let near = [gateway.open(), gateway.open()];
    let other = gateway.open_from("192.0.2.8".parse().unwrap());
    let first = gateway.open_from(far);
    let second = gateway.open_from(far);
    assert!(closes(&gateway.hear(first)).is_some());
    for open in [near[0], near[1], other, second] {
        assert_eq!(closes(&gateway.hear(open)), None);
    }
}
