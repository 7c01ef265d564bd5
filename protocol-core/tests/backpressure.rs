//! What happens to a peer that reads too slowly, and to nobody else.

mod support;

use openclaw_protocol_core::client::{Gap, Watcher};
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::limits::Limits;
use serde_json::json;
use support::pushes::{TICK, names, note, numbers, reader_of, tick};
use support::{READ, closes, delta, parsed};

#[test]
fn deltas_over_the_soft_limit_leave_a_hole_that_the_client_sees_as_one_gap() {
    let limits = Limits {
        outbox_soft_pushes: 3,
        ..Limits::default()
    };
    let (mut gateway, conn) = reader_of(limits);
    gateway.stall(conn);
    for text in ["1", "2", "3", "lost", "lost"] {
        gateway.broadcast(delta(text));
    }
    gateway.broadcast(note("6"));
    let call = gateway.call(conn, "a");
    gateway.reply(call, json!({}));
    let frames = gateway.frames(conn);
    assert_eq!(names(&frames), ["1", "2", "3", "6", "a"]);
    assert_eq!(numbers(&frames), [1, 2, 3, 6]);
    let mut watcher = Watcher::new(4);
    let gaps: Vec<Gap> = numbers(&frames)
        .into_iter()
        .filter_map(|seq| watcher.follow(seq))
        .collect();
    assert_eq!(
        gaps,
        [Gap {
            expected: 4,
            received: 6
        }]
    );
    gateway.broadcast(delta("7"));
    let frames = gateway.frames(conn);
    assert_eq!(numbers(&frames), [7]);
    assert_eq!(watcher.follow(7), None);
}

#[test]
fn a_hole_stands_where_the_push_would_have_stood() {
    let (mut gateway, conn) = reader_of(Limits {
        outbox_soft_pushes: 2,
        ..Limits::default()
    });
    gateway.stall(conn);
    for publication in [
        delta("1"),
        delta("2"),
        delta("lost"),
        note("4"),
        delta("lost"),
        tick(0),
    ] {
        gateway.broadcast(publication);
    }
    let frames = gateway.frames(conn);
    assert_eq!(names(&frames), ["1", "2", "4", TICK]);
    assert_eq!(numbers(&frames), [1, 2, 4, 6]);
}

#[test]
fn a_hole_at_the_end_shows_with_the_next_push() {
    let (mut gateway, conn) = reader_of(Limits {
        outbox_soft_pushes: 1,
        ..Limits::default()
    });
    gateway.stall(conn);
    gateway.broadcast(delta("1"));
    gateway.broadcast(delta("lost"));
    assert_eq!(numbers(&gateway.frames(conn)), [1]);
    gateway.broadcast(note("3"));
    assert_eq!(numbers(&gateway.frames(conn)), [3]);
}

#[test]
fn bytes_count_towards_the_soft_limit_and_only_deltas_are_dropped() {
    let (mut gateway, conn) = reader_of(Limits {
        outbox_soft: 1_000,
        ..Limits::default()
    });
    gateway.stall(conn);
    let call = gateway.call(conn, "a");
    gateway.reply(call, json!("x".repeat(2_000)));
    gateway.broadcast(delta("lost"));
    gateway.broadcast(note("2"));
    let frames = gateway.frames(conn);
    assert_eq!(numbers(&frames), [2]);
    gateway.broadcast(delta("3"));
    assert_eq!(
        numbers(&gateway.frames(conn)),
        [3],
        "what was written no longer counts"
    );
}

#[test]
fn a_slow_reader_costs_nobody_else_anything() {
    let (mut gateway, slow) = reader_of(Limits {
        outbox_soft_pushes: 1,
        ..Limits::default()
    });
    let quick = gateway.operator(READ);
    gateway.stall(slow);
    for text in ["1", "2", "3"] {
        gateway.broadcast(delta(text));
    }
    let frames = gateway.frames(quick);
    assert_eq!(names(&frames), ["1", "2", "3"]);
    assert_eq!(numbers(&frames), [1, 2, 3]);
}

#[test]
fn more_than_may_wait_closes_the_slow_consumer() {
    let limits = Limits {
        outbox: 10_000,
        frame: 8_000,
        ..Limits::default()
    };
    let (mut gateway, slow) = reader_of(limits);
    let quick = gateway.operator(READ);
    gateway.stall(slow);
    for _ in 0..3 {
        gateway.broadcast(note(&"x".repeat(3_000)));
    }
    assert_eq!(gateway.faults, []);
    gateway.broadcast(note(&"x".repeat(3_000)));
    assert_eq!(gateway.faults, [PeerFault::SlowConsumer]);
    let heard = gateway.hear(slow);
    assert_eq!(closes(&heard), Some((1008, "slow consumer")));
    assert_eq!(heard.len(), 1, "what waited is discarded");
    assert_eq!(gateway.frames(quick).len(), 4, "the other hears everything");
}

#[test]
fn replies_that_are_not_read_close_the_slow_consumer_too() {
    let limits = Limits {
        outbox: 10_000,
        frame: 8_000,
        ..Limits::default()
    };
    let (mut gateway, conn) = reader_of(limits);
    gateway.stall(conn);
    for id in ["a", "b", "c"] {
        let call = gateway.call(conn, id);
        gateway.reply(call, json!("x".repeat(4_000)));
    }
    let heard = gateway.hear(conn);
    assert_eq!(closes(&heard), Some((1008, "slow consumer")));
    assert_eq!(gateway.faults, [PeerFault::SlowConsumer]);
}

#[test]
fn a_push_that_no_frame_may_hold_is_dropped_with_its_number() {
    for length in [4_000, 50_000] {
        let limits = Limits {
            outbox: 10_000,
            frame: 3_000,
            ..Limits::default()
        };
        let (mut gateway, conn) = reader_of(limits);
        gateway.broadcast(note("1"));
        gateway.broadcast(note(&"x".repeat(length)));
        gateway.broadcast(note("3"));
        let heard = gateway.hear(conn);
        assert_eq!(closes(&heard), None, "{length}: the peer is not at fault");
        assert_eq!(numbers(&parsed(&heard)), [1, 3]);
    }
}
