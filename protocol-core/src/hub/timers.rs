//! The deadlines of a hub: one per connection, and one each for tick, health and presence.

use alloc::collections::BTreeSet;

use super::Hub;
use crate::frame::outgoing::{Class, Publication, State};
use crate::json::Object;
use crate::limits::Limits;
use crate::scope::{Audience, Scope};
use crate::server::{ConnId, Delivery};
use crate::time::{Deadline, Instant, Now, Timer};

/// The most connections that one call of [`Hub::handle_timeout`] serves.
const PER_CALL: usize = 256;

#[derive(Debug)]
pub(super) struct Timers {
    connections: BTreeSet<(Instant, ConnId)>,
    tick: Instant,
    health: Instant,
}

impl Timers {
    pub(super) fn new(limits: &Limits, at: Instant) -> Self {
        Self {
            connections: BTreeSet::new(),
            tick: at + limits.tick,
            health: at + limits.health,
        }
    }

    /// Replaces a connection's deadline.
    pub(super) fn reschedule(
        &mut self,
        conn: ConnId,
        current: &mut Option<Instant>,
        next: Option<Instant>,
    ) {
        if *current == next {
            return;
        }
        if let Some(at) = current.take() {
            self.connections.remove(&(at, conn));
        }
        if let Some(at) = next {
            self.connections.insert((at, conn));
        }
        *current = next;
    }

    fn first_due(&self, now: Instant) -> Option<ConnId> {
        let (at, conn) = self.connections.first()?;
        (*at <= now).then_some(*conn)
    }
}

impl Hub {
    /// Time passed: serves what is due, at most a bounded number of connections; more may be due
    /// when it returns.
    pub fn handle_timeout(&mut self, now: Now) {
        for _ in 0..PER_CALL {
            let Some(conn) = self.timers.first_due(now.at) else {
                break;
            };
            self.with(conn, now, |connection| connection.handle_timeout(now));
        }
        if self.timers.tick <= now.at {
            self.timers.tick = next(self.timers.tick, self.limits.tick, now.at);
            self.push_tick(now);
        }
        if self.timers.health <= now.at {
            self.health.confirm(now);
            self.push_health(now);
        }
        if self.presence.deadline().is_some_and(|due| due <= now.at) {
            self.push_presence(now);
        }
    }

    /// When [`Self::handle_timeout`] is due, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let connection = self.timers.connections.first().map(|(at, conn)| Deadline {
            at: *at,
            timer: self
                .slots
                .get(conn)
                .and_then(|slot| slot.connection.poll_timeout())
                .map_or(Timer::Close, |due| due.timer),
        });
        let shared = [
            (Some(self.timers.tick), Timer::Tick),
            (Some(self.timers.health), Timer::Health),
            (self.presence.deadline(), Timer::Presence),
        ];
        shared
            .into_iter()
            .filter_map(|(at, timer)| Some(Deadline { at: at?, timer }))
            .chain(connection)
            .min()
    }

    fn push_tick(&mut self, now: Now) {
        self.broadcast(
            Publication {
                event: "tick",
                payload: Object::new().number("ts", now.unix_ms).finish(),
                audience: Audience::Everyone,
                class: Class::State(State::Tick),
            },
            now,
        );
    }

    pub(super) fn push_health(&mut self, now: Now) {
        self.timers.health = now.at + self.limits.health;
        for (audience, whole) in [
            (Audience::Operators(Scope::Read), true),
            (Audience::Others(Scope::Read), false),
        ] {
            let payload = self.health.payload(whole).clone();
            self.broadcast(
                Publication {
                    event: "health",
                    payload,
                    audience,
                    class: Class::State(State::Health),
                },
                now,
            );
        }
    }

    pub(super) fn push_presence(&mut self, now: Now) {
        let Some(list) = self.presence.look(now) else {
            return;
        };
        let publication = self.presence.publication();
        let mut receivers = 0;
        let admitted = self.standing.take_admitted();
        for conn in &admitted {
            let Some(slot) = self.slots.get_mut(conn) else {
                continue;
            };
            let settled = self.presence.is_settled(*conn, slot.row.as_ref());
            if !settled || !slot.holds_other_than(list) {
                continue;
            }
            if slot.connection.publish(&publication, now) == Delivery::NotForThem {
                slot.holds = Some(list);
                continue;
            }
            slot.answered = None;
            if receivers == 0 {
                self.presence.name(list);
                self.burden.push(&publication);
            }
            receivers += 1;
            self.settle(*conn, now);
        }
        self.standing
            .give_back(admitted, |conn| super::is_admitted(&self.slots, conn));
        self.presence
            .pushed(receivers * publication.payload.len(), now);
        self.relieve(now);
    }
}

/// The next multiple of `every` after `due` that lies ahead of `now`.
fn next(due: Instant, every: core::time::Duration, now: Instant) -> Instant {
    let next = due + every;
    if next > now { next } else { now + every }
}
