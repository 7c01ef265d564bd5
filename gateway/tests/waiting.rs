//! `agent.wait`: how a run ended, for whoever asks.

mod support;

use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::limits::Limits;
use serde_json::{Value, json};
use support::{Do, READ, Settings, WRITE, World, errors, millis, seconds, story_of};

fn wait(run: &str, timeout_ms: u64) -> Value {
    json!({"runId": run, "timeoutMs": timeout_ms})
}

#[test]
fn a_wait_is_answered_when_the_run_ends() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let other = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    let began = world.now().unix_ms;
    for (conn, id) in [(conn, "w1"), (other, "w2"), (other, "w3")] {
        world.request(conn, id, "agent.wait", wait("k", 60_000));
        assert_eq!(world.answer(conn, id), Value::Null);
    }
    world.advance(seconds(5));
    world.agent_does("k", Do::Finish);
    for (conn, id) in [(conn, "w1"), (other, "w2"), (other, "w3")] {
        assert_eq!(
            world.answer(conn, id)["payload"],
            json!({
                "runId": "k", "status": "ok", "startedAt": began,
                "endedAt": began + 5_000, "stopReason": "stop",
            })
        );
    }
    world.advance(seconds(100));
    assert_eq!(world.answer(other, "w2"), Value::Null, "answered once");
}

#[test]
fn the_final_answer_precedes_that_of_a_wait() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.request(conn, "w", "agent.wait", wait("k", 60_000));
    world.run(conn, "r1", "k");
    world.agent_does("k", Do::Finish);
    let story = story_of(&world.hear(conn));
    assert_eq!(story[story.len() - 2..], ["res r1 ok", "res w ok"]);
}

#[test]
fn ends_are_remembered_as_long_and_as_many_as_answers() {
    let mut world = World::with(Settings {
        repeats: Bounds {
            kept: seconds(60),
            rows: 2,
            ..Bounds::default()
        },
        ..Settings::default()
    });
    let conn = world.operator(&[WRITE]);
    for key in ["a", "b", "c"] {
        world.run(conn, key, key);
        world.agent_does(key, Do::Finish);
    }
    let mut status = |key| world.ask(conn, "agent.wait", wait(key, 0))["payload"]["status"].clone();
    assert_eq!(["a", "b", "c"].map(&mut status), ["timeout", "ok", "ok"]);
    world.advance(seconds(60));
    let answer = world.ask(conn, "agent.wait", wait("c", 0));
    assert_eq!(answer["payload"]["status"], "timeout");
}

#[test]
fn a_wait_may_come_before_its_run() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.request(conn, "w", "agent.wait", wait("k", 10_000));
    world.run(conn, "r1", "k");
    world.agent_does("k", Do::Fail("no"));
    let answer = world.answer(conn, "w");
    assert_eq!(answer["ok"], true, "the wait itself went well");
    assert_eq!(answer["payload"]["status"], "error");
    assert_eq!(answer["payload"]["error"], "no");
}

#[test]
fn a_wait_for_a_run_that_has_ended_is_answered_at_once_for_ten_minutes() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.agent_does("k", Do::Finish);
    world.advance(millis(599_999));
    let answer = world.ask(conn, "agent.wait", wait("k", 0));
    assert_eq!(answer["payload"]["status"], "ok");
    world.advance(millis(1));
    let answer = world.ask(conn, "agent.wait", wait("k", 0));
    assert_eq!(
        answer["payload"],
        json!({"runId": "k", "status": "timeout"})
    );
}

#[test]
fn a_wait_for_an_unknown_run_times_out_after_its_time() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.request(conn, "w", "agent.wait", wait("nope", 1_500));
    world.advance(millis(1_499));
    assert_eq!(world.answer(conn, "w"), Value::Null);
    world.advance(millis(1));
    assert_eq!(
        world.answer(conn, "w")["payload"],
        json!({"runId": "nope", "status": "timeout"})
    );
}

#[test]
fn a_stop_answers_waits_for_runs_that_will_never_be() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r", "k");
    world.request(conn, "known", "agent.wait", wait("k", 60_000));
    world.request(conn, "unknown", "agent.wait", wait("nope", 60_000));
    world.drain();
    assert_eq!(world.answer(conn, "unknown"), Value::Null);
    world.finish();
    assert_eq!(world.answer(conn, "known")["payload"]["status"], "error");
    world.request(conn, "late", "agent.wait", wait("nope", 60_000));
    for id in ["unknown", "late"] {
        let answer = world.answer(conn, id);
        assert_eq!(errors(&answer), "UNAVAILABLE gateway stopping", "{id}");
        assert_eq!(answer["error"]["retryable"], true);
    }
}

#[test]
fn a_wait_that_says_nothing_of_time_takes_thirty_seconds() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.request(conn, "w", "agent.wait", json!({"runId": "nope"}));
    world.advance(millis(29_999));
    assert_eq!(world.answer(conn, "w"), Value::Null);
    world.advance(millis(1));
    assert_eq!(world.answer(conn, "w")["payload"]["status"], "timeout");
}

#[test]
fn a_wait_without_time_says_how_things_are() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    let answer = world.ask(conn, "agent.wait", wait("k", 0));
    assert_eq!(answer["payload"]["status"], "timeout");
    let answer = world.ask(conn, "agent.wait", json!({"runId": "k", "timeoutMs": 0.0}));
    assert_eq!(answer["payload"]["status"], "timeout", "0.0 is 0");
}

#[test]
fn a_wait_ends_with_its_connection_and_not_with_the_run() {
    let mut world = World::new();
    let caller = world.operator(&[WRITE]);
    let gone = world.operator(&[WRITE]);
    let stays = world.operator(&[WRITE]);
    world.run(caller, "r1", "k");
    for conn in [gone, stays] {
        world.request(conn, "w", "agent.wait", wait("k", 60_000));
    }
    world.cut(gone);
    world.cut(caller);
    world.agent_does("k", Do::Finish);
    assert_eq!(world.answer(stays, "w")["payload"]["status"], "ok");
    world.advance(seconds(120));
    assert_eq!(world.answer(gone, "w"), Value::Null);
}

#[test]
fn a_wait_tells_how_an_aborted_run_ended() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.request(conn, "w", "agent.wait", wait("k", 60_000));
    world.ask(conn, "chat.abort", json!({"sessionKey": "k"}));
    let payload = world.answer(conn, "w")["payload"].clone();
    assert_eq!(payload["status"], "error");
    assert_eq!(payload["stopReason"], "rpc");
    assert_eq!(payload["error"], "aborted");
}

#[test]
fn a_wait_that_ends_with_its_run_is_answered_with_the_run() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let params = json!({"message": "k", "idempotencyKey": "k", "timeout": 5});
    world.request(conn, "r1", "agent", params);
    world.request(conn, "w", "agent.wait", wait("k", 5_000));
    world.advance(seconds(5));
    let payload = world.answer(conn, "w")["payload"].clone();
    assert_eq!(payload["runId"], "k");
    assert_eq!(world.answer(conn, "w"), Value::Null, "one of the two only");
}

#[test]
fn waiting_needs_a_run_and_the_right_to_write() {
    let mut world = World::new();
    let writer = world.operator(&[WRITE]);
    let reader = world.operator(&[READ]);
    let refused = world.ask(writer, "agent.wait", json!({}));
    assert_eq!(
        errors(&refused),
        "INVALID_REQUEST invalid agent.wait params: must have required property 'runId'"
    );
    let refused = world.ask(writer, "agent.wait", json!({"runId": "k", "timeoutMs": -1}));
    assert_eq!(
        errors(&refused),
        "INVALID_REQUEST invalid agent.wait params: at /timeoutMs: must be >= 0"
    );
    let refused = world.ask(reader, "agent.wait", wait("k", 0));
    assert_eq!(errors(&refused), "FORBIDDEN missing scope: operator.write");
}

#[test]
fn nothing_is_answered_on_behalf_of_a_connection_that_has_gone() {
    let mut world = World::with(Settings {
        limits: Limits {
            open_calls: 2,
            ..Limits::default()
        },
        ..Settings::default()
    });
    let conn = world.operator(&[WRITE]);
    for id in ["w1", "w2", "w3"] {
        let params = json!({"runId": "nope", "timeoutMs": 60_000});
        world.request(conn, id, "agent.wait", params);
    }
    assert_eq!(
        errors(&world.answer(conn, "w3")),
        "UNAVAILABLE too many requests are unanswered on this connection"
    );
    world.cut(conn);
    world.hear(conn);
    world.advance(seconds(120));
    assert!(world.hear(conn).is_empty());
}
