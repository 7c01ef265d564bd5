//! Heartbeats: agent turns that the gateway runs by itself, and what came of them.

use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication};
use openclaw_protocol_core::hub::{Health, Hub};
use openclaw_protocol_core::json::{Json, Object, cut};
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::time::{Instant, Now};
use serde_json::Value;

use super::run::End;
use super::runs::{Beat, Busy, Runs};
use crate::agents::Turn;
use crate::config::HeartbeatConfig;
use crate::params::{DEFAULT_AGENT, MAIN_SESSION};

/// What the agent is asked where the configuration does not say.
const PROMPT: &str = "Look whether something needs attention now, and say what. If nothing does, answer only: NO_REPLY";
/// Answers that say that nothing needs attention.
const QUIET: [&str; 2] = ["NO_REPLY", "HEARTBEAT_OK"];
/// The longest that a heartbeat's turn takes where the configuration does not say.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
/// How much of an answer its event shows, in bytes.
const MAX_PREVIEW: usize = 200;

/// When the next heartbeat is due, and what came of the last one.
#[derive(Debug)]
pub(super) struct Heartbeats {
    config: HeartbeatConfig,
    /// What `set-heartbeats` last said; on at every start.
    enabled: bool,
    next: Option<Instant>,
    last: Json,
}

impl Heartbeats {
    pub(super) fn new(config: HeartbeatConfig, started: Instant) -> Self {
        Self {
            next: config.every.map(|every| started + every),
            config,
            enabled: true,
            last: Json::null(),
        }
    }

    /// The payload of the latest event; `null` before the first.
    pub(super) fn last(&self) -> &Json {
        &self.last
    }

    /// Answers `set-heartbeats`. Nobody remembers it when the gateway has stopped; a heartbeat that
    /// runs goes on.
    pub(super) fn switch(
        &mut self,
        hub: &mut Hub,
        params: Option<&Json>,
        now: Now,
    ) -> Result<Outcome, ErrorShape> {
        let params = params.and_then(|params| params.read::<Value>().ok());
        let enabled = params
            .as_ref()
            .and_then(|params| params["enabled"].as_bool());
        let Some(enabled) = enabled else {
            return Err(ErrorShape::invalid_request(
                "invalid set-heartbeats params: enabled (boolean) required",
            ));
        };
        if enabled != self.enabled {
            self.enabled = enabled;
            let every = self.config.every.filter(|_| enabled);
            self.next = every.map(|every| now.at + every);
            log::info!("heartbeats {}", if enabled { "on" } else { "off" });
            if self.config.every.is_some() {
                hub.set_health(health(every), now);
            } else {
                log::info!("no heartbeat runs: agents.defaults.heartbeat.every is not set");
            }
        }
        let answer = Object::new()
            .boolean("ok", true)
            .boolean("enabled", enabled);
        Ok(Outcome::success(answer))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Begins a heartbeat that is due, or tells why not.
    pub(super) fn handle_timeout(&mut self, hub: &mut Hub, runs: &mut Runs, now: Now) {
        let (Some(due), Some(every)) = (self.next, self.config.every) else {
            return;
        };
        if due > now.at {
            return;
        }
        // What was slept through is not caught up with.
        let ahead = due + every;
        self.next = Some(if ahead > now.at {
            ahead
        } else {
            now.at + every
        });
        let turn = Turn {
            message: self.config.prompt.as_deref().unwrap_or(PROMPT).to_owned(),
            session_key: self.session().to_owned(),
            agent_id: DEFAULT_AGENT.to_owned(),
        };
        let timeout = self.config.timeout.unwrap_or(every.min(MAX_TIMEOUT));
        if let Err(busy) = runs.begin_heartbeat(hub, turn, timeout, now) {
            let (reason, message) = explain(busy);
            let event = Object::new()
                .number("ts", now.unix_ms)
                .text("status", "skipped")
                .text("reason", reason)
                .text("message", message)
                .text("sessionKey", self.session())
                .finish();
            self.tell(hub, event, now);
        }
    }

    /// Tells what came of the heartbeats that have ended.
    pub(super) fn settle(&mut self, hub: &mut Hub, runs: &mut Runs, now: Now) {
        for beat in runs.take_heartbeats() {
            let event = outcome(&beat, now);
            self.tell(hub, event, now);
        }
    }

    fn session(&self) -> &str {
        self.config.session.as_deref().unwrap_or(MAIN_SESSION)
    }

    fn tell(&mut self, hub: &mut Hub, event: Json, now: Now) {
        self.last = event.clone();
        hub.broadcast(
            Publication {
                event: "heartbeat",
                payload: event,
                audience: Audience::Operators(Scope::Read),
                class: Class::Ordinary,
            },
            now,
        );
    }
}

/// The health report of a gateway whose heartbeats run at an interval, if they do.
#[must_use]
pub fn health(every: Option<Duration>) -> Health {
    let content = Object::new()
        .json("channels", &Json::empty_object())
        .texts("channelOrder", [""; 0])
        .json("channelLabels", &Json::empty_object())
        .number("heartbeatSeconds", every.map_or(0, seconds))
        .text("defaultAgentId", DEFAULT_AGENT)
        .finish();
    Health {
        took: Duration::ZERO,
        content,
    }
}

/// Whole seconds; what is shorter than one counts as one, because 0 means that there are none.
fn seconds(every: Duration) -> u64 {
    every.as_secs().max(1)
}

fn explain(busy: Busy) -> (&'static str, &'static str) {
    match busy {
        Busy::Draining => ("draining", "the gateway is about to stop"),
        Busy::Session => ("requests-in-flight", "its session is at work"),
        Busy::Runs => ("too-many-runs", "too many agent runs at once"),
        Busy::Names => ("no-randomness", "no random numbers to be had"),
    }
}

fn outcome(beat: &Beat, now: Now) -> Json {
    let text = beat.text.trim();
    let event = Object::new().number("ts", now.unix_ms);
    let event = match &beat.end {
        End::Done if text.is_empty() => quiet(event, "ok-empty"),
        End::Done if QUIET.contains(&text) => quiet(event, "ok-token"),
        End::Done => event
            .text("status", "sent")
            .text("indicatorType", "alert")
            .text("preview", cut(text, MAX_PREVIEW)),
        End::Failed(fault) => failed(event, "error", fault),
        End::TimedOut(limit) => {
            let fault = format!("no answer within {} ms", limit.as_millis());
            failed(event, "timeout", &fault)
        }
        End::Aborted(_) => failed(event, "aborted", "somebody ended it"),
    };
    event
        .number("durationMs", beat.took_ms)
        .text("runId", &beat.run_id)
        .text("sessionKey", &beat.session_key)
        .finish()
}

fn quiet(event: Object, status: &str) -> Object {
    event
        .text("status", status)
        .text("indicatorType", "ok")
        .boolean("silent", true)
}

fn failed(event: Object, reason: &str, fault: &str) -> Object {
    event
        .text("status", "failed")
        .text("indicatorType", "error")
        .text("reason", reason)
        .text("message", cut(fault, MAX_PREVIEW))
}
