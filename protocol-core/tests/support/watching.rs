//! Somebody who watches the presence list.

use openclaw_protocol_core::server::ConnId;
use serde_json::Value;

use super::{Gateway, Joiner, NOTHING, READ, events, seconds};

pub(crate) const DEVICE: Joiner<'_> = Joiner {
    id: "openclaw-ios",
    mode: "ui",
    role: "operator",
    scopes: NOTHING,
    device: Some("d1"),
    instance: None,
    name: Some("Phone"),
};

/// A gateway with a reader that has heard of itself and of nothing else.
pub(crate) fn watched() -> (Gateway, ConnId) {
    let mut gateway = Gateway::new();
    let reader = gateway.operator(READ);
    gateway.pass(seconds(2));
    gateway.hear(reader);
    (gateway, reader)
}

/// The lists that were pushed to a connection since the last time.
pub(crate) fn lists(gateway: &mut Gateway, conn: ConnId) -> Vec<Vec<Value>> {
    events(&gateway.frames(conn), "presence")
        .into_iter()
        .map(|push| {
            push["payload"]["presence"]
                .as_array()
                .expect("a list")
                .clone()
        })
        .collect()
}
