//! Agent runs: taken on, worked off one at a time per session, ended exactly once.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::MAX_IDENTIFIER;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::idempotency::{self, Accepted, Bounds, Claim, Key, Table};
use openclaw_protocol_core::json::{Json, Object, cut};
use openclaw_protocol_core::server::{Call, ConnId};
use openclaw_protocol_core::shape::{self, COUNT, Finding, Kind, NAME, TEXT, optional, required};
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::random;
use openclaw_runtime_smol::server::Handle;
use serde::Deserialize;
use smol::Executor;

use super::Command;
use super::run::{Active, End, Told};
use super::waits::Waits;
use crate::agents::{AgentFault, Backend, Output, Turn};
use crate::digest;
use crate::params;

/// How long a run may take that names no limit of its own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(48 * 3600);
/// The longest text that says why a run failed, in bytes; a longer one is cut.
const MAX_REASON: usize = 4096;
/// The longest answer, in bytes; a longer one fails its run.
const MAX_TEXT: usize = 4 << 20;
/// The most sessions that are kept in mind; the one that rested longest goes first.
const MAX_SESSIONS: usize = 4096;
const DRAINING: &str = "Gateway is draining; new tasks are not accepted";

const AGENT: shape::Object = shape::Object {
    members: &[
        required("message", NAME),
        required("idempotencyKey", NAME),
        optional("agentId", NAME),
        optional("sessionKey", TEXT),
        optional("timeout", COUNT),
        optional("thinking", TEXT),
        optional("lane", TEXT),
        optional("label", Kind::Text { min: 1, max: 512 }),
        optional("deliver", Kind::Boolean),
        optional("bestEffortDeliver", Kind::Boolean),
    ],
};

/// Members of the published parameters that ask for what this gateway cannot do yet.
const NOT_YET: [&str; 38] = [
    "provider",
    "model",
    "to",
    "replyTo",
    "sessionId",
    "expectedExistingSessionId",
    "attachments",
    "channel",
    "replyChannel",
    "accountId",
    "replyAccountId",
    "threadId",
    "groupId",
    "groupChannel",
    "groupSpace",
    "cwd",
    "cleanupBundleMcpOnRunEnd",
    "modelRun",
    "promptMode",
    "extraSystemPrompt",
    "bootstrapContextMode",
    "bootstrapContextRunKind",
    "acpTurnSource",
    "internalRuntimeHandoffId",
    "internalExecutionIdentityRetry",
    "internalExecutionIdentityRecoveryAttempt",
    "execApprovalFollowupExpectedSessionId",
    "internalEvents",
    "inputProvenance",
    "suppressPromptPersistence",
    "sessionEffects",
    "sourceReplyDeliveryMode",
    "disableMessageTool",
    "swarmCollector",
    "swarmOutputSchema",
    "forceRestartSafeTools",
    "forceCodeModeTools",
    "voiceWakeTrigger",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentParams {
    message: String,
    idempotency_key: String,
    agent_id: Option<String>,
    session_key: Option<String>,
    timeout: Option<params::Whole>,
    #[serde(default)]
    deliver: bool,
}

pub(super) struct Runs {
    backend: Arc<dyn Backend>,
    executor: Arc<Executor<'static>>,
    handle: Handle<Command>,
    active: BTreeMap<u64, Active>,
    last: u64,
    sessions: BTreeMap<Arc<str>, Session>,
    keys: Table,
    waits: Waits,
    draining: bool,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs")
            .field("active", &self.active.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Session {
    id: Arc<str>,
    running: Option<u64>,
    queue: VecDeque<u64>,
    used: Instant,
}

impl Runs {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        executor: Arc<Executor<'static>>,
        handle: Handle<Command>,
    ) -> Self {
        Self {
            backend,
            executor,
            handle,
            active: BTreeMap::new(),
            last: 0,
            sessions: BTreeMap::new(),
            keys: Table::new(Bounds::default()),
            waits: Waits::default(),
            draining: false,
        }
    }

    /// Somebody asks for an agent turn.
    pub(super) fn request(
        &mut self,
        hub: &mut Hub,
        call: Call,
        principal: &Arc<str>,
        params: Option<&Json>,
        now: Now,
    ) {
        match self.prepare(principal, params) {
            Ok(wanted) => self.claim(hub, call, wanted, now),
            Err(error) => hub.reply(call, Outcome::failure(error), now),
        }
    }

    /// Waits for the end of a run.
    pub(super) fn wait(
        &mut self,
        hub: &mut Hub,
        call: Call,
        run_id: &str,
        timeout_ms: Option<params::Whole>,
        now: Now,
    ) {
        let timeout_ms = timeout_ms.map(params::Whole::get);
        self.waits.wait(hub, call, run_id, timeout_ms, now);
    }

    /// Ends the runs of a session, or one of them; says which.
    pub(super) fn abort(
        &mut self,
        hub: &mut Hub,
        session_key: &str,
        run_id: Option<&str>,
        now: Now,
    ) -> Vec<String> {
        let chosen: Vec<u64> = self
            .active
            .iter()
            .filter(|(_, run)| {
                &*run.session_key == session_key && run_id.is_none_or(|id| &*run.run_id == id)
            })
            .map(|(serial, _)| *serial)
            .collect();
        let mut aborted = Vec::new();
        if let Some(session) = self.sessions.get_mut(session_key) {
            session.queue.retain(|serial| !chosen.contains(serial));
        }
        for serial in chosen {
            if let Some(run_id) = self.end(hub, serial, &End::Aborted("rpc"), now) {
                aborted.push(run_id.into());
            }
        }
        aborted
    }

    /// An agent said something.
    pub(super) fn said(&mut self, hub: &mut Hub, serial: u64, delta: &str, now: Now) {
        let Some(run) = self.active.get_mut(&serial) else {
            return;
        };
        if run.text.len() + delta.len() > MAX_TEXT {
            let text = format!("the agent's answer is longer than {MAX_TEXT} bytes");
            self.end(hub, serial, &End::Failed(text), now);
        } else if !delta.is_empty() {
            run.say(hub, delta, now);
        }
    }

    /// An agent is done, or will never be.
    pub(super) fn ended(
        &mut self,
        hub: &mut Hub,
        serial: u64,
        end: Result<(), AgentFault>,
        now: Now,
    ) {
        let end = match end {
            Ok(()) => End::Done,
            Err(AgentFault(text)) => End::Failed(cut(&text, MAX_REASON).to_owned()),
        };
        self.end(hub, serial, &end, now);
    }

    pub(super) fn forget_connection(&mut self, conn: ConnId) {
        self.waits.forget_connection(conn);
    }

    /// No new work is taken on from now.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// Ends everything that still runs or waits for its turn.
    pub(super) fn end_all(&mut self, hub: &mut Hub, now: Now) {
        for session in self.sessions.values_mut() {
            session.queue.clear();
        }
        while let Some(serial) = self.active.keys().next().copied() {
            self.end(
                hub,
                serial,
                &End::Failed("gateway stopping".to_owned()),
                now,
            );
        }
    }

    /// How many runs are at work, and how many wait for their turn.
    pub(super) fn count(&self) -> (usize, usize) {
        let running = self
            .active
            .values()
            .filter(|run| run.work.is_some())
            .count();
        (running, self.active.len() - running)
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn handle_timeout(&mut self, hub: &mut Hub, now: Now) {
        self.waits.handle_timeout(hub, now);
        let mut late = Vec::new();
        for (serial, run) in &mut self.active {
            if run.handle_timeout(hub, now) {
                late.push((*serial, run.timeout));
            }
        }
        for (serial, timeout) in late {
            self.end(hub, serial, &End::TimedOut(timeout), now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.active
            .values()
            .filter_map(Active::poll_timeout)
            .chain(self.waits.poll_timeout())
            .min()
    }

    fn prepare(&self, principal: &Arc<str>, params: Option<&Json>) -> Result<Wanted, ErrorShape> {
        let value = params::value("agent", params)?;
        if let Some(name) = asks_for_what_is_not_there(&value) {
            return Err(ErrorShape::unavailable(format!(
                "agent parameter {name} is not supported by this gateway yet; leave it out"
            )));
        }
        let digest = digest::of_params(&value, "idempotencyKey");
        let wanted: AgentParams = params::read_value("agent", &AGENT, value)?;
        if wanted.idempotency_key.len() > MAX_IDENTIFIER {
            let finding = Finding::too_large("idempotencyKey", MAX_IDENTIFIER);
            return Err(params::invalid("agent", &finding));
        }
        if wanted.deliver {
            return Err(ErrorShape::unavailable(
                "agent parameter deliver is not supported by this gateway yet: it has no channels",
            ));
        }
        let session_key = params::session_key(
            "agent",
            wanted.session_key.as_deref(),
            wanted.agent_id.as_deref(),
        )?;
        let timeout = wanted
            .timeout
            .map(params::Whole::get)
            .filter(|seconds| *seconds > 0)
            .map_or(DEFAULT_TIMEOUT, Duration::from_secs)
            .min(DEFAULT_TIMEOUT);
        Ok(Wanted {
            digest,
            key: Key {
                principal: Arc::clone(principal),
                method: "agent",
                key: wanted.idempotency_key.into(),
            },
            turn: Turn {
                message: wanted.message,
                session_key,
                agent_id: params::DEFAULT_AGENT.to_owned(),
            },
            timeout,
        })
    }

    fn claim(&mut self, hub: &mut Hub, call: Call, wanted: Wanted, now: Now) {
        let refusal = match self.keys.claim(&wanted.key, &wanted.digest, now.at) {
            Claim::New if self.draining => ErrorShape::unavailable(DRAINING).retryable_after(None),
            Claim::New if self.active.len() >= hub.limits().runs => {
                ErrorShape::unavailable("too many agent runs at once; wait for one to end")
                    .retryable_after(None)
            }
            Claim::New => return self.accept(hub, call, wanted, now),
            Claim::Done(outcome) => return hub.reply(call, outcome, now),
            Claim::Conflict => {
                return hub.reply(call, Outcome::failure(idempotency::conflict()), now);
            }
            Claim::InFlight(accepted) => {
                let unjoined = match accepted {
                    Some(Accepted { run_id, payload }) => {
                        hub.join(call, &run_id, payload, now).err()
                    }
                    None => Some(call),
                };
                if let Some(call) = unjoined {
                    let error =
                        ErrorShape::unavailable("the run is just beginning or ending; ask again")
                            .retryable_after(None);
                    hub.reply(call, Outcome::failure(error), now);
                }
                return;
            }
        };
        self.keys.release(&wanted.key);
        hub.reply(call, Outcome::failure(refusal), now);
    }

    fn accept(&mut self, hub: &mut Hub, call: Call, wanted: Wanted, now: Now) {
        let Wanted {
            key, turn, timeout, ..
        } = wanted;
        let names = random::uuid().and_then(|run| Ok((run, random::uuid()?)));
        let Ok((fresh_run, fresh_session)) = names else {
            self.keys.release(&key);
            let error = ErrorShape::unavailable("no random numbers to be had");
            return hub.reply(call, Outcome::failure(error), now);
        };
        let run_id: Box<str> = if self.is_taken(&key.key, now) {
            fresh_run.into()
        } else {
            key.key.clone()
        };
        let payload = Object::new()
            .text("runId", &run_id)
            .text("sessionKey", &turn.session_key)
            .text("agentId", &turn.agent_id)
            .text("status", "accepted")
            .number("acceptedAt", now.unix_ms)
            .finish();
        let token = hub.accept(call, &run_id, payload.clone(), now);
        self.keys.accept(
            &key,
            Accepted {
                run_id: run_id.clone(),
                payload,
            },
        );
        self.last += 1;
        let serial = self.last;
        let (session_key, session_id) =
            self.enter_session(&turn.session_key, fresh_session.into(), serial, now);
        log::info!("run={run_id} accepted session={session_key}");
        self.active.insert(
            serial,
            Active {
                run_id,
                session_key: Arc::clone(&session_key),
                session_id,
                agent_id: turn.agent_id.clone(),
                key,
                token,
                turn: Some(turn),
                timeout,
                work: None,
                deadline: None,
                started_at: None,
                seq: 0,
                text: String::new(),
                agent: Told::default(),
                chat: Told::default(),
            },
        );
        self.start_next(hub, &session_key, now);
    }

    /// Puts a run into its session's queue.
    fn enter_session(
        &mut self,
        key: &str,
        fresh: Arc<str>,
        serial: u64,
        now: Now,
    ) -> (Arc<str>, Arc<str>) {
        if !self.sessions.contains_key(key) {
            self.forget_a_session();
        }
        let key: Arc<str> = key.into();
        let session = self
            .sessions
            .entry(Arc::clone(&key))
            .or_insert_with(|| Session {
                id: fresh,
                running: None,
                queue: VecDeque::new(),
                used: now.at,
            });
        session.used = now.at;
        session.queue.push_back(serial);
        (key, Arc::clone(&session.id))
    }

    fn forget_a_session(&mut self) {
        if self.sessions.len() < MAX_SESSIONS {
            return;
        }
        let resting = self
            .sessions
            .iter()
            .filter(|(_, session)| session.running.is_none() && session.queue.is_empty())
            .min_by_key(|(_, session)| session.used)
            .map(|(key, _)| Arc::clone(key));
        if let Some(key) = resting {
            self.sessions.remove(&key);
        }
    }

    /// Begins the next run of a session that has none at work.
    fn start_next(&mut self, hub: &mut Hub, session_key: &str, now: Now) {
        let Some(session) = self.sessions.get_mut(session_key) else {
            return;
        };
        if session.running.is_some() {
            return;
        }
        while let Some(serial) = session.queue.pop_front() {
            let Some(run) = self.active.get_mut(&serial) else {
                continue;
            };
            let Some(turn) = run.turn.take() else {
                continue;
            };
            session.running = Some(serial);
            run.begin(hub, self.backend.provider(), self.backend.model(), now);
            let work = work(Arc::clone(&self.backend), turn, serial, self.handle.clone());
            run.work = Some(self.executor.spawn(work));
            return;
        }
    }

    /// Ends a run, whichever way; there is no other way for a run to end.
    fn end(&mut self, hub: &mut Hub, serial: u64, end: &End, now: Now) -> Option<Box<str>> {
        let mut run = self.active.remove(&serial)?;
        let (outcome, ended) = run.end(hub, end, now);
        log::info!("run={} ended ok={}", run.run_id, outcome.ok);
        self.keys.finish(&run.key, outcome.clone(), now.at);
        hub.complete(run.token, outcome, now);
        self.waits.ended(hub, &run.run_id, ended, now);
        if let Some(session) = self.sessions.get_mut(&run.session_key) {
            session.used = now.at;
            if session.running == Some(serial) {
                session.running = None;
            }
        }
        self.start_next(hub, &run.session_key, now);
        Some(run.run_id)
    }

    fn is_taken(&mut self, run_id: &str, now: Now) -> bool {
        self.waits.knows(run_id, now) || self.active.values().any(|run| &*run.run_id == run_id)
    }
}

/// A turn that somebody asks for, checked.
struct Wanted {
    key: Key,
    digest: idempotency::Digest,
    turn: Turn,
    timeout: Duration,
}

fn asks_for_what_is_not_there(params: &serde_json::Value) -> Option<&'static str> {
    let members = params.as_object()?;
    NOT_YET.into_iter().find(|name| members.contains_key(*name))
}

/// The work of a run, away from the owner's task. However it goes, the application hears of it.
async fn work(backend: Arc<dyn Backend>, turn: Turn, serial: u64, handle: Handle<Command>) {
    let mut guard = Guard {
        handle: handle.clone(),
        serial,
        told: false,
    };
    let voice = Voice {
        handle: handle.clone(),
        serial,
    };
    // The back end is called inside the guarded future: it may panic before it has made its own.
    let answered = AssertUnwindSafe(async { backend.answer(turn, &voice).await })
        .catch_unwind()
        .await;
    let end = answered.unwrap_or_else(|_| Err(AgentFault("the agent broke down".to_owned())));
    let command = Command::Ended { run: serial, end };
    guard.told = handle.send(command).await.is_ok();
}

/// Says that a run is over even if its work is dropped half-way.
struct Guard {
    handle: Handle<Command>,
    serial: u64,
    told: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.told {
            let end = Err(AgentFault("the agent was abandoned".to_owned()));
            let run = self.serial;
            let _ = self.handle.send_last_words(Command::Ended { run, end });
        }
    }
}

struct Voice {
    handle: Handle<Command>,
    serial: u64,
}

impl Output for Voice {
    fn text<'a>(&'a self, delta: String) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let run = self.serial;
            let _ = self.handle.send(Command::Said { run, delta }).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::Work;
    use futures_lite::future;

    /// Panics before it has made a future, or never answers.
    struct Broken {
        at_once: bool,
    }

    impl Backend for Broken {
        fn provider(&self) -> &'static str {
            "test"
        }

        fn model(&self) -> &'static str {
            "test"
        }

        fn answer<'a>(&'a self, _: Turn, _: &'a dyn Output) -> Work<'a> {
            assert!(!self.at_once, "as the test says");
            Box::pin(std::future::pending())
        }
    }

    fn end_of(at_once: bool) -> Option<Command> {
        let (handle, detached) = Handle::detached();
        let turn = Turn {
            message: "m".to_owned(),
            session_key: "agent:main:main".to_owned(),
            agent_id: "main".to_owned(),
        };
        let work = work(Arc::new(Broken { at_once }), turn, 7, handle);
        let polled = smol::block_on(future::poll_once(Box::pin(work)));
        assert_eq!(polled.is_some(), at_once);
        detached.take()
    }

    fn assert_ended(command: Option<Command>, reason: &str) {
        let Some(Command::Ended { run: 7, end }) = command else {
            panic!("nothing was said of the end: {command:?}");
        };
        assert_eq!(end, Err(AgentFault(reason.to_owned())));
    }

    #[test]
    fn an_agent_that_panics_before_it_begins_ends_only_its_run() {
        assert_ended(end_of(true), "the agent broke down");
    }

    #[test]
    fn work_that_is_dropped_half_way_still_says_that_it_is_over() {
        assert_ended(end_of(false), "the agent was abandoned");
    }
}
