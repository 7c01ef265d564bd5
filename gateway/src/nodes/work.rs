//! What waits for a node that is not there, or not in the foreground.

use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::json::Object;

use super::{ACTION_LIFE, MAX_ACTION_BYTES, MAX_ACTIONS, NodeChange, Nodes};
use crate::pairing::{Chance, Decision};

/// How long work waits where nobody says how long.
const WORK_LIFE: Duration = Duration::from_secs(86_400);
/// The work that every node does when it asks, whether somebody asked for it or not.
const BASELINE: &str = "baseline-status";

/// What a node is asked to do once it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// To say how it is.
    Status,
    /// To say where it is.
    Location,
}

impl WorkKind {
    /// Every kind of work, by its word.
    pub const WORDS: [&str; 2] = ["status.request", "location.request"];

    /// The word on the wire and in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Status => Self::WORDS[0],
            Self::Location => Self::WORDS[1],
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Status, Self::Location]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// How soon work is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// As it comes.
    Normal,
    /// First.
    High,
}

impl Priority {
    /// Every priority that may be asked for, by its word.
    pub const WORDS: [&str; 2] = ["normal", "high"];

    /// The word on the wire and in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Normal => Self::WORDS[0],
            Self::High => Self::WORDS[1],
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Normal, Self::High]
            .into_iter()
            .find(|priority| priority.word() == word)
    }
}

/// Work that waits for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// A UUID.
    pub id: String,
    /// The node.
    pub node_id: String,
    /// What it is asked to do.
    pub kind: WorkKind,
    /// How soon.
    pub priority: Priority,
    /// When somebody asked, in milliseconds since 1970.
    pub created_ms: u64,
    /// When nobody wants it any more, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl Work {
    fn waits(&self, now_ms: u64) -> bool {
        now_ms < self.expires_ms
    }

    /// Writes it for the node or for who asked.
    #[must_use]
    pub fn view(&self) -> Object {
        Object::new()
            .text("id", &self.id)
            .text("type", self.kind.word())
            .text("priority", self.priority.word())
            .number("createdAtMs", self.created_ms)
            .number("expiresAtMs", self.expires_ms)
    }
}

/// Work that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// How often the node's work changed.
    pub revision: u64,
    /// The work: of each kind there is one at most.
    pub work: Work,
}

/// Work that a node takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How often the node's work changed.
    pub revision: u64,
    /// What it is to do, in this order.
    pub work: Vec<Work>,
    /// Whether it is to say how it is as well, though nobody asked.
    pub baseline: bool,
    /// Whether more waits.
    pub has_more: bool,
}

impl Drained {
    /// Writes what a node is to do.
    #[must_use]
    pub fn view(&self, node_id: &str, now_ms: u64) -> Object {
        let mut items: Vec<_> = self.work.iter().map(|work| work.view().finish()).collect();
        if self.baseline {
            let null = openclaw_protocol_core::json::Json::null();
            items.push(
                Object::new()
                    .text("id", BASELINE)
                    .text("type", WorkKind::Status.word())
                    .text("priority", "default")
                    .number("createdAtMs", now_ms)
                    .json("expiresAtMs", &null)
                    .finish(),
            );
        }
        Object::new()
            .text("nodeId", node_id)
            .number("revision", self.revision)
            .array("items", &items)
            .boolean("hasMore", self.has_more)
    }
}

/// A command that waits for its node to come back to the foreground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// A UUID.
    pub id: String,
    /// The node.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// Its parameters as JSON text.
    pub params_json: Option<String>,
    /// What makes the same command the same.
    pub key: String,
    /// When it was put there, in milliseconds since 1970.
    pub queued_ms: u64,
}

impl Action {
    fn waits(&self, now_ms: u64) -> bool {
        u128::from(now_ms.saturating_sub(self.queued_ms)) < ACTION_LIFE.as_millis()
    }

    fn bytes(&self) -> usize {
        self.params_json.as_ref().map_or(0, String::len) + self.command.len() + self.key.len()
    }

    /// Writes it for its node.
    #[must_use]
    pub fn view(&self) -> Object {
        let object = Object::new()
            .text("id", &self.id)
            .text("command", &self.command);
        match &self.params_json {
            Some(params) => object.text("paramsJSON", params),
            None => object.json("paramsJSON", &openclaw_protocol_core::json::Json::null()),
        }
        .number("enqueuedAtMs", self.queued_ms)
    }
}

impl Nodes {
    /// Has work wait for a node; of each kind there is one at most, which stays as it is.
    #[must_use]
    pub fn enqueue(
        &self,
        node_id: &str,
        kind: WorkKind,
        priority: Option<Priority>,
        expires_in: Option<Duration>,
        chance: &Chance,
        now_ms: u64,
    ) -> Decision<Queued> {
        let revision = self.revision(node_id);
        let same = self.work_of(node_id).find(|work| work.kind == kind);
        if let Some(work) = same.filter(|work| work.waits(now_ms)) {
            return Decision::of(Queued {
                revision,
                work: work.clone(),
            });
        }
        let life = expires_in.unwrap_or(WORK_LIFE).as_millis() as u64;
        let work = Work {
            id: chance.request_id.clone(),
            node_id: node_id.to_owned(),
            kind,
            priority: priority.unwrap_or(Priority::Normal),
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(life),
        };
        let mut decision = Decision::of(Queued {
            revision: revision + 1,
            work: work.clone(),
        });
        if let Some(over) = same {
            let gone = vec![over.id.clone()];
            let change = NodeChange::DropWork(node_id.to_owned(), gone, revision);
            decision.changes.push(change.into());
        }
        let change = NodeChange::PutWork(work, revision + 1);
        decision.changes.push(change.into());
        decision
    }

    /// Gives a node its work, which waits no more then.
    #[must_use]
    pub fn drain(&self, node_id: &str, most: usize, now_ms: u64) -> Decision<Drained> {
        let (mut waiting, over): (Vec<&Work>, Vec<&Work>) =
            self.work_of(node_id).partition(|work| work.waits(now_ms));
        waiting.sort_by(|one, other| {
            let order = |work: &Work| (std::cmp::Reverse(work.priority), work.created_ms);
            (order(one), &one.id).cmp(&(order(other), &other.id))
        });
        let has_status = waiting.iter().any(|work| work.kind == WorkKind::Status);
        let taken: Vec<Work> = waiting.iter().copied().take(most).cloned().collect();
        let baseline = !has_status && taken.len() < most;
        let has_more = waiting.len() > taken.len() || !has_status && !baseline;
        let gone: Vec<String> = taken
            .iter()
            .map(|work| work.id.clone())
            .chain(over.iter().map(|work| work.id.clone()))
            .collect();
        let revision = self.revision(node_id) + u64::from(!gone.is_empty());
        let mut decision = Decision::of(Drained {
            revision,
            work: taken,
            baseline,
            has_more,
        });
        if !gone.is_empty() {
            let change = NodeChange::DropWork(node_id.to_owned(), gone, revision);
            decision.changes.push(change.into());
        }
        decision
    }

    /// Has a command wait for its node to come back to the foreground; the same again stays the same.
    #[must_use]
    pub fn put_off(&self, action: Action, now_ms: u64) -> Decision<String> {
        let same = self.actions_of(&action.node_id, now_ms);
        let same = same.into_iter().find(|other| {
            (&other.key, &other.command, &other.params_json)
                == (&action.key, &action.command, &action.params_json)
        });
        if let Some(same) = same {
            return Decision::of(same.id.clone());
        }
        let mut gone: Vec<String> = self
            .actions
            .values()
            .filter(|other| !other.waits(now_ms))
            .map(|other| other.id.clone())
            .collect();
        let of_node = self.actions_of(&action.node_id, now_ms);
        let excess = (of_node.len() + 1).saturating_sub(MAX_ACTIONS);
        gone.extend(of_node.iter().take(excess).map(|other| other.id.clone()));
        let mut left: Vec<&Action> = self
            .actions
            .values()
            .filter(|other| !gone.contains(&other.id))
            .collect();
        left.sort_by_key(|other| (other.queued_ms, &other.id));
        let mut bytes = action.bytes() + left.iter().map(|other| other.bytes()).sum::<usize>();
        for other in left {
            if bytes <= MAX_ACTION_BYTES {
                break;
            }
            bytes -= other.bytes();
            gone.push(other.id.clone());
        }
        let mut decision = Decision::of(action.id.clone());
        if !gone.is_empty() {
            decision.changes.push(NodeChange::DropActions(gone).into());
        }
        decision.changes.push(NodeChange::PutAction(action).into());
        decision
    }

    /// The commands that wait for a node, the oldest first.
    #[must_use]
    pub fn actions_of(&self, node_id: &str, now_ms: u64) -> Vec<&Action> {
        let mut actions: Vec<&Action> = self
            .actions
            .values()
            .filter(|action| action.node_id == node_id && action.waits(now_ms))
            .collect();
        actions.sort_by_key(|action| (action.queued_ms, &action.id));
        actions
    }

    /// A node did what waited for it; how much still waits.
    #[must_use]
    pub fn acknowledge(&self, node_id: &str, ids: &[String], now_ms: u64) -> Decision<usize> {
        let actions = self.actions_of(node_id, now_ms);
        let (done, left): (Vec<&Action>, Vec<&Action>) =
            actions.iter().partition(|action| ids.contains(&action.id));
        let mut decision = Decision::of(left.len());
        if !done.is_empty() {
            let done = done.iter().map(|action| action.id.clone()).collect();
            decision.changes.push(NodeChange::DropActions(done).into());
        }
        decision
    }

    fn revision(&self, node_id: &str) -> u64 {
        self.revisions.get(node_id).copied().unwrap_or(0)
    }

    fn work_of(&self, node_id: &str) -> impl Iterator<Item = &Work> {
        self.work
            .values()
            .filter(move |work| work.node_id == node_id)
    }
}

/// The refusal of work for who is no node, or none that anything was approved of.
#[must_use]
pub fn no_node() -> ErrorShape {
    ErrorShape::unavailable("node pairing changed while pending work was active")
        .retryable_after(None)
        .with_details(Object::new().text("code", "PAIRING_CHANGED"))
}
