//! A hub, peers that do anything, and an application that answers sooner or later.

use core::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{Outcome, StateVersion, Transmit};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::Welcome;
use openclaw_protocol_core::hub::{Event, Health, Hub, Peer as Address, Row, Run};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::{Applicant, Call, ConnId};
use openclaw_protocol_core::time::Now;
use serde_json::{Value, json};

use super::histories::{Heard, Peer};
use super::hubs::{FAMILIES, JOINERS, Op};
use super::support::{self, Clock, NONCE, millis, seconds};

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
    drain: Drain,
    applicants: Vec<(Applicant, Box<ConnectParams>)>,
    calls: Vec<Call>,
    runs: Vec<Run>,
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
    fn state(&self) -> String {
        let whole = format!("{:?}", self.hub);
        let state = whole.split("burden:").next().expect("a first part");
        state.to_owned()
    }

    fn now(&self) -> Now {
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
            Op::Knock(peer, joiner) => {
                let params = JOINERS[usize::from(*joiner) % JOINERS.len()].params();
                self.say(
                    *peer,
                    &json!({"type": "req", "id": "c", "method": "connect", "params": params}),
                );
            }
            Op::Say(peer, message) => self.send(*peer, message),
            Op::Ask(peer) => self.ask(*peer),
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
        };
        let conn = self.hub.open(address, NONCE, 0, now);
        self.peers.push(Peer::new(conn));
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

    fn decide(&mut self, which: u8, admit: bool) {
        let now = self.now();
        let Some((applicant, params)) = taken(&mut self.applicants, which) else {
            return;
        };
        let grant = support::grant(&params);
        if admit {
            let conn = applicant.conn();
            self.hub
                .admit(applicant, &grant, now)
                .expect("its own token");
            let peer = self
                .peers
                .iter_mut()
                .find(|peer| peer.conn == conn)
                .expect("known");
            peer.granted = Some((grant.role, params.scopes, params.caps));
        } else {
            let error = ErrorShape::invalid_request("no");
            self.hub
                .refuse(applicant, error, now)
                .expect("its own token");
        }
    }

    fn accept(&mut self, call: Call, run: u8) {
        let now = self.now();
        let run = format!("run{}", run % 3);
        if let Err(call) = self.hub.join(call, &run, json_of("accepted"), now) {
            let run = self.hub.accept(call, &run, json_of("accepted"), now);
            self.runs.push(run);
        }
    }

    fn take_events(&mut self) {
        while self.take_event() {}
    }

    fn take_event(&mut self) -> bool {
        let Some(event) = self.hub.poll_event() else {
            return false;
        };
        match event {
            Event::Connect {
                applicant, params, ..
            } => self.applicants.push((applicant, params)),
            Event::Request { call, request } => {
                // Only ours are answered with words that tell first answers from last ones.
                assert!(
                    self.known(call.conn()).granted.is_some(),
                    "{request:?} before hello"
                );
                self.calls.push(call);
            }
            Event::Fault { conn, .. } => assert!(!self.known(conn).over),
            Event::Closed { conn } => {
                let peer = self.known(conn);
                assert!(!core::mem::replace(&mut peer.over, true), "it ends once");
            }
        }
        true
    }

    fn known(&mut self, conn: ConnId) -> &mut Peer {
        self.peers
            .iter_mut()
            .find(|peer| peer.conn == conn)
            .expect("known")
    }

    fn pull(&mut self, peer: usize) -> bool {
        let now = self.now();
        let conn = self.peers[peer].conn;
        let has_output = self.hub.has_output(conn);
        let transmit = self.hub.poll_transmit(conn);
        assert_eq!(transmit.is_some(), has_output);
        let heard = match transmit {
            None => return false,
            Some(Transmit::Ping) => {
                if !self.peers[peer].mute {
                    self.hub.handle_activity(conn, now);
                }
                Heard::Ping
            }
            Some(Transmit::Close(close)) => {
                assert!(close.reason().len() <= 120);
                Heard::Close(close.code, close.reason().to_owned())
            }
            Some(Transmit::Frame(frame)) => {
                let text = Bytes::from(frame.encode());
                assert!(text.len() <= self.limits.frame);
                let legal = matches!(
                    FromGateway::decode(&text),
                    FromGateway::Response { .. } | FromGateway::Push(_)
                );
                assert!(legal, "{text:?} is no frame");
                Heard::Frame(serde_json::from_slice(&text).expect("JSON"))
            }
        };
        self.peers[peer].heard.push(heard);
        true
    }

    /// Serves every timer at its moment; what was served once is idle the second time.
    fn pass(&mut self, ms: u64) {
        let until = self.clock.passed() + millis(ms);
        while let Some(due) = self
            .hub
            .poll_timeout()
            .filter(|due| due.at.since_origin() <= until)
        {
            self.clock
                .set(due.at.since_origin().max(self.clock.passed()));
            self.serve();
        }
        self.clock.set(until);
        self.serve();
    }

    fn serve(&mut self) {
        let now = self.now();
        self.hub.handle_timeout(now);
        let due = self.hub.poll_timeout();
        assert!(
            due.is_none_or(|due| due.at > now.at),
            "{due:?} is still due"
        );
        let rest = self.state();
        self.hub.handle_timeout(now);
        assert_eq!(self.state(), rest, "it is idle the second time");
        self.take_events();
        if self.drain != Drain::AsTold {
            self.drain_all();
        }
    }

    fn drain_all(&mut self) {
        loop {
            let mut ready: Vec<ConnId> = core::iter::from_fn(|| self.hub.poll_ready()).collect();
            if self.drain == Drain::OutputFirst {
                ready.sort_by(|one, other| other.cmp(one));
            }
            let mut turns: Vec<usize> = ready
                .iter()
                .filter_map(|conn| self.peers.iter().position(|peer| peer.conn == *conn))
                .collect();
            if self.drain == Drain::EventsFirst {
                self.take_events();
            }
            let mut moved = !turns.is_empty();
            while self.drain == Drain::InTurns && !turns.is_empty() {
                turns.retain(|peer| self.pull(*peer));
                moved |= self.take_event();
            }
            for peer in turns {
                while self.pull(peer) {}
            }
            moved |= self.take_event();
            self.take_events();
            for conn in ready {
                self.hub.sent(conn);
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets everybody in, answers everything, and lets everybody read to the end.
    pub(crate) fn rest(&mut self) {
        let now = self.now();
        loop {
            self.take_events();
            self.read_everything();
            if let Some(call) = self.calls.pop() {
                self.hub.reply(call, Outcome::success(json_of("ok")), now);
            } else if !self.applicants.is_empty() {
                self.decide(0, true);
            } else if let Some(run) = self.runs.pop() {
                self.hub.complete(run, Outcome::success(json_of("ok")), now);
            } else {
                break;
            }
        }
        self.pass(seconds(2).as_millis() as u64);
        self.read_everything();
        let open = self.peers.iter().filter(|peer| !peer.over).count();
        assert_eq!(self.hub.connections(), open);
        assert_eq!(self.hub.open_runs(), 0);
        while let Some(conn) = self.hub.poll_ready() {
            assert!(!self.hub.has_output(conn), "nothing is left");
        }
    }

    fn read_everything(&mut self) {
        for peer in 0..self.peers.len() {
            while self.pull(peer) {}
            self.hub.sent(self.peers[peer].conn);
        }
    }
}

fn json_of(status: &str) -> openclaw_protocol_core::json::Json {
    support::json(json!({ "status": status }))
}

fn taken<T>(all: &mut Vec<T>, which: u8) -> Option<T> {
    (!all.is_empty()).then(|| all.swap_remove(usize::from(which) % all.len()))
}
