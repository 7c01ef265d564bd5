//! Nodes: what they say that they offer, what was approved of it, and what waits for them.
//!
//! A node is a device in the role `node`; its id is the device's. What it declares when it connects is a claim: a [`Surface`]
//! waits until an operator approves it, and what holds is what is both declared and approved.
//!
//! Like everything of devices this decides and changes nothing by itself: see [`Pairings`](crate::pairing::Pairings).

mod approval;
mod book;
mod legacy;
mod platform;
pub mod policy;
mod surface;
mod view;
mod work;

use std::time::Duration;

pub use approval::{Declared, Renamed};
pub use book::{Nodes, NodesContents};
pub use legacy::{Legacy, LegacyRequest, Verified, Wanted};
pub use platform::Platform;
pub use surface::{MAX_NAME, MAX_NAMES, NodeFace, Surface};
pub use view::{Entry, Presence, Seen, is_node};
pub use work::{Action, Drained, Priority, Queued, Work, WorkKind, no_node};

/// The most nodes whose surface waits; there are never more than devices.
pub const MAX_WAITING: usize = crate::pairing::MAX_DEVICES;
/// The most nodes of protocol 3 that were approved by their name, and that wait to be.
pub const MAX_LEGACY: usize = 256;
/// The most actions that wait for one node's return to the foreground; the oldest makes room.
pub const MAX_ACTIONS: usize = 64;
/// The most bytes of the parameters of all actions that wait; the oldest makes room.
pub const MAX_ACTION_BYTES: usize = 8 << 20;
/// How long an action waits.
pub const ACTION_LIFE: Duration = Duration::from_secs(600);

/// A node whose surface was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its device.
    pub id: String,
    /// What it said of itself when it was approved.
    pub face: NodeFace,
    /// What was approved.
    pub surface: Surface,
    /// The name that an operator gave it.
    pub label: Option<String>,
    /// Where it connected from when it was approved, unless from this host.
    pub remote_ip: Option<String>,
    /// When it was first approved, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last approved, in milliseconds since 1970.
    pub approved_ms: u64,
    /// When it last said that it is alive, in milliseconds since 1970, and what for.
    pub alive: Option<(u64, String)>,
}

/// A node that waits for an operator to approve what it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The request: a UUID.
    pub id: String,
    /// Its device.
    pub node_id: String,
    /// What it says of itself.
    pub face: NodeFace,
    /// What it declares, as far as it may be asked for.
    pub surface: Surface,
    /// Where it connects from, unless from this host.
    pub remote_ip: Option<String>,
    /// Whether it is the first request of a device that nobody was asked about.
    pub is_silent: bool,
    /// Whether somebody said no: it waits no more, and is kept so that no older protocol gets around it.
    pub is_rejected: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// One thing of nodes that becomes different, whole: applied twice it is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeChange {
    /// A node is approved, like this.
    Put(Box<Node>),
    /// A node is approved no more; what waits for it goes as well.
    Drop(String),
    /// A node waits, like this.
    PutWaiting(Box<Waiting>),
    /// A node waits no more, by its id.
    DropWaiting(String),
    /// Work waits for a node, whose revision is this from now on.
    PutWork(Work, u64),
    /// Work of a node waits no more, by its ids; the node's revision is this from now on.
    DropWork(String, Vec<String>, u64),
    /// An action waits for a node.
    PutAction(Action),
    /// Actions wait no more, by their ids.
    DropActions(Vec<String>),
    /// A node of protocol 3 is approved.
    PutLegacy(Box<Legacy>),
    /// A node of protocol 3 is approved no more, by its name.
    DropLegacy(String),
    /// A node of protocol 3 waits.
    PutLegacyRequest(Box<LegacyRequest>),
    /// A node of protocol 3 waits no more, by its request.
    DropLegacyRequest(String),
}

/// What operators, and nodes themselves, must learn once a decision lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeNotice {
    /// A node waits for an approval.
    Requested(Box<Waiting>),
    /// A node of protocol 3 waits for an approval.
    LegacyRequested(Box<LegacyRequest>),
    /// A request was decided.
    Resolved {
        /// The request; empty where there was none.
        request_id: String,
        /// The node.
        node_id: String,
        /// `approved`, `rejected` or `removed`.
        decision: &'static str,
    },
}
