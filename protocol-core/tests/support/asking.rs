//! A connection that asks one thing at a time.

use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;
use serde_json::Value;

use super::{Gateway, NOTHING, closes, parsed};

pub(crate) fn connected() -> (Gateway, ConnId) {
    connected_with(Limits::default())
}

pub(crate) fn connected_with(limits: Limits) -> (Gateway, ConnId) {
    let mut gateway = Gateway::with(limits);
    let conn = gateway.operator(NOTHING);
    (gateway, conn)
}

/// The single answer to one message, by its id.
pub(crate) fn answer(gateway: &mut Gateway, conn: ConnId, text: &str) -> (Value, Value) {
    gateway.say(conn, text);
    let heard = gateway.hear(conn);
    assert_eq!(closes(&heard), None, "{text}");
    let frames = parsed(&heard);
    let [frame] = &frames[..] else {
        panic!("one answer to {text} was expected: {frames:?}");
    };
    (frame["id"].clone(), frame["error"].clone())
}
