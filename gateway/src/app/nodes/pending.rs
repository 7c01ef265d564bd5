//! What waits for nodes that are not there, or not in the foreground.

use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::server::{Call, ConnId};
use openclaw_protocol_core::shape::{self, Kind, NAME, optional, required};
use openclaw_protocol_core::time::Now;
use serde::Deserialize;

use super::super::App;
use super::super::desk::{Decided, Spoken, too_much};
use super::pairing_changed;
use crate::methods::NodePending;
use crate::nodes::{Nodes, Priority, WorkKind, no_node};
use crate::params::{self, Whole};

/// How long work may wait, in milliseconds.
const LIFE: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;
/// How much work a node takes at once, and how much where it does not say.
const MOST: std::ops::RangeInclusive<u64> = 1..=10;
const USUAL: u64 = 4;
/// The most actions that are acknowledged at once.
const MAX_IDS: usize = 256;

const ENQUEUE: shape::Object = shape::Object {
    members: &[
        required("nodeId", NAME),
        required("type", Kind::OneOf(&WorkKind::WORDS)),
        optional("priority", Kind::OneOf(&Priority::WORDS)),
        optional("expiresInMs", Kind::Integer { min: 1_000 }),
        optional("wake", Kind::Boolean),
    ],
};
const DRAIN: shape::Object = shape::Object {
    members: &[optional("maxItems", Kind::Integer { min: 1 })],
};
const NOTHING: shape::Object = shape::Object { members: &[] };
const ACK: shape::Object = shape::Object {
    members: &[required("ids", Kind::List(&NAME))],
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Enqueue {
    node_id: String,
    #[serde(rename = "type")]
    kind: String,
    priority: Option<String>,
    expires_in_ms: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Drain {
    max_items: Option<Whole>,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Ack {
    ids: Vec<String>,
}

impl App {
    pub(super) fn serve_pending(
        &mut self,
        hub: &mut Hub,
        call: Call,
        pending: NodePending,
        params: Option<&Json>,
        now: Now,
    ) {
        if self.desk.is_full() {
            return hub.reply(call, Outcome::failure(too_much()), now);
        }
        let conn = call.conn();
        let served = match pending {
            NodePending::Enqueue => self.enqueue(params),
            NodePending::Drain => self.drain(conn, params),
            NodePending::Ack => self.acknowledge(conn, params),
            NodePending::Pull => {
                let outcome = self.pull(conn, params, now);
                return hub.reply(call, outcome.unwrap_or_else(Outcome::failure), now);
            }
        };
        match served {
            Ok(serve) => {
                let errand = move |pairings: &crate::pairing::Pairings,
                                   chance: &crate::pairing::Chance,
                                   now: Now| {
                    serve(pairings.nodes(), chance, now.unix_ms, call)
                };
                self.desk.decide(hub, Some(conn), Box::new(errand), now);
            }
            Err(error) => hub.reply(call, Outcome::failure(error), now),
        }
    }

    fn enqueue(&self, params: Option<&Json>) -> Result<Serving, ErrorShape> {
        const METHOD: &str = "node.pending.enqueue";
        let asked: Enqueue = params::read(METHOD, &ENQUEUE, params)?;
        let life = asked.expires_in_ms.map(Whole::get);
        if life.is_some_and(|life| !LIFE.contains(&life)) {
            return Err(ErrorShape::invalid_request(format!(
                "invalid {METHOD} params: at /expiresInMs: must be <= {}",
                LIFE.end()
            )));
        }
        let node_id = asked.node_id.trim().to_owned();
        // Which nodes there are is looked at once more when it is decided; those of protocol 3 are not kept there.
        let is_free = self.is_free(&node_id);
        let kind = WorkKind::from_word(&asked.kind).unwrap_or(WorkKind::Status);
        let priority = asked.priority.as_deref().and_then(Priority::from_word);
        Ok(Box::new(move |nodes, chance, now_ms, call| {
            if nodes.node(&node_id).is_none() && !is_free {
                return Decided::refused(call, no_node());
            }
            let life = life.map(Duration::from_millis);
            nodes
                .enqueue(&node_id, kind, priority, life, chance, now_ms)
                .spoken(|queued| {
                    let answer = Object::new()
                        .text("nodeId", &node_id)
                        .number("revision", queued.revision)
                        .object("queued", queued.work.view())
                        // There is nobody who could wake a node that is not there.
                        .boolean("wakeTriggered", false);
                    answered(call, answer)
                })
        }))
    }

    fn drain(&self, conn: ConnId, params: Option<&Json>) -> Result<Serving, ErrorShape> {
        const METHOD: &str = "node.pending.drain";
        let asked: Drain = params::read(METHOD, &DRAIN, params)?;
        let most = asked.max_items.map_or(USUAL, Whole::get);
        if !MOST.contains(&most) {
            return Err(ErrorShape::invalid_request(format!(
                "invalid {METHOD} params: at /maxItems: must be <= {}",
                MOST.end()
            )));
        }
        let node_id = self.node_of(conn, "node pairing changed while pending work was active")?;
        Ok(Box::new(move |nodes, _, now_ms, call| {
            nodes
                .drain(&node_id, most as usize, now_ms)
                .spoken(|drained| answered(call, drained.view(&node_id, now_ms)))
        }))
    }

    fn acknowledge(&self, conn: ConnId, params: Option<&Json>) -> Result<Serving, ErrorShape> {
        const METHOD: &str = "node.pending.ack";
        let asked: Ack = params::read(METHOD, &ACK, params)?;
        if asked.ids.is_empty() || asked.ids.len() > MAX_IDS {
            return Err(ErrorShape::invalid_request(format!(
                "invalid {METHOD} params: at /ids: must have 1 to {MAX_IDS} items"
            )));
        }
        let node_id = self.node_of(conn, super::WHILE_INVOKED)?;
        let mut ids: Vec<String> = Vec::new();
        for id in asked.ids.iter().map(|id| id.trim()) {
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        Ok(Box::new(move |nodes, _, now_ms, call| {
            nodes
                .acknowledge(&node_id, &ids, now_ms)
                .spoken(|remaining| {
                    let answer = Object::new()
                        .text("nodeId", &node_id)
                        .texts("ackedIds", &ids)
                        .number("remainingCount", remaining as u64);
                    answered(call, answer)
                })
        }))
    }

    fn pull(&self, conn: ConnId, params: Option<&Json>, now: Now) -> Result<Outcome, ErrorShape> {
        let _: Nothing = params::read("node.pending.pull", &NOTHING, params)?;
        let node_id = self.node_of(conn, super::WHILE_INVOKED)?;
        let nodes = self.desk.pairings().nodes();
        let may_still = |command: &str| self.fleet.may_invoke(nodes, &node_id, command);
        let actions: Vec<Json> = nodes
            .actions_of(&node_id, now.unix_ms)
            .into_iter()
            .filter(|action| may_still(&action.command))
            .map(|action| action.view().finish())
            .collect();
        Ok(Outcome::success(
            Object::new()
                .text("nodeId", &node_id)
                .array("actions", &actions),
        ))
    }

    /// The node that asks, as long as what it says counts.
    fn node_of(&self, conn: ConnId, changed: &'static str) -> Result<String, ErrorShape> {
        let nodes = self.desk.pairings().nodes();
        let attached = self.fleet.approved(nodes, conn);
        attached
            .map(|attached| attached.node_id.clone())
            .ok_or_else(|| pairing_changed(changed))
    }

    /// Whether a node is there of which nothing has to be approved.
    fn is_free(&self, node_id: &str) -> bool {
        let nodes = self.desk.pairings().nodes();
        let current = self.fleet.current(node_id);
        current.is_some_and(|(_, attached)| attached.needs_no_approval(nodes))
    }
}

/// What is decided over work once it is its turn.
type Serving = Box<dyn FnOnce(&Nodes, &crate::pairing::Chance, u64, Call) -> Decided + Send>;

fn answered(call: Call, payload: Object) -> Spoken {
    Spoken::Answer {
        call,
        outcome: Outcome::success(payload),
    }
}
