//! However a run ends, it ends once, and everybody who waits is told.

mod support;

use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{Do, WRITE, World, count, errors, events, final_of, millis, seconds};
use support::{story, story_of};

const LIFECYCLE_ENDS: &[&str] = &["agent end", "agent error"];
const CHAT_ENDS: &[&str] = &["chat final", "chat error", "chat aborted"];

/// A run `k`, asked for as `r1`, that has said something not all of which was told yet.
fn talking() -> (World, ConnId) {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.agent_says("k", "one");
    world.agent_says("k", " two");
    (world, conn)
}

/// Everything that was ever heard of `k`, which failed: one terminal of each kind.
fn assert_failed_once(world: &mut World, conn: ConnId, error: &str) -> Vec<Value> {
    world.advance(seconds(600));
    let mut frames = world.hear(conn);
    frames.retain(|frame| frame["payload"]["runId"] == "k");
    let story = story_of(&frames);
    assert_eq!(count(&story, LIFECYCLE_ENDS), 1, "{story:?}");
    assert_eq!(count(&story, CHAT_ENDS), 1, "{story:?}");
    let answers = story.iter().filter(|line| line.starts_with("res r1 "));
    assert_eq!(answers.count(), 2, "{story:?}");

    let last = final_of(&frames, "r1");
    assert_eq!(errors(last), error);
    assert_eq!(last["ok"], false);
    let summary = last["error"]["message"].clone();
    assert_eq!(
        last["payload"],
        json!({"runId": "k", "status": "error", "summary": summary})
    );
    assert_eq!(
        story.last().expect("something").split(' ').next(),
        Some("res"),
        "the answer comes last: {story:?}"
    );
    let numbers: Vec<_> = events(&frames, "agent", "k")
        .iter()
        .map(|payload| payload["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    frames
}

/// The order in which a failure is told.
fn assert_failure_order(frames: &[Value], text: &str) {
    assert_eq!(
        story_of(frames),
        [
            "res r1 accepted",
            "agent start",
            "agent model",
            "agent assistant",
            "chat delta",
            "agent assistant",
            "chat delta",
            "agent error",
            "chat error",
            "res r1 UNAVAILABLE",
        ]
    );
    let chat = events(frames, "chat", "k").pop().expect("a terminal");
    assert_eq!(chat["errorMessage"], text);
    let agent = events(frames, "agent", "k").pop().expect("a terminal");
    assert_eq!(agent["data"]["error"], text);
}

#[test]
fn a_run_whose_agent_fails_ends_once() {
    let (mut world, conn) = talking();
    world.agent_does("k", Do::Fail("out of words"));
    let frames = assert_failed_once(&mut world, conn, "UNAVAILABLE out of words");
    assert_failure_order(&frames, "out of words");
}

#[test]
fn a_run_whose_agent_panics_ends_once_and_harms_no_other() {
    let (mut world, conn) = talking();
    let other = world.operator(&[WRITE]);
    world.run(other, "r2", "other");
    world.agent_does("k", Do::Panic);
    world.agent_does("other", Do::Finish);
    let story = story(&world.hear(other));
    assert_eq!(story.last().map(String::as_str), Some("res r2 ok"));
    let frames = assert_failed_once(&mut world, conn, "UNAVAILABLE the agent broke down");
    assert_eq!(
        events(&frames, "chat", "k").pop().expect("a terminal")["errorMessage"],
        "the agent broke down"
    );
}

#[test]
fn a_run_whose_work_panics_while_it_is_dropped_ends_once() {
    let (mut world, conn) = talking();
    world.agent_does("k", Do::FallApart);
    let frames = assert_failed_once(&mut world, conn, "UNAVAILABLE the agent broke down");
    assert_failure_order(&frames, "the agent broke down");
}

#[test]
fn a_run_that_takes_longer_than_it_asked_for_times_out() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let params = json!({"message": "k", "idempotencyKey": "k", "timeout": 5});
    world.request(conn, "r1", "agent", params);
    world.agent_says("k", "one");
    world.advance(millis(4_999));
    assert!(world.agent.works_on("k"));
    world.advance(millis(1));
    assert!(!world.agent.works_on("k"), "its work is dropped");
    let error = "AGENT_TIMEOUT agent run timed out after 5 s";
    let frames = assert_failed_once(&mut world, conn, error);
    let chat = events(&frames, "chat", "k").pop().expect("a terminal");
    assert_eq!(chat["state"], "error");
    assert_eq!(chat["errorKind"], "timeout");
}

#[test]
fn the_time_of_a_run_counts_from_the_beginning_of_its_work() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r0", "first", "s");
    let params = json!({"message": "k", "idempotencyKey": "k", "sessionKey": "s", "timeout": 5});
    world.request(conn, "r1", "agent", params);
    world.advance(seconds(60));
    world.agent_does("first", Do::Finish);
    world.advance(millis(4_999));
    assert!(world.agent.works_on("k"));
    world.advance(millis(1));
    assert!(!world.agent.works_on("k"));
    let frames = world.hear(conn);
    assert_eq!(final_of(&frames, "r1")["error"]["code"], "AGENT_TIMEOUT");
}

#[test]
fn a_timeout_of_zero_is_none() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let params = json!({"message": "k", "idempotencyKey": "k", "timeout": 0});
    world.request(conn, "r1", "agent", params);
    world.advance(seconds(3_600));
    assert!(world.agent.works_on("k"));
}

#[test]
fn an_aborted_run_is_told_to_the_chat_first_and_to_the_aborter_last() {
    let (mut world, conn) = talking();
    world.hear(conn);
    let params = json!({"sessionKey": "k", "runId": "k"});
    world.request(conn, "stop", "chat.abort", params);
    assert!(!world.agent.works_on("k"));
    let frames = world.hear(conn);
    assert_eq!(
        story(&frames),
        [
            "agent assistant",
            "chat aborted",
            "agent end",
            "res r1 UNAVAILABLE",
            "res stop ok",
        ]
    );
    assert_eq!(
        final_of(&frames, "stop")["payload"],
        json!({"ok": true, "aborted": true, "runIds": ["k"]})
    );
    let chat = events(&frames, "chat", "k")[0];
    assert_eq!(chat["stopReason"], "rpc");
    assert_eq!(chat["message"]["content"][0]["text"], "one two");
    let end = events(&frames, "agent", "k").pop().expect("a terminal");
    assert_eq!(end["data"]["status"], "cancelled");
    assert_eq!(end["data"]["aborted"], true);
    assert_eq!(end["data"]["stopReason"], "rpc");
    assert_eq!(chat["seq"], end["seq"], "the same moment of the run");
}

#[test]
fn an_aborted_run_ends_once() {
    let (mut world, conn) = talking();
    let params = json!({"sessionKey": "k", "runId": "k"});
    world.request(conn, "stop", "chat.abort", params.clone());
    world.answer(conn, "stop");
    assert_failed_once(&mut world, conn, "UNAVAILABLE aborted");
    let again = world.ask(conn, "chat.abort", params);
    assert_eq!(
        again["payload"],
        json!({"ok": true, "aborted": false, "runIds": []})
    );
}

#[test]
fn aborting_a_session_ends_what_runs_and_what_waits_in_it_and_nothing_else() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "first", "s");
    world.run_in(conn, "r2", "second", "s");
    world.run_in(conn, "r3", "elsewhere", "t");
    let answer = world.ask(conn, "chat.abort", json!({"sessionKey": "agent:main:s"}));
    assert_eq!(answer["payload"]["runIds"], json!(["first", "second"]));
    assert_eq!(world.agent.begun("second"), 0, "it never begins");
    let frames = world.hear(conn);
    for id in ["r1", "r2"] {
        assert_eq!(errors(final_of(&frames, id)), "UNAVAILABLE aborted");
    }
    assert_eq!(final_of(&frames, "r3")["payload"]["status"], "accepted");
    world.agent_does("elsewhere", Do::Finish);
}

#[test]
fn a_run_is_not_aborted_in_the_name_of_another_session() {
    let (mut world, conn) = talking();
    let params = json!({"sessionKey": "main", "runId": "k"});
    let answer = world.ask(conn, "chat.abort", params);
    assert_eq!(answer["payload"]["aborted"], false);
    assert!(world.agent.works_on("k"));
}

#[test]
fn aborting_what_waits_leaves_what_runs_alone() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "first", "s");
    world.run_in(conn, "r2", "second", "s");
    world.run_in(conn, "r3", "third", "s");
    let params = json!({"sessionKey": "s", "runId": "second"});
    let answer = world.ask(conn, "chat.abort", params);
    assert_eq!(answer["payload"]["runIds"], json!(["second"]));
    let frames = world.hear(conn);
    let of_second: Vec<_> = events(&frames, "agent", "second");
    assert_eq!(of_second.len(), 2, "it waited, never began, but ended");
    assert_eq!(of_second[0]["data"]["phase"], "queued");
    assert_eq!(of_second[1]["data"]["phase"], "end");
    assert_eq!(of_second[1]["data"]["startedAt"], Value::Null);
    world.agent_does("first", Do::Finish);
    assert_eq!(world.agent.begun("second"), 0);
    assert_eq!(world.agent.begun("third"), 1);
}

#[test]
fn what_an_agent_says_after_its_run_has_ended_is_not_heard() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    // Both are on their way when the first of them is worked off.
    world.agent.tell("k", Do::Say("late".to_owned()));
    world.agent.tell("k", Do::Finish);
    world.request(conn, "stop", "chat.abort", json!({"sessionKey": "k"}));
    world.advance(seconds(600));
    let story = story_of(&world.hear(conn));
    assert_eq!(count(&story, LIFECYCLE_ENDS), 1, "{story:?}");
    assert_eq!(count(&story, CHAT_ENDS), 1, "{story:?}");
    assert_eq!(count(&story, &["res r1 UNAVAILABLE", "res r1 ok"]), 1);
}

#[test]
fn a_run_that_is_still_there_when_the_gateway_stops_ends_once() {
    let (mut world, conn) = talking();
    world.drain();
    assert!(world.agent.works_on("k"), "it may end by itself");
    world.finish();
    assert!(!world.agent.works_on("k"));
    let frames = assert_failed_once(&mut world, conn, "UNAVAILABLE gateway stopping");
    assert_failure_order(&frames, "gateway stopping");
}

#[test]
fn a_run_that_waits_when_the_gateway_stops_ends_without_having_begun() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "first", "s");
    world.run_in(conn, "r2", "second", "s");
    world.drain();
    world.finish();
    assert_eq!(world.agent.begun("second"), 0);
    let frames = world.hear(conn);
    let of_second = events(&frames, "agent", "second");
    let phases: Vec<_> = of_second
        .iter()
        .map(|event| &event["data"]["phase"])
        .collect();
    assert_eq!(phases, ["queued", "error"]);
    for id in ["r1", "r2"] {
        let error = "UNAVAILABLE gateway stopping";
        assert_eq!(errors(final_of(&frames, id)), error);
    }
}

#[test]
fn a_gateway_is_drained_when_its_last_run_has_ended_by_itself() {
    use openclaw_runtime_smol::server::Application as _;
    let (mut world, conn) = talking();
    world.run_in(conn, "r2", "queued", "k");
    world.drain();
    assert!(!world.app.is_drained());
    world.agent_does("k", Do::Finish);
    assert!(
        !world.app.is_drained(),
        "what was acknowledged is still done"
    );
    world.agent_does("queued", Do::Finish);
    assert!(world.app.is_drained());
    let frames = world.hear(conn);
    for id in ["r1", "r2"] {
        assert_eq!(final_of(&frames, id)["ok"], true);
    }
}

#[test]
fn a_run_goes_on_when_its_client_goes() {
    let (mut world, conn) = talking();
    world.cut(conn);
    assert!(world.agent.works_on("k"));
    world.agent_does("k", Do::Finish);
    let other = world.operator(&[WRITE]);
    let answer = world.ask(other, "agent.wait", json!({"runId": "k"}));
    assert_eq!(answer["payload"]["status"], "ok");
}

#[test]
fn aborting_a_session_starts_none_of_the_runs_that_wait() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    for key in ["k1", "k2", "k3"] {
        let params = json!({"message": key, "idempotencyKey": key});
        world.request(conn, key, "agent", params);
    }
    world.request(conn, "a", "chat.abort", json!({"sessionKey": "main"}));
    let frames = world.hear(conn);
    for key in ["k2", "k3"] {
        let phases: Vec<_> = events(&frames, "agent", key)
            .into_iter()
            .map(|event| event["data"]["phase"].clone())
            .collect();
        assert_eq!(phases, ["queued", "end"], "{key} was never begun");
    }
}
