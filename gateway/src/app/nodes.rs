//! Nodes that are there: what they offer, what is asked of them, and what they say.

mod answering;
mod events;
mod invokes;
mod invoking;
mod listing;
mod outcome;
mod pairing;
mod pending;
mod routing;
mod running;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hub::{Hub, Peer};
use openclaw_protocol_core::json::{Json, Object, cut};
use openclaw_protocol_core::scope::{Audience, Role};
use openclaw_protocol_core::server::{Call, ConnId, Delivery};
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::server::Handle;
use smol::Executor;

use super::{App, Command};
use crate::methods::NodeMethod;
use crate::nodes::policy::Policy;
use crate::nodes::{NodeFace, Nodes, Platform, Presence, Seen, Surface};
use crate::pairing::MAX_DEVICES;
use invokes::{Ended, Invokes};
pub use outcome::Answer;
use running::Running;

/// The oldest protocol that has nodes wait for an approval of what they offer.
const FIRST_WITH_APPROVAL: u32 = 4;
/// The longest time that is waited for a node.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// The longest `PATH` that is kept, in bytes.
const MAX_PATH: usize = 2 << 10;

/// A node that is about to come in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// What it says of itself.
    pub face: NodeFace,
    /// What it declares, as far as it may be asked for.
    pub surface: Surface,
    /// Where it connects from, unless from this host.
    pub remote_ip: Option<String>,
    /// Whether it speaks a protocol in which nothing waits for an approval.
    pub is_legacy: bool,
    platform: Platform,
    path_env: Option<String>,
}

/// A node's connection.
#[derive(Debug)]
struct Attached {
    node_id: String,
    newcomer: Newcomer,
    connected_ms: u64,
    /// The runs of programs that it may tell of.
    running: Running,
}

/// Every node that is there.
pub(super) struct Fleet {
    policy: Policy,
    attached: BTreeMap<ConnId, Attached>,
    /// The connection of each node that came last: only that one counts.
    current: BTreeMap<String, ConnId>,
    seen: BTreeMap<String, Seen>,
    invokes: Invokes,
    /// Large answers that wait to be read, one at a time: what a reading takes in memory is a multiple of them.
    unread: VecDeque<(Call, Option<Json>)>,
    is_reading: bool,
    draining: bool,
    executor: Arc<Executor<'static>>,
    handle: Handle<Command>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("attached", &self.attached.len())
            .field("invokes", &self.invokes)
            .finish_non_exhaustive()
    }
}

impl Newcomer {
    /// Reads what a node says when it connects; nothing for operators.
    ///
    /// # Errors
    /// It declares more than may be.
    pub(super) fn read(
        params: &ConnectParams,
        peer: &Peer,
        policy: &Policy,
    ) -> Result<Option<Self>, ErrorShape> {
        if params.role != Role::Node.as_str() {
            return Ok(None);
        }
        let declared = Surface::declared(params)?;
        let client = &params.client;
        let family = client.device_family.as_deref();
        let platform = Platform::of(&client.platform, family);
        let protocol = params.versions.newest_common();
        let path_env = params.path_env.as_deref();
        Ok(Some(Self {
            face: client.into(),
            surface: policy.admit(&declared, platform, family),
            remote_ip: (!peer.address.is_loopback()).then(|| peer.address.to_string()),
            is_legacy: protocol.is_some_and(|protocol| protocol < FIRST_WITH_APPROVAL),
            platform,
            path_env: path_env.map(|path| {
                let shown: String = path.chars().filter(|c| !c.is_control()).collect();
                cut(&shown, MAX_PATH).to_owned()
            }),
        }))
    }
}

impl Attached {
    /// What of its declaration holds now.
    fn effective(&self, nodes: &Nodes) -> Surface {
        let declared = &self.newcomer.surface;
        match nodes.node(&self.node_id) {
            Some(node) => node.surface.effective(declared),
            None if self.needs_no_approval(nodes) => declared.clone(),
            None => Surface::unapproved(declared),
        }
    }

    /// Whether what it offers holds though nobody approved it: a node of protocol 3 whose device never waited for that.
    fn needs_no_approval(&self, nodes: &Nodes) -> bool {
        self.newcomer.is_legacy && !nodes.is_bound(&self.node_id)
    }

    fn family(&self) -> Option<&str> {
        self.newcomer.face.face.device_family.as_deref()
    }

    /// Whether it is the app of a Mac, which sees its user itself.
    fn is_app(&self) -> bool {
        let face = &self.newcomer.face.face;
        face.client_id == "openclaw-macos"
            && face.client_mode == "node"
            && self.newcomer.platform == Platform::MacOs
    }

    /// Whether it understands that somebody takes an invocation back.
    fn understands_cancel(&self) -> bool {
        let face = &self.newcomer.face.face;
        let is_host = ["node-host", "openclaw-macos"].contains(&face.client_id.as_str());
        is_host && face.client_mode == "node" && !self.newcomer.is_legacy
    }
}

impl Fleet {
    pub(super) fn new(
        policy: Policy,
        executor: Arc<Executor<'static>>,
        handle: Handle<Command>,
    ) -> Self {
        Self {
            policy,
            attached: BTreeMap::new(),
            current: BTreeMap::new(),
            seen: BTreeMap::new(),
            invokes: Invokes::default(),
            unread: VecDeque::new(),
            is_reading: false,
            draining: false,
            executor,
            handle,
        }
    }

    /// A node came in; an earlier connection of the same node does not count any more.
    pub(super) fn attach(
        &mut self,
        hub: &mut Hub,
        conn: ConnId,
        node_id: String,
        newcomer: Newcomer,
        now: Now,
    ) {
        if let Some(before) = self.current.insert(node_id.clone(), conn) {
            self.fail_all(hub, before, &Ended::Disconnected, now);
        }
        let seen = self.remember(&node_id);
        seen.connected_ms = Some(now.unix_ms);
        seen.needed_no_approval = newcomer.is_legacy;
        let attached = Attached {
            node_id,
            newcomer,
            connected_ms: now.unix_ms,
            running: Running::default(),
        };
        self.attached.insert(conn, attached);
    }

    /// What let a node in holds no more; its socket is closing.
    pub(super) fn end(&mut self, hub: &mut Hub, conn: ConnId, now: Now) {
        self.detach(hub, conn, &Ended::PairingChanged, now);
    }

    /// A connection is over: a node's, or that of somebody who asked something of one.
    pub(super) fn forget_connection(&mut self, hub: &mut Hub, conn: ConnId, now: Now) {
        self.detach(hub, conn, &Ended::Disconnected, now);
        self.unread.retain(|(call, _)| call.conn() != conn);
        for (id, node) in self.invokes.abandon(conn, now.at) {
            self.cancel(hub, node, &id, now);
        }
    }

    fn detach(&mut self, hub: &mut Hub, conn: ConnId, ended: &Ended, now: Now) {
        let Some(gone) = self.attached.remove(&conn) else {
            return;
        };
        if self.current.get(&gone.node_id) == Some(&conn) {
            self.current.remove(&gone.node_id);
            // An older connection of the same node counts again.
            let mut others = self.attached.iter().rev();
            let other = others.find(|(_, other)| other.node_id == gone.node_id);
            match other.map(|(conn, _)| *conn) {
                Some(other) => drop(self.current.insert(gone.node_id.clone(), other)),
                None => self.remember(&gone.node_id).disconnected_ms = Some(now.unix_ms),
            }
        }
        self.fail_all(hub, conn, ended, now);
    }

    fn fail_all(&mut self, hub: &mut Hub, conn: ConnId, ended: &Ended, now: Now) {
        for invoke in self.invokes.take_all_of(conn) {
            let outcome = ended.outcome(&invoke.command);
            hub.reply(invoke.call, outcome, now);
        }
    }

    /// The connection of a node, if it is there.
    fn current(&self, node_id: &str) -> Option<(ConnId, &Attached)> {
        let conn = *self.current.get(node_id)?;
        Some((conn, self.attached.get(&conn)?))
    }

    /// The node behind a connection, as long as it is the one that counts.
    fn of_connection(&self, conn: ConnId) -> Option<&Attached> {
        let attached = self.attached.get(&conn)?;
        (self.current.get(&attached.node_id) == Some(&conn)).then_some(attached)
    }

    /// The node behind a connection if anything it says counts: what it offers was approved, or needs no approval.
    fn approved(&self, nodes: &Nodes, conn: ConnId) -> Option<&Attached> {
        let attached = self.of_connection(conn)?;
        let counts = nodes.node(&attached.node_id).is_some() || attached.needs_no_approval(nodes);
        counts.then_some(attached)
    }

    /// The node, of those that are there, that somebody used last.
    fn active(&self) -> Option<&str> {
        let nodes = self.current.keys().filter_map(|id| {
            let (at, _) = self.seen.get(id)?.active?;
            Some((at, id))
        });
        nodes.max_by_key(|(at, _)| *at).map(|(_, id)| id.as_str())
    }

    /// What is remembered of a node; whoever left longest ago makes room.
    fn remember(&mut self, node_id: &str) -> &mut Seen {
        if self.seen.len() >= MAX_DEVICES && !self.seen.contains_key(node_id) {
            let gone = self
                .seen
                .iter()
                .filter(|(id, _)| !self.current.contains_key(*id));
            let oldest = gone.min_by_key(|(_, seen)| seen.disconnected_ms);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.seen.remove(&oldest);
            }
        }
        self.seen.entry(node_id.to_owned()).or_default()
    }

    /// Says something to the connection of a node that counts.
    pub(super) fn tell(
        &self,
        hub: &mut Hub,
        node_id: &str,
        event: &'static str,
        payload: Json,
        now: Now,
    ) {
        if let Some((conn, _)) = self.current(node_id) {
            let _ = tell(hub, conn, event, payload, now);
        }
    }

    /// Says that somebody takes an invocation back, to nodes that understand it.
    fn cancel(&self, hub: &mut Hub, node: ConnId, id: &str, now: Now) {
        let understands = |attached: &&Attached| attached.understands_cancel();
        if let Some(attached) = self.attached.get(&node).filter(understands) {
            let payload = Object::new()
                .text("invokeId", id)
                .text("nodeId", &attached.node_id);
            let _ = tell(hub, node, "node.invoke.cancel", payload, now);
        }
    }

    /// Reads the next large answer away from the owner's task.
    fn read_next(&mut self) {
        if self.is_reading {
            return;
        }
        let Some((call, params)) = self.unread.pop_front() else {
            return;
        };
        self.is_reading = true;
        let mut reading = Reading(Some((self.handle.clone(), call)));
        let task = async move {
            let answer = smol::unblock(move || Answer::read(params.as_ref())).await;
            if let Some((handle, call)) = reading.0.take() {
                let answer = Box::new(answer);
                let _ = handle.send(Command::NodeAnswered { call, answer }).await;
            }
        };
        self.executor.spawn(task).detach();
    }

    /// Takes nothing on any more.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether nobody waits for a node.
    pub(super) fn is_idle(&self) -> bool {
        self.invokes.is_empty()
    }

    /// Ends everything that somebody waits for.
    pub(super) fn end_all(&mut self, hub: &mut Hub, now: Now) {
        for (id, invoke) in self.invokes.take_all() {
            self.cancel(hub, invoke.node, &id, now);
            let outcome = Ended::Stopping.outcome(&invoke.command);
            hub.reply(invoke.call, outcome, now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.invokes.poll_timeout()
    }
}

/// Answers even if the reading of an answer is dropped half-way.
struct Reading(Option<(Handle<Command>, Call)>);

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some((handle, call)) = self.0.take() {
            let answer = Box::new(Err(ErrorShape::unavailable("the answer could not be read")));
            let _ = handle.send_last_words(Command::NodeAnswered { call, answer });
        }
    }
}

/// Says something to one node.
fn tell(
    hub: &mut Hub,
    conn: ConnId,
    event: &'static str,
    payload: impl Into<Json>,
    now: Now,
) -> Delivery {
    let publication = Publication {
        event,
        payload: payload.into(),
        audience: Audience::Everyone,
        class: Class::Ordinary,
    };
    hub.direct(conn, publication, now)
}

/// What who asks something of a node is told when its pairing does not hold.
const WHILE_INVOKED: &str = "node pairing changed while invocation was active";

/// A refusal of what a node or its pairing is no more; it may succeed again later.
fn pairing_changed(message: &'static str) -> ErrorShape {
    ErrorShape::unavailable(message)
        .retryable_after(None)
        .with_details(Object::new().text("code", "PAIRING_CHANGED"))
}

impl App {
    /// Answers a request that is about nodes, or made by one.
    pub(super) fn serve_nodes(
        &mut self,
        hub: &mut Hub,
        call: Call,
        method: NodeMethod,
        params: Option<&Json>,
        now: Now,
    ) {
        let conn = call.conn();
        let is_node = hub
            .session(conn)
            .is_some_and(|session| session.role == Role::Node);
        if is_node && self.fleet.of_connection(conn).is_none() {
            let error = pairing_changed("node pairing changed before request dispatch");
            return hub.reply(call, Outcome::failure(error), now);
        }
        match method {
            NodeMethod::Look(look) => {
                let outcome = self.list_nodes(hub, conn, look, params, now);
                let outcome = outcome.unwrap_or_else(Outcome::failure);
                hub.reply(call, outcome, now);
            }
            NodeMethod::Decide(decision) => self.change_nodes(hub, call, decision, params, now),
            NodeMethod::Verify => {
                let outcome = self.verify_node(params).unwrap_or_else(Outcome::failure);
                hub.reply(call, outcome, now);
            }
            NodeMethod::Invoke => self.invoke(hub, call, params, now),
            NodeMethod::Result => self.take_result(hub, call, params, now),
            NodeMethod::Progress => {
                let outcome = self.take_progress(conn, params);
                hub.reply(call, outcome.unwrap_or_else(Outcome::failure), now);
            }
            NodeMethod::Event => self.take_event(hub, call, params, now),
            NodeMethod::Pending(pending) => self.serve_pending(hub, call, pending, params, now),
        }
    }

    /// A node as it is shown and what of its declaration holds, if it is there.
    fn presence_of(&self, node_id: &str) -> Option<(Presence<'_>, Surface)> {
        let nodes = self.desk.pairings().nodes();
        let (_, attached) = self.fleet.current(node_id)?;
        let presence = Presence {
            face: &attached.newcomer.face,
            remote_ip: attached.newcomer.remote_ip.as_deref(),
            path_env: attached.newcomer.path_env.as_deref(),
            needs_no_approval: attached.needs_no_approval(nodes),
            connected_ms: attached.connected_ms,
        };
        Some((presence, attached.effective(nodes)))
    }
}
