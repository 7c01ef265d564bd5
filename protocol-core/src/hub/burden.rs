//! What all connections of a hub hold together.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use crate::frame::outgoing::Publication;

/// How many pushes are looked through at least before the dead ones are dropped.
const SWEEP: usize = 1024;

/// Memory that waits to be sent, and memory of requests that wait to be answered.
#[derive(Debug, Default)]
pub(super) struct Burden {
    shared: Vec<(Weak<Publication>, usize)>,
    shared_bytes: usize,
    sweep_at: usize,
    private: usize,
    calls: usize,
}

/// What one connection adds to it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) private: usize,
    pub(super) calls: usize,
}

impl Burden {
    /// A push waits, for however many connections: it counts once.
    pub(super) fn push(&mut self, publication: &Arc<Publication>) {
        let bytes = publication.payload.len();
        self.shared.push((Arc::downgrade(publication), bytes));
        self.shared_bytes += bytes;
        if self.shared.len() >= self.sweep_at.max(SWEEP) {
            self.sweep();
        }
    }

    /// A connection's share has changed.
    pub(super) fn replace(&mut self, old: &mut Share, new: Share) {
        self.private = self.private + new.private - old.private;
        self.calls = self.calls + new.calls - old.calls;
        *old = new;
    }

    /// The bytes of requests that wait to be answered.
    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    /// Whether more than `limit` waits to be sent. Looks closely only when it seems so.
    pub(super) fn exceeds(&mut self, limit: usize) -> bool {
        if self.shared_bytes + self.private <= limit {
            return false;
        }
        self.sweep();
        self.shared_bytes + self.private > limit
    }

    /// Forgets the pushes that nobody waits for any more.
    fn sweep(&mut self) {
        self.shared.retain(|(push, _)| push.strong_count() > 0);
        self.shared_bytes = self.shared.iter().map(|(_, bytes)| bytes).sum();
        self.sweep_at = self.shared.len() * 2;
    }
}
