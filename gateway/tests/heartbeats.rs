//! Agent turns that the gateway runs by itself, and who hears what came of them.

mod support;

use std::time::Duration;

use openclaw_gateway_service::config::HeartbeatConfig;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Do, READ, Settings, WRITE, World, errors, events, millis, seconds};
use support::{story, story_of};

const ASK: &str = "anything?";

fn beating(every: Duration) -> World {
    World::with(Settings {
        heartbeat: HeartbeatConfig {
            every: Some(every),
            prompt: Some(ASK.to_owned()),
            ..HeartbeatConfig::default()
        },
        ..Settings::default()
    })
}

/// The heartbeats that were heard, without their run's name.
fn beats(world: &mut World, conn: ConnId) -> Vec<Value> {
    let frames = world.hear(conn);
    let heard = frames.iter().filter(|frame| frame["event"] == "heartbeat");
    heard
        .map(|frame| {
            let mut payload = frame["payload"].clone();
            payload.as_object_mut().expect("an object").remove("runId");
            payload
        })
        .collect()
}

fn set(world: &mut World, conn: ConnId, enabled: bool) {
    let answer = world.ask(conn, "set-heartbeats", json!({"enabled": enabled}));
    assert_eq!(answer["payload"], json!({"ok": true, "enabled": enabled}));
}

#[test]
fn without_an_interval_there_are_none() {
    let mut world = World::new();
    let conn = world.operator(&[ADMIN]);
    world.advance(seconds(7_200));
    set(&mut world, conn, true);
    set(&mut world, conn, false);
    set(&mut world, conn, true);
    world.advance(seconds(7_200));
    assert_eq!(beats(&mut world, conn), [Value::Null; 0]);
    let last = world.ask(conn, "last-heartbeat", json!({}));
    assert_eq!(
        (&last["ok"], &last["payload"]),
        (&json!(true), &Value::Null)
    );
}

#[test]
fn a_turn_runs_at_each_interval_and_its_answer_is_told() {
    let mut world = beating(seconds(60));
    let conn = world.operator(&[READ]);
    let began = world.now().unix_ms;
    world.advance(millis(59_999));
    assert_eq!(world.agent.begun(ASK), 0);
    world.advance(millis(1));
    assert_eq!(world.agent.begun(ASK), 1);
    let turn = world.agent.turn(ASK);
    assert_eq!(
        (&*turn.session_key, &*turn.agent_id),
        ("agent:main:main", "main")
    );

    world.advance(seconds(2));
    world.agent_says(ASK, " The door is open. ");
    world.agent_does(ASK, Do::Finish);
    let told = json!({
        "ts": began + 62_000, "status": "sent", "indicatorType": "alert",
        "preview": "The door is open.", "durationMs": 2_000, "sessionKey": "agent:main:main",
    });
    assert_eq!(beats(&mut world, conn), [told]);
    world.advance(seconds(57));
    assert_eq!(world.agent.begun(ASK), 1);
    world.advance(seconds(1));
    assert_eq!(
        world.agent.begun(ASK),
        2,
        "the interval counts from the last beginning"
    );
}

#[test]
fn the_turn_of_a_heartbeat_is_told_as_such_and_before_the_heartbeat() {
    let mut world = beating(seconds(60));
    let conn = world.operator(&[READ]);
    world.advance(seconds(60));
    world.agent_says(ASK, "yes");
    world.agent_does(ASK, Do::Finish);
    let frames = world.hear(conn);
    let told = story_of(&frames);
    assert_eq!(told[..2], ["agent start", "agent model"]);
    assert_eq!(told[told.len() - 2..], ["chat final", "heartbeat"]);
    let run = &frames.last().expect("frames")["payload"]["runId"];
    let run = run.as_str().expect("the name of a run");
    let agent = events(&frames, "agent", run);
    assert!(agent.iter().all(|event| event["isHeartbeat"] == true));
    let chat = events(&frames, "chat", run);
    let is_marked = |event: &&Value| event["isHeartbeat"].is_boolean();
    assert!(
        !chat.is_empty() && !chat.iter().any(is_marked),
        "the schema has no room there"
    );

    let writer = world.operator(&[WRITE]);
    let wait = world.ask(writer, "agent.wait", json!({"runId": run, "timeoutMs": 0}));
    assert_eq!(wait["payload"]["status"], "ok");
    world.run(writer, "r1", "mine");
    let frames = world.hear(writer);
    let mine = events(&frames, "agent", "mine");
    assert!(mine.iter().all(|event| event["isHeartbeat"].is_null()));
}

#[test]
fn how_a_heartbeat_ended_is_its_status() {
    let ends: [(&str, Do, Value); 5] = [
        (
            "",
            Do::Finish,
            json!({"status": "ok-empty", "indicatorType": "ok", "silent": true}),
        ),
        (
            " NO_REPLY\n",
            Do::Finish,
            json!({"status": "ok-token", "indicatorType": "ok", "silent": true}),
        ),
        (
            "HEARTBEAT_OK",
            Do::Finish,
            json!({"status": "ok-token", "indicatorType": "ok", "silent": true}),
        ),
        (
            "half",
            Do::Fail("no model"),
            json!({
                "status": "failed", "indicatorType": "error", "reason": "error", "message": "no model",
            }),
        ),
        (
            "",
            Do::Panic,
            json!({
                "status": "failed", "indicatorType": "error", "reason": "error",
                "message": "the agent broke down",
            }),
        ),
    ];
    for (text, end, expected) in ends {
        let mut world = beating(seconds(60));
        let conn = world.operator(&[READ]);
        world.advance(seconds(60));
        world.agent_says(ASK, text);
        world.agent_does(ASK, end);
        let mut told = beats(&mut world, conn);
        assert_eq!(told.len(), 1, "{text:?}");
        let last = world.ask(conn, "last-heartbeat", json!({}))["payload"].clone();
        assert_eq!(last["ts"], told[0]["ts"]);
        assert_eq!(last["status"], expected["status"]);
        let told = told[0].as_object_mut().expect("an object");
        for member in ["ts", "durationMs", "sessionKey"] {
            assert!(told.remove(member).is_some(), "{member}");
        }
        assert_eq!(Value::from(told.clone()), expected);
    }
}

#[test]
fn a_heartbeat_that_hangs_ends_with_its_interval_and_is_not_overtaken() {
    let mut world = beating(seconds(60));
    let conn = world.operator(&[READ]);
    world.advance(seconds(120));
    let told = beats(&mut world, conn);
    assert_eq!(told[0]["status"], "failed");
    assert_eq!(told[0]["reason"], "timeout");
    assert_eq!(told[0]["message"], "no answer within 60000 ms");
    assert_eq!(told.len(), 1, "the next one has begun: {told:?}");
    assert_eq!(world.agent.begun(ASK), 2);
}

#[test]
fn a_heartbeat_is_skipped_while_its_session_is_at_work() {
    let mut world = beating(seconds(60));
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "long", "main");
    world.advance(seconds(120));
    let told = beats(&mut world, conn);
    assert_eq!(told.len(), 2, "each one says so: {told:?}");
    assert_eq!(told[0]["status"], "skipped");
    assert_eq!(told[0]["reason"], "requests-in-flight");
    assert_eq!(world.agent.begun(ASK), 0);
    assert_eq!(
        world.ask(conn, "last-heartbeat", json!({}))["payload"],
        told[1]
    );
    world.agent_does("long", Do::Finish);
    assert_eq!(world.agent.begun(ASK), 0, "it is not caught up with");
    world.advance(seconds(60));
    assert_eq!(world.agent.begun(ASK), 1);
}

#[test]
fn a_heartbeat_may_have_a_session_and_a_time_of_its_own() {
    let mut world = World::with(Settings {
        heartbeat: HeartbeatConfig {
            every: Some(seconds(60)),
            session: Some("agent:main:watch".to_owned()),
            timeout: Some(seconds(90)),
            prompt: Some(ASK.to_owned()),
        },
        ..Settings::default()
    });
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "long", "main");
    world.advance(seconds(60));
    assert_eq!(world.agent.begun(ASK), 1, "main is another session");
    world.advance(seconds(89));
    let told = beats(&mut world, conn);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0]["reason"], "requests-in-flight",
        "it never overlaps with itself"
    );
    world.advance(seconds(1));
    let told = beats(&mut world, conn);
    assert_eq!(told[0]["reason"], "timeout");
    assert_eq!(told[0]["sessionKey"], "agent:main:watch");
}

#[test]
fn a_draining_gateway_skips_heartbeats_and_a_stopping_one_ends_them() {
    let mut world = beating(seconds(60));
    let conn = world.operator(&[READ]);
    world.drain();
    world.advance(seconds(60));
    let told = beats(&mut world, conn);
    assert_eq!(
        (&told[0]["status"], &told[0]["reason"]),
        (&json!("skipped"), &json!("draining"))
    );
    assert_eq!(world.agent.begun(ASK), 0);

    let mut world = beating(seconds(60));
    let conn = world.operator(&[READ]);
    world.advance(seconds(60));
    world.finish();
    let told = beats(&mut world, conn);
    assert_eq!(told[0]["message"], "gateway stopping");
}

#[test]
fn heartbeats_take_no_place_that_is_not_there() {
    let mut world = World::with(Settings {
        limits: Limits {
            runs: 1,
            ..Limits::default()
        },
        heartbeat: HeartbeatConfig {
            every: Some(seconds(60)),
            ..HeartbeatConfig::default()
        },
        ..Settings::default()
    });
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.advance(seconds(60));
    assert_eq!(beats(&mut world, conn)[0]["reason"], "too-many-runs");
}

#[test]
fn heartbeats_are_switched_while_the_gateway_runs() {
    let mut world = beating(seconds(60));
    let admin = world.operator(&[ADMIN]);
    let reader = world.operator(&[READ]);
    world.advance(seconds(30));
    set(&mut world, admin, false);
    let health = |world: &mut World| {
        world.ask(reader, "health", json!({}))["payload"]["heartbeatSeconds"].clone()
    };
    assert_eq!(health(&mut world), 0);
    let frames = world.hear(reader);
    assert!(
        story(&frames).contains(&"health".to_owned()),
        "everybody hears of it"
    );
    world.advance(seconds(600));
    assert_eq!(world.agent.begun(ASK), 0);
    set(&mut world, admin, true);
    assert_eq!(health(&mut world), 60);
    world.advance(seconds(59));
    set(&mut world, admin, true);
    assert_eq!(world.agent.begun(ASK), 0);
    world.advance(seconds(1));
    assert_eq!(
        world.agent.begun(ASK),
        1,
        "saying it again starts nothing over"
    );
}

#[test]
fn set_heartbeats_wants_to_know_whether() {
    let mut world = World::new();
    let conn = world.operator(&[ADMIN]);
    for params in [
        json!({}),
        json!({"enabled": "x"}),
        json!({"enabled": null}),
        json!([]),
        Value::Null,
    ] {
        let answer = world.ask(conn, "set-heartbeats", params);
        assert_eq!(
            errors(&answer),
            "INVALID_REQUEST invalid set-heartbeats params: enabled (boolean) required"
        );
    }
}

#[test]
fn only_operators_that_read_hear_of_heartbeats() {
    let mut world = beating(seconds(60));
    let deaf = world.operator(&["operator.approvals"]);
    let nobody = world.join(&Caller {
        scopes: &[],
        ..Caller::default()
    });
    world.advance(seconds(60));
    world.agent_does(ASK, Do::Finish);
    for conn in [deaf, nobody] {
        assert_eq!(beats(&mut world, conn), [Value::Null; 0]);
    }
}

#[test]
fn an_aborted_heartbeat_says_so() {
    let mut world = beating(seconds(60));
    let conn = world.operator(&[WRITE]);
    world.advance(seconds(60));
    let answer = world.ask(conn, "chat.abort", json!({"sessionKey": "main"}));
    assert_eq!(answer["payload"]["aborted"], true);
    let told = beats(&mut world, conn);
    assert_eq!(
        (&told[0]["status"], &told[0]["reason"]),
        (&json!("failed"), &json!("aborted"))
    );
}
