//! What must hold in every conversation with a client, whatever it is about.

use std::collections::BTreeSet;

use base64::Engine;

use super::stage::Stage;
use crate::bench::Trouble;
use crate::json::Value;
use crate::wire::{self, Frame};

/// The checks that are made throughout; no scenario owns them.
pub const THROUGHOUT: [&str; 13] = [
    "TRN-101/upgrade",
    "TRN-101/key",
    "TRN-102/throughout",
    "TRN-102/fresh",
    "TRN-103/throughout",
    "TRN-107/throughout",
    "HSK-101/throughout",
    "HSK-106/throughout",
    "FRM-101/throughout",
    "FRM-102/throughout",
    "FRM-103/throughout",
    "CLO-102/throughout",
    "CLO-104/throughout",
];

/// The members of a request, and those that protocol 4 added.
const MEMBERS: [&str; 4] = ["type", "id", "method", "params"];
const SINCE_4: [&str; 2] = ["traceparent", "expectedProfileId"];

/// What was seen of one connection.
#[derive(Debug, Default)]
pub struct Watch {
    connected: bool,
    welcomed: bool,
    open: BTreeSet<String>,
    mask: Option<[u8; 4]>,
    /// The opcode of the message that is under way.
    under_way: Option<u8>,
    opcode: u8,
}

impl Watch {
    /// Looks at the request for a WebSocket, and gives its key.
    ///
    /// # Errors
    /// [`Trouble`] where it has none, so that it cannot be granted.
    pub fn upgrade(&mut self, stage: &Stage<'_>, head: &str) -> Result<String, Trouble> {
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or("");
        let fields: Vec<(String, &str)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
            .collect();
        let field = |name: &str| {
            let found = fields.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| *value)
        };
        let has = |name: &str, word: &str| {
            field(name).is_some_and(|value| value.to_ascii_lowercase().contains(word))
        };
        let key = field("sec-websocket-key").unwrap_or("").to_owned();
        let bytes = base64::engine::general_purpose::STANDARD.decode(&key);
        let whole = line.ends_with(" HTTP/1.1")
            && field("host").is_some()
            && has("upgrade", "websocket")
            && has("connection", "upgrade")
            && field("sec-websocket-version") == Some("13")
            && bytes.is_ok_and(|bytes| bytes.len() == 16);
        stage.check("TRN-101/upgrade", whole, || format!("asks with {head}"));
        stage.check("TRN-101/key", stage.shared.is_fresh(&key), || {
            "the key was used before".to_owned()
        });
        let token = stage.shared.token.as_str();
        stage.check("TRN-107/throughout", !line.contains(token), || {
            format!("asks for {line}")
        });
        if key.is_empty() {
            return Err(Trouble("the client asks for no WebSocket".to_owned()));
        }
        Ok(key)
    }

    /// Looks at a frame.
    pub fn frame(&mut self, stage: &Stage<'_>, frame: &Frame) {
        stage.check("TRN-102/throughout", frame.mask.is_some(), || {
            format!("a frame with opcode {} has no mask", frame.opcode)
        });
        if let (Some(last), Some(mask)) = (self.mask, frame.mask) {
            stage.check("TRN-102/fresh", last != mask, || {
                "two frames in a row have one mask".to_owned()
            });
        }
        self.mask = frame.mask;
        stage.judge("TRN-103/throughout", self.order(frame));
        if frame.opcode == wire::CLOSE {
            let kept = match frame.close() {
                Ok((None | Some(1000..=1003 | 1007..=1014 | 3000..=4999), _)) => Ok(()),
                Ok((Some(code), _)) => Err(format!("closes with {code}, which may not be sent")),
                Err(why) => Err(why),
            };
            stage.judge("CLO-102/throughout", kept);
        }
    }

    fn order(&mut self, frame: &Frame) -> Result<(), String> {
        match frame.opcode {
            wire::CLOSE | wire::PING | wire::PONG => {
                let kept = frame.reserved == 0 && frame.fin && frame.payload.len() <= 125;
                return kept
                    .then_some(())
                    .ok_or_else(|| "a control frame is long, cut or marked".to_owned());
            }
            wire::TEXT | wire::BINARY if self.under_way.is_none() => self.opcode = frame.opcode,
            wire::CONTINUATION if self.under_way.is_some() => {}
            other => return Err(format!("a frame with opcode {other} is out of order")),
        }
        self.under_way = (!frame.fin).then_some(self.opcode);
        let kept = frame.reserved == 0;
        kept.then_some(())
            .ok_or_else(|| "a frame has reserved bits".to_owned())
    }

    /// Looks at a message, and reads it where it can be read.
    pub fn message(&mut self, stage: &Stage<'_>, bytes: &[u8]) -> Option<Value> {
        stage.check("FRM-102/throughout", self.opcode == wire::TEXT, || {
            "a message is binary".to_owned()
        });
        let Ok(text) = std::str::from_utf8(bytes) else {
            stage.judge("TRN-103/throughout", Err("text is not UTF-8".to_owned()));
            return None;
        };
        let read = Value::parse(text).map_err(|why| format!("a message is {why}"));
        let shape = read
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|value| shaped(value, stage.options.protocol));
        stage.judge("FRM-101/throughout", shape);
        let value = read.ok()?;
        self.order_of_requests(stage, &value);
        Some(value)
    }

    fn order_of_requests(&mut self, stage: &Stage<'_>, value: &Value) {
        let method = value.text("method").unwrap_or("");
        let connects = method == "connect";
        stage.check("HSK-101/throughout", connects != self.connected, || {
            if self.connected {
                "connect comes a second time".to_owned()
            } else {
                format!("the first request is {method:?}")
            }
        });
        if !connects {
            stage.check("HSK-106/throughout", self.welcomed, || {
                format!("{method} comes before hello-ok")
            });
        }
        self.connected = true;
        let id = value.at("id").map_or(String::new(), ToString::to_string);
        let fresh = self.open.insert(id.clone());
        stage.check("FRM-103/throughout", fresh, || {
            format!("{method} has the id {id} of an open request")
        });
    }

    /// The client was let in.
    pub const fn welcomed(&mut self) {
        self.welcomed = true;
    }

    /// A request is over.
    pub fn answered(&mut self, request: &Value) {
        let id = request.at("id").map_or(String::new(), ToString::to_string);
        self.open.remove(&id);
    }
}

fn shaped(value: &Value, protocol: u32) -> Result<(), String> {
    let Value::Object(members) = value else {
        return Err(format!("a message is {value}"));
    };
    let word = |name: &str| value.text(name).is_some_and(|text| !text.is_empty());
    let known = |name: &str| MEMBERS.contains(&name) || protocol >= 4 && SINCE_4.contains(&name);
    if value.text("type") != Some("req") || !word("id") || !word("method") {
        return Err(format!("no request with an id and a method: {value}"));
    }
    match members.iter().find(|(name, _)| !known(name)) {
        Some((name, _)) => Err(format!("a request has a member {name}")),
        None => Ok(()),
    }
}
