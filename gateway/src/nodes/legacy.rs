//! Nodes that are known by a name and a token of their own, as protocol 3 has them.
//!
//! They are no devices and do not connect as such: whoever speaks for one asks for it, an operator approves it, and from then
//! on anybody can have its token looked at.

use openclaw_protocol_core::error_shape::ErrorShape;
use subtle::ConstantTimeEq as _;

use super::surface::{NodeFace, Surface};
use super::{MAX_LEGACY, NodeChange, NodeNotice, Nodes};
use crate::pairing::{Chance, Decision, Pairings, token};

/// A node of protocol 3 that was approved.
#[derive(Clone, PartialEq, Eq)]
pub struct Legacy {
    /// Its name.
    pub id: String,
    /// What was said of it.
    pub face: NodeFace,
    /// What it was said to offer.
    pub surface: Surface,
    /// Where it was said to be.
    pub remote_ip: Option<String>,
    /// The SHA-256 of its token's text.
    pub digest: [u8; 32],
    /// When it was first approved, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last approved, in milliseconds since 1970.
    pub approved_ms: u64,
}

impl std::fmt::Debug for Legacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Legacy")
            .field("id", &self.id)
            .field("surface", &self.surface)
            .finish_non_exhaustive()
    }
}

/// A node of protocol 3 that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyRequest {
    /// The request: a UUID.
    pub id: String,
    /// The node.
    pub wanted: Wanted,
    /// Whether the node was approved before.
    pub is_repair: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A node of protocol 3 as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub node_id: String,
    /// What is said of it.
    pub face: NodeFace,
    /// What it is said to offer; `None` where nothing was said.
    pub surface: Surface,
    /// Where it is said to be.
    pub remote_ip: Option<String>,
    /// Whether nobody need be shown it.
    pub silent: Option<bool>,
}

/// A node whose token was right, or that was approved just now.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// The node.
    pub node: Legacy,
    /// Its token.
    pub token: String,
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.node.fmt(f)
    }
}

impl Nodes {
    /// The nodes of protocol 3 that were approved, by their names.
    pub fn legacy(&self) -> impl Iterator<Item = &Legacy> {
        self.legacy.values()
    }

    /// Whether a name is that of a node of protocol 3 that was approved.
    #[must_use]
    pub fn is_legacy(&self, node_id: &str) -> bool {
        self.legacy.contains_key(node_id)
    }

    /// The nodes of protocol 3 that wait, the newest first.
    #[must_use]
    pub fn legacy_requests(&self) -> Vec<&LegacyRequest> {
        let mut waiting: Vec<&LegacyRequest> = self.legacy_requests.values().collect();
        waiting.sort_by(|one, other| (other.created_ms, &other.id).cmp(&(one.created_ms, &one.id)));
        waiting
    }

    /// Has a node wait for an approval; the same node again is the same request. `true` beside it says that it is new.
    #[must_use]
    pub fn ask(
        &self,
        wanted: Wanted,
        chance: &Chance,
        now_ms: u64,
    ) -> Decision<(LegacyRequest, bool)> {
        let requests = self.legacy_requests();
        let same = requests
            .iter()
            .find(|request| request.wanted.node_id == wanted.node_id);
        if let Some(same) = same {
            return Decision::of(((*same).clone(), false));
        }
        let request = LegacyRequest {
            id: chance.request_id.clone(),
            is_repair: self.legacy.contains_key(&wanted.node_id),
            wanted,
            created_ms: now_ms,
        };
        let mut decision = Decision::of((request.clone(), true));
        if requests.len() >= MAX_LEGACY
            && let Some(oldest) = requests.last()
        {
            self.withdraw(oldest, "rejected", &mut decision);
        }
        let boxed = Box::new(request);
        let notice = NodeNotice::LegacyRequested(boxed.clone());
        decision.notices.push(notice.into());
        decision
            .changes
            .push(NodeChange::PutLegacyRequest(boxed).into());
        decision
    }

    /// The request of a node of protocol 3.
    #[must_use]
    pub fn legacy_request(&self, request_id: &str) -> Option<&LegacyRequest> {
        self.legacy_requests.get(request_id.trim())
    }

    /// Rejects a request, and tells whose it was.
    #[must_use]
    pub fn reject_legacy(&self, request: &LegacyRequest) -> Decision<String> {
        let mut decision = Decision::of(request.wanted.node_id.clone());
        self.withdraw(request, "rejected", &mut decision);
        decision
    }

    /// The node that a token is right for.
    #[must_use]
    pub fn verify(&self, node_id: &str, text: &str) -> Option<&Legacy> {
        let node = self.legacy.get(node_id.trim())?;
        let is_right: bool = node.digest.ct_eq(&token::digest(text)).into();
        is_right.then_some(node)
    }

    /// Gives a node of protocol 3 another name for people; nothing where there is no such node.
    #[must_use]
    pub fn rename_legacy(&self, node_id: &str, name: &str) -> Option<Decision<()>> {
        let mut node = self.legacy.get(node_id.trim())?.clone();
        node.face.face.display_name = Some(name.to_owned());
        let mut decision = Decision::of(());
        let change = NodeChange::PutLegacy(Box::new(node));
        decision.changes.push(change.into());
        Some(decision)
    }

    fn withdraw<T>(&self, request: &LegacyRequest, word: &'static str, decision: &mut Decision<T>) {
        let change = NodeChange::DropLegacyRequest(request.id.clone());
        decision.changes.push(change.into());
        decision.notices.push(
            NodeNotice::Resolved {
                request_id: request.id.clone(),
                node_id: request.wanted.node_id.clone(),
                decision: word,
            }
            .into(),
        );
    }
}

impl Pairings {
    /// Approves a node of protocol 3 and makes its token, which is told once.
    ///
    /// # Errors
    /// There are too many already.
    pub fn approve_legacy(
        &self,
        request: &LegacyRequest,
        chance: &Chance,
        now_ms: u64,
    ) -> Result<Decision<Verified>, ErrorShape> {
        let nodes = self.nodes();
        let wanted = &request.wanted;
        let known = nodes.legacy.get(&wanted.node_id);
        if known.is_none() && nodes.legacy.len() >= MAX_LEGACY {
            return Err(ErrorShape::unavailable(format!(
                "{MAX_LEGACY} nodes are known by a name and a token; no more can be"
            )));
        }
        let token = self.key().text(
            &wanted.node_id,
            openclaw_protocol_core::scope::Role::Node,
            &chance.salt,
        );
        let node = Legacy {
            id: wanted.node_id.clone(),
            face: wanted.face.clone(),
            surface: wanted.surface.clone(),
            remote_ip: wanted.remote_ip.clone(),
            digest: token::digest(&token),
            created_ms: known.map_or(now_ms, |known| known.created_ms),
            approved_ms: now_ms,
        };
        let mut decision = Decision::of(Verified {
            node: node.clone(),
            token,
        });
        let change = NodeChange::PutLegacy(Box::new(node));
        decision.changes.push(change.into());
        nodes.withdraw(request, "approved", &mut decision);
        Ok(decision)
    }
}
