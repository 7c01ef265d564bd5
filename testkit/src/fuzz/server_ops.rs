//! One connection of a gateway, whatever its peer and its application do.

mod checks;
mod model;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{Outcome, Publication, StateVersion, Transmit};
use openclaw_protocol_core::frame::{Close, INVALID_ID};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::{Applicant, Call, ConnId, Connection, Delivery, Event, Wrong};
use openclaw_protocol_core::time::Now;
use serde_json::json;

use super::conversation::{CLASSES, FAMILIES, JOINERS, Joiner, granted};
use super::judge::{self, Clock, NONCE};
use super::tape::Tape;
use model::{Entry, Model, Reply};

/// What may happen, by the letter that stands for it.
const OPERATIONS: &[u8] = b"chqmarifepotsvkxgyz";
const SIZES: [usize; 8] = [0, 10, 100, 1_000, 5_000, 20_000, 50_000, 70_000];
const TIMES: [u64; 10] = [
    0, 1, 10, 500, 1_000, 5_000, 15_000, 25_000, 60_000, 4_000_000,
];
/// What may wait beside the outbox's limit: pings and the hello.
const SLACK: usize = 1_024;

/// Plays a script against a connection and checks after every step that what comes out is what must.
///
/// The first byte chooses the limits. Then, one letter each: `c`onnect as somebody, `h`ear a line, `q` ask, `m`alformed
/// message, `a`dmit, `r`efuse, `i`nterim answer, `f`inish, `e`rror, `p`ublish, `o`utput, `t`ime, `s`ent, `v`ersions
/// rise, close (`k`), disconnect (`x`), pin`g` out of turn, activit`y`, fault of the transport (`z`).
pub fn server_ops(data: &[u8]) {
    let mut tape = Tape::new(data);
    let mut server = Server::new(limits(tape.number()));
    while let Some(operation) = tape.operation(OPERATIONS) {
        server.act(operation, &mut tape);
        server.take_events();
        server.agrees();
    }
    server.ends();
}

fn limits(which: usize) -> Limits {
    let all = Limits::default();
    match which % 4 {
        0 => all,
        1 => Limits {
            outbox: 120_000,
            outbox_soft: 8_000,
            outbox_soft_pushes: 4,
            open_calls: 3,
            malformed_in_row: 2,
            ..all
        },
        2 => Limits {
            frame: 9_000,
            outbox: 30_000,
            open_call_bytes: 600,
            held_before_hello: 1_000,
            ..all
        },
        _ => Limits {
            outbox: 4_000,
            outbox_soft: 500,
            outbox_soft_pushes: 2,
            ping: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            ..all
        },
    }
}

struct Held {
    call: Call,
    id: Box<str>,
    tag: u64,
    size: usize,
    acknowledged: bool,
}

struct Server {
    connection: Connection,
    limits: Limits,
    clock: Clock,
    model: Model,
    applicant: Option<(Applicant, Box<ConnectParams>, Box<str>)>,
    /// The ids of the messages that were heard and not dealt with, and the sizes of those that ask.
    heard: VecDeque<(Box<str>, usize)>,
    calls: Vec<Held>,
    version: StateVersion,
    asked: u64,
    pushed: u64,
    joiner: Joiner,
    admitted: bool,
    in_flight: bool,
    ping_may_come: bool,
}

impl Server {
    fn new(limits: Limits) -> Self {
        let clock = Clock::default();
        let mut model = Model {
            frame: limits.frame,
            ..Model::default()
        };
        model.queue(Entry::Challenge);
        Self {
            connection: Connection::new(ConnId(1), limits, NONCE, 0, clock.now()),
            limits,
            clock,
            model,
            applicant: None,
            heard: VecDeque::new(),
            calls: Vec::new(),
            version: StateVersion::default(),
            asked: 0,
            pushed: 0,
            joiner: JOINERS[0],
            admitted: false,
            in_flight: false,
            ping_may_come: false,
        }
    }

    fn act(&mut self, operation: u8, tape: &mut Tape<'_>) {
        let now = self.clock.now();
        match operation {
            b'c' => {
                let joiner = tape.one_of(&JOINERS);
                if self.heard.is_empty() && self.applicant.is_none() && !self.admitted {
                    self.joiner = joiner;
                }
                let frame = json!({"type": "req", "id": "c", "method": "connect", "params": joiner.params()});
                self.hear(frame.to_string().as_bytes(), now);
            }
            b'h' => self.hear(tape.line(), now),
            b'q' => {
                let id = tape.number();
                let frame = json!({"type": "req", "id": format!("q{id}"), "method": "agent"});
                self.hear(frame.to_string().as_bytes(), now);
            }
            b'm' => self.hear(b"{", now),
            b'a' => self.admit(now),
            b'r' => self.refuse(now),
            b'i' => self.interim(tape.number(), now),
            b'f' | b'e' => {
                let (which, size) = (tape.number(), tape.one_of(&SIZES));
                self.finish(which, size, operation == b'f', now);
            }
            b'p' => {
                let (family, class) = (tape.number(), tape.number());
                self.publish(family, class, tape.one_of(&SIZES), now);
            }
            b'o' => (0..=tape.number() % 16).for_each(|_| self.pull()),
            b't' => self.pass(tape.one_of(&TIMES)),
            b's' => {
                self.connection.sent();
                self.in_flight = false;
            }
            b'v' => {
                self.version.presence += 1;
                self.version.health += tape.number() as u64 % 3;
            }
            b'k' => self.close(Close::new(1012, "service restart"), now),
            b'x' => self.connection.handle_disconnect(),
            b'g' => {
                if self.connection.poll_ping() {
                    assert!(!self.model.is_ending(), "a ping behind the end");
                    assert!(core::mem::take(&mut self.ping_may_come), "a ping unasked");
                }
            }
            b'y' => self.connection.handle_activity(now),
            _ => {
                let fault = match tape.number() % 3 {
                    0 => PeerFault::TooLarge { limit: 1 },
                    1 => PeerFault::NotUtf8,
                    _ => PeerFault::WebSocket,
                };
                self.connection.handle_fault(fault, now);
            }
        }
    }

    fn hear(&mut self, message: &[u8], now: Now) {
        let inbound = Inbound::decode(&Bytes::copy_from_slice(message));
        let id = match &inbound {
            Inbound::Request(request) => request.id.clone(),
            Inbound::Invalid(frame) => frame.id.clone(),
            Inbound::Malformed => INVALID_ID.into(),
        };
        if !self.model.is_ending() {
            self.heard.push_back((id, message.len()));
        }
        self.connection.handle_frame(inbound, now);
    }

    fn admit(&mut self, now: Now) {
        let Some((applicant, params, id)) = self.applicant.take() else {
            return;
        };
        let hello = |protocol| judge::json(&json!({"type": "hello-ok", "protocol": protocol}));
        let admitted = self
            .connection
            .admit(applicant, &granted(&params), hello, now);
        assert_eq!(admitted, Ok(!self.model.is_ending()));
        self.admitted |= admitted == Ok(true);
        self.model.queue(Entry::Hello(id));
    }

    fn refuse(&mut self, now: Now) {
        let Some((applicant, _, id)) = self.applicant.take() else {
            return;
        };
        let close = Close::new(1008, "unauthorized");
        let error = ErrorShape::invalid_request("unauthorized");
        let refused = self.connection.refuse(applicant, error, close.clone(), now);
        assert_eq!(refused, Ok(()));
        self.heard.clear();
        if !self.model.is_ending() {
            let (of, size) = (None, 0);
            self.model.queue(Entry::Reply(Reply { id, of, size }));
            self.model.close(close);
        }
    }

    fn interim(&mut self, which: usize, now: Now) {
        if self.calls.is_empty() {
            return;
        }
        let which = which % self.calls.len();
        let Held {
            call,
            id,
            tag,
            size,
            acknowledged,
        } = self.calls.swap_remove(which);
        let payload = judge::json(&json!({"tag": tag, "last": false, "status": "accepted"}));
        let call = match self.connection.interim(call, payload, now) {
            Ok(call) => {
                assert!(!acknowledged || self.model.is_ending());
                let of = Some((tag, false));
                let id = id.clone();
                self.model.queue(Entry::Reply(Reply { id, of, size: 0 }));
                call
            }
            Err(misuse) => {
                assert!(acknowledged && misuse.wrong == Wrong::State);
                misuse.token
            }
        };
        self.calls.push(Held {
            call,
            id,
            tag,
            size,
            acknowledged: true,
        });
    }

    fn finish(&mut self, which: usize, size: usize, ok: bool, now: Now) {
        if self.calls.is_empty() {
            return;
        }
        let Held { call, id, tag, .. } = self.calls.swap_remove(which % self.calls.len());
        let payload = json!({"tag": tag, "last": true, "text": "x".repeat(size)});
        let payload = judge::json(&payload);
        let outcome = if ok {
            Outcome::success(payload)
        } else {
            Outcome::failure_with(payload, ErrorShape::unavailable("no"))
        };
        assert_eq!(self.connection.finish(call, outcome, now), Ok(()));
        let of = Some((tag, true));
        self.model.queue(Entry::Reply(Reply { id, of, size }));
    }

    fn publish(&mut self, family: usize, class: usize, size: usize, now: Now) {
        self.pushed += 1;
        let family = family % FAMILIES.len();
        let (event, class) = CLASSES[class % CLASSES.len()];
        let payload = json!({"serial": self.pushed, "text": "x".repeat(size)});
        let publication = Arc::new(Publication {
            event,
            payload: judge::json(&payload),
            audience: FAMILIES[family],
            class,
        });
        let hears = self.admitted && !self.model.is_ending() && self.joiner.hears[family];
        match self.connection.publish(&publication, now) {
            Delivery::Queued => {
                assert!(hears, "{event} is not for them");
                self.model.push(self.pushed, class);
            }
            Delivery::Overflow => {
                assert!(hears && self.connection.is_ending());
                self.model.push(self.pushed, class);
            }
            Delivery::Dropped => {
                let large = size + 300 > self.limits.frame;
                let delta = matches!(class, openclaw_protocol_core::frame::outgoing::Class::Delta);
                assert!(hears && (large || delta), "{event} is dropped for nothing");
                self.model.queue(Entry::Hole);
            }
            Delivery::NotForThem => assert!(!hears, "{event} is for them"),
        }
    }

    fn pull(&mut self) {
        match self.connection.poll_transmit(self.version) {
            None => self.model.is_dry(),
            Some(Transmit::Ping) => {
                assert!(self.admitted && !self.model.is_ending(), "a ping to nobody");
                assert!(core::mem::take(&mut self.ping_may_come), "a ping unasked");
                self.in_flight = true;
            }
            Some(Transmit::Close(close)) => self.model.closed(&close),
            Some(Transmit::Frame(frame)) => {
                let (_, value) = judge::said_by_gateway(&frame, self.limits.frame);
                self.model.heard(&value, self.version);
                self.in_flight = true;
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.clock.pass(Duration::from_millis(ms));
        let now = self.clock.now();
        let due = self.connection.poll_timeout();
        self.connection.handle_timeout(now);
        self.ping_may_come |= due.is_some_and(|due| due.at <= now.at);
        // What is due twice over is served in a few steps, each of which gets somewhere.
        for _ in 0..4 {
            self.take_events();
            self.connection.handle_timeout(now);
        }
        let due = self.connection.poll_timeout();
        assert!(due.is_none_or(|due| due.at > now.at), "{due:?} stays due");
    }

    fn close(&mut self, close: Close, now: Now) {
        self.connection.close(close.clone(), now);
        if !self.model.is_ending() {
            self.model.close(close);
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            assert!(!self.model.over, "{event:?} after the end");
            match event {
                Event::Connect { applicant, params } => {
                    assert!(self.applicant.is_none() && !self.admitted);
                    let (id, _) = self.heard.pop_front().expect("a message");
                    self.applicant = Some((applicant, params, id));
                }
                Event::Request { call, request } => {
                    let (id, size) = self.heard.pop_front().expect("a message");
                    assert!(self.admitted && request.id == id && request.size == size);
                    self.asked += 1;
                    let (tag, acknowledged) = (self.asked, false);
                    self.calls.push(Held {
                        call,
                        id,
                        tag,
                        size,
                        acknowledged,
                    });
                }
                Event::Fault(fault) => self.heeds(&fault),
                Event::Closed { close } => {
                    assert_eq!(close.is_some(), !self.model.closes.is_empty());
                    assert!(close.is_none_or(|close| self.model.closes.contains(&close)));
                    self.model.end();
                }
            }
        }
    }

    fn heeds(&mut self, fault: &PeerFault) {
        let consequence = fault.consequence();
        if consequence.answer.is_some() {
            let (id, _) = self.heard.pop_front().expect("a message");
            let (of, size) = (None, 0);
            self.model.queue(Entry::Reply(Reply { id, of, size }));
        }
        if let Some(close) = consequence.close {
            self.model.close(close);
            self.heard.clear();
        }
    }
}
