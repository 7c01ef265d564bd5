//! What all connections of a gateway may hold together.

mod support;

use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Scope};
use serde_json::json;
use support::{Gateway, Joiner, READ, closes, events, ordinary};

const KIB: usize = 1024;

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[test]
fn unanswered_requests_of_one_connection_hold_a_bounded_number_of_bytes() {
    let mut gateway = Gateway::with(Limits {
        open_call_bytes: 10 * KIB,
        ..Limits::default()
    });
    let conn = gateway.operator(READ);
    gateway.request(conn, "r1", "agent", json!({"text": text(6 * KIB)}));
    gateway.request(conn, "r2", "agent", json!({"text": text(6 * KIB)}));
    let frames = gateway.frames(conn);
    let refused = frames.iter().find(|frame| frame["id"] == "r2").unwrap();
    assert_eq!(refused["error"]["code"], "UNAVAILABLE");
    assert_eq!(refused["error"]["retryable"], true);
    let (first, _) = gateway.calls.pop_front().expect("the first was taken in");
    assert!(gateway.calls.is_empty());
    gateway.reply(first, json!({}));
    gateway.request(conn, "r3", "agent", json!({"text": text(6 * KIB)}));
    assert_eq!(gateway.calls.len(), 1, "an answer makes room");
}

#[test]
fn unanswered_requests_of_all_connections_hold_a_bounded_number_of_bytes() {
    let mut gateway = Gateway::with(Limits {
        open_call_bytes_in_all: 10 * KIB,
        ..Limits::default()
    });
    let (greedy, modest) = (gateway.operator(READ), gateway.operator(READ));
    gateway.request(greedy, "r1", "agent", json!({"text": text(9 * KIB)}));
    gateway.request(modest, "r2", "agent", json!({"text": text(2 * KIB)}));
    gateway.request(modest, "r3", "agent", json!({"text": "small"}));
    let refused: Vec<_> = gateway.frames(modest);
    assert!(
        refused
            .iter()
            .any(|frame| frame["id"] == "r2" && frame["ok"] == false)
    );
    assert_eq!(gateway.calls.len(), 2, "what fits is taken in");
    gateway.disconnect(greedy);
    gateway.request(modest, "r4", "agent", json!({"text": text(2 * KIB)}));
    assert_eq!(gateway.calls.len(), 3, "a connection that goes makes room");
}

#[test]
fn a_push_for_many_counts_once() {
    let mut gateway = Gateway::with(Limits {
        outbox_in_all: 50 * KIB,
        ..Limits::default()
    });
    let readers: Vec<_> = (0..20).map(|_| gateway.operator(READ)).collect();
    for reader in &readers {
        gateway.hear(*reader);
        gateway.stall(*reader);
    }
    for _ in 0..4 {
        gateway.broadcast(ordinary("note", &text(10 * KIB), Audience::Everyone));
    }
    for reader in readers {
        let heard = gateway.hear(reader);
        assert_eq!(closes(&heard), None);
        assert_eq!(events(&support::parsed(&heard), "note").len(), 4);
    }
}

#[test]
fn the_largest_backlog_is_closed_first_and_the_others_go_on() {
    let mut gateway = Gateway::with(Limits {
        outbox_in_all: 50 * KIB,
        ..Limits::default()
    });
    let slow = gateway.join(&Joiner {
        scopes: &["operator.read", "operator.pairing"],
        ..Joiner::default()
    });
    let (stalled, healthy) = (gateway.operator(READ), gateway.operator(READ));
    for conn in [slow, stalled, healthy] {
        gateway.hear(conn);
    }
    gateway.stall(slow);
    gateway.stall(stalled);
    gateway.broadcast(ordinary("note", &text(KIB), Audience::Everyone));
    for _ in 0..6 {
        let audience = Audience::Operators(Scope::Pairing);
        gateway.broadcast(ordinary("note", &text(10 * KIB), audience));
    }
    assert_eq!(gateway.faults, [PeerFault::SlowConsumer]);
    assert_eq!(closes(&gateway.hear(slow)), Some((1008, "slow consumer")));
    assert_eq!(events(&gateway.frames(stalled), "note").len(), 1);
    assert_eq!(events(&gateway.frames(healthy), "note").len(), 1);
}

#[test]
fn what_was_read_no_longer_counts() {
    let mut gateway = Gateway::with(Limits {
        outbox_in_all: 50 * KIB,
        ..Limits::default()
    });
    let reader = gateway.operator(READ);
    for _ in 0..3_000 {
        gateway.broadcast(ordinary("note", &text(KIB), Audience::Everyone));
        assert_eq!(closes(&gateway.hear(reader)), None);
    }
}

#[test]
fn answers_count_for_the_one_who_does_not_read_them() {
    let mut gateway = Gateway::with(Limits {
        outbox_in_all: 50 * KIB,
        ..Limits::default()
    });
    let (greedy, other) = (gateway.operator(READ), gateway.operator(READ));
    gateway.hear(greedy);
    gateway.stall(greedy);
    for n in 0..6 {
        let call = gateway.call(greedy, &format!("r{n}"));
        gateway.reply(call, json!(text(10 * KIB)));
        if !gateway.faults.is_empty() {
            break;
        }
    }
    assert_eq!(gateway.faults, [PeerFault::SlowConsumer]);
    assert_eq!(closes(&gateway.hear(other)), None);
}

#[test]
fn a_push_that_is_being_written_to_many_still_counts_once() {
    let mut gateway = Gateway::with(Limits {
        outbox_in_all: 50 * KIB,
        ..Limits::default()
    });
    let readers: Vec<_> = (0..20).map(|_| gateway.operator(READ)).collect();
    for reader in &readers {
        gateway.hear(*reader);
        gateway.stall(*reader);
    }
    let mut writing = Vec::new();
    for _ in 0..4 {
        gateway.broadcast(ordinary("note", &text(10 * KIB), Audience::Everyone));
        writing.extend(
            readers
                .iter()
                .map(|reader| gateway.hub.poll_transmit(*reader).expect("the push waits")),
        );
    }
    assert_eq!(writing.len(), 80);
    assert_eq!(gateway.faults, []);
}

#[test]
fn an_answer_that_is_being_written_counts_and_closing_its_reader_is_enough() {
    let mut gateway = Gateway::with(Limits {
        outbox_in_all: 50 * KIB,
        ..Limits::default()
    });
    let (greedy, other) = (gateway.operator(READ), gateway.operator(READ));
    for conn in [greedy, other] {
        gateway.hear(conn);
        gateway.stall(conn);
    }
    gateway.broadcast(ordinary("note", &text(KIB), Audience::Everyone));
    for n in 0..6 {
        let call = gateway.call(greedy, &format!("r{n}"));
        gateway.reply(call, json!(text(10 * KIB)));
        // Pulled by a writer that never says it is done.
        while gateway.hub.poll_transmit(greedy).is_some() {}
        if !gateway.faults.is_empty() {
            break;
        }
    }
    assert_eq!(gateway.faults, [PeerFault::SlowConsumer]);
    gateway.broadcast(ordinary("note", &text(KIB), Audience::Everyone));
    assert_eq!(gateway.faults, [PeerFault::SlowConsumer]);
    assert_eq!(events(&gateway.frames(other), "note").len(), 2);
}
