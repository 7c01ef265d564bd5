//! The health snapshot that every connection is told.

use core::time::Duration;

use crate::json::{Json, Object};
use crate::time::Now;

/// A health report as the application made it.
#[derive(Clone, Debug)]
pub struct Health {
    /// How long it took to make.
    pub took: Duration,
    /// The members of the payload beside `ok`, `ts` and `durationMs`.
    pub content: Json,
}

#[derive(Debug)]
pub(super) struct Board {
    took: Duration,
    content: Json,
    whole: Json,
    brief: Json,
    version: u64,
}

impl Board {
    pub(super) fn new(now: Now) -> Self {
        let brief = head(now, Duration::ZERO).finish();
        Self {
            took: Duration::ZERO,
            content: Json::empty_object(),
            whole: brief.clone(),
            brief,
            version: 1,
        }
    }

    /// Takes a report over; says whether its content is new.
    pub(super) fn set(&mut self, health: Health, now: Now) -> bool {
        self.took = health.took;
        self.brief = head(now, health.took).finish();
        self.whole = head(now, health.took).members_of(&health.content).finish();
        let is_new = self.content != health.content;
        if is_new {
            self.content = health.content;
            self.version += 1;
        }
        is_new
    }

    /// Says that the last report still holds.
    pub(super) fn confirm(&mut self, now: Now) {
        let health = Health {
            took: self.took,
            content: self.content.clone(),
        };
        self.set(health, now);
    }

    pub(super) const fn payload(&self, whole: bool) -> &Json {
        if whole { &self.whole } else { &self.brief }
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }
}

fn head(now: Now, took: Duration) -> Object {
    Object::new()
        .boolean("ok", true)
        .number("ts", now.unix_ms)
        .number("durationMs", took.as_millis() as u64)
}
