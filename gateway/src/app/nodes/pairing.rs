//! What operators decide over nodes.

use std::collections::BTreeMap;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Scopes;
use openclaw_protocol_core::server::Call;
use openclaw_protocol_core::shape::{self, Kind, NAME, optional, required};
use openclaw_protocol_core::time::Now;
use serde::Deserialize;

use super::super::App;
use super::super::desk::{Decided, Errand, Spoken, too_much};
use crate::methods::NodeDecision;
use crate::nodes::{MAX_NAME, NodeFace, Surface, Wanted};
use crate::pairing::{Chance, Decision, Face, MAX_LABEL, Manager, Pairings};
use crate::params;

const OF_REQUEST: shape::Object = shape::Object {
    members: &[required("requestId", NAME)],
};
const OF_NODE: shape::Object = shape::Object {
    members: &[required("nodeId", NAME)],
};
const RENAME: shape::Object = shape::Object {
    members: &[required("nodeId", NAME), required("displayName", NAME)],
};
const VERIFY: shape::Object = shape::Object {
    members: &[required("nodeId", NAME), required("token", NAME)],
};
const SHORT: Kind = Kind::Text {
    min: 1,
    max: MAX_NAME,
};
const REQUEST: shape::Object = shape::Object {
    members: &[
        required("nodeId", SHORT),
        optional("displayName", SHORT),
        optional("platform", SHORT),
        optional("version", SHORT),
        optional("coreVersion", SHORT),
        optional("uiVersion", SHORT),
        optional("deviceFamily", SHORT),
        optional("modelIdentifier", SHORT),
        optional("caps", Kind::List(&NAME)),
        optional("commands", Kind::List(&NAME)),
        optional("remoteIp", SHORT),
        optional("silent", Kind::Boolean),
    ],
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfRequest {
    request_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfNode {
    node_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rename {
    node_id: String,
    display_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verify {
    node_id: String,
    token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    node_id: String,
    display_name: Option<String>,
    platform: Option<String>,
    version: Option<String>,
    core_version: Option<String>,
    ui_version: Option<String>,
    device_family: Option<String>,
    model_identifier: Option<String>,
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    commands: Vec<String>,
    remote_ip: Option<String>,
    silent: Option<bool>,
}

/// A change as it was asked for.
enum Asked {
    Approve(String),
    Reject(String),
    Remove(String),
    Rename(Rename),
    Request(Box<Wanted>),
}

/// Who asked, as it was when they did.
struct Asker {
    scopes: Scopes,
    token_of: Option<String>,
    /// Whether nodes that are no devices exist for them.
    is_legacy: bool,
}

impl App {
    /// Answers a request that changes something about nodes, once the change lasts.
    pub(super) fn change_nodes(
        &mut self,
        hub: &mut Hub,
        call: Call,
        decision: NodeDecision,
        params: Option<&Json>,
        now: Now,
    ) {
        let by = call.conn();
        let asker = match hub.session(by) {
            Some(session) if !self.desk.is_full() => Asker {
                scopes: session.scopes.clone(),
                token_of: self
                    .desk
                    .manager(by, &session.scopes)
                    .token_of
                    .map(str::to_owned),
                is_legacy: session.protocol < super::FIRST_WITH_APPROVAL,
            },
            _ => return hub.reply(call, Outcome::failure(too_much()), now),
        };
        match read(decision, params) {
            Ok(asked) => {
                let errand = errand(call, asked, asker);
                self.desk.decide(hub, Some(by), errand, now);
            }
            Err(error) => hub.reply(call, Outcome::failure(error), now),
        }
    }

    /// Looks whether a token is right for a node of protocol 3.
    pub(super) fn verify_node(&self, params: Option<&Json>) -> Result<Outcome, ErrorShape> {
        let asked: Verify = params::read("node.pair.verify", &VERIFY, params)?;
        let nodes = self.desk.pairings().nodes();
        let node = nodes.verify(&asked.node_id, &asked.token);
        let mut answer = Object::new().boolean("ok", node.is_some());
        if let Some(node) = node {
            answer = answer.object("node", node.view(Some(&asked.token)));
        }
        Ok(Outcome::success(answer))
    }
}

fn read(decision: NodeDecision, params: Option<&Json>) -> Result<Asked, ErrorShape> {
    let of_request = |name, params| {
        params::read(name, &OF_REQUEST, params).map(|request: OfRequest| request.request_id)
    };
    match decision {
        NodeDecision::Approve => of_request("node.pair.approve", params).map(Asked::Approve),
        NodeDecision::Reject => of_request("node.pair.reject", params).map(Asked::Reject),
        NodeDecision::Remove => params::read("node.pair.remove", &OF_NODE, params)
            .map(|node: OfNode| Asked::Remove(node.node_id)),
        NodeDecision::Rename => params::read("node.rename", &RENAME, params).map(Asked::Rename),
        NodeDecision::Request => {
            let request: Request = params::read("node.pair.request", &REQUEST, params)?;
            Ok(Asked::Request(Box::new(wanted(request)?)))
        }
    }
}

fn wanted(request: Request) -> Result<Wanted, ErrorShape> {
    let permissions = BTreeMap::new();
    let surface = Surface::read(
        "node.pair.request",
        &request.caps,
        &request.commands,
        &permissions,
    )?;
    Ok(Wanted {
        node_id: request.node_id.trim().to_owned(),
        face: NodeFace {
            face: Face {
                display_name: request.display_name,
                platform: request.platform.unwrap_or_default(),
                device_family: request.device_family,
                ..Face::default()
            },
            version: request.version,
            core_version: request.core_version,
            ui_version: request.ui_version,
            model_identifier: request.model_identifier,
        },
        surface,
        remote_ip: request.remote_ip,
        silent: request.silent,
    })
}

fn errand(call: Call, asked: Asked, asker: Asker) -> Errand {
    Box::new(move |pairings, chance, now| {
        let decided = decide(pairings, &asked, &asker, chance, now.unix_ms);
        match decided {
            Ok(decision) => decision.spoken(|payload| Spoken::Answer {
                call,
                outcome: Outcome::success(payload),
            }),
            Err(error) => Decided::refused(call, error),
        }
    })
}

fn decide(
    pairings: &Pairings,
    asked: &Asked,
    asker: &Asker,
    chance: &Chance,
    now_ms: u64,
) -> Result<Decision<Object>, ErrorShape> {
    let by = Manager {
        scopes: &asker.scopes,
        token_of: asker.token_of.as_deref(),
    };
    let nodes = pairings.nodes();
    let legacy = |id: &str| {
        let request = nodes.legacy_request(id);
        request.filter(|_| asker.is_legacy && by.own_only().is_none())
    };
    match asked {
        Asked::Approve(id) => match legacy(id) {
            Some(request) => pairings
                .approve_legacy(request, chance, now_ms)
                .map(|decision| {
                    decision.map(|verified| {
                        let token = Some(verified.token.as_str());
                        of_request(id).object("node", verified.node.view(token))
                    })
                }),
            None => pairings.approve_node(id, by, now_ms).map(|decision| {
                decision.map(|node| {
                    let device = pairings.device(&node.id);
                    let seen = device.and_then(|device| device.seen_ms);
                    of_request(id).object("node", node.view(seen))
                })
            }),
        },
        Asked::Reject(id) => {
            let decision = match legacy(id) {
                Some(request) => nodes.reject_legacy(request),
                None => pairings.reject_node(id, by)?,
            };
            Ok(decision.map(|node_id| of_request(id).text("nodeId", &node_id)))
        }
        Asked::Remove(id) => {
            let decision = pairings.remove_node(id, by)?;
            Ok(decision.map(|node_id| Object::new().text("nodeId", &node_id)))
        }
        Asked::Rename(Rename {
            node_id,
            display_name,
        }) => {
            let is_known = nodes.node(node_id.trim()).is_some();
            let other = asker.is_legacy && by.own_only().is_none() && !is_known;
            let name = display_name.trim();
            let fits = !name.is_empty() && name.chars().count() <= MAX_LABEL;
            let renamed = (other && fits)
                .then(|| nodes.rename_legacy(node_id, name))
                .flatten();
            let view = |node_id: &str, name: &str| {
                Object::new()
                    .text("nodeId", node_id)
                    .text("displayName", name)
            };
            match renamed {
                Some(decision) => Ok(decision.map(|()| view(node_id.trim(), name))),
                None => pairings
                    .rename_node(node_id, display_name, by)
                    .map(|decision| decision.map(|renamed| view(&renamed.node_id, &renamed.name))),
            }
        }
        Asked::Request(wanted) => {
            if wanted.node_id.is_empty() {
                return Err(ErrorShape::invalid_request("nodeId required"));
            }
            let decision = nodes.ask((**wanted).clone(), chance, now_ms);
            Ok(decision.map(|(request, is_new)| {
                Object::new()
                    .text("status", "pending")
                    .object("request", request.view())
                    .boolean("created", is_new)
            }))
        }
    }
}

fn of_request(id: &str) -> Object {
    Object::new().text("requestId", id.trim())
}
