//! Answers requests, or hands them to whoever does.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::inbound::Request;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::{Hub, Row};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Scope;
use openclaw_protocol_core::server::Call;
use openclaw_protocol_core::shape::{self, COUNT, Kind, NAME, optional, required};
use openclaw_protocol_core::time::Now;
use serde::Deserialize;

use super::App;
use crate::methods::{self, Method};
use crate::params;

const EVENT_TEXT: Kind = Kind::Text { min: 1, max: 1024 };
const EVENT_NAMES: Kind = Kind::List(&EVENT_NAME);
const EVENT_NAME: Kind = Kind::Text { min: 1, max: 128 };
const SYSTEM_EVENT: shape::Object = shape::Object {
    members: &[
        required("text", EVENT_TEXT),
        optional("deviceId", EVENT_NAME),
        optional("instanceId", EVENT_NAME),
        optional("host", EVENT_NAME),
        optional("ip", EVENT_NAME),
        optional("mode", EVENT_NAME),
        optional("version", EVENT_NAME),
        optional("platform", EVENT_NAME),
        optional("deviceFamily", EVENT_NAME),
        optional("modelIdentifier", EVENT_NAME),
        optional("lastInputSeconds", COUNT),
        optional("reason", EVENT_NAME),
        optional("roles", EVENT_NAMES),
        optional("scopes", EVENT_NAMES),
        optional("tags", EVENT_NAMES),
    ],
};
/// The most roles, scopes or tags of one beacon.
const MAX_NAMES: usize = 32;

const RUN_ID: Kind = Kind::Text { min: 1, max: 1024 };
const AGENT_WAIT: shape::Object = shape::Object {
    members: &[required("runId", RUN_ID), optional("timeoutMs", COUNT)],
};

const CHAT_ABORT: shape::Object = shape::Object {
    members: &[
        required("sessionKey", NAME),
        optional("agentId", NAME),
        optional("runId", NAME),
        optional("preserveSideRuns", Kind::Boolean),
    ],
};

impl App {
    /// Answers one request.
    pub(super) fn dispatch(&mut self, hub: &mut Hub, call: Call, request: Request, now: Now) {
        let Some(session) = hub.session(call.conn()) else {
            return hub.reply(
                call,
                Outcome::failure(ErrorShape::unavailable("closing")),
                now,
            );
        };
        let row = match methods::authorize(&request.method, session) {
            Ok(row) => row,
            Err(error) => return hub.reply(call, Outcome::failure(error), now),
        };
        if request.expected_profile_id.is_some() {
            return hub.reply(call, Outcome::failure(profile_mismatch()), now);
        }
        let reads = session.scopes.allow(Scope::Read);
        let principal = session.principal.clone();
        let params = request.params.as_ref();
        if row.reads_params() && params.is_some_and(|params| params.len() > row.max_params) {
            let error = params::too_large(row.name, row.max_params);
            return hub.reply(call, Outcome::failure(error), now);
        }
        let outcome = match row.method {
            Method::Health => Ok(Outcome::success(hub.health(reads).clone())),
            Method::Status => Ok(Outcome::success(self.status(hub, now))),
            Method::SystemPresence => return hub.reply_presence(call, now),
            Method::SystemEvent => system_event(hub, params, now),
            Method::ChatAbort => self.chat_abort(hub, params, now),
            Method::LastHeartbeat => Ok(Outcome::success(self.heartbeats.last().clone())),
            Method::SetHeartbeats => self.heartbeats.switch(hub, params, now),
            Method::AgentWait => {
                return match params::read::<AgentWait>("agent.wait", &AGENT_WAIT, params) {
                    Ok(wait) => self
                        .runs
                        .wait(hub, call, &wait.run_id, wait.timeout_ms, now),
                    Err(error) => hub.reply(call, Outcome::failure(error), now),
                };
            }
            Method::GatewayIdentity | Method::DeviceList => {
                let manager = self.desk.manager(call.conn(), &session.scopes);
                let own = manager.own_only().map(str::to_owned);
                self.read_devices(row.method, own.as_deref(), params, now)
            }
            Method::SetupCode => return self.open_setup(hub, call, params, now),
            Method::Device(method) => {
                return self.change_devices(hub, call, method, params, now);
            }
            Method::Node(method) => {
                return self.serve_nodes(hub, call, method, params, now);
            }
            Method::Agent => return self.runs.request(hub, call, &principal, params, now),
        };
        let outcome = outcome.unwrap_or_else(Outcome::failure);
        hub.reply(call, outcome, now);
    }

    fn status(&self, hub: &Hub, now: Now) -> Json {
        let (running, queued) = self.runs.count();
        Object::new()
            .text("runtimeVersion", self.version)
            .number("uptimeMs", now.at.since(self.started).as_millis() as u64)
            .number("pid", std::process::id().into())
            .texts("channelSummary", [""; 0])
            .texts("queuedSystemEvents", [""; 0])
            .object(
                "connections",
                Object::new()
                    .number("admitted", hub.admitted() as u64)
                    .number("sockets", hub.connections() as u64)
                    .number("left", self.closes.left())
                    .array("closed", &self.closes.by_cause()),
            )
            .object(
                "runs",
                Object::new()
                    .number("running", running as u64)
                    .number("queued", queued as u64),
            )
            .object(
                "sessions",
                Object::new().number("count", self.runs.sessions() as u64),
            )
            .finish()
    }

    fn chat_abort(
        &mut self,
        hub: &mut Hub,
        params: Option<&Json>,
        now: Now,
    ) -> Result<Outcome, ErrorShape> {
        let abort: ChatAbort = params::read("chat.abort", &CHAT_ABORT, params)?;
        let session = params::session_key(
            "chat.abort",
            Some(&abort.session_key),
            abort.agent_id.as_deref(),
        )?;
        let aborted = self.runs.abort(hub, &session, abort.run_id.as_deref(), now);
        Ok(Outcome::success(
            Object::new()
                .boolean("ok", true)
                .boolean("aborted", !aborted.is_empty())
                .texts("runIds", &aborted),
        ))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentWait {
    run_id: String,
    timeout_ms: Option<params::Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChatAbort {
    session_key: String,
    agent_id: Option<String>,
    run_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SystemEvent {
    text: String,
    device_id: Option<String>,
    instance_id: Option<String>,
    host: Option<String>,
    ip: Option<String>,
    mode: Option<String>,
    version: Option<String>,
    platform: Option<String>,
    device_family: Option<String>,
    model_identifier: Option<String>,
    last_input_seconds: Option<params::Whole>,
    reason: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
}

fn system_event(hub: &mut Hub, params: Option<&Json>, now: Now) -> Result<Outcome, ErrorShape> {
    let event: SystemEvent = params::read("system-event", &SYSTEM_EVENT, params)?;
    for (name, values) in [
        ("roles", &event.roles),
        ("scopes", &event.scopes),
        ("tags", &event.tags),
    ] {
        if values.len() > MAX_NAMES {
            return Err(ErrorShape::invalid_request(format!(
                "invalid system-event params: at /{name}: must not have more than {MAX_NAMES} items"
            )));
        }
    }
    let row = Row {
        host: event.host,
        ip: event.ip,
        version: event.version,
        platform: event.platform,
        device_family: event.device_family,
        model_identifier: event.model_identifier,
        mode: event.mode,
        // Who speaks is not for clients to say.
        user: None,
        last_input_seconds: event.last_input_seconds.map(params::Whole::get),
        reason: event.reason,
        tags: event.tags,
        text: Some(event.text),
        device_id: event.device_id,
        roles: event.roles,
        scopes: event.scopes,
        instance_id: event.instance_id,
        online_since: None,
    };
    hub.announce(row, now);
    Ok(Outcome::success(Object::new().boolean("ok", true)))
}

fn profile_mismatch() -> ErrorShape {
    ErrorShape::invalid_request(
        "Selected account changed or is unavailable. Select the account again before retrying.",
    )
    .with_details(
        Object::new()
            .text("reason", "EXPECTED_PROFILE_MISMATCH")
            .text("execution", "not_started"),
    )
}
