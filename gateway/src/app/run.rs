//! One agent run: what it has said, and what is pushed about it.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication};
use openclaw_protocol_core::hub::{self, Hub};
use openclaw_protocol_core::idempotency;
use openclaw_protocol_core::json::{Json, Object, array};
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::time::{Instant, Now};
use smol::Task;

use super::told::{AGENT_RHYTHM, CHAT_RHYTHM, Told};
use super::tools::Tools;
use crate::agents::Turn;

/// A run that was acknowledged and has not ended.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) run_id: Box<str>,
    pub(super) session_key: Arc<str>,
    pub(super) session_id: Arc<str>,
    pub(super) agent_id: String,
    pub(super) origin: Origin,
    /// What is to be answered; taken when the work begins.
    pub(super) turn: Option<Turn>,
    /// Its own limit; counts from the beginning of the work.
    pub(super) timeout: Duration,
    pub(super) work: Option<Task<()>>,
    pub(super) deadline: Option<Instant>,
    pub(super) started_at: Option<u64>,
    pub(super) seq: u64,
    pub(super) text: String,
    /// What the text takes as JSON, in bytes.
    pub(super) written: usize,
    pub(super) tools: Tools,
    pub(super) agent: Told,
    pub(super) chat: Told,
}

/// Who wanted a run.
#[derive(Debug, Default)]
pub(super) enum Origin {
    /// A client, which waits for its end.
    Request {
        key: idempotency::Key,
        token: hub::Run,
    },
    /// The gateway itself.
    #[default]
    Heartbeat,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    Done,
    Failed(String),
    TimedOut(Duration),
    Aborted(&'static str),
}

/// What is remembered of a run that ended, for `agent.wait`.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) payload: Json,
}

impl Active {
    /// The work begins.
    pub(super) fn begin(&mut self, hub: &mut Hub, provider: &str, model: &str, now: Now) {
        self.started_at = Some(now.unix_ms);
        self.deadline = Some(now.at + self.timeout);
        let start = Object::new()
            .text("phase", "start")
            .number("startedAt", now.unix_ms);
        self.push_lifecycle(hub, start, now);
        let model = Object::new()
            .text("phase", "model")
            .text("provider", provider)
            .text("model", model);
        self.push_lifecycle(hub, model, now);
    }

    /// The agent said something.
    pub(super) fn say(&mut self, hub: &mut Hub, delta: &str, now: Now) {
        self.text.push_str(delta);
        if self.agent.is_time(AGENT_RHYTHM, &self.text, now) {
            self.tell_agent(hub, now);
        }
        if self.chat.is_time(CHAT_RHYTHM, &self.text, now) {
            self.tell_chat(hub, now);
        }
    }

    /// When held text is to be pushed, or the run's time is over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.agent.due, self.chat.due, self.deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Pushes held text that is due; says whether the run's time is over.
    pub(super) fn handle_timeout(&mut self, hub: &mut Hub, now: Now) -> bool {
        if self.agent.due.is_some_and(|due| due <= now.at) {
            self.tell_agent(hub, now);
        }
        if self.chat.due.is_some_and(|due| due <= now.at) {
            self.tell_chat(hub, now);
        }
        self.deadline.is_some_and(|deadline| deadline <= now.at)
    }

    /// Other runs of its session come first.
    pub(super) fn tell_queued(&mut self, hub: &mut Hub, ahead: usize, now: Now) {
        let data = Object::new()
            .text("phase", "queued")
            .number("position", ahead as u64)
            .finish();
        self.push_agent(hub, "run_status", &data, Class::Ordinary, now);
    }

    pub(super) fn tell_agent(&mut self, hub: &mut Hub, now: Now) {
        let Some(delta) = self.agent.take(&self.text, now) else {
            return;
        };
        let data = Object::new()
            .text("text", &self.text)
            .text("delta", delta)
            .text("itemId", &format!("{}:1", self.run_id))
            .finish();
        self.push_agent(hub, "assistant", &data, Class::Delta, now);
    }

    fn tell_chat(&mut self, hub: &mut Hub, now: Now) {
        let Some(delta) = self.chat.take(&self.text, now) else {
            return;
        };
        let payload = self
            .chat_payload("delta")
            .text("deltaText", delta)
            .object("message", self.message(now))
            .finish();
        push(hub, "chat", payload, Class::Delta, now);
    }

    /// The run is over: pushes what is left to say, and returns the final answer.
    pub(super) fn end(&mut self, hub: &mut Hub, end: &End, now: Now) -> (Outcome, Ended) {
        self.work = None;
        self.end_tools(hub, now);
        self.tell_agent(hub, now);
        match end {
            End::Done => self.end_done(hub, now),
            End::Failed(text) => self.end_failed(hub, code::UNAVAILABLE, text, None, now),
            End::TimedOut(limit) => {
                let text = if limit.subsec_nanos() == 0 {
                    format!("agent run timed out after {} s", limit.as_secs())
                } else {
                    format!("agent run timed out after {} ms", limit.as_millis())
                };
                self.end_failed(hub, code::AGENT_TIMEOUT, &text, Some("timeout"), now)
            }
            End::Aborted(reason) => self.end_aborted(hub, reason, now),
        }
    }

    fn end_done(&mut self, hub: &mut Hub, now: Now) -> (Outcome, Ended) {
        let finishing = Object::new()
            .text("phase", "finishing")
            .text("stopReason", "stop")
            .boolean("aborted", false)
            .text("livenessState", "working")
            .number("endedAt", now.unix_ms);
        self.push_lifecycle(hub, finishing, now);
        let model = Object::new()
            .text("phase", "model")
            .json("provider", &Json::null())
            .json("model", &Json::null());
        self.push_lifecycle(hub, model, now);
        let ended = self
            .times(Object::new().text("phase", "end"), now)
            .boolean("aborted", false)
            .text("stopReason", "stop")
            .text("livenessState", "working")
            .boolean("executionSettled", true)
            .object(
                "terminalReply",
                Object::new()
                    .text("disposition", "visible")
                    .text("text", &self.text),
            );
        self.push_lifecycle(hub, ended, now);
        self.tell_chat(hub, now);
        let mut final_chat = self.chat_payload("final").text("stopReason", "stop");
        if !self.text.is_empty() {
            final_chat = final_chat.object("message", self.message(now));
        }
        push(hub, "chat", final_chat.finish(), Class::Ordinary, now);

        let reply = Object::new()
            .text("text", &self.text)
            .json("mediaUrl", &Json::null())
            .finish();
        let took = now
            .unix_ms
            .saturating_sub(self.started_at.unwrap_or(now.unix_ms));
        let payload = Object::new()
            .text("runId", &self.run_id)
            .text("status", "ok")
            .text("summary", "completed")
            .object(
                "result",
                Object::new().array("payloads", [&reply]).object(
                    "meta",
                    Object::new()
                        .number("durationMs", took)
                        .object(
                            "agentMeta",
                            Object::new().text("sessionId", &self.session_id),
                        )
                        .boolean("aborted", false),
                ),
            );
        let ended = self
            .times(self.wait_payload("ok"), now)
            .text("stopReason", "stop");
        (Outcome::success(payload), remember(ended))
    }

    fn end_failed(
        &mut self,
        hub: &mut Hub,
        code: &'static str,
        text: &str,
        kind: Option<&str>,
        now: Now,
    ) -> (Outcome, Ended) {
        self.tell_chat(hub, now);
        let data = self
            .times(Object::new().text("phase", "error"), now)
            .text("error", text)
            .boolean("executionSettled", true);
        self.push_lifecycle(hub, data, now);
        let payload = self
            .chat_payload("error")
            .text("errorMessage", text)
            .maybe_text("errorKind", kind);
        push(hub, "chat", payload.finish(), Class::Ordinary, now);
        let ended = self
            .times(self.wait_payload("error"), now)
            .text("error", text);
        (self.failure(code, text), remember(ended))
    }

    fn end_aborted(&mut self, hub: &mut Hub, reason: &str, now: Now) -> (Outcome, Ended) {
        self.seq += 1;
        let mut aborted = self.chat_payload("aborted").text("stopReason", reason);
        if !self.text.is_empty() {
            aborted = aborted.object("message", self.message(now));
        }
        self.seq -= 1;
        push(hub, "chat", aborted.finish(), Class::Ordinary, now);
        let data = Object::new()
            .text("phase", "end")
            .text("status", "cancelled")
            .boolean("aborted", true)
            .text("stopReason", reason);
        let data = self.times(data, now);
        self.push_lifecycle(hub, data, now);
        let ended = self
            .times(self.wait_payload("error"), now)
            .text("stopReason", reason)
            .text("error", "aborted");
        (self.failure(code::UNAVAILABLE, "aborted"), remember(ended))
    }

    fn failure(&self, code: &'static str, text: &str) -> Outcome {
        let payload = Object::new()
            .text("runId", &self.run_id)
            .text("status", "error")
            .text("summary", text);
        Outcome::failure_with(payload, ErrorShape::new(code, text))
    }

    fn times(&self, object: Object, now: Now) -> Object {
        let object = match self.started_at {
            Some(started) => object.number("startedAt", started),
            None => object,
        };
        object.number("endedAt", now.unix_ms)
    }

    fn wait_payload(&self, status: &str) -> Object {
        Object::new()
            .text("runId", &self.run_id)
            .text("status", status)
    }

    fn message(&self, now: Now) -> Object {
        let content = Object::new()
            .text("type", "text")
            .text("text", &self.text)
            .finish();
        Object::new()
            .text("role", "assistant")
            .json("content", &array([&content]))
            .number("timestamp", now.unix_ms)
    }

    fn chat_payload(&self, state: &str) -> Object {
        Object::new()
            .text("runId", &self.run_id)
            .text("sessionKey", &self.session_key)
            .text("agentId", &self.agent_id)
            .number("seq", self.seq)
            .text("state", state)
    }

    fn push_lifecycle(&mut self, hub: &mut Hub, data: Object, now: Now) {
        self.push_agent(hub, "lifecycle", &data.finish(), Class::Ordinary, now);
    }

    pub(super) fn push_agent(
        &mut self,
        hub: &mut Hub,
        stream: &str,
        data: &Json,
        class: Class,
        now: Now,
    ) {
        let payload = self.agent_payload(stream, data, now);
        push(hub, "agent", payload, class, now);
    }

    /// The payload of the next `agent` event; it takes the run's next number.
    pub(super) fn agent_payload(&mut self, stream: &str, data: &Json, now: Now) -> Json {
        self.seq += 1;
        let payload = Object::new()
            .text("runId", &self.run_id)
            .text("sessionKey", &self.session_key)
            .text("sessionId", &self.session_id)
            .text("agentId", &self.agent_id)
            .text("stream", stream)
            .json("data", data)
            .number("seq", self.seq)
            .number("ts", now.unix_ms);
        match self.origin {
            Origin::Request { .. } => payload.finish(),
            Origin::Heartbeat => payload.boolean("isHeartbeat", true).finish(),
        }
    }
}

fn remember(payload: Object) -> Ended {
    Ended {
        payload: payload.finish(),
    }
}

fn push(hub: &mut Hub, event: &'static str, payload: Json, class: Class, now: Now) {
    hub.broadcast(
        Publication {
            event,
            payload,
            audience: Audience::Operators(Scope::Read),
            class,
        },
        now,
    );
}
