//! How what a node declares comes to hold.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::json::Object;
use openclaw_protocol_core::scope::{Role, Scope, Scopes};

use super::policy::needed_to_approve;
use super::surface::{NodeFace, Surface};
use super::{MAX_WAITING, Node, NodeChange, NodeNotice, Waiting};
use crate::pairing::{Chance, Change, Decision, Device, MAX_LABEL, Manager, Notice, Pairings};

const UNKNOWN_NODE: &str = "unknown nodeId";
const UNKNOWN_REQUEST: &str = "unknown requestId";

/// What a node declares when it connects.
#[derive(Clone, Debug)]
pub struct Declared<'a> {
    /// Its device.
    pub node_id: &'a str,
    /// What it says of itself.
    pub face: NodeFace,
    /// What it offers, as far as it may be asked for.
    pub surface: &'a Surface,
    /// Where it connects from, unless from this host.
    pub remote_ip: Option<String>,
    /// Whether nobody was asked about its device.
    pub is_silent: bool,
}

/// A node that has another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The node.
    pub node_id: String,
    /// The name.
    pub name: String,
}

impl Pairings {
    /// Notes what a node declares: where it is more than was approved it waits, where it is not what waited goes.
    #[must_use]
    pub fn declare(&self, declared: Declared<'_>, chance: &Chance, now_ms: u64) -> Decision<()> {
        let node_id = declared.node_id;
        let nodes = self.nodes();
        let approved = nodes.node(node_id);
        let before = nodes.waiting(node_id);
        let mut decision = Decision::of(());
        if approved.is_some_and(|node| node.surface.covers(declared.surface)) {
            if let Some(before) = before {
                withdraw(before, &mut decision);
            }
            return decision;
        }
        if let Some(before) = before.filter(|before| before.surface.is_same(declared.surface)) {
            if before.face != declared.face || before.remote_ip != declared.remote_ip {
                // Who decides sees who it is now.
                let again = Waiting {
                    face: declared.face,
                    remote_ip: declared.remote_ip,
                    ..before.clone()
                };
                let change = NodeChange::PutWaiting(Box::new(again));
                decision.changes.push(change.into());
            }
            return decision;
        }
        match before {
            Some(before) => withdraw(before, &mut decision),
            None => self.make_room_for_waiting(&mut decision),
        }
        let waiting = Waiting {
            id: chance.surface_id.clone(),
            node_id: node_id.to_owned(),
            face: declared.face,
            surface: declared.surface.clone(),
            remote_ip: declared.remote_ip,
            is_silent: declared.is_silent && approved.is_none(),
            is_rejected: false,
            created_ms: now_ms,
        };
        let boxed = Box::new(waiting);
        decision
            .notices
            .push(NodeNotice::Requested(boxed.clone()).into());
        decision.changes.push(NodeChange::PutWaiting(boxed).into());
        decision
    }

    /// Approves what a node offers.
    ///
    /// # Errors
    /// The request does not wait, or needs scopes that its approver does not have.
    pub fn approve_node(
        &self,
        request_id: &str,
        approver: Manager<'_>,
        now_ms: u64,
    ) -> Result<Decision<Node>, ErrorShape> {
        let waiting = self.node_request(request_id, approver, "node pairing approval denied")?;
        may_approve(
            approver.scopes,
            needed_to_approve(&waiting.surface.commands),
        )?;
        let known = self.nodes().node(&waiting.node_id);
        let node = Node {
            id: waiting.node_id.clone(),
            face: waiting.face.clone(),
            surface: waiting.surface.clone(),
            label: known.and_then(|known| known.label.clone()),
            remote_ip: waiting.remote_ip.clone(),
            created_ms: known.map_or(now_ms, |known| known.created_ms),
            approved_ms: now_ms,
            alive: known.and_then(|known| known.alive.clone()),
        };
        let mut decision = Decision::of(node.clone());
        decision.changes.extend([
            NodeChange::Put(Box::new(node)).into(),
            NodeChange::DropWaiting(waiting.node_id.clone()).into(),
        ]);
        decision.notices.push(resolved(waiting, "approved"));
        Ok(decision)
    }

    /// Rejects what a node offers, and tells whose it was; what was approved before still holds.
    ///
    /// # Errors
    /// The request does not wait.
    pub fn reject_node(
        &self,
        request_id: &str,
        manager: Manager<'_>,
    ) -> Result<Decision<String>, ErrorShape> {
        let waiting = self.node_request(request_id, manager, "node pairing rejection denied")?;
        let mut decision = Decision::of(waiting.node_id.clone());
        let rejected = Waiting {
            is_rejected: true,
            ..waiting.clone()
        };
        let change = NodeChange::PutWaiting(Box::new(rejected));
        decision.changes.push(change.into());
        decision.notices.push(resolved(waiting, "rejected"));
        Ok(decision)
    }

    /// Takes the role `node` from a device: its node sockets end, and a device that was nothing else is forgotten.
    ///
    /// # Errors
    /// The device is no node, or it is not the manager's to remove.
    pub fn remove_node(
        &self,
        node_id: &str,
        manager: Manager<'_>,
    ) -> Result<Decision<String>, ErrorShape> {
        const DENIED: &str = "node pairing removal denied";
        let node_id = node_id.trim();
        let denied = || ErrorShape::invalid_request(DENIED);
        if manager.own_only().is_some_and(|own| own != node_id) {
            return Err(denied());
        }
        let device = self
            .device(node_id)
            .filter(|device| device.granted(Role::Node).is_some());
        if device.is_none() && manager.own_only().is_none() && self.nodes().is_legacy(node_id) {
            let mut decision = Decision::of(node_id.to_owned());
            let change = NodeChange::DropLegacy(node_id.to_owned());
            decision.changes.push(change.into());
            decision.notices.push(removed(node_id));
            return Ok(decision);
        }
        let device = device.ok_or_else(|| ErrorShape::invalid_request(UNKNOWN_NODE))?;
        if manager.own_only().is_some() && device.granted.len() > 1 {
            return Err(denied());
        }
        let mut decision = Decision::of(node_id.to_owned());
        decision.changes.push(without_node(device));
        self.forget_node(node_id, &mut decision);
        decision.notices.push(removed(node_id));
        decision.notices.push(device.ended(Some(Role::Node)));
        Ok(decision)
    }

    /// Gives a node that was approved a name of the operator's own.
    ///
    /// # Errors
    /// There is no such node, it is not the manager's to name, or the name is blank or too long.
    pub fn rename_node(
        &self,
        node_id: &str,
        name: &str,
        manager: Manager<'_>,
    ) -> Result<Decision<Renamed>, ErrorShape> {
        let node_id = node_id.trim();
        if manager.own_only().is_some_and(|own| own != node_id) {
            return Err(ErrorShape::invalid_request("node rename denied"));
        }
        let name = name.trim();
        if name.is_empty() {
            return Err(ErrorShape::invalid_request("displayName required"));
        }
        if name.chars().count() > MAX_LABEL {
            return Err(ErrorShape::invalid_request(format!(
                "displayName must not have more than {MAX_LABEL} characters"
            )));
        }
        let node = self
            .nodes()
            .node(node_id)
            .ok_or_else(|| ErrorShape::invalid_request(UNKNOWN_NODE))?;
        let node = Node {
            label: Some(name.to_owned()),
            ..node.clone()
        };
        let mut decision = Decision::of(Renamed {
            node_id: node_id.to_owned(),
            name: name.to_owned(),
        });
        decision
            .changes
            .push(NodeChange::Put(Box::new(node)).into());
        Ok(decision)
    }

    /// Forgets all that is known of a device as a node.
    pub(crate) fn forget_node<T>(&self, node_id: &str, decision: &mut Decision<T>) {
        if let Some(waiting) = self.nodes().waiting(node_id) {
            decision.notices.push(resolved(waiting, "rejected"));
        }
        if self.nodes().is_bound(node_id) {
            let change = NodeChange::DropWaiting(node_id.to_owned());
            decision.changes.push(change.into());
        }
        if self.nodes().has_any(node_id) {
            let change = NodeChange::Drop(node_id.to_owned());
            decision.changes.push(change.into());
        }
    }

    fn node_request(
        &self,
        request_id: &str,
        manager: Manager<'_>,
        denied: &'static str,
    ) -> Result<&Waiting, ErrorShape> {
        let request = self.nodes().request(request_id);
        match (request, manager.own_only()) {
            (Some(request), Some(own)) if request.node_id == own => Ok(request),
            // Who may not decide over everything does not learn either which requests there are.
            (_, Some(_)) => Err(ErrorShape::invalid_request(denied)),
            (Some(request), None) => Ok(request),
            (None, None) => Err(ErrorShape::invalid_request(UNKNOWN_REQUEST)),
        }
    }

    /// The oldest request makes room for one more, if there is need.
    fn make_room_for_waiting(&self, decision: &mut Decision<()>) {
        let waiting = self.nodes().requests();
        if waiting.len() >= MAX_WAITING
            && let Some(oldest) = waiting.last()
        {
            withdraw(oldest, decision);
        }
    }
}

fn withdraw<T>(waiting: &Waiting, decision: &mut Decision<T>) {
    let change = NodeChange::DropWaiting(waiting.node_id.clone());
    decision.changes.push(change.into());
    decision.notices.push(resolved(waiting, "rejected"));
}

fn resolved(waiting: &Waiting, decision: &'static str) -> Notice {
    NodeNotice::Resolved {
        request_id: waiting.id.clone(),
        node_id: waiting.node_id.clone(),
        decision,
    }
    .into()
}

fn removed(node_id: &str) -> Notice {
    NodeNotice::Resolved {
        request_id: String::new(),
        node_id: node_id.to_owned(),
        decision: "removed",
    }
    .into()
}

fn without_node(device: &Device) -> Change {
    let mut device = device.clone();
    device.granted.retain(|granted| granted.role != Role::Node);
    if device.granted.is_empty() {
        Change::DropDevice(device.id)
    } else {
        Change::PutDevice(Box::new(device))
    }
}

fn may_approve(held: &Scopes, needed: &'static [Scope]) -> Result<(), ErrorShape> {
    match needed.iter().find(|scope| !held.allow(**scope)) {
        None => Ok(()),
        Some(missing) => Err(ErrorShape::missing_scope(missing.as_str()).with_details(
            Object::new()
                .text("code", "MISSING_SCOPE")
                .text("missingScope", missing.as_str())
                .texts("requiredScopes", needed.iter().map(|scope| scope.as_str())),
        )),
    }
}
