//! Agent runs: taken on, worked off one at a time per session, ended exactly once.

mod taking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::idempotency::{Bounds, Table};
use openclaw_protocol_core::json::{cut, text_len};
use openclaw_protocol_core::server::{Call, ConnId};
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::random;
use openclaw_runtime_smol::server::Handle;
use smol::Executor;

use super::Command;
use super::run::{Active, End, Origin};
use super::sessions::Sessions;
use super::waits::Waits;
use super::work::work;
use crate::agents::{AgentFault, Backend, ToolStep, Turn};
use crate::params;

/// The longest text that says why a run failed, in bytes; a longer one is cut.
const MAX_REASON: usize = 4096;
/// The longest answer, in bytes as JSON writes them; a longer one fails its run.
const MAX_TEXT: usize = 4 << 20;

pub(super) struct Runs {
    backend: Arc<dyn Backend>,
    executor: Arc<Executor<'static>>,
    handle: Handle<Command>,
    active: BTreeMap<u64, Active>,
    last: u64,
    sessions: Sessions,
    keys: Table,
    waits: Waits,
    heartbeats: Vec<Beat>,
    draining: bool,
}

/// How a heartbeat's run ended.
#[derive(Debug)]
pub(super) struct Beat {
    pub(super) run_id: Box<str>,
    pub(super) session_key: Arc<str>,
    pub(super) end: End,
    pub(super) text: String,
    pub(super) took_ms: u64,
}

/// Why a heartbeat does not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// The gateway is about to stop.
    Draining,
    /// Its session is at work.
    Session,
    /// As many runs as there may be are there already.
    Runs,
    /// There are no random numbers to name it with.
    Names,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs")
            .field("active", &self.active.len())
            .finish_non_exhaustive()
    }
}

impl Runs {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        executor: Arc<Executor<'static>>,
        handle: Handle<Command>,
        bounds: Bounds,
    ) -> Self {
        Self {
            backend,
            executor,
            handle,
            active: BTreeMap::new(),
            last: 0,
            sessions: Sessions::default(),
            keys: Table::new(bounds),
            waits: Waits::new(bounds),
            heartbeats: Vec::new(),
            draining: false,
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
        self.sessions.withdraw(session_key, &chosen);
        let mut aborted = Vec::new();
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
        run.written += text_len(delta) - 2;
        if run.written > MAX_TEXT {
            let text = format!("the agent's answer is longer than {MAX_TEXT} bytes");
            self.end(hub, serial, &End::Failed(text), now);
        } else if !delta.is_empty() {
            run.say(hub, delta, now);
        }
    }

    /// An agent does something with a tool.
    pub(super) fn tool(&mut self, hub: &mut Hub, serial: u64, step: ToolStep, now: Now) {
        if let Some(run) = self.active.get_mut(&serial) {
            run.tool(hub, step, now);
        }
    }

    /// Begins a heartbeat's run, unless something is in its way.
    pub(super) fn begin_heartbeat(
        &mut self,
        hub: &mut Hub,
        turn: Turn,
        timeout: Duration,
        now: Now,
    ) -> Result<(), Busy> {
        if self.draining {
            return Err(Busy::Draining);
        }
        if self.sessions.is_busy(&turn.session_key) {
            return Err(Busy::Session);
        }
        if self.active.len() >= hub.limits().runs {
            return Err(Busy::Runs);
        }
        let run_id = random::uuid().map_err(|_| Busy::Names)?;
        let session_id = random::uuid().map_err(|_| Busy::Names)?;
        let new = New {
            run_id: run_id.into(),
            session_id: session_id.into(),
            turn,
            timeout,
            origin: Origin::Heartbeat,
        };
        self.enter(hub, new, now);
        Ok(())
    }

    /// Takes what heartbeats have ended since the last time.
    pub(super) fn take_heartbeats(&mut self) -> Vec<Beat> {
        std::mem::take(&mut self.heartbeats)
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
        self.sessions.clear_queues();
        while let Some(serial) = self.active.keys().next().copied() {
            self.end(
                hub,
                serial,
                &End::Failed("gateway stopping".to_owned()),
                now,
            );
        }
        self.waits.end_all(hub, now);
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

    /// Puts a run into its session's queue; it begins at once if nothing is before it.
    fn enter(&mut self, hub: &mut Hub, new: New, now: Now) {
        self.last += 1;
        let serial = self.last;
        let ahead = self.sessions.ahead(&new.turn.session_key);
        let (session_key, session_id) =
            self.sessions
                .enter(&new.turn.session_key, new.session_id, serial, now);
        log::info!("run={} accepted session={session_key}", new.run_id);
        let mut run = Active {
            run_id: new.run_id,
            session_key: Arc::clone(&session_key),
            session_id,
            agent_id: new.turn.agent_id.clone(),
            origin: new.origin,
            turn: Some(new.turn),
            timeout: new.timeout,
            ..Active::default()
        };
        if ahead > 0 {
            run.tell_queued(hub, ahead, now);
        }
        self.active.insert(serial, run);
        self.start_next(hub, &session_key, now);
    }

    /// Begins the next run of a session that has none at work.
    fn start_next(&mut self, hub: &mut Hub, session_key: &str, now: Now) {
        while let Some(serial) = self.sessions.next(session_key) {
            let waiting = self.active.get_mut(&serial);
            let Some((turn, run)) = waiting.and_then(|run| Some((run.turn.take()?, run))) else {
                self.sessions.leave(session_key, serial, now);
                continue;
            };
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
        match run.origin {
            Origin::Request { key, token } => {
                self.keys.finish(&key, outcome.clone(), now.at);
                hub.complete(token, outcome, now);
            }
            Origin::Heartbeat => self.heartbeats.push(Beat {
                run_id: run.run_id.clone(),
                session_key: Arc::clone(&run.session_key),
                end: end.clone(),
                text: run.text,
                took_ms: run
                    .started_at
                    .map_or(0, |started| now.unix_ms.saturating_sub(started)),
            }),
        }
        self.waits.ended(hub, &run.run_id, ended, now);
        self.sessions.leave(&run.session_key, serial, now);
        self.start_next(hub, &run.session_key, now);
        Some(run.run_id)
    }
}

/// A run that is about to enter its session.
struct New {
    run_id: Box<str>,
    /// The id of its session, if that is new.
    session_id: Arc<str>,
    turn: Turn,
    timeout: Duration,
    origin: Origin,
}
