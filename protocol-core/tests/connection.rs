//! One connection of a gateway by itself: what counts as waiting, and misuse by its owner.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{Outcome, StateVersion, Transmit};
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Role, Scope};
use openclaw_protocol_core::server::{Applicant, Call, ConnId, Connection, Delivery, Event, Wrong};
use openclaw_protocol_core::time::{Instant, Now};
use serde_json::json;
use support::{Clock, Joiner, NONCE, delta, ordinary};

fn opened(id: u64) -> Connection {
    Connection::new(
        ConnId(id),
        Limits::default(),
        NONCE,
        0,
        Clock::default().now(),
    )
}

fn say(connection: &mut Connection, frame: &serde_json::Value) {
    let message = Bytes::from(frame.to_string());
    connection.handle_frame(Inbound::decode(&message), Clock::default().now());
}

fn applicant(connection: &mut Connection) -> Applicant {
    say(
        connection,
        &json!({"type":"req","id":"c","method":"connect","params":Joiner::default().params()}),
    );
    match connection.poll_event() {
        Some(Event::Connect { applicant, .. }) => applicant,
        other => panic!("an applicant was expected: {other:?}"),
    }
}

fn grant() -> Grant {
    Grant {
        role: Role::Operator,
        scopes: vec!["operator.read".to_owned()].into(),
        principal: "secret".into(),
        device_id: None,
        device_token: None,
        user: None,
    }
}

fn admitted(id: u64) -> Connection {
    let mut connection = opened(id);
    let applicant = applicant(&mut connection);
    let hello = |_| Json::empty_object();
    assert_eq!(
        connection.admit(applicant, &grant(), hello, Clock::default().now()),
        Ok(true)
    );
    pull(&mut connection);
    connection.sent();
    connection
}

fn call(connection: &mut Connection) -> Call {
    say(connection, &json!({"type":"req","id":"r","method":"x"}));
    match connection.poll_event() {
        Some(Event::Request { call, .. }) => call,
        other => panic!("a request was expected: {other:?}"),
    }
}

fn pull(connection: &mut Connection) -> usize {
    core::iter::from_fn(|| connection.poll_transmit(StateVersion::default())).count()
}

#[test]
fn what_was_pulled_counts_as_waiting_until_it_is_written() {
    let mut connection = admitted(1);
    let now = Clock::default().now();
    assert_eq!(connection.queued_bytes(), 0);
    let call = call(&mut connection);
    connection
        .finish(
            call,
            Outcome::success(support::json(json!("x".repeat(500)))),
            now,
        )
        .unwrap();
    let publication = Arc::new(ordinary("note", &"y".repeat(300), Audience::Everyone));
    assert_eq!(connection.publish(&publication, now), Delivery::Queued);
    let waiting = connection.queued_bytes();
    assert!(waiting > 800);
    assert_eq!(pull(&mut connection), 2);
    assert_eq!(connection.queued_bytes(), waiting);
    connection.sent();
    assert_eq!(connection.queued_bytes(), 0);
    assert!(!connection.has_output());
}

#[test]
fn what_a_close_discards_waits_no_more() {
    let mut connection = admitted(1);
    let now = Clock::default().now();
    let publication = Arc::new(ordinary("note", &"y".repeat(300), Audience::Everyone));
    connection.publish(&publication, now);
    connection.close(Close::new(1012, "service restart"), now);
    assert_eq!((connection.queued_bytes(), connection.open_calls()), (0, 0));
    assert!(connection.has_output() && connection.is_ending());
    assert_eq!(
        connection.poll_transmit(StateVersion::default()),
        Some(Transmit::Close(Close::new(1012, "service restart")))
    );
    assert!(!connection.has_output());
}

#[test]
fn a_ping_that_a_close_discarded_is_not_asked_for_out_of_turn() {
    let mut connection = admitted(1);
    let limits = Limits::default();
    let later = Now {
        at: Instant::after_origin(limits.ping),
        ..Now::default()
    };
    connection.handle_timeout(later);
    assert!(connection.queued_bytes() > 0, "a ping waits");
    connection.close(Close::new(1012, "service restart"), later);
    assert!(!connection.poll_ping());
    assert_eq!(connection.queued_bytes(), 0);
}

#[test]
fn a_push_says_what_became_of_it() {
    let now = Clock::default().now();
    let mut stranger = opened(1);
    let note = Arc::new(ordinary("note", "x", Audience::Everyone));
    assert_eq!(stranger.publish(&note, now), Delivery::NotForThem);
    let limits = Limits {
        outbox_soft_pushes: 1,
        outbox: 1_000,
        ..Limits::default()
    };
    let mut slow = Connection::new(ConnId(2), limits, NONCE, 0, now);
    let applicant = applicant(&mut slow);
    slow.admit(applicant, &grant(), |_| Json::empty_object(), now)
        .unwrap();
    let others = Arc::new(ordinary("note", "x", Audience::Others(Scope::Read)));
    let large = Arc::new(ordinary("note", &"x".repeat(2_000), Audience::Everyone));
    for (publication, delivery) in [
        (&others, Delivery::NotForThem),
        (&Arc::new(delta("1")), Delivery::Queued),
        (&Arc::new(delta("2")), Delivery::Dropped),
        (&note, Delivery::Queued),
        (&large, Delivery::Overflow),
        (&note, Delivery::NotForThem),
    ] {
        assert_eq!(slow.publish(publication, now), delivery);
    }
}

#[test]
fn a_token_of_another_connection_comes_back_and_changes_nothing() {
    let now = Clock::default().now();
    let mut here = opened(1);
    let mut there = opened(2);
    let foreign = applicant(&mut there);
    let own = applicant(&mut here);
    let back = here
        .admit(foreign, &grant(), |_| Json::empty_object(), now)
        .unwrap_err();
    assert_eq!(back.wrong, Wrong::Elsewhere);
    assert!(here.session().is_none());
    assert_eq!(
        there.admit(back.token, &grant(), |_| Json::empty_object(), now),
        Ok(true)
    );
    assert_eq!(
        here.admit(own, &grant(), |_| Json::empty_object(), now),
        Ok(true)
    );

    let foreign = call(&mut there);
    let own = call(&mut here);
    let null = || Outcome::success(Json::null());
    let back = here.finish(foreign, null(), now).unwrap_err();
    assert_eq!((back.wrong, here.open_calls()), (Wrong::Elsewhere, 1));
    let back = here.interim(back.token, Json::null(), now).unwrap_err();
    there.finish(back.token, null(), now).unwrap();
    here.finish(own, null(), now).unwrap();
    assert_eq!((here.open_calls(), there.open_calls()), (0, 0));
}

#[test]
fn a_second_acknowledgement_is_misuse() {
    let mut connection = admitted(1);
    let now = Clock::default().now();
    let call = call(&mut connection);
    let call = connection.interim(call, Json::null(), now).unwrap();
    let back = connection.interim(call, Json::null(), now).unwrap_err();
    assert_eq!(back.wrong, Wrong::State);
    connection
        .finish(back.token, Outcome::success(Json::null()), now)
        .unwrap();
    assert_eq!(
        pull(&mut connection),
        2,
        "one acknowledgement and one final"
    );
}

#[test]
fn the_end_tells_how_the_gateway_closed_it() {
    let close = || Close::new(1008, "slow consumer");
    let now = Clock::default().now();
    for peer_answers in [true, false] {
        let mut connection = admitted(1);
        connection.close(close(), now);
        connection.close(Close::new(1012, "only the first counts"), now);
        assert!(connection.poll_event().is_none(), "not over yet");
        if peer_answers {
            connection.handle_disconnect();
        } else {
            let due = connection.poll_timeout().unwrap();
            let late = Now { at: due.at, ..now };
            connection.handle_timeout(late);
        }
        let Some(Event::Closed { close: Some(said) }) = connection.poll_event() else {
            panic!("it is over, and was closed");
        };
        assert_eq!(said, close());
    }
}

#[test]
fn after_the_end_nothing_comes_out() {
    let mut connection = admitted(1);
    let now = Clock::default().now();
    let call = call(&mut connection);
    connection.handle_disconnect();
    assert!(matches!(
        connection.poll_event(),
        Some(Event::Closed { close: None })
    ));
    connection
        .finish(call, Outcome::success(Json::null()), now)
        .unwrap();
    connection.close(Close::new(1000, "late"), now);
    connection.handle_frame(Inbound::Malformed, now);
    connection.handle_timeout(now);
    assert_eq!(pull(&mut connection), 0);
    assert!(connection.poll_event().is_none() && !connection.has_output());
    assert_eq!(
        (connection.queued_bytes(), connection.poll_timeout()),
        (0, None)
    );
}

#[test]
fn text_that_is_not_utf8_is_not_json() {
    for text in [&b"\"\xff\""[..], b"{\"a\":\"\xc3\"}", b"[\"\xed\xa0\x80\"]"] {
        assert!(Json::parse(Bytes::from_static(text)).is_err());
        assert_eq!(
            Inbound::decode(&Bytes::from_static(text)),
            Inbound::Malformed
        );
    }
}
