//! Many peers that do this and that, in schedules drawn from numbers: what must hold at the end.

mod support;

use std::collections::BTreeMap;

use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::{Health, Row, Run};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::Audience;
use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{Gateway, Heard, Joiner, READ, closes, delta, millis, ordinary, parsed, seconds};

/// A sequence of numbers that only its seed decides (Knuth's MMIX constants).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let count = items.len() as u64;
        (count > 0).then(|| items[usize::try_from(self.below(count)).expect("small")])
    }
}

const JOINERS: [Joiner<'_>; 5] = {
    let plain = Joiner {
        id: "gateway-client",
        mode: "backend",
        role: "operator",
        scopes: READ,
        device: None,
        instance: None,
        name: None,
    };
    [
        Joiner {
            device: Some("d1"),
            ..plain
        },
        Joiner {
            device: Some("d2"),
            mode: "ui",
            ..plain
        },
        Joiner {
            id: "cli",
            mode: "cli",
            instance: Some("i1"),
            ..plain
        },
        Joiner {
            id: "openclaw-probe",
            mode: "probe",
            ..plain
        },
        Joiner {
            id: "node-host",
            mode: "node",
            role: "node",
            scopes: &[],
            ..plain
        },
    ]
};

struct World {
    gateway: Gateway,
    draw: Draw,
    live: Vec<ConnId>,
    heard: BTreeMap<ConnId, Vec<Heard>>,
    runs: Vec<Run>,
    accepted: usize,
    dropped_possible: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let dropped_possible = seed % 2 == 1;
        let limits = Limits {
            outbox_soft_pushes: if dropped_possible { 3 } else { 1_000 },
            ..Limits::default()
        };
        Self {
            gateway: Gateway::with(limits),
            draw: Draw(seed),
            live: Vec::new(),
            heard: BTreeMap::new(),
            runs: Vec::new(),
            accepted: 0,
            dropped_possible,
        }
    }

    fn step(&mut self) {
        self.bury();
        let now = self.gateway.now();
        match self.draw.below(14) {
            0 | 1 => self.join(),
            2 => self.leave(),
            3 => self.gateway.broadcast(delta("word")),
            4 => self
                .gateway
                .broadcast(ordinary("note", "x", Audience::Everyone)),
            5 => self.request(),
            6 => {
                if let Some(run) = self.runs.pop() {
                    let outcome = Outcome::success(support::json(json!({"status": "ok"})));
                    self.gateway.hub.complete(run, outcome, now);
                    self.gateway.settle();
                }
            }
            7 => {
                let content = support::json(json!({"n": self.draw.below(3)}));
                self.gateway.hub.set_health(
                    Health {
                        took: seconds(0),
                        content,
                    },
                    now,
                );
                self.gateway.settle();
            }
            8 => {
                let host = ["b1", "b2"][usize::try_from(self.draw.below(2)).expect("small")];
                let row = Row {
                    instance_id: Some(host.into()),
                    host: Some(host.into()),
                    ..Row::default()
                };
                self.gateway.hub.announce(row, now);
                self.gateway.settle();
            }
            9 => {
                if let Some(conn) = self.draw.of(&self.live) {
                    self.gateway.stall(conn);
                }
            }
            10 | 11 => self.read_everything(),
            12 => self.gateway.pass(millis(1 + self.draw.below(1_500))),
            _ => self.gateway.pass(seconds(self.draw.below(40))),
        }
    }

    /// Who read nothing for a minute answered no ping either, and was dropped.
    fn bury(&mut self) {
        let Gateway { hub, ended, .. } = &self.gateway;
        self.live
            .retain(|conn| hub.wants_input(*conn) && !ended.contains(conn));
    }

    fn join(&mut self) {
        let joiner = &JOINERS[usize::try_from(self.draw.below(5)).expect("small")];
        let conn = self.gateway.open();
        self.gateway.request(conn, "c", "connect", joiner.params());
        self.live.push(conn);
    }

    fn leave(&mut self) {
        let Some(conn) = self.draw.of(&self.live) else {
            return;
        };
        if self.draw.below(2) == 0 {
            self.gateway.close(conn, 1012, "bye");
        } else {
            self.gateway.disconnect(conn);
        }
        self.read(conn);
        self.live.retain(|live| *live != conn);
    }

    fn request(&mut self) {
        let Some(conn) = self.draw.of(&self.live) else {
            return;
        };
        let call = self.gateway.call(conn, "r");
        let now = self.gateway.now();
        let ack = support::json(json!({"status": "accepted"}));
        let id = ["r1", "r2"][usize::try_from(self.draw.below(2)).expect("small")];
        self.accepted += 1;
        if let Err(call) = self.gateway.hub.join(call, id, ack.clone(), now) {
            let run = self.gateway.hub.accept(call, id, ack, now);
            self.runs.push(run);
        }
        self.gateway.settle();
    }

    fn read_everything(&mut self) {
        for conn in self.live.clone() {
            self.read(conn);
        }
    }

    fn read(&mut self, conn: ConnId) {
        let more = self.gateway.hear(conn);
        self.heard.entry(conn).or_default().extend(more);
    }

    /// Lets everything come to an end, and to rest.
    fn rest(&mut self) {
        let now = self.gateway.now();
        for run in core::mem::take(&mut self.runs) {
            let outcome = Outcome::success(support::json(json!({"status": "ok"})));
            self.gateway.hub.complete(run, outcome, now);
        }
        self.read_everything();
        self.gateway.pass(seconds(3));
        self.read_everything();
        self.bury();
    }

    fn judge(&mut self, seed: u64) {
        let list = Value::from(self.gateway.presence());
        for (conn, heard) in &self.heard {
            let frames = parsed(heard);
            let is_live = self.live.contains(conn);
            assert!(
                closes(heard).is_none() || !is_live,
                "seed {seed}: {conn} closed"
            );
            self.judge_numbers(seed, &frames);
            judge_versions(seed, &frames);
            let count = |status: &str| {
                frames
                    .iter()
                    .filter(|frame| frame["id"] == "r" && frame["payload"]["status"] == status)
                    .count()
            };
            if is_live {
                assert_eq!(
                    count("accepted"),
                    count("ok"),
                    "seed {seed}: {conn} one final each"
                );
            } else {
                assert!(count("accepted") >= count("ok"), "seed {seed}: {conn}");
            }
            let reads = self
                .gateway
                .hub
                .session(*conn)
                .is_some_and(|session| !session.scopes.is_empty());
            if is_live && reads {
                let last = frames.iter().rev().find_map(|frame| {
                    let pushed = frame["payload"].get("presence");
                    pushed.or(frame["payload"]["snapshot"].get("presence"))
                });
                assert_eq!(last, Some(&list), "seed {seed}: {conn} has a stale list");
            }
        }
        assert_eq!(self.gateway.hub.open_runs(), 0);
        assert_eq!(self.gateway.hub.connections(), self.live.len());
    }

    fn judge_numbers(&self, seed: u64, frames: &[Value]) {
        let numbers: Vec<u64> = frames
            .iter()
            .filter_map(|frame| frame["seq"].as_u64())
            .collect();
        assert!(
            self.dropped_possible || numbers.first().is_none_or(|first| *first == 1),
            "seed {seed}: {numbers:?}"
        );
        for pair in numbers.windows(2) {
            assert!(pair[1] > pair[0], "seed {seed}: numbers rise");
            assert!(
                self.dropped_possible || pair[1] == pair[0] + 1,
                "seed {seed}: {numbers:?}"
            );
        }
    }
}

fn judge_versions(seed: u64, frames: &[Value]) {
    for name in ["presence", "health"] {
        let versions: Vec<u64> = frames
            .iter()
            .filter_map(|frame| {
                let pushed = &frame["stateVersion"][name];
                pushed
                    .as_u64()
                    .or(frame["payload"]["snapshot"]["stateVersion"][name].as_u64())
            })
            .collect();
        assert!(versions.is_sorted(), "seed {seed}: {name} {versions:?}");
    }
}

#[test]
fn whatever_happens_the_end_is_in_order() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        world.rest();
        world.judge(seed);
        assert!(world.accepted > 0);
    }
}
