//! One connection beside a model of what waits for it.
//!
//! What an entry weighs is learned when it is queued; from then on the sum must be exact.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use openclaw_protocol_core::fault::Consequence;
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{
    Class, Frame, Outcome, Publication, StateVersion, Transmit,
};
use openclaw_protocol_core::frame::{Close, INVALID_ID};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::{Call, ConnId, Connection, Delivery, Event};
use openclaw_protocol_core::time::Now;
use serde_json::json;

use super::support::{self, Joiner, NONCE, READ, millis};

/// The most that a reply may weigh to be sent on a connection that closes.
const SMALL_REPLY: usize = 65_536;
/// The most that an entry weighs beside its texts.
const ENVELOPE: usize = 512;

#[derive(Clone, Debug)]
struct Entry {
    kind: Kind,
    weight: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Push(Arc<Publication>),
    Reply(Box<str>),
    Hole,
    Ping,
}

/// A connection that was let in, and what must still come out of it.
pub(crate) struct Queue {
    pub(crate) connection: Connection,
    pub(crate) limits: Limits,
    pub(crate) calls: Vec<(Call, Box<str>, bool)>,
    clock: support::Clock,
    waiting: VecDeque<Entry>,
    in_flight: usize,
    numbered: u64,
    closing: bool,
    close_told: bool,
}

impl Queue {
    /// An operator that reads; its challenge and hello were sent.
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with_jitter(limits, 0)
    }

    pub(crate) fn with_jitter(limits: Limits, jitter: u8) -> Self {
        let clock = support::Clock::default();
        let now = clock.now();
        let mut connection = Connection::new(ConnId(1), limits, NONCE, jitter, now);
        let params = Joiner {
            scopes: READ,
            ..Joiner::default()
        }
        .params();
        let frame = json!({"type": "req", "id": "c", "method": "connect", "params": params});
        connection.handle_frame(Inbound::decode(&Bytes::from(frame.to_string())), now);
        let Some(Event::Connect { applicant, params }) = connection.poll_event() else {
            panic!("it asks to be let in");
        };
        let grant = support::grant(&params);
        let hello = |_| support::json(json!({"type": "hello-ok"}));
        assert_eq!(connection.admit(applicant, &grant, hello, now), Ok(true));
        while connection.poll_transmit(StateVersion::default()).is_some() {}
        connection.sent();
        let queue = Self {
            connection,
            limits,
            calls: Vec::new(),
            clock,
            waiting: VecDeque::new(),
            in_flight: 0,
            numbered: 0,
            closing: false,
            close_told: false,
        };
        queue.agrees();
        queue
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// What waits is the sum of what will come, and there is output where something will come.
    pub(crate) fn agrees(&self) {
        let sum: usize = self.waiting.iter().map(|entry| entry.weight).sum();
        assert_eq!(self.connection.queued_bytes(), sum + self.in_flight);
        let comes = self
            .waiting
            .iter()
            .any(|entry| !matches!(entry.kind, Kind::Hole));
        let close_comes = self.closing && !self.close_told;
        let calls = if self.closing { 0 } else { self.calls.len() };
        assert_eq!(self.connection.open_calls(), calls);
        assert_eq!(self.connection.has_output(), comes || close_comes);
    }

    pub(crate) fn publish(&mut self, publication: Publication, hears: bool) {
        let size = publication.payload.len();
        let publication = Arc::new(publication);
        let before = self.connection.queued_bytes();
        let pushes = self
            .waiting
            .iter()
            .filter(|entry| matches!(entry.kind, Kind::Push(_)));
        let slow =
            before > self.limits.outbox_soft || pushes.count() >= self.limits.outbox_soft_pushes;
        let delivery = self.connection.publish(&publication, self.now());
        if !hears || self.closing {
            assert_eq!(delivery, Delivery::NotForThem);
        } else if delivery == Delivery::Dropped {
            let too_large = size + 256 > self.limits.frame;
            assert!(
                too_large || (slow && publication.class == Class::Delta),
                "dropped for nothing"
            );
            self.waiting.push_back(Entry {
                kind: Kind::Hole,
                weight: 0,
            });
        } else {
            assert!(
                !slow || publication.class != Class::Delta,
                "a slow peer is spared the stream"
            );
            self.coalesce(publication.class);
            self.queued(Kind::Push(publication), size);
        }
        self.heed_faults(INVALID_ID);
        self.agrees();
    }

    /// The peer sends a message.
    pub(crate) fn hear(&mut self, message: &[u8]) {
        let message = Bytes::copy_from_slice(message);
        let inbound = Inbound::decode(&message);
        let id = match &inbound {
            Inbound::Request(request) => request.id.clone(),
            Inbound::Invalid(frame) => frame.id.clone(),
            Inbound::Malformed => INVALID_ID.into(),
        };
        self.connection.handle_frame(inbound, self.now());
        self.heed_faults(&id);
        self.agrees();
    }

    /// The application answers a call for the first time or for good.
    pub(crate) fn answer(&mut self, which: usize, last: bool, outcome: Outcome) {
        if self.calls.is_empty() {
            return;
        }
        let which = which % self.calls.len();
        let (call, id, acknowledged) = self.calls.swap_remove(which);
        let size = outcome.payload.as_ref().map_or(0, Json::len);
        let now = self.now();
        if last || acknowledged {
            self.connection
                .finish(call, outcome, now)
                .expect("its own token");
        } else {
            let payload = outcome.payload.unwrap_or(Json::null());
            let call = self
                .connection
                .interim(call, payload, now)
                .expect("its own token");
            self.calls.push((call, id.clone(), true));
        }
        if !self.closing {
            let least = if size + ENVELOPE > self.limits.frame {
                0
            } else {
                size
            };
            self.queued(Kind::Reply(id), least);
        }
        self.heed_faults(INVALID_ID);
        self.agrees();
    }

    /// The writer takes something.
    pub(crate) fn pull(&mut self) -> bool {
        let transmit = self.connection.poll_transmit(StateVersion::default());
        let mut entry = self.waiting.pop_front();
        while matches!(
            entry,
            Some(Entry {
                kind: Kind::Hole,
                ..
            })
        ) {
            self.numbered += 1;
            entry = self.waiting.pop_front();
        }
        if let Some(entry) = &entry {
            self.in_flight += entry.weight;
        }
        match (&transmit, entry.map(|entry| entry.kind)) {
            (None, None) => assert!(!self.closing || self.close_told),
            (Some(Transmit::Ping), Some(Kind::Ping)) => {}
            (Some(Transmit::Close(_)), None) => {
                assert!(self.closing && !self.close_told);
                self.close_told = true;
            }
            (Some(Transmit::Frame(frame)), Some(kind)) => self.is_expected(frame, &kind),
            (transmit, expected) => panic!("{transmit:?} in the place of {expected:?}"),
        }
        self.agrees();
        transmit.is_some()
    }

    fn is_expected(&mut self, frame: &Frame, kind: &Kind) {
        let text = frame.encode();
        assert!(
            text.len() <= self.limits.frame,
            "{} bytes are too many",
            text.len()
        );
        let read = FromGateway::decode(&Bytes::from(text));
        match (read, kind) {
            (FromGateway::Response { id, .. }, Kind::Reply(expected)) => assert_eq!(id, *expected),
            (FromGateway::Push(push), Kind::Push(expected)) => {
                self.numbered += 1;
                assert_eq!(
                    (push.seq, &*push.event),
                    (Some(self.numbered), expected.event)
                );
                assert_eq!(push.payload, expected.payload);
            }
            (read, expected) => panic!("{read:?} in the place of {expected:?}"),
        }
    }

    pub(crate) fn sent(&mut self) {
        self.connection.sent();
        self.in_flight = 0;
        self.agrees();
    }

    /// Time passes; what is due is served, and then nothing is due.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.clock.set(self.clock.passed() + millis(ms));
        let before = self.connection.queued_bytes();
        self.connection.handle_timeout(self.now());
        if self.connection.is_closed() {
            self.forgotten();
        } else if !self.closing && self.connection.queued_bytes() > before {
            let weight = self.connection.queued_bytes() - before;
            self.waiting.push_back(Entry {
                kind: Kind::Ping,
                weight,
            });
        }
        self.heed_faults(INVALID_ID);
        self.agrees();
        let rest = format!("{:?}", self.connection);
        self.connection.handle_timeout(self.now());
        assert_eq!(
            format!("{:?}", self.connection),
            rest,
            "it is idle the second time"
        );
        let due = self.connection.poll_timeout();
        assert!(due.is_none_or(|due| due.at > self.now().at));
    }

    /// The gateway ends the connection.
    pub(crate) fn close(&mut self) {
        self.connection
            .close(Close::new(1012, "service restart"), self.now());
        self.heed_faults(INVALID_ID);
        self.agrees();
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection.handle_disconnect();
        self.forgotten();
        self.heed_faults(INVALID_ID);
        self.agrees();
    }

    /// Everything is pulled and written: nothing waits any more.
    pub(crate) fn run_dry(&mut self) {
        while self.pull() {}
        self.sent();
        assert_eq!(self.connection.queued_bytes(), 0);
        assert!(!self.connection.has_output());
    }

    fn forgotten(&mut self) {
        self.waiting.clear();
        self.in_flight = 0;
        (self.closing, self.close_told) = (true, true);
    }

    fn coalesce(&mut self, class: Class) {
        if matches!(class, Class::State(_)) {
            self.waiting.retain(
                |entry| !matches!(&entry.kind, Kind::Push(waiting) if waiting.class == class),
            );
        }
    }

    /// Learns what the entry weighs that was queued last; a close may have thrown it out again.
    fn queued(&mut self, kind: Kind, least: usize) {
        let ending = self.connection.is_ending();
        if ending {
            self.end_queue();
        }
        let known: usize = self.waiting.iter().map(|entry| entry.weight).sum();
        let weight = self.connection.queued_bytes() - known - self.in_flight;
        assert!(ending || weight > 0, "it weighs nothing");
        assert!(weight == 0 || weight >= least, "{weight} bytes for {least}");
        if weight > 0 {
            self.waiting.push_back(Entry { kind, weight });
        }
    }

    fn heed_faults(&mut self, answered_as: &str) {
        let was_closing = self.closing;
        if self.connection.is_closed() {
            self.forgotten();
        } else if self.connection.is_ending() {
            self.end_queue();
        }
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Request { call, request } => self.calls.push((call, request.id, false)),
                Event::Fault(fault) => {
                    let Consequence { answer, close } = fault.consequence();
                    assert!(close.is_none() || self.closing, "{fault}");
                    if answer.is_some() && !was_closing {
                        self.queued(Kind::Reply(answered_as.into()), 0);
                    }
                }
                Event::Closed { .. } => assert!(self.connection.is_closed()),
                Event::Connect { .. } => panic!("it was let in already"),
            }
        }
    }

    fn end_queue(&mut self) {
        self.closing = true;
        self.waiting
            .retain(|entry| matches!(&entry.kind, Kind::Reply(_)) && entry.weight <= SMALL_REPLY);
    }
}
