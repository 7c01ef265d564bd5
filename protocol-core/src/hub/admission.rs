//! Who comes in.

use alloc::format;
use core::net::IpAddr;

use super::{Hub, Peer, Slot, burden};
use crate::error_shape::ErrorShape;
use crate::frame::outgoing::StateVersion;
use crate::frame::{Close, close_code};
use crate::hello::ok::{self, Grant, Policy, Snapshot};
use crate::json::array;
use crate::scope::{Audience, Scope};
use crate::server::{Applicant, ConnId, Connection, Misuse};
use crate::time::Now;

impl Hub {
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
            holds: None,
            answered: None,
            share: burden::Share::default(),
            is_ready: false,
            deadline: None,
        };
        self.standing.arrive(id, slot.peer.address);
        self.slots.insert(id, slot);
        self.settle(id, now);
        self.relieve(now);
        id
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
        let empty = array([]);
        let (holds, list) = if reads {
            let (id, list) = self.presence.everybody();
            (Some(id), list.clone())
        } else {
            (None, empty)
        };
        if let Some(id) = holds {
            self.presence.name(id);
        }
        slot.holds = holds;
        let snapshot = Snapshot {
            suspension: self.suspension,
            presence: &list,
            health: self.health.payload(reads),
            state_version: StateVersion {
                presence: self.presence.version(),
                health: self.health.version(),
            },
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
        self.relieve(now);
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
