//! What leads to hello-ok, and each way in which it is missed.

mod support;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{
    Applicants, BEGINNING_MS, Gateway, Heard, Joiner, NONCE, closes, millis, parsed, seconds,
};

fn challenged() -> (Gateway, ConnId) {
    let mut gateway = Gateway::new();
    let conn = gateway.open();
    assert_eq!(gateway.frames(conn).len(), 1);
    (gateway, conn)
}

/// Says one thing to a new connection and returns what it makes of it.
fn answer_to(text: &str) -> (Vec<Value>, Option<(u16, String)>, Vec<PeerFault>) {
    let (mut gateway, conn) = challenged();
    gateway.say(conn, text);
    let heard = gateway.hear(conn);
    let close = closes(&heard).map(|(code, reason)| (code, reason.to_owned()));
    (parsed(&heard), close, gateway.faults)
}

fn closed_without_answer(text: &str, code: u16, reason: &str) {
    let (frames, close, _) = answer_to(text);
    assert_eq!(frames, Vec::<Value>::new(), "{text}");
    assert_eq!(close, Some((code, reason.to_owned())), "{text}");
}

fn refused(params: Value, code: u16) -> Value {
    let text = json!({"type": "req", "id": "c", "method": "connect", "params": params}).to_string();
    let (frames, close, _) = answer_to(&text);
    let [frame] = &frames[..] else {
        panic!("one answer was expected: {frames:?}");
    };
    assert_eq!((&frame["id"], &frame["ok"]), (&json!("c"), &json!(false)));
    assert_eq!(frame["error"]["code"], "INVALID_REQUEST");
    let message = frame["error"]["message"]
        .as_str()
        .expect("words")
        .to_owned();
    assert_eq!(close, Some((code, message)));
    frame["error"].clone()
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut params = Joiner::default().params();
    change(&mut params);
    params
}

#[test]
fn the_challenge_comes_first_and_has_no_number() {
    let mut gateway = Gateway::new();
    let conn = gateway.open();
    assert_eq!(
        gateway.hear(conn),
        [Heard::Frame(format!(
            r#"{{"type":"event","event":"connect.challenge","payload":{{"nonce":"{NONCE}","ts":{BEGINNING_MS}}}}}"#
        ))]
    );
}

// HSK-002
#[test]
fn a_first_message_that_is_not_json_closes() {
    for text in ["", "hello", "{\"type\":"] {
        closed_without_answer(text, 1008, "invalid request frame: must be JSON");
    }
}

// HSK-003
#[test]
fn a_first_message_that_is_no_request_closes_without_an_answer() {
    for text in [
        "[]",
        "null",
        "42",
        "\"x\"",
        "{}",
        r#"{"type":"event","event":"tick"}"#,
        r#"{"type":"res","id":"c","ok":true}"#,
        r#"{"id":"c","method":"connect"}"#,
        r#"{"type":"req","method":"connect"}"#,
        r#"{"type":"req","id":7,"method":"connect"}"#,
        r#"{"type":"req","id":"","method":"connect"}"#,
        r#"{"type":"req","id":"c","method":"connect","params":{},"extra":1}"#,
    ] {
        closed_without_answer(text, 1008, "invalid request frame");
    }
}

// HSK-004
#[test]
fn a_first_request_must_be_connect() {
    let (frames, close, faults) = answer_to(r#"{"type":"req","id":"h","method":"health"}"#);
    let words = "invalid handshake: first request must be connect";
    assert_eq!(frames[0]["id"], "h");
    assert_eq!(frames[0]["error"]["message"], words);
    assert_eq!(close, Some((1008, words.to_owned())));
    assert_eq!(faults, [PeerFault::FirstRequestNotConnect]);
}

// HSK-005
#[test]
fn wrong_parameters_are_refused_with_the_place_that_is_wrong() {
    for (params, words) in [
        (Value::Null, "must be object"),
        (json!([]), "must be object"),
        (json!({}), "must have required property 'minProtocol'"),
        (
            with(|params| _ = params.as_object_mut().unwrap().remove("client")),
            "must have required property 'client'",
        ),
        (
            with(|params| params["client"] = json!({})),
            "at /client: must have required property 'id'",
        ),
        (
            with(|params| params["client"]["id"] = json!("ios-node")),
            "at /client/id: must be equal to one of the allowed values",
        ),
        (
            with(|params| params["client"]["mode"] = json!("operator")),
            "at /client/mode: must be equal to one of the allowed values",
        ),
        (
            with(|params| params["bogus"] = json!(1)),
            "at root: unexpected property 'bogus'",
        ),
        (
            with(|params| params["minProtocol"] = json!("x")),
            "at /minProtocol: must be integer",
        ),
        (
            with(|params| params["minProtocol"] = json!(0)),
            "at /minProtocol: must be >= 1",
        ),
        (
            with(|params| params["scopes"] = json!("operator.read")),
            "at /scopes: must be array",
        ),
        (
            with(|params| params["role"] = json!("")),
            "at /role: must not have fewer than 1 characters",
        ),
    ] {
        let error = refused(params, 1008);
        assert_eq!(error["message"], format!("invalid connect params: {words}"));
    }
    let (frames, ..) = answer_to(r#"{"type":"req","id":"c","method":"connect"}"#);
    assert_eq!(
        frames[0]["error"]["message"],
        "invalid connect params: must be object"
    );
}

// HSK-006
#[test]
fn a_range_without_a_common_version_is_refused_with_both_ranges() {
    for (min, max) in [(1, 1), (1, 2), (5, 4), (4, 3), (5, 5), (99, 99)] {
        let params = with(|params| {
            params["minProtocol"] = json!(min);
            params["maxProtocol"] = json!(max);
        });
        let error = refused(params, 1002);
        assert_eq!(error["message"], "protocol mismatch");
        assert_eq!(
            error["details"],
            json!({
                "code": "PROTOCOL_MISMATCH",
                "clientMinProtocol": min,
                "clientMaxProtocol": max,
                "expectedProtocol": 4,
                "minimumProbeProtocol": 3,
                "serverMinProtocol": 3,
                "serverMaxProtocol": 4,
            })
        );
    }
}

#[test]
fn versions_are_checked_before_the_role() {
    let params = with(|params| {
        params["minProtocol"] = json!(9);
        params["maxProtocol"] = json!(9);
        params["role"] = json!("boss");
    });
    assert_eq!(refused(params, 1002)["message"], "protocol mismatch");
}

// HSK-007, HSK-008
#[test]
fn a_role_that_nobody_may_take_closes() {
    let error = refused(with(|params| params["role"] = json!("boss")), 1008);
    assert_eq!(error["message"], "invalid role");
    let worker = with(|params| params["role"] = json!("worker"));
    closed_without_answer(
        &json!({"type": "req", "id": "c", "method": "connect", "params": worker}).to_string(),
        1008,
        "invalid-handshake",
    );
}

// LIM-001
// HSK-001
#[test]
fn a_handshake_ends_at_fifteen_seconds_and_not_before() {
    let (mut gateway, conn) = challenged();
    gateway.pass(millis(14_999));
    assert_eq!(gateway.hear(conn), []);
    gateway.pass(millis(1));
    let heard = gateway.hear(conn);
    assert_eq!(closes(&heard), Some((1008, "handshake timeout")));
    assert_eq!(heard.len(), 1, "no answer, only a close");
    assert_eq!(gateway.faults, [PeerFault::HandshakeTimeout]);
}

#[test]
fn deciding_does_not_extend_the_handshake() {
    let (mut gateway, conn) = challenged();
    gateway.policy = Applicants::Wait;
    gateway.pass(seconds(14));
    gateway.request(conn, "c", "connect", Joiner::default().params());
    gateway.pass(millis(999));
    assert_eq!(gateway.hear(conn), []);
    gateway.pass(millis(1));
    assert_eq!(
        closes(&gateway.hear(conn)),
        Some((1008, "handshake timeout"))
    );
    let version = gateway.hub.state_version();
    gateway.admit_next();
    assert_eq!(gateway.hear(conn), [], "too late to be let in");
    assert_eq!(gateway.hub.state_version(), version);
    assert_eq!(gateway.presence().len(), 1, "the gateway itself");
}

#[test]
fn activity_alone_does_not_extend_the_handshake() {
    let (mut gateway, conn) = challenged();
    for _ in 0..14 {
        gateway.pass(seconds(1));
        gateway.hub.handle_activity(conn, gateway.clock.now());
    }
    gateway.pass(seconds(1));
    assert_eq!(
        closes(&gateway.hear(conn)),
        Some((1008, "handshake timeout"))
    );
}

#[test]
fn a_refusal_is_an_answer_and_a_close_with_the_same_words() {
    let (mut gateway, conn) = challenged();
    gateway.policy = Applicants::Wait;
    gateway.request(conn, "c", "connect", Joiner::default().params());
    let words = format!("unauthorized: {}", "é".repeat(100));
    let (applicant, _) = gateway.applicants.pop_front().unwrap();
    gateway
        .hub
        .refuse(
            applicant,
            ErrorShape::invalid_request(words.clone()),
            gateway.clock.now(),
        )
        .unwrap();
    gateway.settle();
    let heard = gateway.hear(conn);
    assert_eq!(parsed(&heard)[0]["error"]["message"], words);
    let (code, reason) = closes(&heard).unwrap();
    assert_eq!((code, reason.len()), (1008, 120));
    assert!(words.starts_with(reason));
}

#[test]
fn a_refusal_may_have_a_close_of_its_own() {
    let (mut gateway, conn) = challenged();
    gateway.policy = Applicants::Wait;
    gateway.request(conn, "c", "connect", Joiner::default().params());
    let (applicant, _) = gateway.applicants.pop_front().unwrap();
    let error =
        ErrorShape::unavailable("gateway starting; retry shortly").retryable_after(Some(500));
    gateway
        .hub
        .refuse_with(
            applicant,
            error,
            Close::new(1013, "gateway starting"),
            gateway.clock.now(),
        )
        .unwrap();
    gateway.settle();
    let heard = gateway.hear(conn);
    assert_eq!(
        parsed(&heard)[0]["error"],
        json!({
            "code": "UNAVAILABLE", "message": "gateway starting; retry shortly",
            "retryable": true, "retryAfterMs": 500,
        })
    );
    assert_eq!(closes(&heard), Some((1013, "gateway starting")));
}

// LIM-002, TRN-001, TRN-002
#[test]
fn what_the_transport_finds_wrong_closes_with_its_code() {
    for (fault, code) in [
        (PeerFault::TooLarge { limit: 65_536 }, 1009),
        (PeerFault::NotUtf8, 1007),
        (PeerFault::WebSocket, 1002),
    ] {
        let (mut gateway, conn) = challenged();
        gateway.hub.handle_fault(conn, fault, gateway.clock.now());
        gateway.settle();
        assert_eq!(closes(&gateway.hear(conn)).unwrap().0, code);
    }
}
