//! Whatever nodes declare and operators decide, in whatever order: nothing holds that was not declared and approved.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use openclaw_gateway_service::nodes::policy::{Policy, needed_to_approve};
use openclaw_protocol_core::server::ConnId;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, Settings, WRITE, World, local};

const PAIRING: &str = "operator.pairing";
const COMMANDS: [&str; 4] = ["system.run", "system.notify", "lab.echo", "camera.snap"];

/// What somebody does.
#[derive(Clone, Debug)]
enum Step {
    /// A node connects in a protocol and offers some of the commands, as bits.
    Join {
        node: u8,
        legacy: bool,
        offers: u8,
    },
    /// Its newest socket goes.
    Leave {
        node: u8,
    },
    /// Who may approve only little, or everything, decides over what waits.
    Approve {
        node: u8,
        weak: bool,
    },
    Reject {
        node: u8,
    },
    Remove {
        node: u8,
    },
    /// Somebody asks a node for a command.
    Invoke {
        node: u8,
        command: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..2_u8;
    prop_oneof![
        3 => (node.clone(), any::<bool>(), 0..16_u8)
            .prop_map(|(node, legacy, offers)| Step::Join { node, legacy, offers }),
        1 => node.clone().prop_map(|node| Step::Leave { node }),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, weak)| Step::Approve { node, weak }),
        1 => node.clone().prop_map(|node| Step::Reject { node }),
        1 => node.clone().prop_map(|node| Step::Remove { node }),
        4 => (node, 0..COMMANDS.len()).prop_map(|(node, command)| Step::Invoke { node, command }),
    ]
}

fn names(bits: u8) -> Vec<&'static str> {
    let each = COMMANDS.iter().enumerate();
    each.filter(|(index, _)| bits & (1 << index) != 0)
        .map(|(_, name)| *name)
        .collect()
}

/// What is expected of a node.
#[derive(Debug, Default)]
struct Expected {
    /// Its sockets, the newest last; what that one declared, and whether in an older protocol.
    sockets: Vec<(ConnId, BTreeSet<&'static str>, bool)>,
    /// What was approved, once something was.
    approved: Option<BTreeSet<&'static str>>,
    /// What waits.
    waits: Option<BTreeSet<&'static str>>,
    /// Whether it was ever seen to need an approval.
    bound: bool,
}

impl Expected {
    /// What may be asked of it; `None` where nothing can be.
    fn effective(&self) -> Option<BTreeSet<&'static str>> {
        let (_, declared, legacy) = self.sockets.last()?;
        match &self.approved {
            Some(approved) => Some(approved & declared),
            None if *legacy && !self.bound => Some(declared.clone()),
            None => None,
        }
    }
}

struct Play {
    world: World,
    boss: ConnId,
    weak: ConnId,
    nodes: BTreeMap<u8, Expected>,
    asked: u32,
}

fn id(node: u8) -> String {
    Device::new(node + 1).id()
}

impl Play {
    fn new() -> Self {
        let commands = Policy {
            allow: vec!["lab.echo".to_owned()],
            deny: Vec::new(),
        };
        let mut world = World::with(Settings {
            commands,
            ..Settings::default()
        });
        Self {
            boss: world.operator(&[ADMIN]),
            weak: world.operator(&[PAIRING, WRITE]),
            world,
            nodes: BTreeMap::from([(0, Expected::default()), (1, Expected::default())]),
            asked: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Join {
                node,
                legacy,
                offers,
            } => self.join(node, legacy, offers),
            Step::Leave { node } => {
                let expected = self.nodes.get_mut(&node).expect("one of two");
                // Whoever was there before counts again.
                if let Some((conn, ..)) = expected.sockets.pop() {
                    self.world.cut(conn);
                }
            }
            Step::Approve { node, weak } => self.approve(node, weak),
            Step::Reject { node } => {
                let params = json!({"requestId": self.request(node)});
                let answer = self.world.ask(self.boss, "node.pair.reject", params);
                let expected = self.nodes.get_mut(&node).expect("one of two");
                assert_eq!(answer["ok"], expected.waits.take().is_some(), "{answer}");
            }
            Step::Remove { node } => {
                let params = json!({"nodeId": id(node)});
                let answer = self.world.ask(self.boss, "node.pair.remove", params);
                let expected = self.nodes.get_mut(&node).expect("one of two");
                if answer["ok"] == true {
                    for (conn, ..) in std::mem::take(expected).sockets {
                        assert_eq!(self.world.close(conn), Some((4001, "device removed")));
                    }
                }
            }
            Step::Invoke { node, command } => self.invoke(node, COMMANDS[command]),
        }
    }

    fn join(&mut self, node: u8, legacy: bool, offers: u8) {
        let commands = names(offers);
        let caller = Caller {
            id: "node-host",
            mode: "node",
            role: "node",
            versions: if legacy { (3, 3) } else { (4, 4) },
            commands: &commands,
            platform: "linux",
            device: Some(Device::new(node + 1)),
            ..Caller::default()
        };
        let (conn, hello) = self.world.knock_from(local(), &caller);
        assert_eq!(hello["ok"], true, "{hello}");
        // A Linux host has no camera, and nobody allowed it.
        let declared: BTreeSet<&str> = commands
            .into_iter()
            .filter(|c| *c != "camera.snap")
            .collect();
        let expected = self.nodes.get_mut(&node).expect("one of two");
        expected.sockets.push((conn, declared.clone(), legacy));
        if legacy && !expected.bound {
            return;
        }
        expected.bound = true;
        let is_covered = expected
            .approved
            .as_ref()
            .is_some_and(|approved| declared.is_subset(approved));
        expected.waits = (!is_covered).then_some(declared);
    }

    fn approve(&mut self, node: u8, weak: bool) {
        let by = if weak { self.weak } else { self.boss };
        let params = json!({"requestId": self.request(node)});
        let answer = self.world.ask(by, "node.pair.approve", params);
        let expected = self.nodes.get_mut(&node).expect("one of two");
        let Some(waits) = &expected.waits else {
            assert_eq!(answer["error"]["message"], "unknown requestId");
            return;
        };
        let owned: Vec<String> = waits.iter().map(|name| (*name).to_owned()).collect();
        let needed = needed_to_approve(&owned);
        let names: Vec<&str> = needed.iter().map(|scope| scope.as_str()).collect();
        if weak && names.contains(&ADMIN) {
            assert_eq!(answer["error"]["message"], "missing scope: operator.admin");
        } else {
            assert_eq!(answer["ok"], true, "{answer}");
            expected.approved = expected.waits.take();
        }
    }

    fn invoke(&mut self, node: u8, command: &str) {
        self.asked += 1;
        let request = self.asked.to_string();
        let params = json!({"nodeId": id(node), "command": command, "idempotencyKey": "k"});
        self.world
            .request(self.boss, &request, "node.invoke", params);
        let expected = &self.nodes[&node];
        let may = expected
            .effective()
            .is_some_and(|effective| effective.contains(command));
        let Some((conn, ..)) = expected.sockets.last() else {
            assert_eq!(self.world.answer(self.boss, &request)["ok"], false);
            return;
        };
        let heard = self.world.hear(*conn);
        let asked = heard
            .iter()
            .find(|frame| frame["event"] == "node.invoke.request");
        assert_eq!(asked.is_some(), may, "{command} {expected:?}");
        match asked {
            None => {
                let answer = self.world.answer(self.boss, &request);
                assert_eq!(answer["ok"], false, "{answer}");
            }
            Some(asked) => {
                let result = json!({"id": asked["payload"]["id"], "nodeId": id(node), "ok": true});
                let received = self.world.ask(*conn, "node.invoke.result", result);
                assert_eq!(received["ok"], true, "{received}");
                let answer = self.world.answer(self.boss, &request);
                assert_eq!(answer["ok"], true, "{answer}");
            }
        }
    }

    /// The request of a node, which waits exactly if it is expected to.
    fn request(&mut self, node: u8) -> Value {
        let list = self.world.ask(self.boss, "node.pair.list", json!({}));
        let pending = list["payload"]["pending"].as_array().expect("a list");
        let own = pending.iter().find(|entry| entry["nodeId"] == id(node));
        let waits = self.nodes[&node].waits.as_ref();
        let shown = own.map(|entry| {
            let commands = entry["commands"].as_array().expect("a list");
            let names = commands.iter().map(|name| name.as_str().expect("a name"));
            names.map(str::to_owned).collect::<BTreeSet<_>>()
        });
        let waits = waits.map(|waits| waits.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(shown, waits);
        own.map_or(json!("none"), |entry| entry["requestId"].clone())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_holds_that_was_not_declared_and_approved(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut play = Play::new();
        for step in &steps {
            play.take(step);
        }
    }
}
