//! What holds for every frame that either end sends.

use core::time::Duration;

use bytes::Bytes;
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::outgoing::Frame;
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::time::{Instant, Now};
use serde_json::Value;

/// 2023-11-14T22:13:20Z, the wall clock's time when every conversation begins.
pub(super) const BEGINNING_MS: u64 = 1_700_000_000_000;
/// The nonce of every challenge.
pub(super) const NONCE: &str = "00000000-0000-4000-8000-000000000001";

/// A clock that only a script moves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock(Duration);

impl Clock {
    pub(super) fn now(self) -> Now {
        Now {
            at: Instant::after_origin(self.0),
            unix_ms: BEGINNING_MS.saturating_add(self.0.as_millis() as u64),
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.0 = self.0.saturating_add(time);
    }
}

/// Reads what a gateway sent as a client does, and as nobody of ours does.
pub(super) fn said_by_gateway(frame: &Frame, limit: usize) -> (FromGateway, Value) {
    let text = frame.encode();
    assert!(text.len() <= limit, "a frame of {} bytes", text.len());
    let value: Value = serde_json::from_slice(&text).expect("a frame is JSON");
    let read = FromGateway::decode(&Bytes::from(text));
    match (&read, value["type"].as_str()) {
        (FromGateway::Response { id, outcome }, Some("res")) => {
            assert_eq!(value["id"], **id);
            assert_eq!(value["ok"], outcome.ok);
            assert_eq!(value.get("error").is_some(), outcome.error.is_some());
            assert!(outcome.ok || outcome.error.is_some(), "a failure says why");
        }
        (FromGateway::Push(push), Some("event")) => {
            assert_eq!(value["event"], *push.event);
            assert_eq!(value["seq"].as_u64(), push.seq);
        }
        (read, _) => panic!("{read:?} is no frame of a gateway"),
    }
    (read, value)
}

/// A JSON value as this crate's own kind of text.
pub(super) fn json(value: &Value) -> Json {
    Json::of(value).expect("a value has a JSON form")
}

/// What is said to people says something, and is bounded.
pub(super) fn is_bounded(text: &str, limit: usize) {
    assert!(!text.is_empty(), "nothing is said");
    assert!(text.len() <= limit, "{} bytes are said", text.len());
}

/// A peer's own words may hold line ends; what we say by ourselves may not.
#[cfg(feature = "application")]
pub(super) fn is_one_line(text: &str, limit: usize) {
    is_bounded(text, limit);
    assert!(!text.contains(['\n', '\r']), "more than a line: {text:?}");
}
