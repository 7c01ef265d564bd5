//! Where what is asked of a node goes, and when.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::server::{ConnId, Delivery};
use openclaw_protocol_core::time::Now;
use openclaw_runtime_smol::random;

use super::invokes::{Due, Ended, Invoke};
use super::{Attached, Fleet, LONGEST, WHILE_INVOKED, pairing_changed, tell};
use crate::nodes::policy::Barred;
use crate::nodes::{Nodes, is_node};
use crate::pairing::Pairings;

impl Fleet {
    /// Where a node is reached.
    pub(super) fn route(
        &self,
        pairings: &Pairings,
        node_id: &str,
        for_legacy: bool,
    ) -> Result<(ConnId, &Attached), ErrorShape> {
        let nodes = pairings.nodes();
        let current = self.current(node_id);
        if let Some((conn, attached)) = current
            && self.approved(nodes, conn).is_some()
        {
            return Ok((conn, attached));
        }
        let was_free = || {
            let seen = self.seen.get(node_id);
            let is_node = pairings.device(node_id).is_some_and(is_node);
            is_node && !nodes.is_bound(node_id) && seen.is_some_and(|seen| seen.needed_no_approval)
        };
        // To callers of protocol 3 a node is there or it is not.
        let is_known = for_legacy || nodes.node(node_id).is_some() || was_free();
        if current.is_none() && is_known {
            let error = Object::new()
                .text("code", "NOT_CONNECTED")
                .text("message", "node not connected");
            return Err(ErrorShape::unavailable("node not connected").with_details(
                Object::new()
                    .text("code", "NOT_CONNECTED")
                    .object("nodeError", error)
                    .boolean("nodeCommandDispatched", false),
            ));
        }
        Err(pairing_changed(WHILE_INVOKED))
    }

    pub(super) fn check(
        &self,
        nodes: &Nodes,
        attached: &Attached,
        command: &str,
    ) -> Result<(), Barred> {
        self.policy.check(
            command,
            &attached.effective(nodes),
            &attached.newcomer.surface,
            attached.newcomer.platform,
            attached.family(),
        )
    }

    /// Whether a command may be invoked on a node now.
    pub(super) fn may_invoke(&self, nodes: &Nodes, node_id: &str, command: &str) -> bool {
        let current = self.current(node_id);
        current.is_some_and(|(_, attached)| self.check(nodes, attached, command).is_ok())
    }

    /// Asks a node, under a new name each time.
    pub(super) fn dispatch(&mut self, hub: &mut Hub, invoke: Invoke, now: Now) {
        let id = match random::uuid() {
            Ok(id) => id,
            Err(error) => {
                log::error!("nodes: no random numbers to be had: {error}");
                let outcome = Ended::Unsent.outcome(&invoke.command);
                return hub.reply(invoke.call, outcome, now);
            }
        };
        let left = invoke.deadline.map_or(0, |deadline| {
            let left = deadline.since(now.at).as_micros().div_ceil(1_000);
            u64::try_from(left).unwrap_or(u64::MAX)
        });
        let mut payload = Object::new()
            .text("id", &id)
            .text("nodeId", &invoke.node_id)
            .text("command", &invoke.command);
        payload = match &invoke.params_json {
            Some(params) => payload.text("paramsJSON", params.as_str()),
            None => payload.json("paramsJSON", &Json::null()),
        };
        payload = payload
            .number("timeoutMs", left)
            .text("idempotencyKey", &invoke.key)
            .maybe_text("sessionKey", invoke.session_key.as_deref());
        match tell(hub, invoke.node, "node.invoke.request", payload, now) {
            Delivery::Queued => {
                if invoke.command == "system.run"
                    && let Some(attached) = self.attached.get_mut(&invoke.node)
                {
                    let until = invoke.deadline.unwrap_or(now.at + LONGEST);
                    attached.running.begin(&invoke, until);
                }
                self.invokes.put(id, invoke);
            }
            Delivery::NotForThem | Delivery::Dropped | Delivery::Overflow => {
                hub.reply(invoke.call, Ended::Unsent.outcome(&invoke.command), now);
            }
        }
    }

    pub(in crate::app) fn handle_timeout(&mut self, hub: &mut Hub, now: Now) {
        for due in self.invokes.due(now.at) {
            match due {
                Due::Again(invoke) => self.dispatch(hub, invoke, now),
                Due::TimedOut(id, invoke) => {
                    self.cancel(hub, invoke.node, &id, now);
                    let outcome = Ended::TimedOut.outcome(&invoke.command);
                    hub.reply(invoke.call, outcome, now);
                }
            }
        }
    }
}
