//! Bytes as the first thing that a gateway hears.

use bytes::Bytes;
use openclaw_protocol_core::fault::{Consequence, PeerFault};
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{StateVersion, Transmit};
use openclaw_protocol_core::frame::{Close, INVALID_ID, close_code};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::{CHALLENGE, VERSIONS};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::{Applicant, ConnId, Connection, Event};
use openclaw_protocol_core::time::Now;
use serde_json::json;

use super::door::{self, Decision};
use super::judge::{self, Clock, NONCE};

/// What stands between two messages; no JSON text holds it as it is.
const SEPARATOR: u8 = 0x1e;

/// Sends a message, and those behind it without waiting, over a new connection: the first is a `connect` that waits to
/// be decided or the end, nothing is answered before that, and who is refused hears one answer and one close at most.
pub fn first_frame(data: &[u8]) {
    let mut clock = Clock::default();
    let now = clock.now();
    let limits = Limits::default();
    let mut stranger = Stranger {
        connection: Connection::new(ConnId(7), limits, NONCE, 0, now),
        limits,
    };
    stranger.is_challenged();
    let mut messages = data.split(|byte| *byte == SEPARATOR);
    let first = Bytes::copy_from_slice(messages.next().unwrap_or_default());
    let asked = stranger.knock(&first, now);
    let rest: Vec<Inbound> = messages
        .map(|message| Inbound::decode(&Bytes::copy_from_slice(message)))
        .collect();
    if let Some((applicant, params, id)) = asked {
        stranger.waits(&rest, now);
        if !stranger.connection.is_ending() {
            stranger.is_decided(applicant, &params, &id, &rest, now);
        }
    } else {
        for inbound in rest {
            stranger.connection.handle_frame(inbound, now);
            assert!(stranger.connection.poll_event().is_none());
        }
    }
    clock.pass(limits.handshake + limits.silence);
    stranger.ends(clock.now());
}

struct Stranger {
    connection: Connection,
    limits: Limits,
}

impl Stranger {
    fn pull(&mut self) -> Option<Transmit> {
        self.connection.poll_transmit(StateVersion::default())
    }

    fn is_challenged(&mut self) {
        let Some(Transmit::Frame(frame)) = self.pull() else {
            panic!("nobody greets");
        };
        let (read, value) = judge::said_by_gateway(&frame, 1024);
        assert!(matches!(read, FromGateway::Push(push) if &*push.event == CHALLENGE));
        assert_eq!(value["payload"]["nonce"], NONCE);
        assert!(value.get("seq").is_none() && self.pull().is_none());
    }

    /// Hears the first message; what a fault of it leads to is checked at once.
    fn knock(
        &mut self,
        message: &Bytes,
        now: Now,
    ) -> Option<(Applicant, Box<ConnectParams>, Box<str>)> {
        let id = if message.len() > self.limits.frame_before_hello {
            // The runtime does not read such a message to its end.
            let limit = self.limits.frame_before_hello;
            self.connection
                .handle_fault(PeerFault::TooLarge { limit }, now);
            INVALID_ID.into()
        } else {
            let inbound = Inbound::decode(message);
            let id = id_of(&inbound);
            self.connection.handle_frame(inbound, now);
            id
        };
        let event = self.connection.poll_event().expect("it has a consequence");
        assert!(self.connection.poll_event().is_none(), "and only one");
        match event {
            Event::Connect { applicant, params } => {
                assert_eq!(applicant.conn(), self.connection.id());
                assert!(!self.connection.wants_input() && !self.connection.has_output());
                let common = params.versions.newest_common();
                assert!(common.is_some_and(|version| VERSIONS.contains(&version)));
                assert!(matches!(params.role.as_str(), "operator" | "node"));
                Some((applicant, params, id))
            }
            Event::Fault(fault) => {
                self.is_turned_away(&fault, &id);
                None
            }
            Event::Request { .. } | Event::Closed { .. } => panic!("{event:?} before hello"),
        }
    }

    fn is_turned_away(&mut self, fault: &PeerFault, id: &str) {
        assert!(self.connection.is_ending() && !self.connection.is_closed());
        let Consequence { answer, close } = fault.consequence();
        let close = close.expect("before hello every fault ends it");
        assert!(matches!(close.code, 1002 | 1007 | 1008 | 1009));
        if let Some(error) = answer {
            let outcome = self.answer(id);
            assert!(!outcome.0 && outcome.1 == error.code);
        }
        self.says_close(&close);
    }

    /// Hears more before it is decided; nothing comes of it but an end where it is too much.
    fn waits(&mut self, rest: &[Inbound], now: Now) {
        let mut held = 0;
        for inbound in rest {
            held += inbound.size();
            let ended = self.connection.is_ending();
            self.connection.handle_frame(inbound.clone(), now);
            if !ended && held > self.limits.held_before_hello {
                let event = self.connection.poll_event();
                assert!(matches!(
                    event,
                    Some(Event::Fault(PeerFault::TooMuchBeforeHello))
                ));
                self.says_close(&Close::new(
                    close_code::POLICY,
                    "too much sent before hello-ok",
                ));
            }
            assert!(self.connection.poll_event().is_none());
        }
        assert_eq!(
            self.connection.is_ending(),
            held > self.limits.held_before_hello
        );
        assert!(self.connection.is_ending() || !self.connection.has_output());
    }

    fn is_decided(
        &mut self,
        applicant: Applicant,
        params: &ConnectParams,
        id: &str,
        rest: &[Inbound],
        now: Now,
    ) {
        match door::decide(params, now) {
            Decision::Refuse(error) => {
                let code = error.code.clone();
                let close = Close::new(close_code::POLICY, error.message.clone());
                let refused = self.connection.refuse(applicant, error, close.clone(), now);
                refused.expect("its own token");
                assert_eq!(self.answer(id), (false, code.into_owned()));
                self.says_close(&close);
                assert!(
                    self.connection.poll_event().is_none(),
                    "what waited is gone"
                );
            }
            Decision::Admit(grant) => {
                let hello =
                    |protocol| judge::json(&json!({"type": "hello-ok", "protocol": protocol}));
                let admitted = self.connection.admit(applicant, &grant, hello, now);
                assert_eq!(admitted, Ok(true));
                assert_eq!(self.answer(id), (true, String::new()));
                self.hears_what_waited(rest);
            }
        }
    }

    /// What was sent before hello is heard after it, in its order.
    fn hears_what_waited(&mut self, rest: &[Inbound]) {
        for inbound in rest {
            let Some(event) = self.connection.poll_event() else {
                assert!(self.connection.is_ending(), "{inbound:?} is lost");
                break;
            };
            let id = id_of(inbound);
            match event {
                Event::Request { call, request } => {
                    assert_eq!((call.conn(), request.id), (self.connection.id(), id));
                }
                Event::Fault(fault) => {
                    if fault.consequence().answer.is_some() {
                        assert!(!self.answer(&id).0);
                    }
                }
                Event::Connect { .. } | Event::Closed { .. } => panic!("{event:?} after hello"),
            }
        }
        assert!(self.connection.poll_event().is_none());
    }

    /// The next frame is the answer to this request: whether it succeeded, and the code if not.
    fn answer(&mut self, id: &str) -> (bool, String) {
        let Some(Transmit::Frame(frame)) = self.pull() else {
            panic!("{id:?} is not answered");
        };
        let (read, _) = judge::said_by_gateway(&frame, self.limits.frame);
        let FromGateway::Response { id: read, outcome } = read else {
            panic!("{read:?} in the place of an answer");
        };
        assert_eq!(&*read, id);
        let code = outcome.error.map(|error| error.code.into_owned());
        (outcome.ok, code.unwrap_or_default())
    }

    fn says_close(&mut self, close: &Close) {
        assert_eq!(self.pull(), Some(Transmit::Close(close.clone())));
        assert_eq!(self.pull(), None, "nothing follows a close");
        assert!(!close.reason().is_empty());
    }

    /// Time ends it, in one step or in two.
    fn ends(mut self, now: Now) {
        self.connection.handle_timeout(now);
        while self.pull().is_some() {}
        self.connection.handle_disconnect();
        let mut ends = 0;
        while let Some(event) = self.connection.poll_event() {
            ends += usize::from(matches!(event, Event::Closed { .. }));
        }
        assert_eq!(ends, 1, "the end is told once");
        assert!(self.connection.is_closed() && self.pull().is_none());
        assert_eq!(self.connection.queued_bytes(), 0);
        assert!(self.connection.poll_timeout().is_none());
    }
}

/// What a message is answered under.
fn id_of(inbound: &Inbound) -> Box<str> {
    match inbound {
        Inbound::Request(request) => request.id.clone(),
        Inbound::Invalid(frame) => frame.id.clone(),
        Inbound::Malformed => INVALID_ID.into(),
    }
}
