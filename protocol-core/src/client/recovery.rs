//! What to fetch after pushes were lost, and when.

use alloc::vec::Vec;
use core::time::Duration;

use super::hello::Hello;
use crate::error_shape::{ErrorShape, code};
use crate::scope::{Scope, Scopes};
use crate::time::{Instant, Now};

/// The least time between two recoveries from a gateway whose numbers are its own.
const RHYTHM: Duration = Duration::from_secs(1);
/// The same for protocol 3, whose counter is global: its gaps are mostly pushes for others.
const RHYTHM_OF_A_GLOBAL_COUNTER: Duration = Duration::from_secs(10);
/// The longest wait after answers that failed.
const LONGEST: Duration = Duration::from_secs(30);

/// Leads from a gap back to a known state: it wants requests, hears what became of them, and says
/// when the connection may be called resynced.
///
/// One recovery is under way at a time. A gap during one is answered by another, because what was
/// fetched may be older than what was lost.
#[derive(Clone, Debug)]
pub struct Recovery {
    rhythm: Duration,
    presence: Access,
    phase: Phase,
    wanted: Vec<Fetch>,
    /// When the last one began.
    began: Option<Instant>,
    failures: u32,
    resynced: bool,
}

/// What a recovery fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fetch {
    /// The method `health`.
    Health,
    /// The method `system-presence`.
    Presence,
}

/// What became of a fetch.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// It was answered.
    Fetched,
    /// The gateway refused it.
    Refused(&'a ErrorShape),
    /// It was not answered.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Granted,
    Unknown,
    Denied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Sound,
    Due {
        at: Instant,
    },
    Fetching {
        health: Part,
        presence: Part,
        /// Pushes were lost again since.
        again: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Open,
    Done,
    Failed,
}

impl Fetch {
    /// The method to call, without parameters.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Presence => "system-presence",
        }
    }
}

impl Recovery {
    /// A recovery for a connection that has just been greeted: nothing is lost yet.
    ///
    /// Presence is fetched where the granted scopes allow it; where the gateway does not tell
    /// them, it is tried until it is refused.
    #[must_use]
    pub fn new(hello: &Hello) -> Self {
        let may_read = |scopes: &Vec<_>| Scopes::from(scopes.clone()).allow(Scope::Read);
        Self {
            rhythm: if hello.protocol >= 4 {
                RHYTHM
            } else {
                RHYTHM_OF_A_GLOBAL_COUNTER
            },
            presence: match hello.scopes.as_ref().map(may_read) {
                Some(true) => Access::Granted,
                Some(false) => Access::Denied,
                None => Access::Unknown,
            },
            phase: Phase::Sound,
            wanted: Vec::new(),
            began: None,
            failures: 0,
            resynced: false,
        }
    }

    /// Whether pushes were lost and not made up for yet.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        !matches!(self.phase, Phase::Sound)
    }

    /// Pushes were lost.
    pub fn handle_gap(&mut self, now: Now) {
        self.resynced = false;
        match &mut self.phase {
            Phase::Sound => {
                let at = self.began.map_or(now.at, |began| began + self.rhythm);
                self.phase = Phase::Due { at };
                self.handle_timeout(now);
            }
            Phase::Due { .. } => {}
            Phase::Fetching { again, .. } => *again = true,
        }
    }

    /// What to ask the gateway now; tell [`Self::handle_answer`] what became of it.
    pub fn poll_fetch(&mut self) -> Option<Fetch> {
        self.wanted.pop()
    }

    /// A fetch was answered, or will not be.
    ///
    /// A refusal of presence for want of a scope means that there is none to fetch. What failed
    /// otherwise is tried again after a while.
    pub fn handle_answer(&mut self, fetch: Fetch, answer: Answer<'_>, now: Now) {
        let denied = match answer {
            Answer::Refused(error) => self.is_denial(fetch, error),
            Answer::Fetched | Answer::Lost => false,
        };
        if denied {
            self.presence = Access::Denied;
        }
        let Phase::Fetching {
            health, presence, ..
        } = &mut self.phase
        else {
            return;
        };
        let part = match fetch {
            Fetch::Health => health,
            Fetch::Presence => presence,
        };
        *part = match answer {
            Answer::Fetched => Part::Done,
            Answer::Refused(_) if denied => Part::Done,
            Answer::Refused(_) | Answer::Lost => Part::Failed,
        };
        self.conclude(now);
    }

    /// Whether everything was made up for since this was last asked: then call
    /// [`Connection::resynced`](super::Connection::resynced).
    pub const fn poll_resynced(&mut self) -> bool {
        core::mem::replace(&mut self.resynced, false)
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Due { at } => Some(at),
            Phase::Sound | Phase::Fetching { .. } => None,
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.phase {
            Phase::Due { at } if at <= now.at => self.begin(now),
            Phase::Sound | Phase::Due { .. } | Phase::Fetching { .. } => {}
        }
    }

    fn begin(&mut self, now: Now) {
        self.began = Some(now.at);
        let with_presence = self.presence != Access::Denied;
        self.wanted.clear();
        if with_presence {
            self.wanted.push(Fetch::Presence);
        }
        self.wanted.push(Fetch::Health);
        self.phase = Phase::Fetching {
            health: Part::Open,
            presence: if with_presence {
                Part::Open
            } else {
                Part::Done
            },
            again: false,
        };
    }

    fn conclude(&mut self, now: Now) {
        let Phase::Fetching {
            health,
            presence,
            again,
        } = self.phase
        else {
            return;
        };
        let parts = [health, presence];
        if parts.contains(&Part::Open) {
            return;
        }
        let rhythm = self.began.map_or(now.at, |began| began + self.rhythm);
        if parts.contains(&Part::Failed) {
            let doubled = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
            self.failures = self.failures.saturating_add(1);
            let wait = RHYTHM.saturating_mul(doubled).min(LONGEST);
            let at = rhythm.max(now.at + wait);
            self.phase = Phase::Due { at };
        } else if again {
            self.failures = 0;
            self.phase = Phase::Due { at: rhythm };
            self.handle_timeout(now);
        } else {
            self.failures = 0;
            self.phase = Phase::Sound;
            self.resynced = true;
        }
    }

    /// Protocol 3 had no code of its own for a missing scope.
    fn is_denial(&self, fetch: Fetch, error: &ErrorShape) -> bool {
        let missing = error.code == code::FORBIDDEN || error.code == code::INVALID_REQUEST;
        fetch == Fetch::Presence && missing
    }
}
