//! The gateway as the runtime sees it: events and commands go in, verbs on the hub come out.

mod closes;
pub mod desk;
mod devices;
mod dispatch;
mod door;
mod heartbeat;
pub mod nodes;
mod run;
mod runs;
mod sessions;
pub mod setup;
mod told;
mod tools;
mod waits;
mod wanted;
mod work;

pub use heartbeat::health;

use std::sync::Arc;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::hub::{Event, Hub};
use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::server::{Applicant, Call};
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::server::{Application, Handle};

use crate::admission::Admission;
use crate::agents::{AgentFault, Backend, ToolStep};
use crate::config::HeartbeatConfig;
use crate::device::DeviceFault;
use crate::identity::Identity;
use crate::nodes::policy::Policy;
use crate::pairing::{Change, Contents, Pairings};
use crate::probes::Probes;
use crate::tailscale::Directory;
use closes::Closes;
use desk::{Desk, Ledger, News, Writing};
use door::{Door, Proven, Visitor};
use heartbeat::Heartbeats;
use nodes::{Answer, Fleet};
use runs::Runs;
use setup::Reach;

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
    /// A directory said who a client is.
    Identified(Box<Visitor>),
    /// Changes of devices were stored, or could not be.
    Stored(Result<(), String>),
    /// What a node answers was read.
    NodeAnswered {
        /// The request with which it did.
        call: Call,
        /// What it answers.
        answer: Box<Result<Answer, ErrorShape>>,
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
    /// Knows the users of the tailnet.
    pub directory: Arc<dyn Directory>,
    /// What is known of devices.
    pub devices: Devices,
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
    /// Which commands nodes may offer.
    pub commands: Policy,
    /// The gateway's version.
    pub version: &'static str,
    /// When the gateway was started.
    pub started: Instant,
}

/// What is known of devices, and where that lasts.
pub struct Devices {
    /// Which may connect, and who waits.
    pub pairings: Pairings,
    /// Where changes of it last.
    pub ledger: Arc<dyn Ledger>,
    /// Who the gateway is.
    pub identity: Identity,
    /// Where devices reach it.
    pub reach: Reach,
}

impl Devices {
    /// None yet, and nothing lasts: for driving an application by hand, in tests above all.
    #[must_use]
    pub fn fleeting() -> Self {
        let identity = Identity::from_seed(&[1; 32]);
        Self {
            pairings: Pairings::new(Contents::default(), identity.token_key()),
            ledger: Arc::new(Fleeting),
            identity,
            reach: Reach {
                bind: "loopback",
                address: None,
                remote_url: None,
                scheme: "ws",
                fingerprint: None,
                remote_fingerprint: None,
                auth: "token",
            },
        }
    }
}

/// Keeps nothing.
struct Fleeting;

impl Ledger for Fleeting {
    fn write(&self, _: Vec<Change>) -> Writing {
        Box::pin(std::future::ready(Ok(())))
    }
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
    desk: Desk,
    identity: Identity,
    reach: Reach,
    /// The list of all devices, and when it was made.
    listed: Option<((u64, u64), Json)>,
    fleet: Fleet,
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
            door: Door::new(
                parts.admission,
                parts.commands.clone(),
                parts.directory,
                parts.executor.clone(),
                handle.clone(),
            ),
            desk: Desk::new(
                parts.devices.pairings,
                parts.devices.ledger,
                parts.executor.clone(),
                handle.clone(),
            ),
            identity: parts.devices.identity,
            reach: parts.devices.reach,
            listed: None,
            fleet: Fleet::new(parts.commands, parts.executor.clone(), handle.clone()),
            runs: Runs::new(parts.backend, parts.executor, handle, parts.repeats),
            heartbeats: Heartbeats::new(parts.heartbeat, parts.started),
            closes: Closes::default(),
            probes: parts.probes,
            version: parts.version,
            started: parts.started,
        }
    }
}

impl App {
    /// Follows up what was decided.
    fn settle(&mut self, hub: &mut Hub, now: Now) {
        for news in self.desk.take_news() {
            match news {
                News::Came {
                    conn,
                    node_id,
                    newcomer,
                } => self.fleet.attach(hub, conn, node_id, *newcomer, now),
                News::Approved {
                    node_id,
                    event,
                    payload,
                } => self.fleet.tell(hub, &node_id, event, payload, now),
                News::Ended(conn) => self.fleet.end(hub, conn, now),
            }
        }
        self.heartbeats.settle(hub, &mut self.runs, now);
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
            } => {
                let visitor = Visitor {
                    applicant,
                    params,
                    peer,
                    nonce,
                };
                self.door.knock(hub, &self.desk, visitor, now);
            }
            Event::Request { call, request } => self.dispatch(hub, call, request, now),
            Event::Fault { .. } => {}
            Event::Closed { conn, close } => {
                self.closes.count(close.as_ref());
                self.door.forget_connection(conn);
                self.desk.forget_connection(conn);
                self.fleet.forget_connection(hub, conn, now);
                self.runs.forget_connection(conn);
            }
        }
        self.settle(hub, now);
    }

    fn handle_command(&mut self, hub: &mut Hub, command: Command, now: Now) {
        match command {
            Command::Proven {
                applicant,
                proven,
                proof,
            } => self
                .door
                .proven(hub, &mut self.desk, applicant, proven, proof, now),
            Command::Identified(visitor) => self.door.knock(hub, &self.desk, *visitor, now),
            Command::Stored(result) => self.desk.written(hub, result, now),
            Command::NodeAnswered { call, answer } => self.large_answered(hub, call, *answer, now),
            Command::Said { run, delta } => self.runs.said(hub, run, &delta, now),
            Command::Tool { run, step } => self.runs.tool(hub, run, step, now),
            Command::Ended { run, end } => self.runs.ended(hub, run, end, now),
        }
        self.settle(hub, now);
    }

    fn handle_timeout(&mut self, hub: &mut Hub, now: Now) {
        self.door.handle_timeout(hub, now);
        self.fleet.handle_timeout(hub, now);
        self.runs.handle_timeout(hub, now);
        self.heartbeats.settle(hub, &mut self.runs, now);
        self.heartbeats.handle_timeout(hub, &mut self.runs, now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let timers = [
            self.door.poll_timeout(),
            self.fleet.poll_timeout(),
            self.runs.poll_timeout(),
            self.heartbeats.poll_timeout(),
        ];
        timers.into_iter().flatten().min()
    }

    fn drain(&mut self, _hub: &mut Hub, _now: Now) {
        self.door.shut();
        self.runs.drain();
        self.fleet.drain();
        self.probes.drain();
    }

    fn is_drained(&self) -> bool {
        self.runs.is_idle() && self.desk.is_idle() && self.fleet.is_idle()
    }

    fn finish(&mut self, hub: &mut Hub, now: Now) {
        self.runs.end_all(hub, now);
        self.fleet.end_all(hub, now);
        self.heartbeats.settle(hub, &mut self.runs, now);
    }
}
