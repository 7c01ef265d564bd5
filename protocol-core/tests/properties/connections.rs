//! One connection, whatever happens to it.

use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication, State, StateVersion};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::server::{ConnId, Connection, Event};
use proptest::prelude::*;
use serde_json::json;

use super::arbitrary::{cases, error, message, name};
use super::queue::Queue;
use super::support::{self, Clock, Joiner, NONCE, READ, millis};

/// Something that happens to a connection.
#[derive(Clone, Debug)]
enum Op {
    Publish {
        class: u8,
        hears: bool,
        size: usize,
    },
    Ask(String),
    Hear(Vec<u8>),
    Answer {
        which: usize,
        last: bool,
        size: usize,
    },
    Refuse {
        which: usize,
        outcome: Outcome,
    },
    Pull(u8),
    Sent,
    Pass(u64),
    Close,
    Disconnect,
}

fn op() -> impl Strategy<Value = Op> {
    let size = || prop_oneof![6 => 0..200_usize, 2 => 200..9_000_usize, 1 => 60_000..80_000_usize];
    prop_oneof![
        12 => (0..6_u8, any::<bool>(), size())
            .prop_map(|(class, other, size)| Op::Publish { class, hears: class > 4 || !other, size }),
        6 => name().prop_map(Op::Ask),
        2 => message().prop_map(Op::Hear),
        5 => (any::<usize>(), any::<bool>(), size())
            .prop_map(|(which, last, size)| Op::Answer { which, last, size }),
        2 => (any::<usize>(), error())
            .prop_map(|(which, error)| Op::Refuse { which, outcome: Outcome::failure(error) }),
        8 => (1..6_u8).prop_map(Op::Pull),
        4 => Just(Op::Sent),
        3 => prop_oneof![0..100_u64, 0..40_000_u64].prop_map(Op::Pass),
        1 => Just(Op::Close),
        1 => Just(Op::Disconnect),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (
        1..8_usize,
        200..20_000_usize,
        4_000..70_000_usize,
        5_000..150_000_usize,
        1..6_usize,
    )
        .prop_map(
            |(outbox_soft_pushes, outbox_soft, frame, outbox, open_calls)| Limits {
                outbox_soft_pushes,
                outbox_soft,
                frame,
                outbox,
                open_calls,
                ..Limits::default()
            },
        )
}

fn publication(class: u8, hears: bool, size: usize) -> Publication {
    let (event, class) = match class {
        0 => ("presence", Class::State(State::Presence)),
        1 => ("health", Class::State(State::Health)),
        2 => ("tick", Class::State(State::Tick)),
        3 | 4 => ("chat", Class::Delta),
        _ => ("agent", Class::Ordinary),
    };
    let payload = support::json(json!("x".repeat(size)));
    let scope = if hears { Scope::Read } else { Scope::Pairing };
    Publication {
        event,
        payload,
        audience: Audience::Operators(scope),
        class,
    }
}

fn act(queue: &mut Queue, op: Op) {
    match op {
        Op::Publish { class, hears, size } => queue.publish(publication(class, hears, size), hears),
        Op::Ask(id) => {
            let frame = json!({"type": "req", "id": id, "method": "agent", "params": {}});
            queue.hear(frame.to_string().as_bytes());
        }
        Op::Hear(message) => queue.hear(&message),
        Op::Answer { which, last, size } => {
            let payload = support::json(json!("x".repeat(size)));
            queue.answer(which, last, Outcome::success(payload));
        }
        Op::Refuse { which, outcome } => queue.answer(which, true, outcome),
        Op::Pull(count) => {
            for _ in 0..count {
                queue.pull();
            }
        }
        Op::Sent => queue.sent(),
        Op::Pass(ms) => queue.pass(ms),
        Op::Close => queue.close(),
        Op::Disconnect => queue.disconnect(),
    }
}

proptest! {
    #![proptest_config(cases(96))]

    /// Numbers run 1, 2, 3 … minus declared drops, what waits is exactly what comes, nobody hears
    /// what is not for them, and what is due is done at once.
    #[test]
    fn what_comes_is_what_was_queued(
        limits in limits(), ops in proptest::collection::vec(op(), 0..60),
    ) {
        let mut queue = Queue::new(limits);
        for op in ops {
            act(&mut queue, op);
        }
        queue.run_dry();
    }

    #[test]
    fn nothing_comes_of_a_connection_that_is_over(
        before in proptest::collection::vec(op(), 0..20),
        after in proptest::collection::vec(op(), 0..20),
    ) {
        let mut queue = Queue::new(Limits::default());
        for op in before {
            act(&mut queue, op);
        }
        queue.disconnect();
        for op in after {
            act(&mut queue, op);
            prop_assert!(queue.connection.is_closed());
            prop_assert!(!queue.connection.has_output());
            prop_assert!(queue.connection.poll_timeout().is_none());
            prop_assert_eq!(queue.connection.queued_bytes(), 0);
            prop_assert_eq!(queue.connection.open_calls(), 0);
            prop_assert_eq!(queue.connection.held_bytes(), 0);
        }
    }

    #[test]
    fn a_hello_is_said_whole_or_the_door_stays_shut(missing in -2_000..2_000_i32, id in name()) {
        let limits = Limits { frame: 6_000, ..Limits::default() };
        let now = Clock::default().now();
        let mut connection = Connection::new(ConnId(1), limits, NONCE, 0, now);
        let params = Joiner { scopes: READ, ..Joiner::default() }.params();
        let frame = json!({"type": "req", "id": id, "method": "connect", "params": params});
        connection.handle_frame(Inbound::decode(&frame.to_string().into()), now);
        let Some(Event::Connect { applicant, params }) = connection.poll_event() else {
            return Err(TestCaseError::fail("it asks to be let in"));
        };
        let size = usize::try_from(6_000 + missing).expect("positive");
        let hello = |_| Json::parse(format!("\"{}\"", "x".repeat(size - 2))).expect("JSON");
        let admitted = connection.admit(applicant, &support::grant(&params), hello, now);
        let mut frames = Vec::new();
        while let Some(transmit) = connection.poll_transmit(StateVersion::default()) {
            if let openclaw_protocol_core::frame::outgoing::Transmit::Frame(frame) = transmit {
                frames.push(frame.encode());
            }
        }
        let answer: serde_json::Value = serde_json::from_slice(&frames[1]).expect("JSON");
        prop_assert_eq!(admitted, Ok(answer["ok"] == true));
        prop_assert_eq!(connection.session().is_some(), answer["ok"] == true);
        prop_assert!(frames[1].len() <= limits.frame, "{} bytes", frames[1].len());
    }

    #[test]
    fn a_deadline_is_never_further_off_than_its_limit(
        jitter in any::<u8>(), ping in 1..200_000_u64, handshake in 1..200_000_u64,
        steps in proptest::collection::vec(1..300_000_u64, 0..10),
    ) {
        let limits = Limits {
            ping: millis(ping),
            handshake: millis(handshake),
            ..Limits::default()
        };
        let mut clock = Clock::default();
        let mut connection = Connection::new(ConnId(1), limits, NONCE, jitter, clock.now());
        let longest = [limits.ping, limits.handshake, limits.silence, limits.close];
        let longest = longest.into_iter().max().expect("some");
        for step in steps {
            if let Some(due) = connection.poll_timeout() {
                prop_assert!(due.at > clock.now().at && due.at <= clock.now().at + longest);
            }
            clock.set(clock.passed() + millis(step));
            connection.handle_timeout(clock.now());
        }
    }

    #[test]
    fn pings_are_spread_over_a_fifth_of_their_distance(jitter in any::<u8>(), ping in 10..59_000_u64) {
        let limits = Limits { ping: millis(ping), ..Limits::default() };
        let queue = Queue::with_jitter(limits, jitter);
        let due = queue.connection.poll_timeout().expect("it is open").at.since_origin();
        prop_assert!(due <= limits.ping && due >= limits.ping * 4 / 5, "{:?}", due);
    }
}
