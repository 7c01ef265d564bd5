//! Requests and their answers, in one stage and in two.

mod support;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::limits::Limits;
use serde_json::{Value, json};
use support::asking::{answer, connected, connected_with};
use support::{Heard, NOTHING, closes, parsed};

#[test]
fn an_id_may_be_used_again_and_each_request_gets_its_own_answer() {
    let (mut gateway, conn) = connected();
    let first = gateway.call(conn, "same");
    let second = gateway.call(conn, "same");
    gateway.reply(second, json!(2));
    gateway.reply(first, json!(1));
    let frames = gateway.frames(conn);
    assert_eq!(
        frames[0],
        json!({"type":"res","id":"same","ok":true,"payload":2})
    );
    assert_eq!(
        frames[1],
        json!({"type":"res","id":"same","ok":true,"payload":1})
    );
}

#[test]
fn an_id_is_repeated_as_it_was_written() {
    let (mut gateway, conn) = connected();
    for id in ["a\"\\b", "\u{1}\n", "é🦀", "connect", "invalid", "0"] {
        let call = gateway.call(conn, id);
        gateway.reply(call, json!(null));
        let frames = gateway.frames(conn);
        assert_eq!(
            frames[0],
            json!({"type":"res","id":id,"ok":true,"payload":null})
        );
    }
}

#[test]
fn a_run_is_acknowledged_and_then_ends() {
    let (mut gateway, conn) = connected();
    let call = gateway.call(conn, "a");
    let now = gateway.now();
    let run = gateway.hub.accept(
        call,
        "run-1",
        support::json(json!({"status":"accepted"})),
        now,
    );
    gateway.settle();
    assert_eq!(
        gateway.frames(conn),
        [json!({"type":"res","id":"a","ok":true,"payload":{"status":"accepted"}})]
    );
    assert_eq!(gateway.hub.open_runs(), 1);
    gateway.hub.complete(
        run,
        Outcome::success(support::json(json!({"status":"ok"}))),
        now,
    );
    gateway.settle();
    assert_eq!(
        gateway.frames(conn),
        [json!({"type":"res","id":"a","ok":true,"payload":{"status":"ok"}})]
    );
    assert_eq!(gateway.hub.open_runs(), 0);
}

#[test]
fn everybody_who_waits_for_a_run_gets_the_same_final_once() {
    let (mut gateway, conn) = connected();
    let other = gateway.operator(NOTHING);
    let now = gateway.now();
    let first = gateway.call(conn, "a");
    let again = gateway.call(conn, "b");
    let elsewhere = gateway.call(other, "c");
    let run = gateway
        .hub
        .accept(first, "run-1", support::json(json!("ack")), now);
    gateway
        .hub
        .join(again, "run-1", support::json(json!("ack")), now)
        .unwrap();
    gateway
        .hub
        .join(elsewhere, "run-1", support::json(json!("ack")), now)
        .unwrap();
    gateway.settle();
    assert_eq!(
        (gateway.frames(conn).len(), gateway.frames(other).len()),
        (2, 1)
    );
    let failure = Outcome::failure_with(
        support::json(json!({"runId":"run-1","status":"error"})),
        ErrorShape::unavailable("the model is down"),
    );
    gateway.hub.complete(run, failure, now);
    gateway.settle();
    let last = |id: &str| {
        json!({
            "type":"res","id":id,"ok":false,
            "payload":{"runId":"run-1","status":"error"},
            "error":{"code":"UNAVAILABLE","message":"the model is down"},
        })
    };
    assert_eq!(gateway.frames(conn), [last("a"), last("b")]);
    assert_eq!(gateway.frames(other), [last("c")]);
}

#[test]
fn a_run_goes_on_when_its_connection_goes() {
    let (mut gateway, conn) = connected();
    let now = gateway.now();
    let call = gateway.call(conn, "a");
    let run = gateway
        .hub
        .accept(call, "run-1", support::json(json!("ack")), now);
    gateway.settle();
    gateway.hear(conn);
    gateway.disconnect(conn);
    assert_eq!(gateway.hub.open_runs(), 1);

    let other = gateway.operator(NOTHING);
    let call = gateway.call(other, "b");
    gateway
        .hub
        .join(call, "run-1", support::json(json!("ack")), now)
        .unwrap();
    gateway
        .hub
        .complete(run, Outcome::success(support::json(json!("end"))), now);
    gateway.settle();
    let frames = gateway.frames(other);
    let payloads: Vec<&Value> = frames.iter().map(|frame| &frame["payload"]).collect();
    assert_eq!(payloads, ["ack", "end"]);
}

#[test]
fn a_run_may_be_accepted_for_a_connection_that_has_gone() {
    let (mut gateway, conn) = connected();
    let call = gateway.call(conn, "a");
    gateway.disconnect(conn);
    let now = gateway.now();
    let run = gateway
        .hub
        .accept(call, "run-1", support::json(json!("ack")), now);
    assert_eq!(gateway.hub.open_runs(), 1);
    gateway
        .hub
        .complete(run, Outcome::success(support::json(json!("end"))), now);
    assert_eq!(gateway.hub.open_runs(), 0);
}

#[test]
fn joining_a_run_that_is_over_gives_the_call_back() {
    let (mut gateway, conn) = connected();
    let now = gateway.now();
    let first = gateway.call(conn, "a");
    let run = gateway
        .hub
        .accept(first, "run-1", support::json(json!("ack")), now);
    gateway
        .hub
        .complete(run, Outcome::success(support::json(json!("end"))), now);
    let late = gateway.call(conn, "b");
    gateway.hear(conn);
    let late = gateway
        .hub
        .join(late, "run-1", support::json(json!("ack")), now)
        .unwrap_err();
    assert_eq!(gateway.hear(conn), [], "nothing was said yet");
    gateway.reply(late, json!("stored"));
    assert_eq!(gateway.frames(conn)[0]["payload"], "stored");
}

#[test]
fn the_end_of_an_older_run_does_not_hide_a_newer_one_of_the_same_id() {
    let (mut gateway, conn) = connected();
    let now = gateway.now();
    let ack = || support::json(json!("ack"));
    let call = gateway.call(conn, "a");
    let older = gateway.hub.accept(call, "run", ack(), now);
    let call = gateway.call(conn, "b");
    let newer = gateway.hub.accept(call, "run", ack(), now);
    gateway.hub.complete(older, Outcome::success(ack()), now);
    let call = gateway.call(conn, "c");
    gateway.hub.join(call, "run", ack(), now).unwrap();
    gateway.hub.complete(newer, Outcome::success(ack()), now);
    gateway.settle();
    assert_eq!(gateway.frames(conn).len(), 6, "an ack and a final for each");
}

// LIM-003
#[test]
fn one_request_too_many_is_refused_as_retryable_and_runs_count() {
    let (mut gateway, conn) = connected_with(Limits {
        open_calls: 2,
        ..Limits::default()
    });
    let now = gateway.now();
    let first = gateway.call(conn, "a");
    let second = gateway.call(conn, "b");
    let run = gateway
        .hub
        .accept(first, "run-1", support::json(json!("ack")), now);
    gateway.settle();
    gateway.hear(conn);
    let (id, error) = answer(
        &mut gateway,
        conn,
        r#"{"type":"req","id":"c","method":"x"}"#,
    );
    assert_eq!(id, "c");
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("UNAVAILABLE"), &json!(true))
    );
    assert!(gateway.calls.is_empty());
    assert_eq!(gateway.faults, [PeerFault::TooManyCalls]);

    gateway.reply(second, json!(null));
    gateway.hear(conn);
    let third = gateway.call(conn, "d");
    gateway.reply(third, json!(null));
    gateway
        .hub
        .complete(run, Outcome::success(support::json(json!("end"))), now);
    gateway.settle();
    assert_eq!(gateway.frames(conn).len(), 2);
}

#[test]
fn answers_after_the_end_are_dropped() {
    let (mut gateway, conn) = connected();
    let closing = gateway.call(conn, "a");
    let gone = gateway.call(conn, "b");
    gateway.close(conn, 1012, "service restart");
    gateway.reply(closing, json!(1));
    let heard = gateway.hear(conn);
    assert_eq!(heard, [Heard::Close(1012, "service restart".into())]);
    gateway.disconnect(conn);
    gateway.reply(gone, json!(2));
    assert_eq!(gateway.hear(conn), []);
    assert_eq!(gateway.hub.connections(), 0);
}

#[test]
fn what_comes_in_after_a_close_is_not_looked_at() {
    let (mut gateway, conn) = connected();
    gateway.close(conn, 1012, "service restart");
    gateway.request(conn, "a", "health", json!({}));
    gateway.say(conn, "{");
    assert!(gateway.calls.is_empty() && gateway.faults.is_empty());
    assert_eq!(gateway.hear(conn).len(), 1);
}

#[test]
fn an_answer_that_no_frame_may_hold_becomes_an_error() {
    let (mut gateway, conn) = connected_with(Limits {
        frame: 4_096,
        ..Limits::default()
    });
    for (length, ok) in [(3_800, true), (4_096, false), (100_000, false)] {
        let call = gateway.call(conn, "a");
        gateway.reply(call, json!("x".repeat(length)));
        let heard = gateway.hear(conn);
        let frame = &parsed(&heard)[0];
        assert_eq!(frame["ok"], ok, "{length}");
        if !ok {
            assert_eq!(frame["error"]["code"], "UNAVAILABLE");
            let details = &frame["error"]["details"];
            assert_eq!(details["code"], "PAYLOAD_TOO_LARGE");
            assert_eq!(details["limit"], 4_096);
            assert!(details["bytes"].as_u64().unwrap() > length as u64);
        }
        assert_eq!(closes(&heard), None);
    }
}

#[test]
fn an_answer_larger_than_the_whole_outbox_becomes_an_error_too() {
    let limits = Limits {
        frame: 4_096,
        outbox: 10_000,
        ..Limits::default()
    };
    let (mut gateway, conn) = connected_with(limits);
    let call = gateway.call(conn, "a");
    gateway.reply(call, json!("x".repeat(20_000)));
    let heard = gateway.hear(conn);
    assert_eq!(closes(&heard), None, "its peer reads as it should");
    assert_eq!(
        parsed(&heard)[0]["error"]["details"]["code"],
        "PAYLOAD_TOO_LARGE"
    );
}

// HSK-009
// FRM-002
// FRM-001, FRM-003
