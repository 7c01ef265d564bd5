//! What is heard of an agent run while it goes well, and who hears it.

mod support;

use serde_json::{Value, json};
use support::{Caller, Do, READ, WRITE, World, count, events, final_of, millis, seconds};
use support::{errors, story, story_of};

fn texts(payloads: &[&Value], member: &str) -> String {
    payloads
        .iter()
        .filter_map(|payload| payload[member].as_str())
        .collect()
}

fn deltas<'a>(frames: &'a [Value], run: &str) -> Vec<&'a Value> {
    let mut deltas = events(frames, "chat", run);
    deltas.retain(|payload| payload["state"] == "delta");
    deltas
}

fn assistant<'a>(frames: &'a [Value], run: &str) -> Vec<&'a Value> {
    let mut said = events(frames, "agent", run);
    said.retain(|payload| payload["stream"] == "assistant");
    said
}

#[test]
fn a_run_is_acknowledged_told_and_answered_in_one_order() {
    let mut world = World::new();
    let caller = world.operator(&[WRITE]);
    let observer = world.operator(&[READ]);
    world.advance(seconds(2));
    world.hear(caller);
    world.hear(observer);

    world.run(caller, "r1", "k");
    world.agent_says("k", "one");
    world.advance(millis(20));
    world.agent_says("k", " two");
    world.agent_does("k", Do::Finish);

    let frames = world.hear(caller);
    let told = [
        "agent start",
        "agent model",
        "agent assistant",
        "chat delta",
        "agent assistant",
        "agent finishing",
        "agent model",
        "agent end",
        "chat delta",
        "chat final",
    ];
    let mut whole = vec!["res r1 accepted"];
    whole.extend(told);
    whole.push("res r1 ok");
    assert_eq!(story(&frames), whole);
    assert_eq!(story(&world.hear(observer)), told);
}

#[test]
fn the_acknowledgement_and_the_final_answer_name_the_run() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let began = world.now().unix_ms;
    world.run_in(conn, "r1", "k", "work");
    world.agent_says("k", "hello");
    world.advance(seconds(3));
    world.agent_does("k", Do::Finish);

    let frames = world.hear(conn);
    assert_eq!(
        frames[0]["payload"],
        json!({
            "runId": "k", "sessionKey": "agent:main:work", "agentId": "main",
            "status": "accepted", "acceptedAt": began,
        })
    );
    let last = final_of(&frames, "r1");
    assert_eq!(last["ok"], true);
    assert_eq!(last["error"], Value::Null);
    let payload = &last["payload"];
    assert_eq!(payload["runId"], "k");
    assert_eq!(payload["status"], "ok");
    assert_eq!(payload["summary"], "completed");
    assert_eq!(
        payload["result"]["payloads"],
        json!([{"text": "hello", "mediaUrl": null}])
    );
    assert_eq!(payload["result"]["meta"]["durationMs"], 3000);
}

#[test]
fn the_events_of_a_run_are_numbered_from_one_without_a_gap() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    for word in ["a", "b", "c"] {
        world.agent_says("k", word);
        world.advance(millis(30));
    }
    world.agent_does("k", Do::Finish);

    let frames = world.hear(conn);
    let told = events(&frames, "agent", "k");
    let numbers: Vec<_> = told.iter().map(|payload| payload["seq"].as_u64()).collect();
    let expected: Vec<_> = (1..=told.len() as u64).map(Some).collect();
    assert_eq!(numbers, expected);
    let sessions: Vec<_> = told.iter().map(|payload| &payload["sessionId"]).collect();
    assert!(sessions.iter().all(|id| *id == sessions[0]));
    assert!(sessions[0].is_string());

    let of_chat: Vec<_> = events(&frames, "chat", "k")
        .iter()
        .map(|payload| payload["seq"].as_u64())
        .collect();
    assert!(of_chat.is_sorted(), "{of_chat:?}");
    assert!(of_chat.iter().all(Option::is_some));
}

#[test]
fn pushes_on_one_socket_are_numbered_without_a_gap_while_runs_overlap() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    for key in ["a", "b"] {
        world.run(conn, key, key);
        world.agent_says(key, "text");
    }
    world.advance(seconds(31));
    for key in ["a", "b"] {
        world.agent_does(key, Do::Finish);
    }
    let frames = world.hear(conn);
    let numbers: Vec<_> = frames.iter().filter_map(|f| f["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn chat_deltas_come_at_most_every_75_milliseconds_and_say_everything_once() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.hear(conn);

    world.agent_says("k", "a");
    assert_eq!(texts(&deltas(&world.hear(conn), "k"), "deltaText"), "a");
    world.advance(millis(30));
    world.agent_says("k", "b");
    world.advance(millis(30));
    world.agent_says("k", "c");
    world.advance(millis(14));
    assert_eq!(deltas(&world.hear(conn), "k").len(), 0, "74 ms are too few");
    world.advance(millis(1));
    let frames = world.hear(conn);
    let held = deltas(&frames, "k");
    assert_eq!(held.len(), 1);
    assert_eq!(held[0]["deltaText"], "bc");
    assert_eq!(held[0]["message"]["role"], "assistant");
    assert_eq!(
        held[0]["message"]["content"],
        json!([{"type": "text", "text": "abc"}])
    );

    world.advance(seconds(1));
    assert_eq!(deltas(&world.hear(conn), "k").len(), 0, "nothing is new");
    world.agent_says("k", "d");
    assert_eq!(texts(&deltas(&world.hear(conn), "k"), "deltaText"), "d");
}

#[test]
fn text_that_is_held_back_is_told_before_the_final() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    let words = ["grüße ", "an ", "alle ", "🌍", "!"];
    for word in words {
        world.agent_says("k", word);
        world.advance(millis(4));
    }
    world.agent_does("k", Do::Finish);

    let frames = world.hear(conn);
    let whole: String = words.concat();
    assert_eq!(texts(&deltas(&frames, "k"), "deltaText"), whole);
    let story = story(&frames);
    let last_delta = story.iter().rposition(|line| line == "chat delta");
    let end = story.iter().position(|line| line == "chat final");
    assert!(last_delta < end, "{story:?}");
    let last = events(&frames, "chat", "k").pop().expect("a final");
    assert_eq!(last["message"]["content"][0]["text"], whole.as_str());
    assert_eq!(last["stopReason"], "stop");
    let data = assistant(&frames, "k").pop().map(|said| &said["data"]);
    assert_eq!(data.expect("it was said")["text"], whole.as_str());
}

#[test]
fn what_an_agent_says_within_ten_milliseconds_is_one_event() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.hear(conn);
    for word in ["a", "b", "c", "d"] {
        world.agent_says("k", word);
    }
    let first = world.hear(conn);
    assert_eq!(assistant(&first, "k").len(), 1);
    world.advance(millis(9));
    assert_eq!(assistant(&world.hear(conn), "k").len(), 0);
    world.advance(millis(1));
    let rest = world.hear(conn);
    let merged = assistant(&rest, "k");
    assert_eq!(merged.len(), 1);
    assert_eq!(merged[0]["data"]["delta"], "bcd");
    assert_eq!(merged[0]["data"]["text"], "abcd");
}

#[test]
fn an_empty_piece_of_text_is_not_told() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.agent_says("k", "");
    world.agent_does("k", Do::Finish);
    let frames = world.hear(conn);
    let story = story(&frames);
    assert_eq!(count(&story, &["agent assistant", "chat delta"]), 0);
    let last = events(&frames, "chat", "k").pop().expect("a final");
    assert_eq!(last["message"], Value::Null, "nothing was said");
}

#[test]
fn only_operators_that_read_hear_of_runs() {
    let mut world = World::new();
    let caller = world.operator(&[WRITE]);
    let deaf = world.join(&Caller {
        id: "test",
        mode: "test",
        scopes: &[READ, WRITE],
        ..Caller::default()
    });
    let approver = world.operator(&["operator.approvals"]);
    world.run(caller, "r1", "k");
    world.agent_does("k", Do::Finish);
    for conn in [deaf, approver] {
        assert_eq!(story_of(&world.hear(conn)), [""; 0]);
    }
}

#[test]
fn a_session_works_on_one_run_at_a_time() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "first", "s");
    world.run_in(conn, "r2", "second", "s");
    world.run_in(conn, "r3", "third", "s");
    world.run_in(conn, "r4", "elsewhere", "t");
    assert_eq!(world.agent.begun("first"), 1);
    assert_eq!(world.agent.begun("second"), 0);
    assert_eq!(world.agent.begun("elsewhere"), 1);
    let frames = world.hear(conn);
    assert_eq!(
        events(&frames, "agent", "second").len(),
        1,
        "only that it waits"
    );
    assert_eq!(
        count(
            &story(&frames),
            &["res r1 accepted", "res r2 accepted", "res r3 accepted"]
        ),
        3,
        "all are acknowledged at once"
    );

    world.agent_does("first", Do::Fail("no"));
    assert_eq!(world.agent.begun("second"), 1, "an end of any kind will do");
    assert_eq!(world.agent.begun("third"), 0);
    world.agent_does("second", Do::Finish);
    assert_eq!(world.agent.begun("third"), 1);
    world.agent_does("third", Do::Finish);
    let story = story(&world.hear(conn));
    let at = |line: &str| story.iter().position(|heard| heard == line).expect("heard");
    assert!(at("res r1 UNAVAILABLE") < at("res r2 ok"));
    assert!(at("res r2 ok") < at("res r3 ok"));
}

#[test]
fn a_run_that_waits_for_others_is_told_so_and_how_many() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let observer = world.operator(&[READ]);
    for (id, key) in [("r1", "first"), ("r2", "second"), ("r3", "third")] {
        world.run_in(conn, id, key, "s");
    }
    let frames = world.hear(conn);
    let ack = |id: &str| {
        let ack = frames.iter().find(|frame| frame["id"] == id);
        let payload = &ack.expect("an acknowledgement")["payload"];
        assert_eq!(payload["status"], "accepted");
        (payload["queued"].clone(), payload["position"].clone())
    };
    assert_eq!(ack("r1"), (Value::Null, Value::Null), "it runs");
    assert_eq!(ack("r2"), (json!(true), json!(1)));
    assert_eq!(ack("r3"), (json!(true), json!(2)));

    let heard = world.hear(observer);
    let third = events(&heard, "agent", "third");
    assert_eq!(third.len(), 1);
    assert_eq!(third[0]["stream"], "run_status");
    assert_eq!(third[0]["data"], json!({"phase": "queued", "position": 2}));
    assert_eq!(third[0]["seq"], 1);
    assert_eq!(
        events(&heard, "chat", "third").len(),
        0,
        "chat knows no such phase"
    );

    world.agent_does("first", Do::Finish);
    world.hear(conn);
    world.run_in(conn, "again2", "second", "s");
    world.run_in(conn, "again3", "third", "s");
    let ack = world.answer(conn, "again2");
    assert_eq!(ack["payload"]["queued"], Value::Null, "it no longer waits");
    let ack = world.answer(conn, "again3");
    assert_eq!(ack["payload"]["position"], 1, "one place further");
    world.agent_does("second", Do::Finish);
    let frames = world.hear(conn);
    let third = events(&frames, "agent", "third");
    assert_eq!(third[0]["data"]["phase"], "start");
    assert_eq!(third[0]["seq"], 2);
}

#[test]
fn runs_of_one_session_share_its_id_and_others_do_not() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    for (key, session) in [("a", "s"), ("b", "agent:main:s"), ("c", "t")] {
        world.run_in(conn, key, key, session);
        world.agent_does(key, Do::Finish);
    }
    let frames = world.hear(conn);
    let id = |run| events(&frames, "agent", run)[0]["sessionId"].clone();
    assert_eq!(id("a"), id("b"));
    assert_ne!(id("a"), id("c"));
    assert_eq!(
        final_of(&frames, "a")["payload"]["result"]["meta"]["agentMeta"]["sessionId"],
        id("a")
    );
}

#[test]
fn past_64_runs_a_new_one_is_refused_until_one_has_ended() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    for number in 0..64 {
        let key = format!("k{number}");
        // Half of them only wait for their session.
        world.run_in(conn, &key, &key, &format!("s{}", number / 2));
    }
    world.hear(conn);
    world.run(conn, "r", "one more");
    let frames = world.hear(conn);
    assert_eq!(frames.len(), 1);
    assert_eq!(
        errors(&frames[0]),
        "UNAVAILABLE too many agent runs at once; wait for one to end"
    );
    assert_eq!(frames[0]["error"]["retryable"], true);

    world.agent_does("k0", Do::Finish);
    world.hear(conn);
    world.run(conn, "r", "one more");
    assert_eq!(
        story(&world.hear(conn))[0],
        "res r accepted",
        "the refusal did not use its key up"
    );
}

#[test]
fn an_answer_that_never_stops_fails_its_run() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    let chunk = "x".repeat(1 << 20);
    for _ in 0..4 {
        world.agent_says("k", &chunk);
    }
    assert!(world.agent.works_on("k"));
    world.agent_says("k", "x");
    assert!(!world.agent.works_on("k"));
    let frames = world.hear(conn);
    assert_eq!(
        errors(final_of(&frames, "r1")),
        "UNAVAILABLE the agent's answer is longer than 4194304 bytes"
    );
}
