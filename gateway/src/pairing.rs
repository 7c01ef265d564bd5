//! Which devices may connect, as what, and who waits to be approved.
//!
//! [`Pairings`] decides and changes nothing by itself: every decision comes with the [`Change`]s that it needs. Whoever asked
//! writes them where they last, and then [`apply`](Pairings::apply)s them; only then is the decision spoken. So nothing is ever
//! told that a power cut could take back.

mod approve;
mod knock;
mod manage;
mod record;
pub(crate) mod refusal;
pub mod scopes;
mod setup;
pub mod token;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_protocol_core::scope::Role;

pub use approve::Approved;
pub use knock::{Admitted, Knock, Presented};
pub use manage::{MAX_LABEL, Manager, Rotated};
pub use record::{ApprovedVia, Device, Face, Granted, Request, Token};
pub use setup::{Access, Setup, SetupCode};
use token::TokenKey;

use crate::nodes::{NodeChange, NodeNotice, Nodes, NodesContents};

/// The most devices that are paired; the one makes room that was seen longest ago of those that nobody was asked about.
pub const MAX_DEVICES: usize = 1_024;
/// The most requests that wait; the oldest makes room.
pub const MAX_REQUESTS: usize = 64;
/// The most requests that wait for devices of one address; no further one is made.
pub const MAX_REQUESTS_OF_ADDRESS: usize = 8;
/// The most setup codes that are open; the oldest makes room.
pub const MAX_SETUPS: usize = 32;
/// How long a request waits for a decision.
pub const REQUEST_LIFE: Duration = Duration::from_secs(300);

/// Everything that is known of devices.
#[derive(Debug)]
pub struct Pairings {
    devices: BTreeMap<String, Device>,
    requests: BTreeMap<String, Request>,
    setups: BTreeMap<[u8; 32], Setup>,
    nodes: Nodes,
    key: TokenKey,
}

/// What was stored of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The devices that are paired.
    pub devices: Vec<Device>,
    /// The requests that wait.
    pub requests: Vec<Request>,
    /// The setup codes that are open.
    pub setups: Vec<Setup>,
    /// What was stored of nodes.
    pub nodes: NodesContents,
}

/// One thing that becomes different, whole: applied twice it is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A device is there, like this.
    PutDevice(Box<Device>),
    /// A device is there no more, by its id.
    DropDevice(String),
    /// A request waits, like this.
    PutRequest(Box<Request>),
    /// A request waits no more, by its id.
    DropRequest(String),
    /// A setup code is open.
    PutSetup(Setup),
    /// A setup code is used or over, by its digest.
    DropSetup([u8; 32]),
    /// Something of nodes is different.
    Node(NodeChange),
}

impl From<NodeChange> for Change {
    fn from(change: NodeChange) -> Self {
        Self::Node(change)
    }
}

/// What operators, and the sockets of a device, must learn once a decision lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A request waits for a decision.
    Requested(Box<Request>),
    /// A request was decided.
    Resolved {
        /// The request.
        request_id: String,
        /// Its device.
        device_id: String,
        /// `approved` or `rejected`.
        decision: &'static str,
    },
    /// A device has another name.
    Renamed,
    /// Something of nodes.
    Node(NodeNotice),
    /// What a device was let in with holds no more; its sockets end.
    Ended {
        /// The device.
        device_id: String,
        /// The role that ends; all of them without one.
        role: Option<Role>,
        /// The reason of the close.
        reason: &'static str,
    },
}

impl From<NodeNotice> for Notice {
    fn from(notice: NodeNotice) -> Self {
        Self::Node(notice)
    }
}

/// A decision, what must be stored before it is spoken, and what follows when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    /// What is spoken.
    pub outcome: T,
    /// What must be stored first.
    pub changes: Vec<Change>,
    /// What others learn.
    pub notices: Vec<Notice>,
}

impl<T> Decision<T> {
    /// A decision that changes nothing.
    pub(crate) fn of(outcome: T) -> Self {
        Self {
            outcome,
            changes: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The same decision, spoken otherwise.
    #[must_use]
    pub fn map<U>(self, speak: impl FnOnce(T) -> U) -> Decision<U> {
        Decision {
            outcome: speak(self.outcome),
            changes: self.changes,
            notices: self.notices,
        }
    }
}

/// What chance has to give to a decision, drawn by the caller.
#[derive(Clone, Debug)]
pub struct Chance {
    /// The name of a request, should one be made.
    pub request_id: String,
    /// The name of a request of a node, should one be made as well.
    pub surface_id: String,
    /// What makes a token, should one be made, unlike any other.
    pub salt: [u8; 16],
}

impl Chance {
    /// For a decision of which nothing will be kept.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            request_id: String::new(),
            surface_id: String::new(),
            salt: [0; 16],
        }
    }
}

impl Pairings {
    /// Takes what was stored, and the key that tokens are made with.
    #[must_use]
    pub fn new(contents: Contents, key: TokenKey) -> Self {
        let mut pairings = Self {
            devices: BTreeMap::new(),
            requests: BTreeMap::new(),
            setups: BTreeMap::new(),
            nodes: contents.nodes.into(),
            key,
        };
        let devices = contents.devices.into_iter().map(Box::new);
        let requests = contents.requests.into_iter().map(Box::new);
        let changes = devices
            .map(Change::PutDevice)
            .chain(requests.map(Change::PutRequest))
            .chain(contents.setups.into_iter().map(Change::PutSetup));
        for change in changes {
            pairings.apply(change);
        }
        pairings
    }

    /// Makes a change that was stored.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::PutDevice(device) => {
                self.devices.insert(device.id.clone(), *device);
            }
            Change::DropDevice(id) => {
                self.devices.remove(&id);
            }
            Change::PutRequest(request) => {
                self.requests.insert(request.id.clone(), *request);
            }
            Change::DropRequest(id) => {
                self.requests.remove(&id);
            }
            Change::PutSetup(setup) => {
                self.setups.insert(setup.digest, setup);
            }
            Change::DropSetup(digest) => {
                self.setups.remove(&digest);
            }
            Change::Node(change) => self.nodes.apply(change),
        }
    }

    /// What is kept of nodes.
    #[must_use]
    pub const fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// What tokens are made with.
    pub(crate) const fn key(&self) -> &TokenKey {
        &self.key
    }

    /// The paired devices, by their ids.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// The requests that wait at a time, the oldest first.
    #[must_use]
    pub fn requests(&self, now_ms: u64) -> Vec<&Request> {
        let mut waiting: Vec<&Request> = self
            .requests
            .values()
            .filter(|request| request.waits(now_ms))
            .collect();
        waiting.sort_by(|one, other| (one.created_ms, &one.id).cmp(&(other.created_ms, &other.id)));
        waiting
    }

    /// A paired device.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.get(id)
    }

    /// The request of a device that waits.
    fn request_of(&self, device_id: &str, now_ms: u64) -> Option<&Request> {
        self.requests
            .values()
            .find(|request| request.device_id == device_id && request.waits(now_ms))
    }

    /// Whether as many devices of an address wait as may; those of this host are one address.
    fn is_crowded(&self, address: Option<&str>, now_ms: u64) -> bool {
        let of_address = self
            .requests
            .values()
            .filter(|request| request.waits(now_ms) && request.remote_ip.as_deref() == address);
        of_address.count() >= MAX_REQUESTS_OF_ADDRESS
    }

    /// Has a device make room for another, if there is need; whether there is room then.
    fn make_room_for_device<T>(&self, id: &str, decision: &mut Decision<T>) -> bool {
        if self.devices.len() < MAX_DEVICES || self.devices.contains_key(id) {
            return true;
        }
        let silent = self
            .devices
            .values()
            .filter(|device| device.approved_via == ApprovedVia::Silent)
            // Somebody was asked about what it offers.
            .filter(|device| self.nodes.node(&device.id).is_none());
        let Some(oldest) = silent.min_by_key(|device| device.seen_ms) else {
            return false;
        };
        decision.changes.push(Change::DropDevice(oldest.id.clone()));
        self.forget_node(&oldest.id, decision);
        decision.notices.push(oldest.ended(None));
        true
    }

    /// Drops what waits no more, and the oldest where there is no room for one more.
    fn make_room_for_request(&self, now_ms: u64, changes: &mut Vec<Change>) -> Vec<Notice> {
        let over = self
            .requests
            .values()
            .filter(|request| !request.waits(now_ms));
        changes.extend(over.map(|request| Change::DropRequest(request.id.clone())));
        let waiting = self.requests(now_ms);
        let excess = (waiting.len() + 1).saturating_sub(MAX_REQUESTS);
        let mut notices = Vec::new();
        for request in waiting.into_iter().take(excess) {
            changes.push(Change::DropRequest(request.id.clone()));
            notices.push(request.resolved("rejected"));
        }
        notices
    }
}

#[cfg(test)]
mod tests;
