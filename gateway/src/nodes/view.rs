//! Nodes as operators, and they themselves, are shown them.

use std::collections::BTreeMap;

use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Role;

use super::legacy::{Legacy, LegacyRequest};
use super::policy::needed_to_approve;
use super::surface::{NodeFace, Surface};
use super::{Node, NodeNotice, Nodes, Waiting};
use crate::pairing::Device;

/// A node that is there.
#[derive(Clone, Copy, Debug)]
pub struct Presence<'a> {
    /// What it says of itself.
    pub face: &'a NodeFace,
    /// Where it connects from, unless from this host.
    pub remote_ip: Option<&'a str>,
    /// Its `PATH`.
    pub path_env: Option<&'a str>,
    /// Whether what it declares needs no approval, as protocol 3 has it.
    pub needs_no_approval: bool,
    /// When it connected, in milliseconds since 1970.
    pub connected_ms: u64,
}

/// What is remembered of a node's comings and goings since the gateway started.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When it last came, in milliseconds since 1970.
    pub connected_ms: Option<u64>,
    /// When it last went, in milliseconds since 1970.
    pub disconnected_ms: Option<u64>,
    /// Whether what it offered when it last came needed no approval, as protocol 3 has it.
    pub needed_no_approval: bool,
    /// How much its host has to do, as it last said.
    pub host_stats: Option<Json>,
    /// When others were last told of that, in milliseconds since 1970.
    pub stats_told_ms: u64,
    /// When its user was last active, and when it said so, in milliseconds since 1970.
    pub active: Option<(u64, u64)>,
    /// Whether an app saw that, and not the system.
    pub active_by_app: bool,
}

/// One node of the list, as far as the asker may see.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its device.
    pub device: &'a Device,
    /// Everything that is kept of nodes.
    pub nodes: &'a Nodes,
    /// It, if it is there.
    pub presence: Option<Presence<'a>>,
    /// What of its declaration holds, if it is there.
    pub surface: &'a Surface,
    /// What is remembered of it.
    pub seen: Option<&'a Seen>,
    /// Whether the asker may see what waits.
    pub shows_pending: bool,
    /// Whether it is the node that somebody used last.
    pub is_active: bool,
}

impl Entry<'_> {
    /// The name for people, or nothing better than its id.
    #[must_use]
    pub fn name(&self) -> &str {
        let node = self.nodes.node(&self.device.id);
        node.and_then(|node| node.label.as_deref())
            .or_else(|| self.face().face.display_name.as_deref())
            .or(self.device.label.as_deref())
            .unwrap_or(&self.device.id)
    }

    fn face(&self) -> NodeFaceRef<'_> {
        let node = self.nodes.node(&self.device.id);
        if let Some(presence) = self.presence {
            presence.face.into()
        } else if let Some(node) = node {
            (&node.face).into()
        } else {
            NodeFaceRef {
                face: &self.device.face,
                version: None,
                core_version: None,
                ui_version: None,
                model_identifier: None,
            }
        }
    }

    /// Writes the entry into an object.
    #[must_use]
    pub fn write(&self, object: Object) -> Object {
        let id = &self.device.id;
        let node = self.nodes.node(id);
        let waiting = self.nodes.waiting(id);
        let face = self.face();
        let nothing = Surface::default();
        let surface = match (self.presence, node) {
            (Some(_), _) => self.surface,
            (None, Some(node)) => &node.surface,
            (None, None) => &nothing,
        };
        let is_named = node.is_some_and(|node| node.label.is_some())
            || face.face.display_name.is_some()
            || self.device.label.is_some();
        let kept_ip = node
            .map_or(&self.device.remote_ip, |node| &node.remote_ip)
            .as_deref();
        let remote_ip = self.presence.map_or(kept_ip, |presence| presence.remote_ip);
        let mut object = face
            .write(
                object
                    .text("nodeId", id)
                    .maybe_text("displayName", is_named.then(|| self.name())),
            )
            .maybe_text("remoteIp", remote_ip)
            .texts("caps", sorted(&surface.caps))
            .texts("commands", sorted(&surface.commands))
            .boolean("sessionHost", false);
        if let Some(stats) = self.seen.and_then(|seen| seen.host_stats.as_ref()) {
            object = object.json("hostStats", stats);
        }
        if let Some(presence) = self.presence {
            object = object
                .array("nodePluginTools", [])
                .maybe_text("pathEnv", presence.path_env);
        }
        object = write_permissions(object, "permissions", &surface.permissions);
        let is_free = match self.presence {
            Some(presence) => presence.needs_no_approval,
            None => self.seen.is_some_and(|seen| seen.needed_no_approval),
        };
        let state = match (node, waiting) {
            (None, Some(_)) => "pending-approval",
            (Some(_), Some(_)) => "pending-reapproval",
            (Some(_), None) => "approved",
            (None, None) if is_free => "approved",
            (None, None) => "unapproved",
        };
        object = object.text("approvalState", state);
        if let Some(waiting) = waiting.filter(|_| self.shows_pending) {
            object = object
                .text("pendingRequestId", &waiting.id)
                .texts("pendingDeclaredCaps", sorted(&waiting.surface.caps))
                .texts("pendingDeclaredCommands", sorted(&waiting.surface.commands));
            object = write_permissions(
                object,
                "pendingDeclaredPermissions",
                &waiting.surface.permissions,
            );
        }
        let object = self
            .write_times(object)
            .boolean("paired", true)
            .boolean("connected", self.presence.is_some());
        match self.is_active {
            true => object.boolean("active", true),
            false => object,
        }
    }

    fn write_times(&self, mut object: Object) -> Object {
        let node = self.nodes.node(&self.device.id);
        let connected = self.presence.map(|presence| presence.connected_ms);
        let came = connected.or(self.seen.and_then(|seen| seen.connected_ms));
        let went = self.seen.and_then(|seen| seen.disconnected_ms);
        let active = self.seen.and_then(|seen| seen.active);
        for (name, at) in [
            ("connectedAtMs", connected),
            ("lastConnectedAtMs", came),
            ("lastDisconnectedAtMs", went.filter(|_| connected.is_none())),
            ("lastActiveAtMs", active.map(|(at, _)| at)),
            ("presenceUpdatedAtMs", active.map(|(_, at)| at)),
        ] {
            if let Some(at) = at {
                object = object.number(name, at);
            }
        }
        let alive = node.and_then(|node| node.alive.as_ref());
        let alive = alive.map(|(at, reason)| (*at, reason.as_str()));
        let noted = came.max(self.device.seen_ms).map(|at| (at, "connect"));
        if let Some((at, reason)) = [alive, noted]
            .into_iter()
            .flatten()
            .max_by_key(|(at, _)| *at)
        {
            object = object
                .number("lastSeenAtMs", at)
                .text("lastSeenReason", reason);
        }
        let approved = node.map_or(self.device.approved_ms, |node| node.approved_ms);
        object.number("approvedAtMs", approved)
    }
}

impl Node {
    /// Writes the node as the one who approved it is shown it.
    #[must_use]
    pub fn view(&self, seen_ms: Option<u64>) -> Object {
        let face = NodeFaceRef::from(&self.face);
        let name = self.label.as_deref().or(face.face.display_name.as_deref());
        let mut object = write_surface(
            face.write_in_requests(Object::new().text("nodeId", &self.id), name),
            &self.surface,
        )
        .maybe_text("remoteIp", self.remote_ip.as_deref())
        .number("createdAtMs", self.created_ms)
        .number("approvedAtMs", self.approved_ms);
        let alive = self.alive.as_ref().map(|(at, why)| (*at, why.as_str()));
        let seen = seen_ms.map(|at| (at, "connect"));
        if let Some((at, reason)) = [alive, seen]
            .into_iter()
            .flatten()
            .max_by_key(|(at, _)| *at)
        {
            object = object
                .number("lastSeenAtMs", at)
                .text("lastSeenReason", reason);
        }
        object
    }
}

impl Waiting {
    /// Writes the request.
    #[must_use]
    pub fn view(&self) -> Object {
        let face = NodeFaceRef::from(&self.face);
        let name = face.face.display_name.as_deref();
        let object = Object::new()
            .text("requestId", &self.id)
            .text("nodeId", &self.node_id);
        let needed = needed_to_approve(&self.surface.commands).iter();
        let mut object = face
            .write_in_requests(object, name)
            .texts("caps", &self.surface.caps)
            .texts("commands", &self.surface.commands)
            .texts("requiredApproveScopes", needed.map(|scope| scope.as_str()));
        object = write_permissions(object, "permissions", &self.surface.permissions)
            .maybe_text("remoteIp", self.remote_ip.as_deref());
        if self.is_silent {
            object = object.boolean("silent", true);
        }
        object.number("ts", self.created_ms)
    }
}

impl LegacyRequest {
    /// Writes the request.
    #[must_use]
    pub fn view(&self) -> Object {
        let wanted = &self.wanted;
        let object = Object::new()
            .text("requestId", &self.id)
            .text("nodeId", &wanted.node_id);
        let mut object = write_legacy(object, &wanted.face, &wanted.surface)
            .maybe_text("remoteIp", wanted.remote_ip.as_deref());
        if let Some(silent) = wanted.silent {
            object = object.boolean("silent", silent);
        }
        object
            .boolean("isRepair", self.is_repair)
            .number("ts", self.created_ms)
    }
}

impl Legacy {
    /// Writes the node, with its token for who has it already.
    #[must_use]
    pub fn view(&self, token: Option<&str>) -> Object {
        let object = Object::new()
            .text("nodeId", &self.id)
            .maybe_text("token", token);
        write_legacy(object, &self.face, &self.surface)
            .maybe_text("remoteIp", self.remote_ip.as_deref())
            .number("createdAtMs", self.created_ms)
            .number("approvedAtMs", self.approved_ms)
    }
}

impl NodeNotice {
    /// The event that tells operators of it.
    #[must_use]
    pub fn event(&self, now_ms: u64) -> (&'static str, Object) {
        match self {
            Self::Requested(waiting) => ("node.pair.requested", waiting.view()),
            Self::LegacyRequested(request) => ("node.pair.requested", request.view()),
            Self::Resolved {
                request_id,
                node_id,
                decision,
            } => (
                "node.pair.resolved",
                Object::new()
                    .text("requestId", request_id)
                    .text("nodeId", node_id)
                    .text("decision", decision)
                    .number("ts", now_ms),
            ),
        }
    }
}

/// Whether a device is a node.
#[must_use]
pub fn is_node(device: &Device) -> bool {
    device.granted(Role::Node).is_some()
}

#[derive(Clone, Copy)]
struct NodeFaceRef<'a> {
    face: &'a crate::pairing::Face,
    version: Option<&'a str>,
    core_version: Option<&'a str>,
    ui_version: Option<&'a str>,
    model_identifier: Option<&'a str>,
}

impl<'a> From<&'a NodeFace> for NodeFaceRef<'a> {
    fn from(face: &'a NodeFace) -> Self {
        Self {
            face: &face.face,
            version: face.version.as_deref(),
            core_version: face.core_version.as_deref(),
            ui_version: face.ui_version.as_deref(),
            model_identifier: face.model_identifier.as_deref(),
        }
    }
}

impl NodeFaceRef<'_> {
    /// In the order of the list of nodes.
    fn write(self, object: Object) -> Object {
        object
            .maybe_text("platform", some(&self.face.platform))
            .maybe_text("version", self.version)
            .maybe_text("coreVersion", self.core_version)
            .maybe_text("uiVersion", self.ui_version)
            .maybe_text("clientId", some(&self.face.client_id))
            .maybe_text("clientMode", some(&self.face.client_mode))
            .maybe_text("deviceFamily", self.face.device_family.as_deref())
            .maybe_text("modelIdentifier", self.model_identifier)
    }

    /// In the order of requests and of what came of them.
    fn write_in_requests(self, object: Object, name: Option<&str>) -> Object {
        object
            .maybe_text("clientId", some(&self.face.client_id))
            .maybe_text("clientMode", some(&self.face.client_mode))
            .maybe_text("displayName", name)
            .maybe_text("platform", some(&self.face.platform))
            .maybe_text("version", self.version)
            .maybe_text("coreVersion", self.core_version)
            .maybe_text("uiVersion", self.ui_version)
            .maybe_text("deviceFamily", self.face.device_family.as_deref())
            .maybe_text("modelIdentifier", self.model_identifier)
    }
}

fn write_legacy(object: Object, face: &NodeFace, surface: &Surface) -> Object {
    let face = NodeFaceRef::from(face);
    let name = face.face.display_name.as_deref();
    let mut object = face.write_in_requests(object, name);
    for (member, names) in [("caps", &surface.caps), ("commands", &surface.commands)] {
        if !names.is_empty() {
            object = object.texts(member, names);
        }
    }
    object
}

fn write_surface(object: Object, surface: &Surface) -> Object {
    let object = object
        .texts("caps", &surface.caps)
        .texts("commands", &surface.commands);
    write_permissions(object, "permissions", &surface.permissions)
}

fn write_permissions(object: Object, name: &str, permissions: &BTreeMap<String, bool>) -> Object {
    if permissions.is_empty() {
        return object;
    }
    let each = permissions.iter();
    let written = each.fold(Object::new(), |object, (name, granted)| {
        object.boolean(name, *granted)
    });
    object.object(name, written)
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
