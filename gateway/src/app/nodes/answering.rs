//! What nodes answer to what they were asked.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::server::{Call, ConnId};
use openclaw_protocol_core::shape::{self, COUNT, Kind, NAME, required};
use openclaw_protocol_core::time::Now;
use serde::Deserialize;

use super::super::App;
use super::super::desk::{Decided, Spoken};
use super::invokes::{Ended, Invoke, failed};
use super::outcome::{Answer, Failed};
use super::pairing_changed;
use crate::nodes::{Action, Platform};
use crate::pairing::{Chance, Pairings};
use crate::params;

/// The longest part of an output that is told at once, in characters and in bytes.
const MAX_CHUNK: usize = 16_384;
/// The size from which on an answer is read away from the owner's task, in bytes.
const LARGE: usize = 64 << 10;

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
struct Progress {
    invoke_id: String,
    node_id: String,
    chunk: String,
}

impl App {
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
        if !self.fleet.invokes.waits_for(call.conn()) {
            return hub.reply(call, ignored(), now);
        }
        self.fleet.unread.push_back((call, params.cloned()));
        self.fleet.read_next();
    }

    /// A large answer was read.
    pub(in crate::app) fn large_answered(
        &mut self,
        hub: &mut Hub,
        call: Call,
        answer: Result<Answer, ErrorShape>,
        now: Now,
    ) {
        self.fleet.is_reading = false;
        self.answered(hub, call, answer, now);
        self.fleet.read_next();
    }

    /// What a node answers was read.
    fn answered(
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
        let errand = move |pairings: &Pairings, chance: &Chance, now: Now| {
            let nodes = pairings.nodes();
            if nodes.node(&invoke.node_id).is_none() {
                let error = pairing_changed(super::WHILE_INVOKED);
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
