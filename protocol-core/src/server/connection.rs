//! The state machine of one connection.

mod entry;

use entry::Deciding;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::calls::{Acknowledged, Calls};
use super::outbox::{Delivery, Outbox};
use super::session::Session;
use super::token::{Applicant, Call, ConnId, Misuse, Wrong};
use crate::fault::{Consequence, PeerFault};
use crate::frame::Close;
use crate::frame::inbound::{Inbound, Request};
use crate::frame::outgoing::{Class, Outcome, Publication, StateVersion, Transmit};
use crate::hello::connect::ConnectParams;
use crate::hello::{CHALLENGE, CONNECT};
use crate::json::{Json, Object};
use crate::limits::Limits;
use crate::scope::Audience;
use crate::time::{Deadline, Instant, Now, Timer};

/// One socket of a gateway.
///
/// Everything the peer does goes in through a `handle_*` call; what follows from it comes out of
/// [`Self::poll_event`], [`Self::poll_transmit`] and [`Self::poll_timeout`]. A fault of the peer
/// has its consequence queued when the call returns; it is never an `Err`.
#[derive(Debug)]
pub struct Connection {
    id: ConnId,
    limits: Limits,
    phase: Phase,
    outbox: Outbox,
    events: VecDeque<Event>,
    calls: Calls,
    malformed: u32,
    heard: Instant,
    pinged: Instant,
    ping_every: core::time::Duration,
}

#[derive(Debug)]
enum Phase {
    Connecting {
        until: Instant,
    },
    Deciding(Box<Deciding>),
    Open(Session),
    /// A close was queued; the socket is dropped at the latest then.
    Closing {
        until: Instant,
        close: Close,
    },
    Closed,
}

/// What a connection tells its owner.
#[derive(Debug)]
pub enum Event {
    /// A well-formed `connect` waits to be admitted or refused.
    Connect {
        /// The token to decide with.
        applicant: Applicant,
        /// What it says of itself.
        params: Box<ConnectParams>,
    },
    /// A request waits for its answer.
    Request {
        /// The token to answer with.
        call: Call,
        /// What is asked.
        request: Request,
    },
    /// The peer broke a clause; the consequence is queued.
    Fault(PeerFault),
    /// The connection is over; its tokens are void.
    Closed {
        /// How the gateway closed it; `None` where its socket just ended.
        close: Option<Close>,
    },
}

impl Connection {
    /// Opens a connection and queues the challenge.
    ///
    /// `nonce` must be fresh and hard to guess. `jitter` spreads the pings of many connections: it
    /// shortens the distance between pings by up to a fifth.
    #[must_use]
    pub fn new(id: ConnId, limits: Limits, nonce: &str, jitter: u8, now: Now) -> Self {
        let mut outbox = Outbox::default();
        outbox.challenge(Arc::new(Publication {
            event: CHALLENGE,
            payload: Object::new()
                .text("nonce", nonce)
                .number("ts", now.unix_ms)
                .finish(),
            audience: Audience::Everyone,
            class: Class::Ordinary,
        }));
        Self {
            id,
            limits,
            phase: Phase::Connecting {
                until: now.at + limits.handshake,
            },
            outbox,
            events: VecDeque::new(),
            calls: Calls::default(),
            malformed: 0,
            heard: now.at,
            pinged: now.at,
            ping_every: limits.ping - limits.ping * u32::from(jitter) / (5 * 255),
        }
    }

    /// The connection's name.
    #[must_use]
    pub const fn id(&self) -> ConnId {
        self.id
    }

    /// Who it is, once it was admitted.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Open(session) => Some(session),
            Phase::Connecting { .. }
            | Phase::Deciding(_)
            | Phase::Closing { .. }
            | Phase::Closed => None,
        }
    }

    /// Whether the socket may be read: not while a `connect` is being decided.
    #[must_use]
    pub const fn wants_input(&self) -> bool {
        !matches!(self.phase, Phase::Deciding(_))
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether a close waits to be sent or answered, or it is over.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. } | Phase::Closed)
    }

    /// The peer sent a message.
    pub fn handle_frame(&mut self, inbound: Inbound, now: Now) {
        self.heard = now.at;
        match &mut self.phase {
            Phase::Connecting { .. } => self.handle_first(inbound, now),
            Phase::Deciding(deciding) => {
                deciding.held_bytes += inbound.size();
                if deciding.held_bytes > self.limits.held_before_hello {
                    self.fault(PeerFault::TooMuchBeforeHello, None, now);
                } else {
                    deciding.held.push_back(inbound);
                }
            }
            Phase::Open(_) => self.handle_open(inbound, now),
            Phase::Closing { .. } | Phase::Closed => {}
        }
    }

    /// The transport found the peer at fault: too large, no UTF-8, no WebSocket.
    pub fn handle_fault(&mut self, fault: PeerFault, now: Now) {
        self.heard = now.at;
        if !self.is_ending() {
            self.fault(fault, None, now);
        }
    }

    /// The peer sent a request that cannot be taken in, because all connections together hold too
    /// much already: it is refused as retryable.
    pub(crate) fn handle_surplus(&mut self, request: Request, now: Now) {
        self.heard = now.at;
        self.fault(PeerFault::TooMuchHeld, Some(request.id), now);
    }

    /// Bytes arrived that are no message yet: a pong, a part of a frame. `now` is when they came,
    /// which may lie a little in the past.
    pub fn handle_activity(&mut self, now: Now) {
        self.heard = self.heard.max(now.at);
    }

    /// The socket is gone; nothing more is sent.
    pub fn handle_disconnect(&mut self) {
        if !self.is_closed() {
            self.end();
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match &self.phase {
            Phase::Connecting { until } if *until <= now.at => {
                self.fault(PeerFault::HandshakeTimeout, None, now);
            }
            Phase::Deciding(deciding) if deciding.until <= now.at => {
                self.fault(PeerFault::HandshakeTimeout, None, now);
            }
            Phase::Open(_) if self.heard + self.limits.silence <= now.at => {
                self.fault(PeerFault::Silent, None, now);
            }
            Phase::Open(_) if self.pinged + self.ping_every <= now.at => {
                self.pinged = now.at;
                self.outbox.ping();
            }
            Phase::Closing { until, .. } if *until <= now.at => self.end(),
            Phase::Connecting { .. }
            | Phase::Deciding(_)
            | Phase::Open(_)
            | Phase::Closing { .. }
            | Phase::Closed => {}
        }
    }

    /// Sends a first answer and keeps the request open for its final one.
    ///
    /// # Errors
    /// [`Misuse`] when the token is another connection's, or was acknowledged before.
    pub fn interim(
        &mut self,
        call: Call,
        payload: impl Into<Json>,
        now: Now,
    ) -> Result<Call, Misuse<Call>> {
        if call.conn != self.id {
            return Err(misuse(call, Wrong::Elsewhere));
        }
        match self.calls.acknowledge(call.serial) {
            Acknowledged::Before => Err(misuse(call, Wrong::State)),
            Acknowledged::Gone => Ok(call),
            Acknowledged::Now(id) => {
                self.answer(id, Outcome::success(payload), now);
                Ok(call)
            }
        }
    }

    /// Sends the answer of a request, or the final one if it was acknowledged.
    ///
    /// A request whose connection has ended in the meantime is forgotten.
    ///
    /// # Errors
    /// [`Misuse`] when the token is another connection's.
    pub fn finish(&mut self, call: Call, outcome: Outcome, now: Now) -> Result<(), Misuse<Call>> {
        if call.conn != self.id {
            return Err(misuse(call, Wrong::Elsewhere));
        }
        if let Some(id) = self.calls.finish(call.serial) {
            self.answer(id, outcome, now);
        }
        Ok(())
    }

    /// Queues a push, if the connection belongs to its audience.
    pub fn publish(&mut self, publication: &Arc<Publication>, now: Now) -> Delivery {
        match &self.phase {
            Phase::Open(session) if session.hears(publication) => {
                let delivery = self.outbox.publish(publication, &self.limits);
                if delivery == Delivery::Overflow {
                    self.fault(PeerFault::SlowConsumer, None, now);
                }
                delivery
            }
            Phase::Connecting { .. }
            | Phase::Deciding(_)
            | Phase::Open(_)
            | Phase::Closing { .. }
            | Phase::Closed => Delivery::NotForThem,
        }
    }

    /// Queues a push for this connection alone, whatever its audience; it has no number.
    ///
    /// One that no frame may hold is not queued: [`Delivery::Dropped`].
    pub fn direct(&mut self, publication: Publication, now: Now) -> Delivery {
        if self.session().is_none() {
            return Delivery::NotForThem;
        }
        let delivery = self.outbox.direct(Arc::new(publication), &self.limits);
        if delivery == Delivery::Overflow {
            self.fault(PeerFault::SlowConsumer, None, now);
        }
        delivery
    }

    /// Ends the connection: queued pushes are discarded, small replies still go out.
    pub fn close(&mut self, close: Close, now: Now) {
        if !self.is_ending() {
            self.outbox.close(close.clone());
            self.calls.clear();
            self.phase = Phase::Closing {
                until: now.at + self.limits.close,
                close,
            };
        }
    }

    /// The next thing to do to the socket; `version` is the state that pushes carry now.
    pub fn poll_transmit(&mut self, version: StateVersion) -> Option<Transmit> {
        let session = match &self.phase {
            Phase::Open(session) => Some(session),
            Phase::Closed => return None,
            Phase::Connecting { .. } | Phase::Deciding(_) | Phase::Closing { .. } => None,
        };
        self.outbox.pull(session, version)
    }

    /// Everything that was pulled is written.
    pub fn sent(&mut self) {
        self.outbox.sent();
    }

    /// Whether [`Self::poll_transmit`] has something to give.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.is_closed() && !self.outbox.is_empty()
    }

    /// The next thing the owner must know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is due, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let (at, timer) = match &self.phase {
            Phase::Connecting { until } => (*until, Timer::Handshake),
            Phase::Deciding(deciding) => (deciding.until, Timer::Handshake),
            Phase::Open(_) => {
                let ping = self.pinged + self.ping_every;
                let silence = self.heard + self.limits.silence;
                if silence < ping {
                    (silence, Timer::Silence)
                } else {
                    (ping, Timer::Ping)
                }
            }
            Phase::Closing { until, .. } => (*until, Timer::Close),
            Phase::Closed => return None,
        };
        Some(Deadline { at, timer })
    }

    /// Takes a ping that waits out of its turn, for a socket that is in the middle of a long
    /// message: one may stand between the message's fragments, and a peer that reads slowly must
    /// not seem silent because nobody asks it.
    pub fn poll_ping(&mut self) -> bool {
        self.outbox.take_ping()
    }

    /// The bytes that wait to be sent, those included that were pulled and are not yet written.
    #[must_use]
    pub const fn queued_bytes(&self) -> usize {
        self.outbox.backlog()
    }

    /// The bytes that wait to be sent to this connection alone.
    pub(crate) const fn private_bytes(&self) -> usize {
        self.outbox.private()
    }

    /// The bytes of the requests that wait for an answer.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.calls.held()
    }

    /// How many requests wait for an answer.
    #[must_use]
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    fn handle_open(&mut self, inbound: Inbound, now: Now) {
        match inbound {
            Inbound::Malformed => {
                self.malformed += 1;
                let fault = if self.malformed >= self.limits.malformed_in_row {
                    PeerFault::MalformedInRow
                } else {
                    PeerFault::Malformed
                };
                self.fault(fault, None, now);
            }
            Inbound::Invalid(frame) => {
                self.malformed = 0;
                self.fault(PeerFault::InvalidFrame(frame.finding), Some(frame.id), now);
            }
            Inbound::Request(request) => {
                self.malformed = 0;
                if &*request.method == CONNECT {
                    self.fault(PeerFault::SecondConnect, Some(request.id), now);
                } else {
                    self.open_call(request, now);
                }
            }
        }
    }

    fn open_call(&mut self, request: Request, now: Now) {
        match self
            .calls
            .open(request.id.clone(), request.size, &self.limits)
        {
            Ok(serial) => {
                let call = Call {
                    conn: self.id,
                    serial,
                };
                self.events.push_back(Event::Request { call, request });
            }
            Err(fault) => self.fault(fault, Some(request.id), now),
        }
    }

    /// Queues a fault's consequence; `id` is what an answer is addressed to.
    fn fault(&mut self, fault: PeerFault, id: Option<Box<str>>, now: Now) {
        let Consequence { answer, close } = fault.consequence();
        self.events.push_back(Event::Fault(fault));
        if let Some(error) = answer {
            let id = id.unwrap_or_else(|| crate::frame::INVALID_ID.into());
            self.answer(id, Outcome::failure(error), now);
        }
        if let Some(close) = close {
            self.close(close, now);
        }
    }

    /// Queues an answer; one that no longer fits into the outbox ends the connection.
    fn answer(&mut self, id: Box<str>, outcome: Outcome, now: Now) {
        self.outbox.reply(id, outcome, &self.limits);
        if self.outbox.backlog() > self.limits.outbox && !self.is_ending() {
            self.fault(PeerFault::SlowConsumer, None, now);
        }
    }

    fn end(&mut self) {
        let close = match core::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Closing { close, .. } => Some(close),
            Phase::Connecting { .. } | Phase::Deciding(_) | Phase::Open(_) | Phase::Closed => None,
        };
        self.outbox.clear();
        self.calls.clear();
        self.events.push_back(Event::Closed { close });
    }
}

const fn misuse<T>(token: T, wrong: Wrong) -> Misuse<T> {
    Misuse { token, wrong }
}
