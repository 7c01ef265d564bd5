//! Numbers, order and versions of pushes, and what a close leaves of them.

mod support;

use openclaw_protocol_core::hub::Health;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Scope};
use serde_json::{Value, json};
use support::pushes::{TICK, names, note, numbers, reader_of, tick};
use support::{Gateway, Joiner, NOTHING, READ, closes, delta, events, ordinary, parsed, seconds};

#[test]
fn numbers_begin_at_one_on_each_connection_and_have_no_holes() {
    let (mut gateway, first) = reader_of(Limits::default());
    for _ in 0..3 {
        gateway.broadcast(note("early"));
    }
    let second = gateway.operator(NOTHING);
    for _ in 0..2 {
        gateway.broadcast(note("late"));
    }
    let frames = gateway.frames(first);
    assert_eq!(numbers(&frames), [1, 2, 3, 4, 5]);
    let frames = gateway.frames(second);
    assert_eq!(numbers(&frames), [1, 2]);
}

#[test]
fn a_filtered_push_does_not_consume_a_number() {
    let mut gateway = Gateway::new();
    let blind = gateway.operator(NOTHING);
    let node = gateway.join(&Joiner {
        role: "node",
        id: "node-host",
        mode: "node",
        scopes: &["operator.admin"],
        ..Joiner::default()
    });
    let reader = gateway.operator(READ);
    gateway.broadcast(note("all 1"));
    gateway.broadcast(ordinary(
        "note",
        "readers",
        Audience::Operators(Scope::Read),
    ));
    gateway.broadcast(ordinary("note", "others", Audience::Others(Scope::Read)));
    gateway.broadcast(ordinary(
        "note",
        "pairing",
        Audience::Operators(Scope::Pairing),
    ));
    gateway.broadcast(note("all 2"));
    for (conn, heard) in [
        (blind, ["all 1", "others", "all 2"]),
        (node, ["all 1", "others", "all 2"]),
        (reader, ["all 1", "readers", "all 2"]),
    ] {
        let frames: Vec<Value> = gateway
            .frames(conn)
            .into_iter()
            .filter(|frame| frame["event"] == "note")
            .collect();
        assert_eq!(names(&frames), heard);
        let seqs = numbers(&frames);
        assert_eq!((seqs[1], seqs[2]), (seqs[0] + 1, seqs[0] + 2));
    }
}

#[test]
fn replies_and_pushes_leave_in_the_order_in_which_they_came() {
    let (mut gateway, conn) = reader_of(Limits::default());
    let first = gateway.call(conn, "a");
    let second = gateway.call(conn, "b");
    gateway.stall(conn);
    gateway.broadcast(note("one"));
    gateway.reply(second, json!({}));
    gateway.broadcast(delta("two"));
    gateway.broadcast(note("three"));
    gateway.reply(first, json!({}));
    assert_eq!(
        names(&gateway.frames(conn)),
        ["one", "b", "two", "three", "a"]
    );
}

#[test]
fn a_newer_state_takes_the_place_of_an_older_one_at_the_end_of_the_queue() {
    let (mut gateway, conn) = reader_of(Limits::default());
    gateway.stall(conn);
    gateway.broadcast(tick(1));
    gateway.broadcast(note("between"));
    gateway.broadcast(tick(2));
    gateway.broadcast(tick(3));
    let frames = gateway.frames(conn);
    assert_eq!(names(&frames), ["between", TICK]);
    assert_eq!(
        numbers(&frames),
        [1, 2],
        "no hole: the older one had no number yet"
    );
    assert_eq!(frames[1]["payload"], json!({"ts": 3}));
    gateway.broadcast(tick(4));
    assert_eq!(gateway.frames(conn)[0]["seq"], 3);
}

#[test]
fn states_of_different_kinds_do_not_replace_each_other() {
    let (mut gateway, conn) = reader_of(Limits::default());
    gateway.stall(conn);
    gateway.broadcast(tick(1));
    let content = support::json(json!({"channels": 1}));
    let now = gateway.now();
    gateway.hub.set_health(
        Health {
            took: seconds(0),
            content,
        },
        now,
    );
    gateway.settle();
    assert_eq!(names(&gateway.frames(conn)), [TICK, "health"]);
}

#[test]
fn a_state_carries_the_versions_of_the_moment_at_which_it_leaves() {
    let (mut gateway, conn) = reader_of(Limits::default());
    gateway.pass(seconds(2));
    gateway.hear(conn);
    gateway.stall(conn);
    let before = gateway.hub.state_version();
    let content = support::json(json!({"channels": 1}));
    let now = gateway.now();
    gateway.hub.set_health(
        Health {
            took: seconds(0),
            content,
        },
        now,
    );
    gateway.broadcast(tick(1));
    gateway.operator(READ);
    let frames = gateway.frames(conn);
    let health = events(&frames, "health")[0];
    assert_eq!(
        health["stateVersion"],
        json!({"presence": before.presence + 1, "health": before.health + 1})
    );
    assert_eq!(events(&frames, TICK)[0].get("stateVersion"), None);
}

// LIM-004
#[test]
fn closing_discards_pushes_and_keeps_small_replies() {
    let (mut gateway, conn) = reader_of(Limits::default());
    gateway.stall(conn);
    let small = gateway.call(conn, "small");
    let large = gateway.call(conn, "large");
    gateway.broadcast(note("lost"));
    gateway.reply(small, json!("s"));
    gateway.reply(large, json!("x".repeat(70_000)));
    gateway.broadcast(tick(1));
    gateway.close(conn, 1012, "service restart");
    gateway.broadcast(note("too late"));
    let heard = gateway.hear(conn);
    assert_eq!(names(&parsed(&heard)), ["small"]);
    assert_eq!(closes(&heard), Some((1012, "service restart")));
}

#[test]
fn only_the_first_close_counts() {
    let (mut gateway, conn) = reader_of(Limits::default());
    gateway.stall(conn);
    gateway.close(conn, 1012, "service restart");
    gateway.close(conn, 1008, "other");
    assert_eq!(closes(&gateway.hear(conn)), Some((1012, "service restart")));
}

#[test]
fn shutdown_is_pushed_to_everybody_before_the_close() {
    let mut gateway = Gateway::new();
    let stranger = gateway.open();
    let blind = gateway.operator(NOTHING);
    gateway.hear(stranger);
    let now = gateway.now();
    gateway
        .hub
        .announce_shutdown("gateway restarting", Some(1_500), now);
    gateway.settle();
    gateway.hub.close_all(
        &openclaw_protocol_core::frame::Close::new(1012, "service restart"),
        now,
    );
    gateway.settle();
    let heard = gateway.hear(blind);
    assert_eq!(
        parsed(&heard),
        [json!({
            "type":"event","event":"shutdown","seq":1,
            "payload":{"reason":"gateway restarting","restartExpectedMs":1500},
        })]
    );
    assert_eq!(closes(&heard), Some((1012, "service restart")));
    let heard = gateway.hear(stranger);
    assert_eq!(
        (heard.len(), closes(&heard)),
        (1, Some((1012, "service restart")))
    );
}
