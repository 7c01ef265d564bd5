//! Clients of protocol 3 and of protocol 4 at one gateway.

mod support;

use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{Caller, Do, WRITE, World, count, events, final_of, seconds, story_of};

fn join(world: &mut World, version: u32) -> ConnId {
    let caller = Caller {
        scopes: &[WRITE],
        versions: (version, version),
        ..Caller::default()
    };
    let conn = world.join(&caller);
    let session = world.hub.session(conn).expect("it was let in");
    assert_eq!(session.protocol, version);
    world.hear(conn);
    conn
}

fn numbers(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .filter_map(|frame| frame["seq"].as_u64())
        .collect()
}

/// What is the same for both: each push without its number.
fn pushes(frames: &[Value]) -> Vec<(&Value, &Value)> {
    let pushes = frames.iter().filter(|frame| frame["type"] == "event");
    pushes
        .map(|frame| (&frame["event"], &frame["payload"]))
        .collect()
}

#[test]
fn clients_of_protocols_3_and_4_share_a_run() {
    let mut world = World::new();
    let old = join(&mut world, 3);
    let new = join(&mut world, 4);
    // The old one has heard more than the new one by the time at which the run begins.
    world.advance(seconds(2));
    world.hear(new);
    let before = numbers(&world.hear(old)).len() as u64;
    world.run(old, "r", "k");
    let waits = json!({"runId": "k", "timeoutMs": 60_000});
    for conn in [old, new] {
        world.request(conn, "w", "agent.wait", waits.clone());
    }
    world.run(new, "r", "k");
    for text in ["Hello", " from", " us"] {
        world.advance(seconds(1));
        world.agent_says("k", text);
    }
    world.agent_does("k", Do::Finish);
    let (old, new) = (world.hear(old), world.hear(new));

    assert_eq!(pushes(&old), pushes(&new), "both hear the same");
    for frames in [&old, &new] {
        let story = story_of(frames);
        assert_eq!(count(&story, &["agent start"]), 1, "{story:?}");
        assert_eq!(count(&story, &["agent end"]), 1, "{story:?}");
        assert_eq!(count(&story, &["chat final"]), 1, "{story:?}");
        assert_eq!(count(&story, &["res r accepted"]), 1, "{story:?}");
        assert_eq!(count(&story, &["res r ok"]), 1, "{story:?}");
        assert_eq!(
            story.last().map(String::as_str),
            Some("res w ok"),
            "{story:?}"
        );
        assert_eq!(final_of(frames, "r")["payload"]["runId"], "k");
        let numbers = numbers(frames);
        let first = numbers[0];
        let follow: Vec<u64> = (first..).take(numbers.len()).collect();
        assert_eq!(numbers, follow, "without a gap, each connection for itself");
    }
    assert_eq!(numbers(&old)[0], before + 1);
    assert!(numbers(&new)[0] <= before, "the new one counts for itself");
}

#[test]
fn a_client_of_protocol_3_finds_the_whole_text_in_every_chat_push() {
    let mut world = World::new();
    let conn = join(&mut world, 3);
    world.run(conn, "r", "k");
    for text in ["Hello", " from", " us"] {
        world.advance(seconds(1));
        world.agent_says("k", text);
    }
    world.agent_does("k", Do::Finish);
    let frames = world.hear(conn);
    let texts: Vec<&Value> = events(&frames, "chat", "k")
        .into_iter()
        .map(|payload| &payload["message"]["content"][0]["text"])
        .collect();
    assert_eq!(
        texts,
        ["Hello", "Hello from", "Hello from us", "Hello from us"]
    );
}
