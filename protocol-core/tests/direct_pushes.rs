//! Pushes to one connection alone.

mod support;

use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::Audience;
use openclaw_protocol_core::server::Delivery;
use serde_json::json;
use support::pushes::{names, note, numbers, reader_of};
use support::{Gateway, READ, closes, events, ordinary, parsed};

/// Says something to one connection.
fn tell(
    gateway: &mut Gateway,
    conn: openclaw_protocol_core::server::ConnId,
    text: &str,
) -> Delivery {
    let now = gateway.now();
    let publication = ordinary("note", text, Audience::Everyone);
    let delivery = gateway.hub.direct(conn, publication, now);
    gateway.settle();
    delivery
}

#[test]
fn a_direct_push_is_heard_by_one_in_its_order_and_takes_no_number() {
    let (mut gateway, addressee) = reader_of(Limits::default());
    let other = gateway.operator(READ);
    gateway.broadcast(note("1"));
    assert_eq!(tell(&mut gateway, addressee, "for you"), Delivery::Queued);
    gateway.broadcast(note("2"));
    let frames = gateway.frames(addressee);
    assert_eq!(names(&frames), ["1", "for you", "2"]);
    let direct = &events(&frames, "note")[1];
    assert_eq!(direct.get("seq"), None);
    assert_eq!(direct.get("stateVersion"), None);
    let of_others = gateway.frames(other);
    assert_eq!(names(&of_others), ["1", "2"]);
    assert_eq!(numbers(&of_others), [1, 2]);
}

#[test]
fn nobody_hears_a_direct_push_before_their_hello_or_after_their_end() {
    let mut gateway = Gateway::new();
    let stranger = gateway.open();
    assert_eq!(tell(&mut gateway, stranger, "early"), Delivery::NotForThem);
    let gone = gateway.operator(READ);
    gateway.disconnect(gone);
    assert_eq!(tell(&mut gateway, gone, "late"), Delivery::NotForThem);
    assert_eq!(
        events(&gateway.frames(stranger), "note"),
        Vec::<&serde_json::Value>::new()
    );
}

#[test]
fn a_direct_push_that_no_frame_may_hold_is_not_queued() {
    let (mut gateway, conn) = reader_of(Limits {
        frame: 3_000,
        ..Limits::default()
    });
    assert_eq!(
        tell(&mut gateway, conn, &"x".repeat(4_000)),
        Delivery::Dropped
    );
    gateway.broadcast(note("next"));
    let frames = gateway.frames(conn);
    assert_eq!(numbers(&frames), [1], "there is no gap");
}

#[test]
fn direct_pushes_that_are_not_read_close_the_slow_consumer() {
    let (mut gateway, slow) = reader_of(Limits {
        outbox: 10_000,
        frame: 8_000,
        ..Limits::default()
    });
    gateway.stall(slow);
    let text = "x".repeat(3_000);
    for _ in 0..3 {
        assert_eq!(tell(&mut gateway, slow, &text), Delivery::Queued);
    }
    assert_eq!(tell(&mut gateway, slow, &text), Delivery::Overflow);
    assert_eq!(gateway.faults, [PeerFault::SlowConsumer]);
    let heard = gateway.hear(slow);
    assert_eq!(closes(&heard), Some((1008, "slow consumer")));
    assert_eq!(parsed(&heard), Vec::<serde_json::Value>::new());
}

#[test]
fn direct_pushes_count_in_what_waits_for_all_connections_together() {
    let (mut gateway, slow) = reader_of(Limits {
        outbox_in_all: 10_000,
        ..Limits::default()
    });
    gateway.stall(slow);
    for _ in 0..4 {
        tell(&mut gateway, slow, &"x".repeat(3_000));
    }
    assert_eq!(closes(&gateway.hear(slow)), Some((1008, "slow consumer")));
}

#[test]
fn what_was_read_no_longer_counts() {
    let (mut gateway, conn) = reader_of(Limits {
        outbox: 10_000,
        outbox_in_all: 10_000,
        frame: 8_000,
        ..Limits::default()
    });
    for turn in 0..20 {
        let delivery = tell(&mut gateway, conn, &"x".repeat(6_000));
        assert_eq!(delivery, Delivery::Queued, "turn {turn}");
    }
    let frames = gateway.frames(conn);
    assert_eq!(events(&frames, "note").len(), 20);
    assert_eq!(frames[0]["payload"], json!({"text": "x".repeat(6_000)}));
}
