//! What the application of a world does when it is asked.

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::frame::inbound::Request;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::{Row, Run};
use openclaw_protocol_core::idempotency::{self, Accepted, Claim, Key};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::server::Call;
use serde::Deserialize;

use super::coverage::Trial;
use super::gateway::Gateway;
use super::history::{Family, Note};
use super::log::Log;

const READ: Family = Family::Scope("operator.read");
const TOOLS: Family = Family::Cap("operator.read", "tool-events");
/// What lies between two parts of a run.
const BETWEEN: u64 = 240_000;

/// A run as the application knows it.
pub(super) struct Work {
    key: Key,
    /// The hub's token; `None` after a restart, until somebody asks for it again.
    pub(super) run: Option<Run>,
    pub(super) next: u64,
    left: u8,
}

/// Somebody who asked when a run ends.
pub(super) struct Wait {
    pub(super) until: u64,
    call: Call,
    id: String,
    run: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    idempotency_key: String,
    message: String,
    run_id: String,
    timeout_ms: u64,
    size: usize,
    later: bool,
    name: String,
}

impl Gateway {
    pub(super) fn ask(&mut self, call: Call, request: &Request, log: &mut Log) {
        let params: Params = request
            .params
            .as_ref()
            .and_then(|params| params.read().ok())
            .unwrap_or_default();
        let conn = call.conn();
        let reads = self.may(conn, "operator.read");
        let writes = self.may(conn, "operator.write");
        let id = request.id.to_string();
        let Some(hub) = &mut self.hub else { return };
        let missing = |scope| Outcome::failure(ErrorShape::missing_scope(scope));
        let outcome = match &*request.method {
            "health" => Outcome::success(hub.health(reads).clone()),
            "system-presence" if reads => return self.reply_presence(call, id, log),
            "system-presence" | "text" if !reads => missing("operator.read"),
            "agent" | "system-event" if !writes => missing("operator.write"),
            "text" if params.later => {
                let at = log.at() + 400_000;
                self.later.push((at, call, id, params.size));
                return;
            }
            "text" => text(params.size),
            "agent" => return self.agent(call, id, &params, log),
            "agent.wait" => return self.wait(call, id, &params, log),
            "system-event" => {
                let row = Row {
                    host: Some(params.name.clone()),
                    reason: Some("beacon".into()),
                    text: Some(params.name),
                    ..Row::default()
                };
                hub.announce(row, log.now());
                Outcome::success(Object::new().boolean("ok", true))
            }
            _ => Outcome::failure(ErrorShape::new(code::INVALID_REQUEST, "unknown method")),
        };
        self.reply(call, &id, outcome, log);
    }

    fn agent(&mut self, call: Call, id: String, params: &Params, log: &mut Log) {
        let Some(hub) = &mut self.hub else { return };
        let Some(session) = hub.session(call.conn()) else {
            return self.reply(call, &id, Outcome::success(Json::null()), log);
        };
        let key = Key {
            principal: session.principal.clone(),
            method: "agent",
            key: params.idempotency_key.clone().into(),
        };
        let run_id = format!("{}/{}", key.principal, key.key);
        let mut digest = [0; 32];
        digest[0] = params.message.len() as u8;
        match self.table.claim(&key, &digest, log.now().at) {
            Claim::Conflict => {
                let outcome = Outcome::failure(idempotency::conflict());
                self.reply(call, &id, outcome, log);
            }
            Claim::Done(outcome) => self.reply(call, &id, outcome, log),
            Claim::InFlight(accepted) => {
                log.tried(Trial::Join);
                let ack = accepted.map_or_else(|| ack(&run_id), |accepted| accepted.payload);
                if let Err(call) = hub.join(call, &run_id, ack.clone(), log.now()) {
                    let run = hub.accept(call, &run_id, ack, log.now());
                    if let Some(work) = self.works.get_mut(&run_id) {
                        work.run = Some(run);
                    }
                }
            }
            Claim::New if self.works.len() >= 6 => {
                self.table.release(&key);
                let error = ErrorShape::unavailable("busy").retryable_after(Some(200));
                self.reply(call, &id, Outcome::failure(error), log);
            }
            Claim::New => {
                log.note(Note::Began(
                    self.boot,
                    key.principal.to_string(),
                    key.key.to_string(),
                ));
                let payload = ack(&run_id);
                let run = hub.accept(call, &run_id, payload.clone(), log.now());
                let accepted = Accepted {
                    run_id: run_id.as_str().into(),
                    payload,
                };
                self.table.accept(&key, accepted);
                let work = Work {
                    key,
                    run: Some(run),
                    next: log.at() + BETWEEN,
                    left: 1 + (params.message.len() % 5) as u8,
                };
                self.works.insert(run_id.clone(), work);
                self.publish("agent", READ, false, part(&run_id, "start"), log);
            }
        }
    }

    fn wait(&mut self, call: Call, id: String, params: &Params, log: &mut Log) {
        log.tried(Trial::Wait);
        let run = params.run_id.clone();
        if self.works.contains_key(&run) {
            let until = log.at() + params.timeout_ms * 1_000;
            self.waits.push(Wait {
                until,
                call,
                id,
                run,
            });
            return;
        }
        let status = if self.ended.contains_key(&run) {
            "ok"
        } else {
            "unknown"
        };
        let outcome = Outcome::success(Object::new().text("status", status));
        self.reply(call, &id, outcome, log);
    }

    pub(super) fn reply_due(&mut self, log: &mut Log) {
        let at = log.at();
        while let Some(next) = self.later.iter().position(|(due, ..)| *due <= at) {
            let (_, call, id, size) = self.later.remove(next);
            self.reply(call, &id, text(size), log);
        }
        while let Some(next) = self.waits.iter().position(|wait| wait.until <= at) {
            let wait = self.waits.remove(next);
            let outcome = Outcome::success(Object::new().text("status", "timeout"));
            self.reply(wait.call, &wait.id, outcome, log);
        }
    }

    pub(super) fn work_due(&mut self, log: &mut Log) {
        let at = log.at();
        let due = |(id, work): (&String, &Work)| (work.next <= at).then(|| id.clone());
        let due: Vec<String> = self.works.iter().filter_map(due).collect();
        for id in due {
            let Some(work) = self.works.get_mut(&id) else {
                continue;
            };
            if work.left == 0 {
                self.end(&id, false, log);
                continue;
            }
            work.left -= 1;
            work.next = at + BETWEEN;
            let words = "word ".repeat(usize::from(work.left) * 20);
            let payload = part(&id, "delta").text("text", &words);
            self.publish("agent", READ, true, payload, log);
            self.publish("session.tool", TOOLS, false, part(&id, "tool"), log);
        }
    }

    pub(super) fn abandon_works(&mut self, log: &mut Log) {
        let all: Vec<String> = self.works.keys().cloned().collect();
        for id in all {
            self.end(&id, true, log);
        }
    }

    fn end(&mut self, id: &str, is_failure: bool, log: &mut Log) {
        let Some(work) = self.works.remove(id) else {
            return;
        };
        log.note(Note::Finished(self.boot, id.to_owned()));
        self.publish("agent", READ, false, part(id, "end"), log);
        self.publish("chat", READ, false, part(id, "final"), log);
        let payload = Object::new().text("runId", id);
        let outcome = if is_failure {
            let error = ErrorShape::unavailable("the gateway stops");
            Outcome::failure_with(payload.text("status", "error"), error)
        } else {
            Outcome::success(payload.text("status", "ok"))
        };
        self.table.finish(&work.key, outcome.clone(), log.now().at);
        self.ended.insert(id.to_owned(), outcome.clone());
        if let (Some(hub), Some(run)) = (&mut self.hub, work.run) {
            hub.complete(run, outcome, log.now());
        }
        while let Some(next) = self.waits.iter().position(|wait| wait.run == id) {
            let wait = self.waits.remove(next);
            let outcome = Outcome::success(Object::new().text("status", "ok"));
            self.reply(wait.call, &wait.id, outcome, log);
        }
        self.hear(log);
    }
}

fn ack(run_id: &str) -> Json {
    Object::new()
        .text("runId", run_id)
        .text("status", "accepted")
        .finish()
}

fn part(run_id: &str, phase: &str) -> Object {
    Object::new().text("runId", run_id).text("phase", phase)
}

fn text(size: usize) -> Outcome {
    Outcome::success(Object::new().text("text", &"x".repeat(size)))
}
