//! A turn that is asked for again is not done again.

mod support;

use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{
    Caller, Device, Do, Settings, WRITE, World, errors, final_of, seconds, story, story_of,
};

const WAYS_TO_END: &[(&str, bool)] = &[("finish", true), ("fail", false)];

fn end(world: &mut World, message: &str, well: bool) {
    let how = if well {
        Do::Finish
    } else {
        Do::Fail("out of words")
    };
    world.agent_does(message, how);
}

fn with_device(world: &mut World, seed: u8) -> ConnId {
    world.join(&Caller {
        scopes: &[WRITE],
        device: Some(Device::new(seed)),
        ..Caller::default()
    })
}

#[test]
fn a_repeat_in_flight_is_accepted_again_and_gets_the_same_final_on_its_own_id() {
    for (_, well) in WAYS_TO_END {
        let mut world = World::new();
        let conn = world.operator(&[WRITE]);
        let other = world.operator(&[WRITE]);
        world.run(conn, "r1", "k");
        world.advance(seconds(3));
        world.run(conn, "r2", "k");
        world.run(other, "r3", "k");
        let first = world.answer(conn, "r1");
        for (conn, id) in [(conn, "r2"), (other, "r3")] {
            let again = world.answer(conn, id);
            assert_eq!(again["payload"], first["payload"], "time and all");
        }
        end(&mut world, "k", *well);
        assert_eq!(world.agent.begun("k"), 1);
        let one = world.answer(conn, "r1");
        assert_eq!(one["ok"], *well);
        for (conn, id) in [(conn, "r2"), (other, "r3")] {
            let last = world.answer(conn, id);
            assert_eq!(last["payload"], one["payload"]);
            assert_eq!(last["error"], one["error"]);
            assert_eq!(world.answer(conn, id), Value::Null, "that is all");
        }
    }
}

#[test]
fn a_repeat_after_the_end_gets_the_stored_final_at_once() {
    for (_, well) in WAYS_TO_END {
        let mut world = World::new();
        let conn = world.operator(&[WRITE]);
        world.run(conn, "r1", "k");
        world.agent_says("k", "text");
        end(&mut world, "k", *well);
        let frames = world.hear(conn);
        let stored = final_of(&frames, "r1").clone();
        world.advance(seconds(599));
        world.hear(conn);

        world.run(conn, "r2", "k");
        let frames = world.hear(conn);
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!(frames[0]["id"], "r2");
        for member in ["ok", "payload", "error"] {
            assert_eq!(frames[0][member], stored[member]);
        }
        assert_eq!(world.agent.begun("k"), 1);
    }
}

#[test]
fn a_repeat_over_another_connection_finds_the_run_of_a_client_that_went() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.cut(conn);

    let again = world.operator(&[WRITE]);
    world.run(again, "r1", "k");
    assert_eq!(world.answer(again, "r1")["payload"]["status"], "accepted");
    world.cut(again);
    world.agent_does("k", Do::Finish);

    let third = world.operator(&[WRITE]);
    world.run(third, "r1", "k");
    let frames = world.hear(third);
    assert_eq!(story_of(&frames), ["res r1 ok"]);
    assert_eq!(world.agent.begun("k"), 1);
}

#[test]
fn a_device_is_known_again_over_another_connection() {
    let mut world = World::new();
    let conn = with_device(&mut world, 1);
    world.run(conn, "r1", "k");
    world.agent_does("k", Do::Finish);
    world.cut(conn);
    let again = with_device(&mut world, 1);
    world.run(again, "r1", "k");
    assert_eq!(story_of(&world.hear(again)), ["res r1 ok"]);
    assert_eq!(world.agent.begun("k"), 1);
}

#[test]
fn the_same_key_with_another_body_is_a_conflict() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "k", "s");
    let other = json!({"message": "other", "idempotencyKey": "k", "sessionKey": "s"});
    for _ in 0..2 {
        let answer = world.ask(conn, "agent", other.clone());
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
        assert_eq!(answer["error"]["details"]["code"], "IDEMPOTENCY_CONFLICT");
        if world.agent.works_on("k") {
            world.agent_does("k", Do::Finish);
        }
    }
    let frames = world.hear(conn);
    assert_eq!(final_of(&frames, "r1")["ok"], true, "the run is unharmed");
}

#[test]
fn the_same_body_in_another_spelling_is_no_conflict() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let spell = |id: &str, params: &str| {
        format!(r#"{{"type":"req","id":"{id}","method":"agent","params":{params}}}"#)
    };
    let one = spell(
        "r1",
        r#"{"message":"k","idempotencyKey":"k","sessionKey":"s"}"#,
    );
    let other = spell(
        "r2",
        r#"{ "sessionKey": "s", "idempotencyKey": "k", "message": "\u006b" }"#,
    );
    world.say_bytes(conn, one);
    world.say_bytes(conn, other);
    assert_eq!(world.answer(conn, "r2")["payload"]["status"], "accepted");
    assert_eq!(world.agent.begun("k"), 1);
}

#[test]
fn another_principal_with_the_same_key_gets_a_run_of_its_own() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let device = with_device(&mut world, 1);
    world.run_in(conn, "r1", "k", "s");
    let params = json!({"message": "mine", "idempotencyKey": "k", "sessionKey": "t"});
    world.request(device, "r1", "agent", params.clone());
    assert_eq!(world.answer(conn, "r1")["payload"]["runId"], "k");
    let accepted = world.answer(device, "r1");
    let run = accepted["payload"]["runId"].as_str().expect("a run");
    assert_ne!(run, "k");
    assert_eq!(run.len(), 36, "a name nobody can guess");

    world.agent_does("k", Do::Finish);
    assert_eq!(world.answer(conn, "r1")["payload"]["runId"], "k");
    assert_eq!(world.answer(device, "r1"), Value::Null);
    world.agent_does("mine", Do::Fail("no"));
    assert_eq!(world.answer(device, "r1")["payload"]["runId"], run);
    let repeated = world.ask(device, "agent", params);
    assert_eq!(repeated["payload"]["runId"], run);
    assert_eq!(errors(&repeated), "UNAVAILABLE no");
}

#[test]
fn ten_minutes_after_its_end_a_run_is_forgotten_and_its_key_is_free() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run(conn, "r1", "k");
    world.agent_does("k", Do::Finish);
    world.advance(seconds(600));
    world.hear(conn);
    let params = json!({"message": "k", "idempotencyKey": "k", "sessionKey": "t"});
    world.request(conn, "r2", "agent", params);
    let accepted = world.answer(conn, "r2");
    assert_eq!(accepted["payload"]["status"], "accepted");
    assert_eq!(
        accepted["payload"]["runId"], "k",
        "nobody else uses the name any more"
    );
    assert_eq!(world.agent.begun("k"), 2);
}

#[test]
fn a_refused_request_does_not_use_its_key_up() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let mut params = json!({"message": "k", "idempotencyKey": "k", "agentId": "bogus"});
    let refused = world.ask(conn, "agent", params.clone());
    assert_eq!(refused["ok"], false);
    params["agentId"] = json!("main");
    world.request(conn, "r1", "agent", params);
    assert_eq!(story(&world.hear(conn))[0], "res r1 accepted");
}

#[test]
fn a_draining_gateway_still_answers_repeats() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    for key in ["done", "flying"] {
        world.run(conn, key, key);
    }
    world.agent_does("done", Do::Finish);
    world.drain();
    world.hear(conn);
    world.run(conn, "r1", "done");
    world.run(conn, "r2", "flying");
    assert_eq!(
        story(&world.hear(conn)),
        ["res r1 ok", "res r2 accepted"],
        "they ask for no new work"
    );
    world.finish();
    let frames = world.hear(conn);
    assert_eq!(
        errors(final_of(&frames, "r2")),
        "UNAVAILABLE gateway stopping"
    );
}

#[test]
fn results_larger_than_may_be_kept_make_room_for_each_other_but_not_for_nothing() {
    let mut world = World::with(Settings {
        repeats: Bounds {
            bytes: 65_536,
            ..Bounds::default()
        },
        ..Settings::default()
    });
    let conn = world.operator(&[WRITE]);
    for key in ["first", "second"] {
        world.run(conn, key, key);
        world.agent_says(key, &"x".repeat(100_000));
        world.agent_does(key, Do::Finish);
        world.hear(conn);
        world.run(conn, "again", key);
        assert_eq!(world.answer(conn, "again")["ok"], true);
        assert_eq!(world.agent.begun(key), 1, "its repeat is not done again");
    }
    world.run(conn, "late", "first");
    assert_eq!(world.agent.begun("first"), 2, "the second made room");
}
