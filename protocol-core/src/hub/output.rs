//! What goes out, and to whom.

use alloc::sync::Arc;

use super::{Event, Hub, is_admitted};
use crate::fault::PeerFault;
use crate::frame::outgoing::{Class, Frame, Publication, State, Transmit};
use crate::server::ConnId;
use crate::time::Now;

impl Hub {
    /// Everything that was pulled for a connection is written.
    pub fn sent(&mut self, conn: ConnId) {
        if let Some(slot) = self.slots.get_mut(&conn) {
            slot.connection.sent();
            let share = slot.share_now();
            self.burden.replace(&mut slot.share, share);
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
            let list = self.presence.settled();
            carried.presence = self.presence.name(list);
            slot.holds = Some(list);
        }
        Some(transmit)
    }

    /// Takes a connection's waiting ping out of its turn; see
    /// [`Connection::poll_ping`](crate::server::Connection::poll_ping).
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

    pub(super) fn publish(&mut self, publication: &Arc<Publication>, now: Now) {
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
    pub(super) fn relieve(&mut self, now: Now) {
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
}
