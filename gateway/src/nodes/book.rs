//! Everything that is kept of nodes.

use std::collections::BTreeMap;

use super::legacy::{Legacy, LegacyRequest};
use super::work::{Action, Work};
use super::{Node, NodeChange, Waiting};

/// What was stored of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodesContents {
    /// The nodes that were approved.
    pub nodes: Vec<Node>,
    /// The nodes that wait.
    pub waiting: Vec<Waiting>,
    /// Work that waits for nodes.
    pub work: Vec<Work>,
    /// Actions that wait for nodes.
    pub actions: Vec<Action>,
    /// Nodes of protocol 3.
    pub legacy: Vec<Legacy>,
    /// Nodes of protocol 3 that wait.
    pub legacy_requests: Vec<LegacyRequest>,
}

/// Everything that is known of nodes, whether they are there or not.
#[derive(Debug, Default)]
pub struct Nodes {
    approved: BTreeMap<String, Node>,
    /// By the ids of the nodes: each has one request at most.
    waiting: BTreeMap<String, Waiting>,
    pub(super) work: BTreeMap<String, Work>,
    pub(super) actions: BTreeMap<String, Action>,
    pub(super) legacy: BTreeMap<String, Legacy>,
    pub(super) legacy_requests: BTreeMap<String, LegacyRequest>,
    /// How often the work of a node changed since it last had none. Not kept: it starts over with the gateway.
    pub(super) revisions: BTreeMap<String, u64>,
}

impl From<NodesContents> for Nodes {
    fn from(contents: NodesContents) -> Self {
        let mut nodes = Self::default();
        let changes = contents
            .nodes
            .into_iter()
            .map(Box::new)
            .map(NodeChange::Put);
        let waiting = contents.waiting.into_iter().map(Box::new);
        let legacy = contents.legacy.into_iter().map(Box::new);
        let requests = contents.legacy_requests.into_iter().map(Box::new);
        let changes = changes
            .chain(waiting.map(NodeChange::PutWaiting))
            .chain(
                contents
                    .work
                    .into_iter()
                    .map(|work| NodeChange::PutWork(work, 1)),
            )
            .chain(contents.actions.into_iter().map(NodeChange::PutAction))
            .chain(legacy.map(NodeChange::PutLegacy))
            .chain(requests.map(NodeChange::PutLegacyRequest));
        for change in changes {
            nodes.apply(change);
        }
        nodes
    }
}

impl Nodes {
    /// Makes a change that was stored.
    pub(crate) fn apply(&mut self, change: NodeChange) {
        match change {
            NodeChange::Put(node) => {
                self.approved.insert(node.id.clone(), *node);
            }
            NodeChange::Drop(id) => {
                self.approved.remove(&id);
                self.work.retain(|_, work| work.node_id != id);
                self.actions.retain(|_, action| action.node_id != id);
                self.revisions.remove(&id);
            }
            NodeChange::PutWaiting(waiting) => {
                self.waiting.insert(waiting.node_id.clone(), *waiting);
            }
            NodeChange::DropWaiting(node_id) => {
                self.waiting.remove(&node_id);
            }
            NodeChange::PutWork(work, revision) => {
                self.revisions.insert(work.node_id.clone(), revision);
                self.work.insert(work.id.clone(), work);
            }
            NodeChange::DropWork(node_id, ids, revision) => {
                self.work.retain(|id, _| !ids.contains(id));
                if self.work.values().any(|work| work.node_id == node_id) {
                    self.revisions.insert(node_id, revision);
                } else {
                    self.revisions.remove(&node_id);
                }
            }
            NodeChange::PutAction(action) => {
                self.actions.insert(action.id.clone(), action);
            }
            NodeChange::DropActions(ids) => self.actions.retain(|id, _| !ids.contains(id)),
            NodeChange::PutLegacy(legacy) => {
                self.legacy.insert(legacy.id.clone(), *legacy);
            }
            NodeChange::DropLegacy(id) => {
                self.legacy.remove(&id);
            }
            NodeChange::PutLegacyRequest(request) => {
                self.legacy_requests.insert(request.id.clone(), *request);
            }
            NodeChange::DropLegacyRequest(id) => {
                self.legacy_requests.remove(&id);
            }
        }
    }

    /// A node whose surface was approved.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.approved.get(id)
    }

    /// Whether anything of a node is kept that goes with it.
    pub(super) fn has_any(&self, node_id: &str) -> bool {
        self.approved.contains_key(node_id)
            || self.work.values().any(|work| work.node_id == node_id)
            || self
                .actions
                .values()
                .any(|action| action.node_id == node_id)
    }

    /// The nodes whose surfaces were approved, by their ids.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.approved.values()
    }

    /// The request of a node.
    #[must_use]
    pub fn waiting(&self, node_id: &str) -> Option<&Waiting> {
        let waiting = self.waiting.get(node_id);
        waiting.filter(|waiting| !waiting.is_rejected)
    }

    /// Whether a node is one whose offers need an approval, whatever protocol it speaks now.
    #[must_use]
    pub fn is_bound(&self, node_id: &str) -> bool {
        self.approved.contains_key(node_id) || self.waiting.contains_key(node_id)
    }

    /// The requests of nodes, the newest first.
    #[must_use]
    pub fn requests(&self) -> Vec<&Waiting> {
        let all = self.waiting.values();
        let mut waiting: Vec<&Waiting> = all.filter(|waiting| !waiting.is_rejected).collect();
        waiting.sort_by(|one, other| (other.created_ms, &other.id).cmp(&(one.created_ms, &one.id)));
        waiting
    }

    pub(super) fn request(&self, request_id: &str) -> Option<&Waiting> {
        let request_id = request_id.trim();
        self.waiting
            .values()
            .find(|waiting| waiting.id == request_id && !waiting.is_rejected)
    }
}
