//! What a plan does to a world.

use bytes::Bytes;
use serde_json::json;

use super::coverage::Trial;
use super::history::Family;
use super::link::{Item, Message};
use super::log::Log;
use super::plan::{Op, Question};
use super::profile;
use super::world::{Wire, World};

use openclaw_protocol_core::json::Object;

const FAMILIES: [Family; 6] = [
    Family::All,
    Family::Scope("operator.read"),
    Family::Cap("operator.read", "tool-events"),
    Family::Scope("operator.approvals"),
    Family::Scope("operator.pairing"),
    Family::Without("operator.read"),
];

impl World {
    pub(super) fn act(&mut self, op: Op) {
        let at = self.log.at();
        let log = &mut self.log;
        let count = self.peers.len();
        let of = |who: u8| usize::from(who) % count;
        match op {
            Op::Ask(who, question) => {
                if self.peers[of(who)].conn.is_some() {
                    log.tried(asked(question));
                }
                self.peers[of(who)].ask(question, log);
            }
            Op::Run(who, key) => {
                log.tried(Trial::Run);
                self.peers[of(who)].begin(key % 8, log);
            }
            Op::Forget(who) => self.peers[of(who)].forget_oldest(log),
            Op::Leave(who) => self.peers[of(who)].go(true, log),
            Op::Return(who) => self.peers[of(who)].go(false, log),
            Op::Publish(which, size) => self.publish(which, usize::from(size) * 5),
            Op::Burst(which, how) => {
                for _ in 0..4 + how / 8 {
                    self.publish(which, usize::from(how % 8) * 1_000);
                }
            }
            Op::Health(number) => self.gateway.set_health(number.into(), log),
            Op::Stall(who) => {
                let both = who & 64 != 0;
                self.link(of(who), |wire, log| {
                    log.tried(Trial::Stall);
                    wire.link.down.stall(true);
                    wire.link.up.stall(both);
                });
            }
            Op::Flow(who) => self.link(of(who), |wire, log| {
                if wire.link.down.is_stalled() && wire.link.down.under_way() > 0 {
                    log.tried(Trial::Flow);
                }
                wire.link.down.stall(false);
                wire.link.up.stall(false);
            }),
            Op::HalfOpen(who) => self.link(of(who), |wire, log| {
                log.tried(Trial::HalfOpen);
                wire.link.down.die();
                wire.link.up.die();
            }),
            Op::Cut(who, keep) => self.link(of(who), |wire, log| {
                let (down, up) = (usize::from(keep & 7), usize::from(keep >> 4));
                let under_way = (wire.link.down.under_way(), wire.link.up.under_way());
                if under_way.0 > down || under_way.1 > up {
                    log.tried(Trial::CutWithLoss);
                } else if under_way == (0, 0) {
                    log.tried(Trial::CutIdle);
                }
                wire.link.down.cut(down, at);
                wire.link.up.cut(up, at);
            }),
            Op::Close(who) => {
                let client = Some(of(who));
                let boot = self.gateway.boot;
                let theirs = |wire: &&Wire| wire.client == client && wire.boot == boot;
                if let Some(conn) = self.wires.values().rev().find(theirs).map(|wire| wire.conn) {
                    self.gateway.close(conn, log);
                }
            }
            Op::Restart(with_farewell, down) => {
                self.gateway
                    .stop(with_farewell, u64::from(down) * 30_000, log);
            }
            Op::Stranger(how) => self.stranger(how),
        }
        self.pump();
    }

    fn publish(&mut self, which: u8, size: usize) {
        let family = FAMILIES[usize::from(which >> 1) % FAMILIES.len()];
        let payload = Object::new().text("text", &"y".repeat(size));
        let is_delta = which & 1 != 0;
        if self.gateway.hub.is_some() {
            self.log.tried(if is_delta {
                Trial::Delta
            } else {
                Trial::Ordinary
            });
        }
        let log = &mut self.log;
        self.gateway.publish("note", family, is_delta, payload, log);
    }

    /// Does something to the newest link of a client.
    fn link(&mut self, client: usize, act: impl FnOnce(&mut Wire, &mut Log)) {
        let mut wires = self.wires.values_mut().rev();
        let theirs = |wire: &&mut Wire| wire.client == Some(client) && wire.gateway_is_there;
        if let Some(wire) = wires.find(theirs) {
            act(wire, &mut self.log);
        }
    }

    /// Ends the faults: what stalls flows again, who went comes back, strangers go.
    pub(super) fn heal(&mut self) {
        let at = self.log.at();
        for wire in self.wires.values_mut() {
            wire.link.up.stall(false);
            wire.link.down.stall(false);
            if wire.client.is_none() {
                wire.link.up.cut(0, at);
                wire.link.down.cut(0, at);
            }
        }
        for peer in &mut self.peers {
            peer.go(false, &mut self.log);
        }
        self.gateway.set_health(9, &mut self.log);
        self.pump();
    }

    fn stranger(&mut self, how: u8) {
        let Some(conn) = self.gateway.open("stranger", how, &mut self.log) else {
            return;
        };
        self.log.tried(Trial::Stranger);
        let at = self.log.at();
        let wire = self.connect(conn, None);
        for text in script(how) {
            let message = Message::new(Bytes::from(text));
            wire.link.up.send(Item::Text(message), at);
        }
    }
}

fn asked(question: Question) -> Trial {
    match question {
        Question::Health => Trial::Health,
        Question::Presence => Trial::Presence,
        Question::Text(_, true) => Trial::TextLater,
        Question::Text(_, false) => Trial::Text,
        Question::Unknown => Trial::Unknown,
        Question::Announce(_) => Trial::Announcement,
        Question::Agent(_) => Trial::LooseRun,
    }
}

/// What a stranger says.
fn script(how: u8) -> Vec<String> {
    let request = |id: &str, method: &str| {
        json!({"type": "req", "id": id, "method": method, "params": {}}).to_string()
    };
    let connect = |change: &str, value: serde_json::Value| {
        let mut params = profile::value(5, "nonce");
        params["client"]["displayName"] = json!(format!("stranger-{}", how % 4));
        params["client"]["mode"] = json!(if how & 128 == 0 { "probe" } else { "test" });
        if !change.is_empty() {
            params[change] = value;
        }
        json!({"type": "req", "id": "c", "method": "connect", "params": params}).to_string()
    };
    let hello = || connect("", json!(null));
    match how % 12 {
        0 => vec!["hello".into()],
        1 => vec!["[]".into(), hello()],
        2 => vec![request("h", "health"), hello()],
        3 => vec![connect("maxProtocol", json!(2))],
        4 => vec![connect("role", json!("worker"))],
        5 => vec![connect("client", json!({}))],
        6 => Vec::new(),
        7 => vec![
            hello(),
            "{".into(),
            request("h", "health"),
            hello(),
            "{".into(),
            "[1]".into(),
        ],
        8 => {
            let asks = (0..9).map(|number| request(&number.to_string(), "text"));
            [hello()].into_iter().chain(asks).collect()
        }
        9 => {
            let broken = (0..6).map(|_| "nonsense".to_owned());
            [hello()].into_iter().chain(broken).collect()
        }
        10 => vec![
            hello(),
            r#"{"type":"req","id":7,"method":"health"}"#.into(),
            r#"{"type":"req","id":"x","method":"health","more":1}"#.into(),
            request("", "health"),
        ],
        _ => vec![
            hello(),
            request("same", "health"),
            request("same", "health"),
        ],
    }
}
