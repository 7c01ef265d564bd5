//! What is asked of nodes and was not answered yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::server::{Call, ConnId};
use openclaw_protocol_core::time::Instant;

use super::{WHILE_INVOKED, pairing_changed};

/// The most invocations that wait for one node.
const MAX_OF_NODE: usize = 256;
/// The most invocations that wait.
const MAX: usize = 4_096;
/// How long after each refusal of a node that is not ready it is asked again.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
];

/// How long a node may go on with what nobody waits for without being told.
const SOON: Duration = Duration::from_secs(300);

/// Something that is asked of a node.
#[derive(Debug)]
pub(super) struct Invoke {
    /// Whom the answer is for.
    pub(super) call: Call,
    /// The connection of the node.
    pub(super) node: ConnId,
    pub(super) node_id: String,
    pub(super) command: String,
    pub(super) params_json: Option<Json>,
    pub(super) session_key: Option<String>,
    pub(super) key: String,
    /// When nobody waits any more.
    pub(super) deadline: Option<Instant>,
    /// How often the node said that it is not ready.
    refused: usize,
    /// Whether it said that it is on its way.
    pub(super) progressed: bool,
    /// When it is asked again.
    again: Option<Instant>,
}

impl Invoke {
    pub(super) fn new(
        call: Call,
        node: ConnId,
        node_id: String,
        command: String,
        key: String,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            call,
            node,
            node_id,
            command,
            params_json: None,
            session_key: None,
            key,
            deadline,
            refused: 0,
            progressed: false,
            again: None,
        }
    }

    /// When it is looked at again.
    fn due(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.again).min()
    }
}

/// Every invocation that waits for a node.
#[derive(Debug, Default)]
pub(super) struct Invokes {
    waiting: BTreeMap<String, Invoke>,
    due: BTreeSet<(Instant, String)>,
    /// How many wait for each connection of a node.
    counts: BTreeMap<ConnId, usize>,
}

/// What is to be done about an invocation whose time has come.
#[derive(Debug)]
pub(super) enum Due {
    /// The node is asked again.
    Again(Invoke),
    /// Nobody waits any more.
    TimedOut(String, Invoke),
}

impl Invokes {
    /// Whether one more may wait for a node.
    pub(super) fn has_room(&self, node: ConnId) -> bool {
        let of_node = self.counts.get(&node).copied().unwrap_or(0);
        of_node < MAX_OF_NODE && self.waiting.len() < MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Has an invocation wait under an id that it has from now on.
    pub(super) fn put(&mut self, id: String, invoke: Invoke) {
        *self.counts.entry(invoke.node).or_default() += 1;
        if let Some(due) = invoke.due() {
            self.due.insert((due, id.clone()));
        }
        self.waiting.insert(id, invoke);
    }

    /// Takes an invocation that a node answers; only the node that was asked can.
    pub(super) fn take(&mut self, id: &str, node: ConnId) -> Option<Invoke> {
        let is_its = self
            .waiting
            .get(id)
            .is_some_and(|invoke| invoke.node == node && invoke.again.is_none());
        is_its.then(|| self.remove(id)).flatten()
    }

    /// A node says that an invocation is on its way; whether there is one.
    pub(super) fn progress(&mut self, id: &str, node: ConnId) -> bool {
        match self.waiting.get_mut(id) {
            Some(invoke) if invoke.node == node && invoke.again.is_none() => {
                invoke.progressed = true;
                true
            }
            _ => false,
        }
    }

    /// Has an invocation wait until its node may be ready; gives it back where it was asked often enough, or no time is left.
    pub(super) fn put_off(
        &mut self,
        id: String,
        mut invoke: Invoke,
        now: Instant,
    ) -> Option<Invoke> {
        let Some(wait) = AGAIN.get(invoke.refused) else {
            return Some(invoke);
        };
        let again = now + *wait;
        if invoke.deadline.is_some_and(|deadline| deadline <= again) {
            return Some(invoke);
        }
        invoke.refused += 1;
        invoke.again = Some(again);
        self.put(id, invoke);
        None
    }

    /// Takes everything that a connection of a node was asked.
    pub(super) fn take_all_of(&mut self, node: ConnId) -> Vec<Invoke> {
        if !self.counts.contains_key(&node) {
            return Vec::new();
        }
        let of_node = self.waiting.iter();
        let ids: Vec<String> = of_node
            .filter(|(_, invoke)| invoke.node == node)
            .map(|(id, _)| id.clone())
            .collect();
        ids.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Drops what somebody who is gone asked, and returns what its node has to be told of: otherwise it knows how long it has.
    pub(super) fn abandon(&mut self, caller: ConnId, now: Instant) -> Vec<(String, ConnId)> {
        let of_caller = self.waiting.iter();
        let ids: Vec<String> = of_caller
            .filter(|(_, invoke)| invoke.call.conn() == caller)
            .map(|(id, _)| id.clone())
            .collect();
        let mut long = Vec::new();
        for id in ids {
            let soon = now + SOON;
            if let Some(invoke) = self.remove(&id)
                && invoke.deadline.is_none_or(|deadline| deadline > soon)
            {
                long.push((id, invoke.node));
            }
        }
        long
    }

    /// Whether a connection of a node was asked for something.
    pub(super) fn waits_for(&self, node: ConnId) -> bool {
        self.counts.contains_key(&node)
    }

    pub(super) fn take_all(&mut self) -> Vec<(String, Invoke)> {
        self.due.clear();
        self.counts.clear();
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// The invocations whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Due> {
        let mut all = Vec::new();
        while let Some((at, id)) = self.due.first().cloned()
            && at <= now
        {
            let Some(mut invoke) = self.remove(&id) else {
                self.due.remove(&(at, id));
                continue;
            };
            all.push(if invoke.deadline.is_some_and(|deadline| deadline <= now) {
                Due::TimedOut(id, invoke)
            } else {
                invoke.again = None;
                Due::Again(invoke)
            });
        }
        all
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn remove(&mut self, id: &str) -> Option<Invoke> {
        let invoke = self.waiting.remove(id)?;
        if let Some(due) = invoke.due() {
            self.due.remove(&(due, id.to_owned()));
        }
        if let Some(count) = self.counts.get_mut(&invoke.node) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&invoke.node);
            }
        }
        Some(invoke)
    }
}

/// Why an invocation ended without an answer of its node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// Its time is over.
    TimedOut,
    /// The node's socket is gone, or it has another one.
    Disconnected,
    /// What let the node in holds no more.
    PairingChanged,
    /// The gateway stops.
    Stopping,
    /// The node cannot be told.
    Unsent,
    /// The node was on its way, and then not ready.
    LostReadiness,
}

impl Ended {
    /// What who asked is told.
    pub(super) fn outcome(self, command: &str) -> Outcome {
        let disconnected = format!("node disconnected ({command})");
        let (code, message, was_sent) = match self {
            Self::TimedOut => ("TIMEOUT", "node invoke timed out", true),
            Self::Disconnected => ("DISCONNECTED", disconnected.as_str(), true),
            Self::PairingChanged => return Outcome::failure(pairing_changed(WHILE_INVOKED)),
            Self::Stopping => ("ABORTED", "node invoke cancelled", true),
            Self::Unsent => ("UNAVAILABLE", "failed to send invoke to node", false),
            Self::LostReadiness => (
                "UNAVAILABLE",
                "node reported not-ready after invocation progress",
                true,
            ),
        };
        let error = Object::new()
            .text("code", code)
            .text("message", message)
            .finish();
        failed(Some(code), Some(message), &error, was_sent)
    }
}

/// A failure that a node told, or that is told in its place.
pub(super) fn failed(
    code: Option<&str>,
    message: Option<&str>,
    error: &Json,
    was_sent: bool,
) -> Outcome {
    let text = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, Some(message)) => message.to_owned(),
        (None, None) => "node invoke failed".to_owned(),
    };
    Outcome::failure(
        ErrorShape::unavailable(text).with_details(
            Object::new()
                .json("nodeError", error)
                .boolean("nodeCommandDispatched", was_sent),
        ),
    )
}
