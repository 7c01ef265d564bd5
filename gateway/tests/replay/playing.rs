//! A recording's clients in front of our gateway.

use std::collections::BTreeMap;

use openclaw_gateway_service::agents::ToolStep;
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::server::ConnId;
use serde_json::Value;

use super::names::Names;
use super::support::{Do, Settings, World, from, local, seconds};
use super::words::shape;
use super::{Heard, Step};

/// What each of a recording's connections hears from our gateway.
pub(crate) fn replayed(steps: &[Step]) -> Heard {
    let first = steps.iter().find(|step| step.line["open"].is_object());
    let first = first.expect("a connection");
    let began = first.line["open"]["ms"].as_u64().expect("a time");
    let mut stage = Stage {
        world: World::with(Settings {
            beginning_ms: began - first.at.as_millis() as u64,
            ..Settings::default()
        }),
        names: Names::of_devices(steps),
        conns: BTreeMap::new(),
    };
    for step in steps {
        let passed = stage.world.passed();
        stage.world.advance(step.at.saturating_sub(passed));
        stage.listen();
        stage.act(step);
        stage.listen();
    }
    // What we say later than the reference is still heard.
    stage.world.advance(seconds(5));
    stage.listen();
    stage.heard()
}

/// Our gateway, and the clients of one recording.
struct Stage {
    world: World,
    names: Names,
    conns: BTreeMap<String, Client>,
}

struct Client {
    conn: ConnId,
    heard: Vec<Value>,
}

impl Stage {
    fn listen(&mut self) {
        for client in self.conns.values_mut() {
            for frame in self.world.hear(client.conn) {
                self.names.learn(&frame);
                client.heard.push(frame);
            }
        }
    }

    fn heard(&self) -> Heard {
        let mut heard = Heard::new();
        for (name, client) in &self.conns {
            let frames = client.heard.iter();
            let mut lines: Vec<_> = frames
                .filter_map(|frame| shape(frame, &self.names))
                .collect();
            if let Some((code, reason)) = self.world.close(client.conn) {
                lines.push(format!("close {code} {}", Value::from(reason)));
            }
            let lines = lines.into_iter().map(|line| self.names.put(line));
            heard.insert(name.clone(), lines.collect());
        }
        heard
    }

    fn act(&mut self, step: &Step) {
        let line = &step.line;
        if line["open"].is_object() {
            let address = line["open"]["from"].as_str();
            let address = address.map(|address| address.parse().expect("an address"));
            let origin = line["open"]["origin"].as_str();
            let peer = from(address.unwrap_or(local().address), origin);
            let nonce = line["open"]["nonce"].as_str().expect("a nonce");
            let conn = self.world.open_with(peer, nonce);
            let heard = Vec::new();
            self.conns.insert(step.conn.clone(), Client { conn, heard });
        } else if let Some(text) = line["send"].as_str() {
            let text = self.names.fill(text);
            self.world.say_bytes(self.conns[&step.conn].conn, text);
        } else if line["gone"] == true {
            self.world.cut(self.conns[&step.conn].conn);
        } else if line["agent"].is_object() {
            let agent = |what: &str| line["agent"][what].as_str();
            let message = agent("message").expect("a message");
            if let Some(text) = agent("say") {
                self.world.agent_says(message, text);
            } else if let (Some(name), Some(id)) = (agent("calls"), agent("as")) {
                let call = ToolStep::Start {
                    id: id.to_owned(),
                    name: name.to_owned(),
                    args: Json::empty_object(),
                };
                self.world.agent_does(message, Do::Use(call));
            } else if let Some(id) = agent("returns") {
                let result = ToolStep::Result {
                    id: id.to_owned(),
                    is_error: false,
                    result: Json::null(),
                };
                self.world.agent_does(message, Do::Use(result));
            } else if line["agent"]["end"] == "well" {
                self.world.agent_does(message, Do::Finish);
            } else {
                self.world
                    .agent_does(message, Do::Fail("the provider failed"));
            }
        }
    }
}
