//! The gateway as the runtime sees it: events and commands go in, verbs on the hub come out.

mod closes;
mod dispatch;
mod door;
mod heartbeat;
mod run;
mod runs;
mod sessions;
mod told;
mod tools;
mod waits;
mod wanted;
mod work;

pub use heartbeat::health;

use std::sync::Arc;

use openclaw_protocol_core::hub::{Event, Hub};
use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::server::Applicant;
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::server::{Application, Handle};

use crate::admission::Admission;
use crate::agents::{AgentFault, Backend, ToolStep};
use crate::config::HeartbeatConfig;
use crate::device::DeviceFault;
use crate::probes::Probes;
use closes::Closes;
use door::{Door, Proven};
use heartbeat::Heartbeats;
use runs::Runs;

/// What the application's tasks come back with.
#[derive(Debug)]
pub enum Command {
    /// A device proof was checked.
    Proven {
        /// The connection that waits.
        applicant: Applicant,
        /// What was checked.
        proven: Box<Proven>,
        /// How it came out.
        proof: Result<(), DeviceFault>,
    },
    /// An agent said something.
    Said {
        /// Its run.
        run: u64,
        /// What it said.
        delta: String,
    },
    /// An agent does something with a tool.
    Tool {
        /// Its run.
        run: u64,
        /// What it does.
        step: ToolStep,
    },
    /// An agent is done, or will never be.
    Ended {
        /// Its run.
        run: u64,
        /// How it ended.
        end: Result<(), AgentFault>,
    },
}

/// What the application is made of.
pub struct Parts {
    /// Who may connect.
    pub admission: Admission,
    /// What answers messages.
    pub backend: Arc<dyn Backend>,
    /// Runs its tasks.
    pub executor: Arc<smol::Executor<'static>>,
    /// What tells the rest of the world whether the gateway takes work on.
    pub probes: Arc<Probes>,
    /// How long and how many answers are kept for repeated requests.
    pub repeats: Bounds,
    /// When the gateway runs an agent turn by itself.
    pub heartbeat: HeartbeatConfig,
    /// The gateway's version.
    pub version: &'static str,
    /// When the gateway was started.
    pub started: Instant,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The application.
#[derive(Debug)]
pub struct App {
    door: Door,
    runs: Runs,
    heartbeats: Heartbeats,
    closes: Closes,
    probes: Arc<Probes>,
    version: &'static str,
    started: Instant,
}

impl App {
    /// An application whose tasks come back with `handle`.
    #[must_use]
    pub fn new(parts: Parts, handle: Handle<Command>) -> Self {
        Self {
            door: Door::new(parts.admission, parts.executor.clone(), handle.clone()),
            runs: Runs::new(parts.backend, parts.executor, handle, parts.repeats),
            heartbeats: Heartbeats::new(parts.heartbeat, parts.started),
            closes: Closes::default(),
            probes: parts.probes,
            version: parts.version,
            started: parts.started,
        }
    }
}

impl Application for App {
    type Command = Command;

    fn handle_event(&mut self, hub: &mut Hub, event: Event, now: Now) {
        match event {
            Event::Connect {
                applicant,
                params,
                peer,
                nonce,
            } => self.door.knock(hub, applicant, params, peer, &nonce, now),
            Event::Request { call, request } => self.dispatch(hub, call, request, now),
            Event::Fault { .. } => {}
            Event::Closed { conn, close } => {
                self.closes.count(close.as_ref());
                self.door.forget_connection(conn);
                self.runs.forget_connection(conn);
            }
        }
        self.heartbeats.settle(hub, &mut self.runs, now);
    }

    fn handle_command(&mut self, hub: &mut Hub, command: Command, now: Now) {
        match command {
            Command::Proven {
                applicant,
                proven,
                proof,
            } => self.door.proven(hub, applicant, &proven, proof, now),
            Command::Said { run, delta } => self.runs.said(hub, run, &delta, now),
            Command::Tool { run, step } => self.runs.tool(hub, run, step, now),
            Command::Ended { run, end } => self.runs.ended(hub, run, end, now),
        }
        self.heartbeats.settle(hub, &mut self.runs, now);
    }

    fn handle_timeout(&mut self, hub: &mut Hub, now: Now) {
        self.door.handle_timeout(hub, now);
        self.runs.handle_timeout(hub, now);
        self.heartbeats.settle(hub, &mut self.runs, now);
        self.heartbeats.handle_timeout(hub, &mut self.runs, now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let timers = [
            self.door.poll_timeout(),
            self.runs.poll_timeout(),
            self.heartbeats.poll_timeout(),
        ];
        timers.into_iter().flatten().min()
    }

    fn drain(&mut self, _hub: &mut Hub, _now: Now) {
        self.door.shut();
        self.runs.drain();
        self.probes.drain();
    }

    fn is_drained(&self) -> bool {
        self.runs.is_idle()
    }

    fn finish(&mut self, hub: &mut Hub, now: Now) {
        self.runs.end_all(hub, now);
        self.heartbeats.settle(hub, &mut self.runs, now);
    }
}
