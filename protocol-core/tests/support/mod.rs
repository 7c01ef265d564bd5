//! A virtual clock, a gateway that raw JSON is spoken to, and both cores against each other.

#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

pub(crate) mod asking;
mod gateway;
mod pair;
pub(crate) mod pushes;
pub(crate) mod script;
pub(crate) mod watching;

pub(crate) use gateway::{Applicants, Gateway, Heard, Joiner, closes, events, grant, parsed};
pub(crate) use pair::Pair;

use core::time::Duration;

use openclaw_protocol_core::frame::outgoing::{Class, Publication};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::time::{Instant, Now};
use serde_json::Value;

/// 2023-11-14T22:13:20Z, the wall clock's time when every test begins.
pub(crate) const BEGINNING_MS: u64 = 1_700_000_000_000;
pub(crate) const NONCE: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const READ: &[&str] = &["operator.read"];
pub(crate) const NOTHING: &[&str] = &[];

/// A clock that only the test moves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    passed: Duration,
}

impl Clock {
    pub(crate) fn now(self) -> Now {
        Now {
            at: Instant::after_origin(self.passed),
            unix_ms: BEGINNING_MS + self.passed.as_millis() as u64,
        }
    }

    pub(crate) fn passed(self) -> Duration {
        self.passed
    }

    pub(crate) fn set(&mut self, passed: Duration) {
        assert!(passed >= self.passed, "time runs forward");
        self.passed = passed;
    }
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn json(value: Value) -> Json {
    Json::of(&value).expect("a JSON value")
}

/// A push of a stream, for operators that read.
pub(crate) fn delta(text: &str) -> Publication {
    Publication {
        class: Class::Delta,
        ..ordinary("chat", text, Audience::Operators(Scope::Read))
    }
}

pub(crate) fn ordinary(event: &'static str, text: &str, audience: Audience) -> Publication {
    Publication {
        event,
        payload: json(serde_json::json!({ "text": text })),
        audience,
        class: Class::Ordinary,
    }
}
