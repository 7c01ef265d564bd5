//! Which nodes there are.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Scope;
use openclaw_protocol_core::server::ConnId;
use openclaw_protocol_core::shape::{self, NAME, required};
use openclaw_protocol_core::time::Now;
use serde::Deserialize;

use super::super::App;
use crate::methods::NodeLook;
use crate::nodes::{Entry, is_node};
use crate::pairing::Device;
use crate::params;

const NOTHING: shape::Object = shape::Object { members: &[] };
const NODE: shape::Object = shape::Object {
    members: &[required("nodeId", NAME)],
};

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfNode {
    node_id: String,
}

/// What a caller may see of what waits.
struct Sight {
    /// Everything of everybody.
    all: bool,
    /// Their own device's.
    own: Option<String>,
}

impl Sight {
    fn shows(&self, node_id: &str) -> bool {
        self.all || self.own.as_deref() == Some(node_id)
    }
}

impl App {
    pub(super) fn list_nodes(
        &self,
        hub: &Hub,
        conn: ConnId,
        look: NodeLook,
        params: Option<&Json>,
        now: Now,
    ) -> Result<Outcome, ErrorShape> {
        let session = hub
            .session(conn)
            .ok_or_else(|| ErrorShape::unavailable("closing"))?;
        let manager = self.desk.manager(conn, &session.scopes);
        let may_pair = session.scopes.allow(Scope::Pairing);
        let sight = Sight {
            all: may_pair && manager.own_only().is_none(),
            own: self.desk.device_of(conn).map(str::to_owned),
        };
        match look {
            NodeLook::Describe => {
                let asked: OfNode = params::read("node.describe", &NODE, params)?;
                let device = self.desk.pairings().device(asked.node_id.trim());
                let device = device
                    .filter(|device| is_node(device))
                    .ok_or_else(|| ErrorShape::invalid_request("unknown nodeId"))?;
                let object = Object::new().number("ts", now.unix_ms);
                let active = self.fleet.active();
                Ok(Outcome::success(self.entry(
                    device,
                    &sight,
                    active,
                    |entry| entry.write(object),
                )))
            }
            NodeLook::PairList => {
                let _: Nothing = params::read("node.pair.list", &NOTHING, params)?;
                let own = manager.own_only().map(str::to_owned);
                Ok(Outcome::success(
                    self.pair_list(own.as_deref(), session.protocol),
                ))
            }
            NodeLook::List => {
                let _: Nothing = params::read("node.list", &NOTHING, params)?;
                Ok(Outcome::success(self.node_list(&sight, now)))
            }
        }
    }

    fn node_list(&self, sight: &Sight, now: Now) -> Object {
        let active = self.fleet.active();
        let devices = self.desk.pairings().devices();
        let mut entries: Vec<(bool, String, Json)> = devices
            .filter(|device| is_node(device))
            .map(|device| {
                self.entry(device, sight, active, |entry| {
                    (
                        entry.presence.is_none(),
                        entry.name().to_lowercase(),
                        entry.write(Object::new()).finish(),
                    )
                })
            })
            .collect();
        // Devices come by their ids: what is equal stays in that order.
        entries.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        Object::new()
            .number("ts", now.unix_ms)
            .maybe_text("activeNodeId", active)
            .array("nodes", entries.iter().map(|(.., json)| json))
    }

    fn entry<T>(
        &self,
        device: &Device,
        sight: &Sight,
        active: Option<&str>,
        show: impl FnOnce(&Entry<'_>) -> T,
    ) -> T {
        let (presence, surface) = self.presence_of(&device.id).unzip();
        show(&Entry {
            device,
            nodes: self.desk.pairings().nodes(),
            presence,
            surface: &surface.unwrap_or_default(),
            seen: self.fleet.seen.get(&device.id),
            shows_pending: sight.shows(&device.id),
            is_active: active == Some(&device.id),
        })
    }

    fn pair_list(&self, own: Option<&str>, protocol: u32) -> Object {
        let pairings = self.desk.pairings();
        let nodes = pairings.nodes();
        let visible = |id: &str| own.is_none_or(|own| own == id);
        let mut pending: Vec<Json> = nodes
            .requests()
            .into_iter()
            .filter(|waiting| visible(&waiting.node_id))
            .map(|waiting| waiting.view().finish())
            .collect();
        let mut approved: Vec<_> = nodes.nodes().filter(|node| visible(&node.id)).collect();
        approved.sort_by_key(|node| std::cmp::Reverse(node.approved_ms));
        let mut paired: Vec<Json> = approved
            .into_iter()
            .map(|node| {
                let device = pairings.device(&node.id);
                let seen = device.and_then(|device| device.seen_ms);
                node.view(seen).finish()
            })
            .collect();
        if protocol < super::FIRST_WITH_APPROVAL && own.is_none() {
            let requests = nodes.legacy_requests().into_iter();
            pending.extend(requests.map(|request| request.view().finish()));
            paired.extend(nodes.legacy().map(|node| node.view(None).finish()));
        }
        Object::new()
            .array("pending", &pending)
            .array("paired", &paired)
    }
}
