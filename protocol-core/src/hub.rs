//! Every connection of one gateway, with a single owner.
//!
//! The hub routes what connections say to the application and what the application answers to
//! connections. It holds what they share: presence, health, state versions, runs and timers.

mod burden;
mod health;
mod presence;
mod runs;
mod standing;
mod timers;

pub use health::Health;
pub use presence::Row;
pub use runs::Run;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::sync::Arc;
use core::net::IpAddr;

use crate::error_shape::ErrorShape;
use crate::fault::PeerFault;
use crate::frame::inbound::{Inbound, Request};
use crate::frame::outgoing::{Class, Frame, Outcome, Publication, State, StateVersion, Transmit};
use crate::frame::{Close, close_code};
use crate::hello::connect::{Client, ConnectParams};
use crate::hello::ok::{self, Grant, Policy, Snapshot, Welcome};
use crate::json::{Json, Object, array};
use crate::limits::Limits;
use crate::scope::{Audience, Scope};
use crate::server::{self, Applicant, Call, ConnId, Connection, Misuse, Session};
use crate::time::{Instant, Now};

/// How a socket reached the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address that the socket comes from.
    pub address: IpAddr,
    /// Whether that is this very host, reached without a proxy.
    pub direct_loopback: bool,
    /// The `Origin` of the upgrade request, which only browsers send.
    pub origin: Option<Box<str>>,
}

/// What the hub tells the application.
#[derive(Debug)]
pub enum Event {
    /// A client wants to be let in: call [`Hub::admit`] or [`Hub::refuse`].
    Connect {
        /// The token to decide with.
        applicant: Applicant,
        /// What it says of itself.
        params: Box<ConnectParams>,
        /// How it reached the gateway.
        peer: Peer,
        /// The nonce that its connection was challenged with.
        nonce: Box<str>,
    },
    /// A request waits for an answer: call [`Hub::reply`], [`Hub::accept`] or [`Hub::join`].
    Request {
        /// The token to answer with.
        call: Call,
        /// What is asked.
        request: Request,
    },
    /// A peer broke a clause; what follows from it is under way.
    Fault {
        /// The connection.
        conn: ConnId,
        /// What it did.
        fault: PeerFault,
    },
    /// A connection is over.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How the gateway closed it; `None` where its socket just ended.
        close: Option<Close>,
    },
}

/// All connections of a gateway.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    welcome: Welcome,
    started: Instant,
    slots: BTreeMap<ConnId, Slot>,
    last_conn: u64,
    standing: standing::Standing,
    events: VecDeque<Event>,
    ready: VecDeque<ConnId>,
    timers: timers::Timers,
    runs: runs::Runs,
    presence: presence::Presence,
    health: health::Board,
    burden: burden::Burden,
    suspension: &'static str,
}

#[derive(Debug)]
struct Slot {
    connection: Connection,
    peer: Peer,
    nonce: Box<str>,
    client: Option<Box<Client>>,
    row: Option<presence::Key>,
    presence_seen: u64,
    share: burden::Share,
    is_ready: bool,
    deadline: Option<Instant>,
}

fn is_admitted(slots: &BTreeMap<ConnId, Slot>, conn: ConnId) -> bool {
    slots
        .get(&conn)
        .is_some_and(|slot| slot.connection.session().is_some())
}

impl Slot {
    fn share_now(&self) -> burden::Share {
        // What goes out with a close is small or already being written: no reason to close others.
        let private = if self.connection.is_ending() {
            0
        } else {
            self.connection.private_bytes()
        };
        burden::Share {
            private,
            calls: self.connection.held_bytes(),
        }
    }
}

impl Hub {
    /// A hub without connections. `gateway` is the gateway's own presence row.
    #[must_use]
    pub fn new(limits: Limits, welcome: Welcome, gateway: Row, now: Now) -> Self {
        Self {
            limits,
            welcome,
            started: now.at,
            slots: BTreeMap::new(),
            last_conn: 0,
            standing: standing::Standing::default(),
            events: VecDeque::new(),
            ready: VecDeque::new(),
            timers: timers::Timers::new(&limits, now.at),
            runs: runs::Runs::default(),
            presence: presence::Presence::new(gateway, &limits, now),
            health: health::Board::new(now),
            burden: burden::Burden::default(),
            suspension: "accepting",
        }
    }

    /// The limits that it was built with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A socket was upgraded to a WebSocket: queues its challenge.
    ///
    /// Where too many sockets are without hello already, the oldest of them is closed to make room.
    /// `nonce` must be fresh and hard to guess; `jitter` spreads pings.
    pub fn open(&mut self, peer: Peer, nonce: &str, jitter: u8, now: Now) -> ConnId {
        self.make_room(peer.address, now);
        self.last_conn += 1;
        let id = ConnId(self.last_conn);
        let slot = Slot {
            connection: Connection::new(id, self.limits, nonce, jitter, now),
            peer,
            nonce: nonce.into(),
            client: None,
            row: None,
            presence_seen: 0,
            share: burden::Share::default(),
            is_ready: false,
            deadline: None,
        };
        self.standing.arrive(id, slot.peer.address);
        self.slots.insert(id, slot);
        self.settle(id, now);
        id
    }

    /// A connection sent a message.
    ///
    /// A request that does not fit into what all unanswered requests may hold is refused.
    pub fn handle_frame(&mut self, conn: ConnId, inbound: Inbound, now: Now) {
        let room = self
            .limits
            .open_call_bytes_in_all
            .saturating_sub(self.burden.calls());
        self.with(conn, now, |connection| match inbound {
            Inbound::Request(request) if request.size > room && connection.session().is_some() => {
                connection.handle_surplus(request, now);
            }
            inbound @ (Inbound::Request(_) | Inbound::Invalid(_) | Inbound::Malformed) => {
                connection.handle_frame(inbound, now);
            }
        });
        self.relieve(now);
    }

    /// The transport found a connection's peer at fault.
    pub fn handle_fault(&mut self, conn: ConnId, fault: PeerFault, now: Now) {
        self.with(conn, now, |connection| connection.handle_fault(fault, now));
    }

    /// Bytes arrived on a connection that are no message yet.
    pub fn handle_activity(&mut self, conn: ConnId, now: Now) {
        self.with(conn, now, |connection| connection.handle_activity(now));
    }

    /// A connection's socket is gone.
    pub fn handle_disconnect(&mut self, conn: ConnId, now: Now) {
        self.with(conn, now, Connection::handle_disconnect);
    }

    /// Everything that was pulled for a connection is written.
    pub fn sent(&mut self, conn: ConnId) {
        if let Some(slot) = self.slots.get_mut(&conn) {
            slot.connection.sent();
            let share = slot.share_now();
            self.burden.replace(&mut slot.share, share);
        }
    }

    /// Whether a connection's peer may be read from.
    #[must_use]
    pub fn wants_input(&self, conn: ConnId) -> bool {
        self.slots
            .get(&conn)
            .is_some_and(|slot| slot.connection.wants_input())
    }

    /// Who a connection is, once it was admitted.
    #[must_use]
    pub fn session(&self, conn: ConnId) -> Option<&Session> {
        self.slots.get(&conn)?.connection.session()
    }

    /// How many connections have had their hello and are not ending.
    #[must_use]
    pub fn admitted(&self) -> usize {
        self.standing.admitted().len()
    }

    /// How many sockets there are, those included that are still without hello.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// Lets an applicant in: its presence row is written, its `connect` is answered with
    /// `hello-ok`, and from then on it hears pushes; all in one step.
    ///
    /// # Errors
    /// [`Misuse`] never in practice: the token names its own connection.
    pub fn admit(
        &mut self,
        applicant: Applicant,
        grant: &Grant,
        now: Now,
    ) -> Result<(), Misuse<Applicant>> {
        let conn = applicant.conn;
        let Some(slot) = self.slots.get_mut(&conn) else {
            return Ok(());
        };
        if slot.connection.is_ending() {
            return Ok(());
        }
        if let Some(client) = slot.client.take() {
            slot.row = self.presence.join(conn, &client, &slot.peer, grant, now);
        }
        let reads = Audience::Operators(Scope::Read).includes(grant.role, &grant.scopes, &[]);
        if reads {
            self.presence.greet();
        }
        slot.presence_seen = self.presence.version();
        let state_version = StateVersion {
            presence: self.presence.version(),
            health: self.health.version(),
        };
        let empty = array([]);
        let snapshot = Snapshot {
            suspension: self.suspension,
            presence: if reads { self.presence.list() } else { &empty },
            health: self.health.payload(reads),
            state_version,
            uptime_ms: now.at.since(self.started).as_millis() as u64,
        };
        let policy = Policy {
            max_payload: self.limits.frame as u64,
            max_buffered_bytes: self.limits.outbox as u64,
            tick_interval_ms: self.limits.tick.as_millis() as u64,
        };
        let welcome = &self.welcome;
        let name = format!("{}-{conn}", self.welcome.boot_id);
        let hello = |protocol| ok::write(welcome, protocol, &name, grant, policy, &snapshot);
        if slot.connection.admit(applicant, grant, hello, now)? {
            self.standing.admit(conn, slot.peer.address);
        }
        self.settle(conn, now);
        Ok(())
    }

    /// Turns an applicant away: its `connect` is answered with `error`, and it is closed with
    /// 1008 and the same words.
    ///
    /// # Errors
    /// [`Misuse`] never in practice: the token names its own connection.
    pub fn refuse(
        &mut self,
        applicant: Applicant,
        error: ErrorShape,
        now: Now,
    ) -> Result<(), Misuse<Applicant>> {
        let close = Close::new(close_code::POLICY, error.message.clone());
        self.refuse_with(applicant, error, close, now)
    }

    /// Turns an applicant away with a close of its own.
    ///
    /// # Errors
    /// [`Misuse`] never in practice: the token names its own connection.
    pub fn refuse_with(
        &mut self,
        applicant: Applicant,
        error: ErrorShape,
        close: Close,
        now: Now,
    ) -> Result<(), Misuse<Applicant>> {
        let conn = applicant.conn;
        if let Some(slot) = self.slots.get_mut(&conn) {
            slot.connection.refuse(applicant, error, close, now)?;
            self.settle(conn, now);
        }
        Ok(())
    }

    /// Answers a request; one whose connection has ended in the meantime is forgotten.
    pub fn reply(&mut self, call: Call, outcome: Outcome, now: Now) {
        let conn = call.conn;
        if let Some(slot) = self.slots.get_mut(&conn)
            && slot.connection.finish(call, outcome, now).is_ok()
        {
            self.settle(conn, now);
            self.relieve(now);
        }
    }

    /// Pushes something to everybody in its audience.
    pub fn broadcast(&mut self, publication: Publication, now: Now) {
        let publication = Arc::new(publication);
        self.publish(&publication, now);
    }

    /// Reads who is there: the payload of `system-presence`.
    pub fn presence(&mut self) -> &Json {
        self.presence.show()
    }

    /// Adds or replaces a row that a client announced, and pushes the list at once.
    pub fn announce(&mut self, row: Row, now: Now) {
        self.presence.announce(row, now);
        self.push_presence(now);
    }

    /// Takes over a new health report; the version rises only when its content changed.
    pub fn set_health(&mut self, health: Health, now: Now) {
        if self.health.set(health, now) {
            self.push_health(now);
        }
    }

    /// The payload of `health`, for connections that may read it whole, or for others.
    #[must_use]
    pub fn health(&self, whole: bool) -> &Json {
        self.health.payload(whole)
    }

    /// The versions of the shared state.
    #[must_use]
    pub fn state_version(&self) -> StateVersion {
        StateVersion {
            presence: self.presence.version(),
            health: self.health.version(),
        }
    }

    /// Says to newcomers that the gateway is about to stop.
    pub fn drain(&mut self) {
        self.suspension = "draining";
    }

    /// Pushes `shutdown` to everybody.
    pub fn announce_shutdown(&mut self, reason: &str, restart_expected_ms: Option<u64>, now: Now) {
        let mut payload = Object::new().text("reason", reason);
        if let Some(expected) = restart_expected_ms {
            payload = payload.number("restartExpectedMs", expected);
        }
        self.broadcast(
            Publication {
                event: "shutdown",
                payload: payload.finish(),
                audience: Audience::Everyone,
                class: Class::Ordinary,
            },
            now,
        );
    }

    /// Closes one connection.
    pub fn close(&mut self, conn: ConnId, close: Close, now: Now) {
        self.with(conn, now, |connection| connection.close(close, now));
    }

    /// Closes every connection, those without hello included.
    pub fn close_all(&mut self, close: &Close, now: Now) {
        let all: alloc::vec::Vec<ConnId> = self.slots.keys().copied().collect();
        for conn in all {
            self.close(conn, close.clone(), now);
        }
    }

    /// The next thing the application must know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next connection that has something to transmit; each is named once until it was pulled
    /// empty.
    pub fn poll_ready(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.ready.pop_front() {
            if let Some(slot) = self.slots.get_mut(&conn) {
                slot.is_ready = false;
                return Some(conn);
            }
        }
        None
    }

    /// The next thing to do to a connection's socket.
    ///
    /// A presence push that waited carries the list as it is now, so that what a push holds and the
    /// version that it names always belong together.
    pub fn poll_transmit(&mut self, conn: ConnId) -> Option<Transmit> {
        let version = self.state_version();
        let slot = self.slots.get_mut(&conn)?;
        let mut transmit = slot.connection.poll_transmit(version)?;
        if let Transmit::Frame(Frame::Event {
            publication,
            state_version: Some(carried),
            ..
        }) = &mut transmit
            && publication.class == Class::State(State::Presence)
        {
            *publication = self.presence.publication();
            // Older lists may still wait as answers behind it, so what was seen last is not known.
            carried.presence = self.presence.version();
        }
        Some(transmit)
    }

    /// Takes a connection's waiting ping out of its turn; see [`Connection::poll_ping`].
    pub fn poll_ping(&mut self, conn: ConnId) -> bool {
        self.slots
            .get_mut(&conn)
            .is_some_and(|slot| slot.connection.poll_ping())
    }

    /// Whether [`Self::poll_transmit`] has something to give for a connection.
    #[must_use]
    pub fn has_output(&self, conn: ConnId) -> bool {
        self.slots
            .get(&conn)
            .is_some_and(|slot| slot.connection.has_output())
    }

    fn publish(&mut self, publication: &Arc<Publication>, now: Now) {
        self.burden.push(publication);
        let admitted = self.standing.take_admitted();
        for conn in &admitted {
            self.with(*conn, now, |connection| {
                connection.publish(publication, now);
            });
        }
        self.standing
            .give_back(admitted, |conn| is_admitted(&self.slots, conn));
        self.relieve(now);
    }

    /// Closes the connections with the largest backlogs until what waits is within its bounds.
    fn relieve(&mut self, now: Now) {
        while self.burden.exceeds(self.limits.outbox_in_all) {
            let largest = self
                .slots
                .iter()
                .filter(|(_, slot)| {
                    !slot.connection.is_ending() && slot.connection.queued_bytes() > 0
                })
                .max_by_key(|(_, slot)| slot.connection.queued_bytes())
                .map(|(conn, _)| *conn);
            let Some(conn) = largest else {
                return;
            };
            self.handle_fault(conn, PeerFault::SlowConsumer, now);
        }
    }

    fn with(&mut self, conn: ConnId, now: Now, act: impl FnOnce(&mut Connection)) {
        if let Some(slot) = self.slots.get_mut(&conn) {
            act(&mut slot.connection);
            self.settle(conn, now);
        }
    }

    /// Takes over what a connection has to say after something happened to it.
    fn settle(&mut self, conn: ConnId, now: Now) {
        let Some(slot) = self.slots.get_mut(&conn) else {
            return;
        };
        let mut closed = false;
        while let Some(event) = slot.connection.poll_event() {
            self.events.push_back(match event {
                server::Event::Connect { applicant, params } => {
                    slot.client = Some(Box::new(params.client.clone()));
                    Event::Connect {
                        applicant,
                        params,
                        peer: slot.peer.clone(),
                        nonce: slot.nonce.clone(),
                    }
                }
                server::Event::Request { call, request } => Event::Request { call, request },
                server::Event::Fault(fault) => Event::Fault { conn, fault },
                server::Event::Closed { close } => {
                    closed = true;
                    Event::Closed { conn, close }
                }
            });
        }
        if slot.connection.has_output() && !slot.is_ready {
            slot.is_ready = true;
            self.ready.push_back(conn);
        }
        let deadline = slot.connection.poll_timeout().map(|due| due.at);
        self.timers.reschedule(conn, &mut slot.deadline, deadline);
        let share = slot.share_now();
        self.burden.replace(&mut slot.share, share);
        let left = slot
            .connection
            .is_ending()
            .then(|| slot.row.take())
            .flatten();
        if slot.connection.is_ending() {
            self.standing.leave(conn, slot.peer.address);
        }
        if closed {
            self.slots.remove(&conn);
        }
        if let Some(row) = left {
            self.presence.leave(conn, &row, now);
        }
    }

    fn make_room(&mut self, address: IpAddr, now: Now) {
        if let Some(oldest) = self.standing.surplus(address, &self.limits) {
            self.give_way(oldest, now);
        }
    }

    fn give_way(&mut self, conn: ConnId, now: Now) {
        let close = Close::new(
            close_code::TRY_LATER,
            "too many connections without a handshake",
        );
        self.close(conn, close, now);
    }
}
