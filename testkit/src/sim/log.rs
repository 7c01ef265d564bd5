//! The clock of a world, and the pen that writes its history.

use std::time::Duration;

use openclaw_protocol_core::server::ConnId;
use openclaw_protocol_core::time::{Instant, Now};

use super::coverage::Trial;
use super::history::{Entry, History, Note};

/// 2023-11-14T22:13:20Z.
const EPOCH: u64 = 1_700_000_000_000;

#[derive(Default)]
pub(super) struct Log {
    at: u64,
    pub(super) history: History,
    /// Connections whose sockets the gateway has just dropped.
    pub(super) ended: Vec<ConnId>,
}

impl Log {
    /// How long the world has existed, in microseconds.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn set(&mut self, at: u64) {
        self.at = at;
    }

    pub(super) fn now(&self) -> Now {
        Now {
            at: Instant::after_origin(Duration::from_micros(self.at)),
            unix_ms: EPOCH + self.at / 1_000,
        }
    }

    pub(super) fn tried(&mut self, trial: Trial) {
        self.history.coverage.count(trial);
    }

    pub(super) fn note(&mut self, note: Note) {
        let repeats = matches!(note, Note::Settled)
            && matches!(
                self.history.entries.last(),
                Some(Entry {
                    note: Note::Settled,
                    ..
                })
            );
        if !repeats {
            self.history.entries.push(Entry { at: self.at, note });
        }
    }
}

/// The first microsecond at which a moment has come.
pub(super) fn micros(at: Instant) -> u64 {
    at.since_origin().as_nanos().div_ceil(1_000) as u64
}
