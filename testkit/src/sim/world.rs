//! Everything together: the clock, the gateway, the clients, and the links between them.

mod traffic;

use std::collections::BTreeMap;

use openclaw_protocol_core::client::{Connection, Mirror};
use openclaw_protocol_core::server::ConnId;

use super::draw::Draw;
use super::gateway::Gateway;
use super::history::{History, Note};
use super::link::{Item, Link, Pipe};
use super::log::Log;
use super::peer::{self, Peer};
use super::plan::Plan;
use super::profile;

/// How long everything may take to recover once the faults are over.
const RECOVERY: u64 = 75_000_000;
/// The most turns at one moment.
const TURNS: u32 = 1_000;

/// A socket between somebody and the gateway.
pub(super) struct Wire {
    pub(super) link: Link,
    /// Which client; `None` for strangers.
    pub(super) client: Option<usize>,
    pub(super) conn: ConnId,
    pub(super) boot: u32,
    /// Whether the hub has named it since it was pulled empty.
    is_named: bool,
    /// Whether something that was pulled is not yet reported as written.
    is_unreported: bool,
    pub(super) gateway_is_there: bool,
    client_is_there: bool,
    /// Whether what it sends was read before anybody could say to wait.
    is_impatient: bool,
}

pub(super) struct World {
    pub(super) log: Log,
    pub(super) draw: Draw,
    pub(super) gateway: Gateway,
    pub(super) peers: Vec<Peer>,
    pub(super) wires: BTreeMap<u32, Wire>,
    last_wire: u32,
    is_stuck: bool,
}

/// Lets a plan happen.
pub(super) fn play(plan: &Plan) -> History {
    let mut world = World::new(plan);
    for step in &plan.steps {
        let until = world.log.at() + step.after;
        world.run(until);
        world.act(step.op);
    }
    world.heal();
    let until = world.log.at() + RECOVERY;
    world.run(until);
    world.settle();
    world.rest();
    world.log.history
}

impl World {
    fn new(plan: &Plan) -> Self {
        let mut draw = Draw::new(plan.seed);
        let mut log = Log::default();
        let gateway = Gateway::new(plan, &mut log);
        log.history.outbox = gateway.limits.outbox;
        log.history.keeps_runs = plan.keeps_runs;
        let peers = (0..usize::from(plan.clients))
            .map(|index| Peer::new(index, Draw::new(draw.number())))
            .collect();
        Self {
            log,
            draw,
            gateway,
            peers,
            wires: BTreeMap::new(),
            last_wire: 0,
            is_stuck: false,
        }
    }

    /// Lets time pass.
    fn run(&mut self, until: u64) {
        let mut turns = 0;
        while let Some(due) = self.due().filter(|due| *due <= until) {
            turns = if due > self.log.at() { 0 } else { turns + 1 };
            if turns > TURNS {
                self.is_stuck = true;
                self.log.note(Note::Stuck);
                break;
            }
            self.log.set(due.max(self.log.at()));
            self.turn();
        }
        self.log.set(until.max(self.log.at()));
        self.turn();
    }

    /// Lets what is under way arrive, and nothing new begin.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let under_way = |wire: &Wire| wire.link.up.due().max(wire.link.down.due());
            let last = self.wires.values().filter_map(under_way).max();
            match last {
                Some(last) if !self.is_stuck => self.run(last),
                _ => return,
            }
        }
    }

    fn due(&self) -> Option<u64> {
        let wires = self.wires.values().flat_map(|wire| {
            let up = wire.link.up.due().filter(|_| !self.is_waiting(wire));
            [up, wire.link.down.due()]
        });
        let peers = self.peers.iter().map(Peer::due);
        wires
            .chain(peers)
            .chain([self.gateway.due()])
            .flatten()
            .min()
    }

    /// Whether a message waits because the gateway does not read from that socket now.
    fn is_waiting(&self, wire: &Wire) -> bool {
        let is_text = matches!(wire.link.up.next(), Some(Item::Text(_)));
        let hub = self.gateway.hub.as_ref().filter(|_| self.is_live(wire));
        is_text && !wire.is_impatient && hub.is_some_and(|hub| !hub.wants_input(wire.conn))
    }

    fn is_live(&self, wire: &Wire) -> bool {
        wire.gateway_is_there && wire.boot == self.gateway.boot
    }

    fn turn(&mut self) {
        if self.gateway.turn(&mut self.log) {
            self.crash();
        }
        self.bury();
        let ids: Vec<u32> = self.wires.keys().copied().collect();
        for id in &ids {
            self.arrive_up(*id);
            self.arrive_down(*id);
        }
        for index in 0..self.peers.len() {
            self.peers[index].turn(&mut self.log);
            if self.peers[index]
                .dials_at
                .is_some_and(|at| at <= self.log.at())
            {
                self.dial(index);
            }
        }
        self.pump();
    }

    fn dial(&mut self, index: usize) {
        let jitter = self.draw.byte();
        let who = format!("client {index}");
        let Some(conn) = self.gateway.open(&who, jitter, &mut self.log) else {
            return self.peers[index].unreachable(&mut self.log);
        };
        self.peers[index].dialled(&mut self.log);
        self.connect(conn, Some(index));
    }

    /// Lays a link for a connection that the gateway has opened.
    pub(super) fn connect(&mut self, conn: ConnId, client: Option<usize>) -> &mut Wire {
        let pipe = |draw: &mut Draw, least: usize| {
            let latency = 200 + draw.below(4) * draw.below(60_000);
            let window = least + 3_000 * draw.below(4) as usize;
            Pipe::new(latency, draw.below(3) * 900, window)
        };
        let link = Link {
            up: pipe(&mut self.draw, 150),
            down: pipe(&mut self.draw, 2_000),
        };
        self.last_wire += 1;
        self.wires.entry(self.last_wire).or_insert(Wire {
            link,
            client,
            conn,
            boot: self.gateway.boot,
            is_named: false,
            is_unreported: false,
            gateway_is_there: true,
            client_is_there: true,
            is_impatient: client.is_none(),
        })
    }

    fn crash(&mut self) {
        let at = self.log.at();
        let boot = self.gateway.boot;
        for wire in self.wires.values_mut().filter(|wire| wire.boot == boot) {
            if core::mem::take(&mut wire.gateway_is_there) {
                let keep = self.draw.below(4) as usize;
                wire.link.down.cut(keep, at);
            }
        }
        self.gateway.die(&mut self.log);
    }

    /// Notes what everybody knows.
    fn rest(&mut self) {
        let Some(hub) = &mut self.gateway.hub else {
            self.log.note(Note::Stuck);
            return;
        };
        let connected: Vec<ConnId> = self.wires.values().map(|wire| wire.conn).collect();
        let undrained = connected.into_iter().filter(|conn| hub.has_output(*conn));
        let versions = hub.state_version();
        let note = Note::Rest {
            undrained: undrained.map(|conn| conn.0).collect(),
            presence: peer::known(Some(hub.presence())),
            health: peer::known(Some(hub.health(true))),
            versions: (versions.presence, versions.health),
            open: (hub.open_runs(), hub.connections()),
            admitted: hub.admitted(),
            works: self.gateway.works.len(),
        };
        self.log.note(note);
        for peer in &mut self.peers {
            let conn = peer.conn.as_mut();
            let is_ready = conn.as_ref().is_some_and(|conn| conn.is_ready());
            let is_suspect = conn.as_ref().is_some_and(|conn| conn.is_suspect());
            let undrained = conn.and_then(Connection::poll_transmit).is_some();
            let mirror = peer.mirror.as_ref();
            let versions = mirror.map(Mirror::versions).unwrap_or_default();
            self.log.note(Note::Mirror {
                client: peer.index,
                life: peer.life,
                is_connected: is_ready,
                reads: profile::reads(peer.index),
                is_suspect: is_suspect || mirror.is_some_and(Mirror::is_suspect),
                undrained,
                presence: peer::known(mirror.and_then(Mirror::presence)),
                health: peer::known(mirror.and_then(Mirror::health)),
                versions: (versions.presence, versions.health),
            });
        }
    }
}
