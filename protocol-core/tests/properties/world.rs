//! A hub, peers that do anything, and an application that answers sooner or later.

use core::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{Outcome, StateVersion};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::Welcome;
use openclaw_protocol_core::hub::{Health, Hub, Peer as Address, Row, Run};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::{Applicant, Call};
use openclaw_protocol_core::time::Now;
use serde_json::{Value, json};

use super::histories::{Heard, Peer};
use super::hubs::{FAMILIES, JOINERS, Op};
use super::support::{self, Clock, NONCE, millis};

/// In which order a hub's outputs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Only when an operation says so.
    AsTold,
    /// All events, then every connection in its turn.
    EventsFirst,
    /// Every connection, the newest first, then the events.
    OutputFirst,
    /// One thing of everybody at a time.
    InTurns,
}

pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) peers: Vec<Peer>,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) drain: Drain,
    pub(crate) applicants: Vec<(Applicant, Box<ConnectParams>)>,
    pub(crate) calls: Vec<Call>,
    pub(crate) runs: Vec<Run>,
    version: StateVersion,
    asked: usize,
}

impl World {
    pub(crate) fn new(limits: Limits, drain: Drain) -> Self {
        let clock = Clock::default();
        let welcome = Welcome {
            version: "0".into(),
            boot_id: "b".into(),
            methods: support::json(json!([])),
            events: support::json(json!([])),
            session_defaults: support::json(json!({})),
            config_path: None,
            state_dir: None,
            auth_mode: None,
        };
        let hub = Hub::new(limits, welcome, Row::default(), clock.now());
        Self {
            version: hub.state_version(),
            hub,
            peers: Vec::new(),
            limits,
            clock,
            drain,
            applicants: Vec::new(),
            calls: Vec::new(),
            runs: Vec::new(),
            asked: 0,
        }
    }

    /// What each connection got so far.
    pub(crate) fn heard(&self) -> Vec<&[Heard]> {
        self.peers.iter().map(|peer| &peer.heard[..]).collect()
    }

    /// Everything that a hub is, but for the book that it keeps of memory, where only old notes go.
    pub(crate) fn state(&self) -> String {
        let whole = format!("{:?}", self.hub);
        let state = whole.split("burden:").next().expect("a first part");
        state.to_owned()
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn act(&mut self, op: &Op) {
        self.do_it(op);
        self.take_events();
        match self.drain {
            Drain::AsTold => {}
            Drain::EventsFirst | Drain::OutputFirst | Drain::InTurns => self.drain_all(),
        }
        let version = self.hub.state_version();
        assert!(version.presence >= self.version.presence && version.health >= self.version.health);
        self.version = version;
        let due = self.hub.poll_timeout().expect("it always ticks");
        assert!(
            due.at <= self.now().at + self.limits.tick,
            "{due:?} is too far off"
        );
    }

    fn do_it(&mut self, op: &Op) {
        let now = self.now();
        match op {
            Op::Open(far) => self.open(*far),
            Op::Join(joiner) => self.join(*joiner),
            Op::Knock(peer, joiner) => self.knock(*peer, *joiner),
            Op::Say(peer, message) => self.send(*peer, message),
            Op::Ask(peer) => self.ask(*peer),
            Op::Look(peer) => self.say(
                *peer,
                &json!({"type": "req", "id": "look", "method": "system-presence"}),
            ),
            Op::Admit(which) => self.decide(*which, true),
            Op::Refuse(which) => self.decide(*which, false),
            Op::Reply(which, size) => {
                if let Some(call) = taken(&mut self.calls, *which) {
                    let payload = support::json(json!({"status": "ok", "text": "x".repeat(*size)}));
                    self.hub.reply(call, Outcome::success(payload), now);
                }
            }
            Op::Accept(which, run) => {
                if let Some(call) = taken(&mut self.calls, *which) {
                    self.accept(call, *run);
                }
            }
            Op::Complete(which) => {
                if let Some(run) = taken(&mut self.runs, *which) {
                    let error = ErrorShape::unavailable("no");
                    self.hub
                        .complete(run, Outcome::failure_with(json_of("error"), error), now);
                }
            }
            Op::Publish(family, size) => {
                let (event, audience, class) = FAMILIES[usize::from(*family) % FAMILIES.len()];
                let mut publication = support::ordinary(event, &"x".repeat(*size), audience);
                publication.class = class;
                self.hub.broadcast(publication, now);
            }
            Op::Health(content) => {
                let content = support::json(json!({"detail": content}));
                self.hub.set_health(
                    Health {
                        took: millis(1),
                        content,
                    },
                    now,
                );
            }
            Op::Announce(host) => {
                let host = Some(format!("h{host}"));
                self.hub.announce(
                    Row {
                        host: host.clone(),
                        instance_id: host,
                        ..Row::default()
                    },
                    now,
                );
            }
            Op::Pull(peer, count) => self.with(*peer, |world, peer| {
                for _ in 0..*count {
                    world.pull(peer);
                }
            }),
            Op::Sent(peer) => {
                self.with(*peer, |world, peer| world.hub.sent(world.peers[peer].conn))
            }
            Op::Pass(ms) => self.pass(*ms),
            Op::Disconnect(peer) => self.with(*peer, |world, peer| {
                world.hub.handle_disconnect(world.peers[peer].conn, now);
            }),
            Op::Close(peer) => self.with(*peer, |world, peer| {
                world
                    .hub
                    .close(world.peers[peer].conn, Close::new(1012, "bye"), now);
            }),
            Op::Fault(peer) => self.with(*peer, |world, peer| {
                world
                    .hub
                    .handle_fault(world.peers[peer].conn, PeerFault::NotUtf8, now);
            }),
        }
    }

    fn open(&mut self, far: bool) {
        let now = self.now();
        let address = Ipv4Addr::new(if far { 192 } else { 127 }, 0, 0, 1);
        let address = Address {
            address: IpAddr::V4(address),
            direct_loopback: !far,
            origin: None,
            claims: None,
        };
        let conn = self.hub.open(address, NONCE, 0, now);
        self.peers.push(Peer::new(conn));
    }

    fn join(&mut self, joiner: u8) {
        self.open(false);
        let newest = self.peers.len() - 1;
        // More peers than a number can name are not made.
        let Ok(peer) = u8::try_from(newest) else {
            return;
        };
        self.knock(peer, joiner);
        if joiner >= 128 {
            // It does not wait for its hello.
            self.ask(peer);
            self.ask(peer);
        }
        self.take_events();
        let conn = self.peers[newest].conn;
        let waits = |(applicant, _): &(Applicant, _)| applicant.conn() == conn;
        if let Some(which) = self.applicants.iter().position(waits) {
            let (applicant, params) = self.applicants.swap_remove(which);
            self.admit(applicant, &params);
        }
    }

    fn knock(&mut self, peer: u8, joiner: u8) {
        let params = JOINERS[usize::from(joiner) % JOINERS.len()].params(joiner / 8);
        let frame = json!({"type": "req", "id": "c", "method": "connect", "params": params});
        self.say(peer, &frame);
    }

    /// What is done to a connection that is over changes nothing.
    fn with(&mut self, peer: u8, act: impl FnOnce(&mut Self, usize)) {
        if self.peers.is_empty() {
            return;
        }
        let peer = usize::from(peer) % self.peers.len();
        let before = self.peers[peer].over.then(|| self.state());
        act(self, peer);
        if let Some(before) = before {
            assert_eq!(self.state(), before, "who is gone changes nothing");
            assert!(!self.hub.has_output(self.peers[peer].conn));
        }
    }

    fn say(&mut self, peer: u8, frame: &Value) {
        self.send(peer, frame.to_string().as_bytes());
    }

    fn send(&mut self, peer: u8, message: &[u8]) {
        let now = self.now();
        let inbound = Inbound::decode(&Bytes::copy_from_slice(message));
        self.with(peer, |world, peer| {
            world.hub.handle_frame(world.peers[peer].conn, inbound, now)
        });
    }

    fn ask(&mut self, peer: u8) {
        self.asked += 1;
        let id = format!("q{}", self.asked);
        self.say(
            peer,
            &json!({"type": "req", "id": id, "method": "agent", "params": {}}),
        );
        if !self.peers.is_empty() {
            let peer = usize::from(peer) % self.peers.len();
            self.peers[peer].asked.push(id);
        }
    }

    pub(crate) fn decide(&mut self, which: u8, admit: bool) {
        let now = self.now();
        let Some((applicant, params)) = taken(&mut self.applicants, which) else {
            return;
        };
        if admit {
            self.admit(applicant, &params);
        } else {
            let error = ErrorShape::invalid_request("no");
            let refused = self.hub.refuse(applicant, error, now);
            refused.expect("its own token");
        }
    }

    fn admit(&mut self, applicant: Applicant, params: &ConnectParams) {
        let now = self.now();
        let grant = support::grant(params);
        let peer = self.known(applicant.conn());
        peer.granted = Some((grant.role, params.scopes.clone(), params.caps.clone()));
        let admitted = self.hub.admit(applicant, &grant, now);
        admitted.expect("its own token");
    }

    fn accept(&mut self, call: Call, run: u8) {
        let now = self.now();
        let run = format!("run{}", run % 3);
        if let Err(call) = self.hub.join(call, &run, json_of("accepted"), now) {
            let run = self.hub.accept(call, &run, json_of("accepted"), now);
            self.runs.push(run);
        }
    }
}

pub(crate) fn json_of(status: &str) -> openclaw_protocol_core::json::Json {
    support::json(json!({ "status": status }))
}

fn taken<T>(all: &mut Vec<T>, which: u8) -> Option<T> {
    (!all.is_empty()).then(|| all.swap_remove(usize::from(which) % all.len()))
}
