//! Every connection of one gateway, with a single owner.
//!
//! The hub routes what connections say to the application and what the application answers to
//! connections. It holds what they share: presence, health, state versions, runs and timers.

mod admission;
mod burden;
mod health;
mod output;
mod presence;
mod runs;
mod standing;
mod timers;

pub use health::Health;
pub use presence::Row;
pub use runs::Run;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::fault::PeerFault;
use crate::frame::Close;
use crate::frame::inbound::{Inbound, Request};
use crate::frame::outgoing::{Class, Outcome, Publication, StateVersion};
use crate::hello::connect::{Client, ConnectParams};
use crate::hello::ok::Welcome;
use crate::json::{Json, Object};
use crate::limits::Limits;
use crate::scope::Audience;
use crate::server::{self, Applicant, Call, ConnId, Connection, Delivery, Session};
use crate::time::{Instant, Now};

/// How a socket reached the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address that the socket comes from, or the one that a trusted proxy names as its client's.
    pub address: IpAddr,
    /// Whether that is this very host, reached without a proxy.
    pub direct_loopback: bool,
    /// The `Origin` of the upgrade request, which only browsers send.
    pub origin: Option<Box<str>>,
    /// What the upgrade request says of who makes it, as far as the application wants to know.
    pub claims: Option<Box<Claims>>,
}

impl Peer {
    /// A peer of whom nothing is known but the address of its socket.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self {
            address,
            direct_loopback: address.is_loopback(),
            origin: None,
            claims: None,
        }
    }
}

/// What an upgrade request says of who makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user.
    pub who: Who,
    /// The scopes that the connection is limited to, if it is.
    pub scopes: Option<Vec<Box<str>>>,
}

/// A user, and how certain that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody, for this reason.
    Nobody(Box<str>),
    /// This user, if a directory says the same.
    Claimed(Box<str>),
    /// This user, says a proxy that is trusted.
    Vouched(Box<str>),
    /// This user, says a directory.
    Verified(Box<str>),
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
    /// The presence list that its hello or the last push held.
    holds: Option<presence::ListId>,
    /// The one that an answer shows it behind that, and behind a push that waits.
    answered: Option<presence::ListId>,
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
    /// Whether it may take another presence list for the last word.
    fn holds_other_than(&self, list: presence::ListId) -> bool {
        self.holds != Some(list) || self.answered.is_some_and(|shown| shown != list)
    }

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

    /// Pushes something to one connection, whatever its audience and without a number; what became of it.
    ///
    /// [`Delivery::Dropped`] says that no frame may hold it, [`Delivery::Overflow`] that its connection is
    /// being closed because it reads too slowly.
    pub fn direct(&mut self, conn: ConnId, publication: Publication, now: Now) -> Delivery {
        let mut delivery = Delivery::NotForThem;
        self.with(conn, now, |connection| {
            delivery = connection.direct(publication, now);
        });
        self.relieve(now);
        delivery
    }

    /// Who is there, for the application itself; see [`Self::reply_presence`].
    pub fn presence(&mut self) -> &Json {
        self.presence.everybody().1
    }

    /// Answers a request with the list of who is there, `system-presence`.
    ///
    /// The hub notes what the asker was shown, so that a later push corrects it.
    pub fn reply_presence(&mut self, call: Call, now: Now) {
        let (id, list) = self.presence.everybody();
        let outcome = Outcome::success(list.clone());
        if let Some(slot) = self.slots.get_mut(&call.conn) {
            slot.answered = Some(id);
        }
        self.reply(call, outcome, now);
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
        let all: Vec<ConnId> = self.slots.keys().copied().collect();
        for conn in all {
            self.close(conn, close.clone(), now);
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
}
