//! `node.invoke`: what is asked of nodes.

use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::MAX_IDENTIFIER;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Scope;
use openclaw_protocol_core::server::{Call, ConnId};
use openclaw_protocol_core::shape::{self, COUNT, Kind, NAME, TEXT, optional, required};
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::random;
use serde::Deserialize;
use serde_json::Value;

use super::super::App;
use super::invokes::Invoke;
use super::{FIRST_WITH_APPROVAL, LONGEST};
use crate::nodes::policy::{is_for_admins, never_invoked};
use crate::params::{self, Whole};

const METHOD: &str = "node.invoke";
/// How long a node has where nobody says how long.
const USUAL: Duration = Duration::from_secs(30);

/// What names a request or a session.
const KEY: Kind = Kind::Text {
    min: 1,
    max: MAX_IDENTIFIER,
};
const INVOKE: shape::Object = shape::Object {
    members: &[
        required("nodeId", NAME),
        required("command", NAME),
        optional("params", Kind::Any),
        optional("timeoutMs", COUNT),
        required("idempotencyKey", KEY),
        optional("sessionKey", KEY),
        optional("turnSourceChannel", TEXT),
        optional("turnSourceTo", TEXT),
        optional("turnSourceAccountId", TEXT),
        optional("turnSourceThreadId", Kind::Any),
    ],
};
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    node_id: String,
    command: String,
    timeout_ms: Option<Whole>,
    idempotency_key: String,
    session_key: Option<String>,
}

/// The parameters of a command as they were written.
#[derive(Deserialize)]
struct OfCommand {
    params: Option<Box<serde_json::value::RawValue>>,
}

/// What is asked of which node.
struct Prepared {
    node: ConnId,
    asked: Asked,
    params_json: Option<Json>,
    /// When nobody waits any more.
    deadline: Option<Instant>,
}

impl App {
    /// Asks a node to do something.
    pub(super) fn invoke(&mut self, hub: &mut Hub, call: Call, params: Option<&Json>, now: Now) {
        match self.prepare(hub, call.conn(), params, now) {
            Ok(Prepared {
                node,
                asked,
                params_json,
                deadline,
            }) => {
                let mut invoke = Invoke::new(
                    call,
                    node,
                    asked.node_id,
                    asked.command,
                    asked.idempotency_key,
                    deadline,
                );
                invoke.params_json = params_json;
                invoke.session_key = asked.session_key;
                self.fleet.dispatch(hub, invoke, now);
            }
            Err(error) => hub.reply(call, Outcome::failure(error), now),
        }
    }

    fn prepare(
        &self,
        hub: &Hub,
        caller: ConnId,
        params: Option<&Json>,
        now: Now,
    ) -> Result<Prepared, ErrorShape> {
        let mut asked: Asked = params::read(METHOD, &INVOKE, params)?;
        asked.node_id = asked.node_id.trim().to_owned();
        asked.command = asked.command.trim().to_owned();
        if asked.node_id.is_empty() || asked.command.is_empty() {
            return Err(ErrorShape::invalid_request("nodeId and command required"));
        }
        if let Some(refusal) = never_invoked(&asked.command) {
            return Err(refusal);
        }
        let session = hub.session(caller);
        let is_admin = session.is_some_and(|session| session.scopes.allow(Scope::Admin));
        let is_legacy = session.is_some_and(|session| session.protocol < FIRST_WITH_APPROVAL);
        if is_for_admins(&asked.command) && !is_admin {
            return Err(ErrorShape::missing_scope(Scope::Admin.as_str()));
        }
        let pairings = self.desk.pairings();
        let nodes = pairings.nodes();
        let (node, attached) = self.fleet.route(pairings, &asked.node_id, is_legacy)?;
        let shown = &attached.newcomer.face.face.platform;
        self.fleet
            .check(nodes, attached, &asked.command)
            .map_err(|barred| self.fleet.policy.refusal(barred, &asked.command, shown))?;
        let params_json = command_params(&asked.command, params, attached.newcomer.is_legacy)?;
        if self.fleet.draining {
            return Err(
                ErrorShape::unavailable("Gateway is draining; new tasks are not accepted")
                    .retryable_after(None),
            );
        }
        if !self.fleet.invokes.has_room(node) {
            return Err(ErrorShape::unavailable(
                "too many commands wait for this node, or for all nodes; retry shortly",
            )
            .retryable_after(Some(1_000)));
        }
        let deadline = match asked.timeout_ms.map(Whole::get) {
            None => Some(now.at + USUAL),
            Some(0) => None,
            Some(ms) => Some(now.at + Duration::from_millis(ms).min(LONGEST)),
        };
        Ok(Prepared {
            node,
            asked,
            params_json,
            deadline,
        })
    }
}

/// What is handed on to programs that a node runs; the rest decides over approvals and is not for who asks.
const OF_RUNS: [&str; 11] = [
    "command",
    "rawCommand",
    "systemRunPlan",
    "cwd",
    "env",
    "timeoutMs",
    "needsScreenRecording",
    "agentId",
    "sessionKey",
    "runId",
    "suppressNotifyOnExit",
];
const OVERRIDES: [&str; 3] = ["approved", "approvalDecision", "approvalSource"];

/// The parameters of a command as its node gets them.
fn command_params(
    command: &str,
    params: Option<&Json>,
    is_legacy: bool,
) -> Result<Option<Json>, ErrorShape> {
    let unreadable = |_| params::invalid(METHOD, &shape::Finding::unreadable("params"));
    let raw: Option<OfCommand> = params.map(Json::read).transpose().map_err(unreadable)?;
    let raw = raw.and_then(|of| of.params);
    let Some(raw) = raw.and_then(|raw| Json::parse(raw.get().to_owned()).ok()) else {
        return Ok(None);
    };
    if command != "system.run" {
        return Ok(Some(raw));
    }
    let Ok(Value::Object(members)) = raw.read::<Value>() else {
        return Ok(Some(raw));
    };
    if OVERRIDES.iter().any(|name| members.contains_key(*name)) {
        return Err(no_override(members.contains_key("runId")));
    }
    let mut handed = Object::new();
    for name in OF_RUNS {
        if let Some(value) = members.get(name)
            && let Ok(value) = Json::of(value)
        {
            handed = handed.json(name, &value);
        }
    }
    if !is_legacy && !members.contains_key("runId") {
        let id = random::uuid()
            .map_err(|_| ErrorShape::unavailable("no random numbers to name the run with"))?;
        handed = handed.text("runId", &id);
    }
    Ok(Some(handed.finish()))
}

/// Nobody approves what programs a node runs but the node itself.
fn no_override(has_run: bool) -> ErrorShape {
    let (code, message) = if has_run {
        ("UNKNOWN_APPROVAL_ID", "unknown or expired approval id")
    } else {
        ("MISSING_RUN_ID", "approval override requires params.runId")
    };
    ErrorShape::invalid_request(message).with_details(Object::new().text("code", code))
}
