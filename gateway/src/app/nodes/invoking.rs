//! `node.invoke`, and what nodes answer to it.

use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Scope;
use openclaw_protocol_core::server::{Call, ConnId, Delivery};
use openclaw_protocol_core::shape::{self, COUNT, Kind, NAME, TEXT, optional, required};
use openclaw_protocol_core::time::Now;
use openclaw_runtime_smol::random;
use serde::Deserialize;
use serde_json::Value;

use super::super::desk::{Decided, Spoken};
use super::super::{App, Command};
use super::invokes::{Due, Ended, Invoke, failed};
use super::outcome::{Answer, Failed};
use super::{Fleet, pairing_changed, tell};
use crate::nodes::policy::{is_for_admins, never_invoked};
use crate::nodes::{Action, Nodes, Platform};
use crate::params::{self, Whole};

const METHOD: &str = "node.invoke";
/// How long a node has where nobody says how long.
const USUAL: Duration = Duration::from_secs(30);
/// The longest time that is waited for a node.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// The longest part of an output that is told at once, in characters and in bytes.
const MAX_CHUNK: usize = 16_384;
/// The size from which on an answer is read away from the owner's task, in bytes.
const LARGE: usize = 64 << 10;

const INVOKE: shape::Object = shape::Object {
    members: &[
        required("nodeId", NAME),
        required("command", NAME),
        optional("params", Kind::Any),
        optional("timeoutMs", COUNT),
        required("idempotencyKey", NAME),
        optional("sessionKey", NAME),
        optional("turnSourceChannel", TEXT),
        optional("turnSourceTo", TEXT),
        optional("turnSourceAccountId", TEXT),
        optional("turnSourceThreadId", Kind::Any),
    ],
};
const PROGRESS: shape::Object = shape::Object {
    members: &[
        required("invokeId", NAME),
        required("nodeId", NAME),
        required("seq", COUNT),
        required(
            "chunk",
            Kind::Text {
                min: 0,
                max: MAX_CHUNK,
            },
        ),
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    invoke_id: String,
    node_id: String,
    chunk: String,
}

/// The parameters of a command as they were written.
#[derive(Deserialize)]
struct OfCommand {
    params: Option<Box<serde_json::value::RawValue>>,
}

impl App {
    /// Asks a node to do something.
    pub(super) fn invoke(&mut self, hub: &mut Hub, call: Call, params: Option<&Json>, now: Now) {
        match self.prepare(hub, call.conn(), params, now) {
            Ok(prepared) => {
                let (node, asked, params_json, deadline) = prepared;
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

    #[expect(
        clippy::type_complexity,
        reason = "taken apart at once by its only caller"
    )]
    fn prepare(
        &self,
        hub: &Hub,
        caller: ConnId,
        params: Option<&Json>,
        now: Now,
    ) -> Result<
        (
            ConnId,
            Asked,
            Option<Json>,
            Option<openclaw_protocol_core::time::Instant>,
        ),
        ErrorShape,
    > {
        let mut asked: Asked = params::read(METHOD, &INVOKE, params)?;
        asked.node_id = asked.node_id.trim().to_owned();
        asked.command = asked.command.trim().to_owned();
        if asked.node_id.is_empty() || asked.command.is_empty() {
            return Err(ErrorShape::invalid_request("nodeId and command required"));
        }
        if let Some(refusal) = never_invoked(&asked.command) {
            return Err(refusal);
        }
        let is_admin = hub
            .session(caller)
            .is_some_and(|session| session.scopes.allow(Scope::Admin));
        if is_for_admins(&asked.command) && !is_admin {
            return Err(ErrorShape::missing_scope(Scope::Admin.as_str()));
        }
        let nodes = self.desk.pairings().nodes();
        let (node, attached) = self.fleet.route(nodes, &asked.node_id)?;
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
        Ok((node, asked, params_json, deadline))
    }

    /// A node answers.
    pub(super) fn take_result(
        &mut self,
        hub: &mut Hub,
        call: Call,
        params: Option<&Json>,
        now: Now,
    ) {
        if params.is_none_or(|params| params.len() <= LARGE) {
            return self.answered(hub, call, Answer::read(params), now);
        }
        let params = params.cloned();
        let handle = self.fleet.handle.clone();
        let reading = async move {
            let answer = smol::unblock(move || Answer::read(params.as_ref())).await;
            let answer = Box::new(answer);
            let _ = handle.send(Command::NodeAnswered { call, answer }).await;
        };
        self.fleet.executor.spawn(reading).detach();
    }

    /// What a node answers was read.
    pub(in crate::app) fn answered(
        &mut self,
        hub: &mut Hub,
        call: Call,
        answer: Result<Answer, ErrorShape>,
        now: Now,
    ) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return hub.reply(call, Outcome::failure(error), now),
        };
        let conn = call.conn();
        let Some(attached) = self.fleet.attached.get(&conn) else {
            return hub.reply(call, ignored(), now);
        };
        if attached.node_id != answer.node_id.trim() {
            let error = ErrorShape::invalid_request("nodeId mismatch");
            return hub.reply(call, Outcome::failure(error), now);
        }
        let Some(invoke) = self.fleet.invokes.take(&answer.id, conn) else {
            return hub.reply(call, ignored(), now);
        };
        let received = Object::new().boolean("ok", true);
        hub.reply(call, Outcome::success(received), now);
        match answer.result {
            Ok(returned) => {
                let mut payload = Object::new()
                    .boolean("ok", true)
                    .text("nodeId", &invoke.node_id)
                    .text("command", &invoke.command);
                if let Some(returned) = &returned.payload {
                    payload = payload.json("payload", returned);
                }
                let written = returned.written.unwrap_or_else(Json::null);
                payload = payload.json("payloadJSON", &written);
                hub.reply(invoke.call, Outcome::success(payload), now);
            }
            Err(failed) => self.command_failed(hub, answer.id, invoke, &failed, now),
        }
    }

    /// A node could not do what it was asked.
    fn command_failed(
        &mut self,
        hub: &mut Hub,
        id: String,
        invoke: Invoke,
        why: &Failed,
        now: Now,
    ) {
        let invoke = if why.code.as_deref() == Some("NODE_NOT_READY") {
            if invoke.progressed {
                let outcome = Ended::LostReadiness.outcome(&invoke.command);
                return hub.reply(invoke.call, outcome, now);
            }
            match self.fleet.invokes.put_off(id, invoke, now.at) {
                Some(invoke) => invoke,
                None => return,
            }
        } else {
            invoke
        };
        let mut error = Object::new();
        for (name, text) in [("code", &why.code), ("message", &why.message)] {
            error = error.maybe_text(name, text.as_deref());
        }
        let error = match why.is_told {
            true => error.finish(),
            false => Json::null(),
        };
        if self.waits_for_foreground(&invoke, why) && !self.desk.is_full() {
            return self.put_off(hub, invoke, error, now);
        }
        let outcome = failed(why.code.as_deref(), why.message.as_deref(), &error, true);
        hub.reply(invoke.call, outcome, now);
    }

    /// Whether a command failed only because its node is in the background, and can be done once it is back.
    fn waits_for_foreground(&self, invoke: &Invoke, why: &Failed) -> bool {
        let in_background = why.code.as_deref() == Some("NODE_BACKGROUND_UNAVAILABLE")
            || why
                .message
                .as_deref()
                .is_some_and(|message| message.contains("BACKGROUND_UNAVAILABLE"));
        let platform = self
            .fleet
            .attached
            .get(&invoke.node)
            .map(|attached| attached.newcomer.platform);
        let needs_it = ["camera.", "screen.", "talk."]
            .iter()
            .any(|family| invoke.command.starts_with(family));
        in_background && needs_it && platform == Some(Platform::Ios)
    }

    fn put_off(&mut self, hub: &mut Hub, invoke: Invoke, error: Json, now: Now) {
        let by = invoke.call.conn();
        let errand = move |pairings: &crate::pairing::Pairings,
                           chance: &crate::pairing::Chance,
                           now: Now| {
            let nodes = pairings.nodes();
            if nodes.node(&invoke.node_id).is_none() {
                let error = pairing_changed("node pairing changed while invocation was active");
                return Decided::refused(invoke.call, error);
            }
            let action = Action {
                id: chance.request_id.clone(),
                node_id: invoke.node_id.clone(),
                command: invoke.command.clone(),
                params_json: invoke
                    .params_json
                    .as_ref()
                    .map(|params| params.as_str().to_owned()),
                key: invoke.key,
                queued_ms: now.unix_ms,
            };
            let call = invoke.call;
            nodes
                .put_off(action, now.unix_ms)
                .spoken(|id| Spoken::Answer {
                    call,
                    outcome: Outcome::failure(queued(
                        &id,
                        &invoke.node_id,
                        &invoke.command,
                        &error,
                    )),
                })
        };
        self.desk.decide(hub, Some(by), Box::new(errand), now);
    }

    /// A node tells a part of what a command says.
    pub(super) fn take_progress(
        &mut self,
        conn: ConnId,
        params: Option<&Json>,
    ) -> Result<Outcome, ErrorShape> {
        let progress: Progress = params::read("node.invoke.progress", &PROGRESS, params)?;
        if progress.chunk.len() > MAX_CHUNK {
            return Err(ErrorShape::invalid_request("progress chunk too large"));
        }
        let attached = self.fleet.attached.get(&conn);
        if attached.is_some_and(|attached| attached.node_id != progress.node_id.trim()) {
            return Err(ErrorShape::invalid_request("nodeId mismatch"));
        }
        self.fleet.invokes.progress(&progress.invoke_id, conn);
        // Nobody who asks hears of parts; that there was one is all that counts.
        Ok(ignored())
    }
}

impl Fleet {
    /// Where a node is reached.
    fn route(
        &self,
        nodes: &Nodes,
        node_id: &str,
    ) -> Result<(ConnId, &super::Attached), ErrorShape> {
        let current = self.current(node_id);
        if let Some((conn, attached)) = current
            && self.approved(nodes, conn).is_some()
        {
            return Ok((conn, attached));
        }
        if current.is_none() && nodes.node(node_id).is_some() {
            let error = Object::new()
                .text("code", "NOT_CONNECTED")
                .text("message", "node not connected");
            return Err(ErrorShape::unavailable("node not connected").with_details(
                Object::new()
                    .text("code", "NOT_CONNECTED")
                    .object("nodeError", error)
                    .boolean("nodeCommandDispatched", false),
            ));
        }
        Err(pairing_changed(
            "node pairing changed while invocation was active",
        ))
    }

    fn check(
        &self,
        nodes: &Nodes,
        attached: &super::Attached,
        command: &str,
    ) -> Result<(), crate::nodes::policy::Barred> {
        self.policy.check(
            command,
            &attached.effective(nodes),
            &attached.newcomer.surface,
            attached.newcomer.platform,
            attached.family(),
        )
    }

    /// Whether a command may be invoked on a node now.
    pub(super) fn may_invoke(&self, nodes: &Nodes, node_id: &str, command: &str) -> bool {
        let current = self.current(node_id);
        current.is_some_and(|(_, attached)| self.check(nodes, attached, command).is_ok())
    }

    /// Asks a node, under a new name each time.
    pub(super) fn dispatch(&mut self, hub: &mut Hub, invoke: Invoke, now: Now) {
        let id = match random::uuid() {
            Ok(id) => id,
            Err(error) => {
                log::error!("nodes: no random numbers to be had: {error}");
                let outcome = Ended::Unsent.outcome(&invoke.command);
                return hub.reply(invoke.call, outcome, now);
            }
        };
        let left = invoke.deadline.map_or(0, |deadline| {
            let left = deadline.since(now.at).as_micros().div_ceil(1_000);
            u64::try_from(left).unwrap_or(u64::MAX)
        });
        let mut payload = Object::new()
            .text("id", &id)
            .text("nodeId", &invoke.node_id)
            .text("command", &invoke.command);
        payload = match &invoke.params_json {
            Some(params) => payload.text("paramsJSON", params.as_str()),
            None => payload.json("paramsJSON", &Json::null()),
        };
        payload = payload
            .number("timeoutMs", left)
            .text("idempotencyKey", &invoke.key)
            .maybe_text("sessionKey", invoke.session_key.as_deref());
        match tell(hub, invoke.node, "node.invoke.request", payload, now) {
            Delivery::Queued => {
                if invoke.command == "system.run"
                    && let Some(attached) = self.attached.get_mut(&invoke.node)
                {
                    let until = invoke.deadline.unwrap_or(now.at + LONGEST);
                    attached.running.begin(&invoke, until);
                }
                self.invokes.put(id, invoke);
            }
            _ => hub.reply(invoke.call, Ended::Unsent.outcome(&invoke.command), now),
        }
    }

    pub(in crate::app) fn handle_timeout(&mut self, hub: &mut Hub, now: Now) {
        for due in self.invokes.due(now.at) {
            match due {
                Due::Again(invoke) => self.dispatch(hub, invoke, now),
                Due::TimedOut(id, invoke) => {
                    self.cancel(hub, invoke.node, &id, now);
                    let outcome = Ended::TimedOut.outcome(&invoke.command);
                    hub.reply(invoke.call, outcome, now);
                }
            }
        }
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
    let raw: Option<OfCommand> = params.and_then(|params| params.read().ok());
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

fn queued(id: &str, node_id: &str, command: &str, error: &Json) -> ErrorShape {
    let wake = Object::new()
        .text("path", "no-registration")
        .boolean("available", false)
        .boolean("throttled", false);
    ErrorShape::unavailable("node command queued until iOS returns to foreground")
        .retryable_after(None)
        .with_details(
            Object::new()
                .text("code", "QUEUED_UNTIL_FOREGROUND")
                .text("queuedActionId", id)
                .text("nodeId", node_id)
                .text("command", command)
                .object("wake", wake)
                .json("nodeError", error),
        )
}

fn ignored() -> Outcome {
    Outcome::success(Object::new().boolean("ok", true).boolean("ignored", true))
}
