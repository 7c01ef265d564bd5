//! Sessions: each works on one run at a time, the others wait in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use openclaw_protocol_core::time::{Instant, Now};

/// The most sessions that are kept in mind; the one that rested longest goes first.
const MAX_SESSIONS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<Arc<str>, Session>);

#[derive(Debug)]
struct Session {
    id: Arc<str>,
    running: Option<u64>,
    queue: VecDeque<u64>,
    used: Instant,
}

impl Session {
    fn is_busy(&self) -> bool {
        self.running.is_some() || !self.queue.is_empty()
    }
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a session works on a run, or is about to.
    pub(super) fn is_busy(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(Session::is_busy)
    }

    /// How many runs come before one that enters a session now.
    pub(super) fn ahead(&self, key: &str) -> usize {
        self.0.get(key).map_or(0, |session| {
            usize::from(session.running.is_some()) + session.queue.len()
        })
    }

    /// How many runs come before one that waits in a session; `None` if it does not wait there.
    pub(super) fn ahead_of(&self, key: &str, serial: u64) -> Option<usize> {
        let session = self.0.get(key)?;
        let place = session.queue.iter().position(|waits| *waits == serial)?;
        Some(usize::from(session.running.is_some()) + place)
    }

    /// Puts a run into a session's queue; returns the session's key and id, which is `fresh` if
    /// there was no such session.
    pub(super) fn enter(
        &mut self,
        key: &str,
        fresh: Arc<str>,
        serial: u64,
        now: Now,
    ) -> (Arc<str>, Arc<str>) {
        if !self.0.contains_key(key) {
            self.forget_one();
        }
        let key: Arc<str> = key.into();
        let session = self.0.entry(Arc::clone(&key)).or_insert_with(|| Session {
            id: fresh,
            running: None,
            queue: VecDeque::new(),
            used: now.at,
        });
        session.used = now.at;
        session.queue.push_back(serial);
        (key, Arc::clone(&session.id))
    }

    /// Takes the next run of a session that has none at work; it is at work from then on.
    pub(super) fn next(&mut self, key: &str) -> Option<u64> {
        let session = self.0.get_mut(key)?;
        if session.running.is_some() {
            return None;
        }
        session.running = session.queue.pop_front();
        session.running
    }

    /// A run has ended, whether it was at work or waited.
    pub(super) fn leave(&mut self, key: &str, serial: u64, now: Now) {
        if let Some(session) = self.0.get_mut(key) {
            session.used = now.at;
            if session.running == Some(serial) {
                session.running = None;
            } else {
                session.queue.retain(|waits| *waits != serial);
            }
        }
    }

    /// The turn of these runs does not come any more.
    pub(super) fn withdraw(&mut self, key: &str, runs: &[u64]) {
        if let Some(session) = self.0.get_mut(key) {
            session.queue.retain(|waits| !runs.contains(waits));
        }
    }

    /// Nobody's turn comes any more.
    pub(super) fn clear_queues(&mut self) {
        for session in self.0.values_mut() {
            session.queue.clear();
        }
    }

    fn forget_one(&mut self) {
        if self.0.len() < MAX_SESSIONS {
            return;
        }
        let resting = self
            .0
            .iter()
            .filter(|(_, session)| !session.is_busy())
            .min_by_key(|(_, session)| session.used)
            .map(|(key, _)| Arc::clone(key));
        if let Some(key) = resting {
            self.0.remove(&key);
        }
    }
}
