//! Messages that are no requests, and how often they may come.

mod support;

use openclaw_protocol_core::fault::PeerFault;
use serde_json::json;
use support::asking::{answer, connected};
use support::{closes, parsed};

#[test]
fn connect_again_is_answered_and_changes_nothing() {
    let (mut gateway, conn) = connected();
    let (id, error) = answer(
        &mut gateway,
        conn,
        r#"{"type":"req","id":"c2","method":"connect","params":{}}"#,
    );
    assert_eq!(id, "c2");
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert_eq!(
        error["message"],
        "connect is only valid as the first request"
    );
    assert!(gateway.hub.session(conn).is_some());
    assert!(gateway.calls.is_empty());
}

#[test]
fn json_that_is_no_request_is_answered_under_its_id_and_never_closes() {
    let (mut gateway, conn) = connected();
    for (text, id, words) in [
        ("[]", "invalid", "must be object"),
        ("null", "invalid", "must be object"),
        ("1", "invalid", "must be object"),
        ("{}", "invalid", "must have required property 'type'"),
        (
            r#"{"type":"req","id":5,"method":"x"}"#,
            "invalid",
            "at /id: must be string",
        ),
        (
            r#"{"type":"req","id":"","method":"x"}"#,
            "invalid",
            "at /id: must not have fewer than 1 characters",
        ),
        (
            r#"{"type":"req","id":"i1"}"#,
            "i1",
            "must have required property 'method'",
        ),
        (
            r#"{"type":"req","id":"i2","method":3}"#,
            "i2",
            "at /method: must be string",
        ),
        (
            r#"{"type":"evt","id":"i3","method":"x"}"#,
            "i3",
            "at /type: must be equal to constant",
        ),
        (
            r#"{"type":"req","id":"i4","method":"x","zzz":1}"#,
            "i4",
            "at root: unexpected property 'zzz'",
        ),
    ] {
        for _ in 0..3 {
            let (answered, error) = answer(&mut gateway, conn, text);
            assert_eq!(answered, id, "{text}");
            assert_eq!(error["code"], "INVALID_REQUEST");
            assert_eq!(error["message"], format!("invalid request frame: {words}"));
        }
    }
    assert!(gateway.calls.is_empty());
}

#[test]
fn an_id_that_is_too_long_is_answered_as_invalid() {
    let (mut gateway, conn) = connected();
    let text = json!({"type":"req","id":"i".repeat(1_025),"method":"x"}).to_string();
    let (id, _) = answer(&mut gateway, conn, &text);
    assert_eq!(id, "invalid");
}

#[test]
fn the_fifth_malformed_message_in_a_row_closes() {
    let (mut gateway, conn) = connected();
    for text in ["{", "", "{\"type\":\"req\",}", "\u{0}"] {
        let (id, error) = answer(&mut gateway, conn, text);
        assert_eq!(id, "invalid");
        assert_eq!(error["message"], "invalid request frame: must be JSON");
    }
    gateway.say(conn, "}");
    let heard = gateway.hear(conn);
    assert_eq!(
        parsed(&heard)[0]["id"],
        "invalid",
        "the last one is answered as well"
    );
    assert_eq!(
        closes(&heard),
        Some((1008, "too many malformed messages in a row"))
    );
    assert_eq!(gateway.faults.last(), Some(&PeerFault::MalformedInRow));
}

#[test]
fn any_well_formed_json_starts_the_count_anew() {
    for well_formed in [
        "[]",
        r#"{"type":"req","id":"r","method":"x"}"#,
        r#"{"type":"req","id":"r","method":"connect"}"#,
    ] {
        let (mut gateway, conn) = connected();
        for _ in 0..3 {
            for _ in 0..4 {
                answer(&mut gateway, conn, "{");
            }
            gateway.say(conn, well_formed);
            assert_eq!(closes(&gateway.hear(conn)), None, "{well_formed}");
        }
    }
}

#[test]
fn brackets_without_end_are_not_well_formed() {
    let (mut gateway, conn) = connected();
    let deep = "[".repeat(1_000);
    for _ in 0..4 {
        answer(&mut gateway, conn, "{");
    }
    gateway.say(conn, &deep);
    let frames = parsed(&gateway.hear(conn));
    assert_eq!(
        frames[0]["error"]["message"],
        "invalid request frame: must not be nested deeper than 64 levels"
    );
}

#[test]
fn parameters_arrive_as_they_were_written() {
    let (mut gateway, conn) = connected();
    gateway.say(
        conn,
        r#"{"type":"req","id":"p","method":"x","params": {"b" : 1.0e2,"a":"\u00e9"} }"#,
    );
    let (_, request) = gateway.calls.pop_front().unwrap();
    assert_eq!(
        request.params.unwrap().as_str(),
        r#"{"b" : 1.0e2,"a":"\u00e9"}"#
    );
}
