//! A client against a scripted gateway: the handshake.

mod support;

use openclaw_protocol_core::client::{Event, Hello};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::time::Timer;
use serde_json::{Value, json};
use support::script::{Script, answer, challenge, push};
use support::{Joiner, millis, seconds};

#[test]
fn nothing_is_said_before_the_challenge() {
    let mut script = Script::new();
    let params = ConnectParams::read(Some(&support::json(Joiner::default().params()))).unwrap();
    assert!(!script.client.connect(&params, script.clock.now()));
    script.says(&push(1));
    script.says(&answer("connect", json!({"protocol": 4})));
    assert!(script.sent().is_empty() && script.events().is_empty());
}

#[test]
fn connect_is_said_once() {
    let mut script = Script::connecting();
    let params = ConnectParams::read(Some(&support::json(Joiner::default().params()))).unwrap();
    assert!(!script.client.connect(&params, script.clock.now()));
    script.says(&challenge(json!({"nonce": "other"})));
    assert!(script.sent().is_empty() && script.events().is_empty());
}

#[test]
fn a_challenge_without_a_nonce_ends_the_connection() {
    for payload in [
        json!({}),
        json!({"nonce": 5}),
        json!({"nonce": ""}),
        json!({"nonce": "  "}),
        Value::Null,
    ] {
        let mut script = Script::new();
        script.says(&challenge(payload.clone()));
        assert_eq!(
            script.close(),
            Some((1008, "connect challenge missing nonce".into())),
            "{payload}"
        );
    }
}

#[test]
fn hello_is_read_and_what_is_unknown_of_it_kept() {
    let mut script = Script::connecting();
    let payload = json!({
        "type": "hello-ok", "protocol": 4, "server": {"version": "9", "connId": "x", "bootId": "b", "new": 1},
        "auth": {"role": "operator", "scopes": ["operator.read"]},
        "policy": {"tickIntervalMs": 15_000, "maxPayload": 7}, "surprise": [1],
    });
    script.says(&answer("connect", payload.clone()));
    let events = script.events();
    let [Event::Ready(hello)] = &events[..] else {
        panic!("ready was expected: {events:?}");
    };
    let Hello {
        protocol,
        server_version,
        conn_id,
        boot_id,
        scopes,
        tick_interval,
        max_payload,
        raw,
    } = &**hello;
    assert_eq!((*protocol, &**server_version, &**conn_id), (4, "9", "x"));
    assert_eq!(boot_id.as_deref(), Some("b"));
    assert_eq!(scopes.as_deref(), Some(&["operator.read".to_owned()][..]));
    assert_eq!((*tick_interval, *max_payload), (seconds(15), 7));
    assert_eq!(raw.read::<Value>().unwrap(), payload);
}

#[test]
fn a_refused_hello_ends_the_connection_and_says_why() {
    let mut script = Script::connecting();
    script.says(&json!({"type":"res","id":"connect","ok":false,"error":{
        "code":"NOT_PAIRED","message":"device identity required","details":{"code":"DEVICE_IDENTITY_REQUIRED"},
    }}));
    let events = script.events();
    let [Event::Refused(error)] = &events[..] else {
        panic!("a refusal was expected: {events:?}");
    };
    assert_eq!(error.code, "NOT_PAIRED");
    assert_eq!(
        error.detail_code().as_deref(),
        Some("DEVICE_IDENTITY_REQUIRED")
    );
    assert_eq!(script.close(), Some((1008, "connect failed".into())));
    assert!(!script.client.is_ready());
}

#[test]
fn a_hello_of_an_unknown_shape_is_a_refusal() {
    let mut script = Script::connecting();
    script.says(&answer("connect", json!({"type": "hello-ok"})));
    assert!(matches!(script.events()[..], [Event::Refused(_)]));
    assert_eq!(script.close(), Some((1008, "invalid hello-ok".into())));
}

#[test]
fn each_step_of_the_handshake_has_its_time() {
    let challenge = (1008, "connect challenge timeout".to_owned());
    for (mut script, close) in [
        (Script::new(), challenge.clone()),
        (Script::challenged(), challenge),
        (Script::connecting(), (4000, "connect timeout".to_owned())),
    ] {
        assert_eq!(
            script.client.poll_timeout().unwrap().timer,
            Timer::Handshake
        );
        script.pass(millis(14_999));
        assert_eq!(script.close(), None);
        script.pass(millis(1));
        assert_eq!(script.close(), Some(close));
        script.pass(seconds(1));
        assert!(matches!(script.events()[..], [Event::Closed]));
    }
}
