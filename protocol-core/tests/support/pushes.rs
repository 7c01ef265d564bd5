//! Pushes, and what of them arrived.

use openclaw_protocol_core::frame::outgoing::{Class, Publication, State};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::Audience;
use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};

use super::{Gateway, READ, ordinary};

pub(crate) const TICK: &str = "tick";

pub(crate) fn tick(n: u64) -> Publication {
    Publication {
        event: TICK,
        payload: super::json(json!({ "ts": n })),
        audience: Audience::Everyone,
        class: Class::State(State::Tick),
    }
}

pub(crate) fn note(text: &str) -> Publication {
    ordinary("note", text, Audience::Everyone)
}

pub(crate) fn numbers(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .filter_map(|frame| frame["seq"].as_u64())
        .collect()
}

/// What of each frame tells it from the others.
pub(crate) fn names(frames: &[Value]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| match frame["payload"]["text"].as_str() {
            Some(text) => text.to_owned(),
            None => frame["event"]
                .as_str()
                .or(frame["id"].as_str())
                .expect("a name")
                .to_owned(),
        })
        .collect()
}

pub(crate) fn reader_of(limits: Limits) -> (Gateway, ConnId) {
    let mut gateway = Gateway::with(limits);
    let conn = gateway.operator(READ);
    (gateway, conn)
}
