//! One conversation over a WebSocket, watched for what must hold in every conversation.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Ending, Trouble};
use crate::device::Layout;
use crate::json::Value;
use crate::object;
use crate::watch::Watch;
use crate::wire::{self, Frame, Stop, Wire};

/// The most messages of one conversation; past it the peer floods.
const MAX_HEARD: usize = 20_000;
/// How long nothing must come for silence.
pub const QUIET: Duration = Duration::from_millis(120);

/// A WebSocket and what came over it.
#[derive(Debug)]
pub struct Conn<'a> {
    bench: &'a Bench,
    wire: Wire,
    number: u32,
    watch: Watch,
    /// Every message that came.
    pub heard: Vec<Value>,
    taken: Vec<bool>,
    /// The payloads of the pongs that came.
    pub pongs: Vec<Vec<u8>>,
    /// How many pings came.
    pub pings: usize,
    pieces: Vec<u8>,
    ending: Option<Ending>,
    /// Whether we broke the rules of WebSocket, so that no close may be expected.
    pub rude: bool,
    said_close: bool,
    ids: u32,
    /// The payload of hello-ok.
    pub hello: Option<Value>,
}

impl<'a> Conn<'a> {
    /// A conversation that has not begun.
    pub fn new(bench: &'a Bench, wire: Wire, number: u32) -> Self {
        Self {
            bench,
            wire,
            number,
            watch: Watch::default(),
            heard: Vec::new(),
            taken: Vec::new(),
            pongs: Vec::new(),
            pings: 0,
            pieces: Vec::new(),
            ending: None,
            rude: false,
            said_close: false,
            ids: 0,
            hello: None,
        }
    }

    /// Sends bytes as they are; a socket that has gone shows when it is read.
    ///
    /// # Errors
    /// [`Trouble`] where the peer does not take them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        match self.wire.send(bytes, self.bench.patience()) {
            Ok(()) | Err(Stop::Broken(_)) => Ok(()),
            Err(stop) => Err(Trouble(format!("sending: {stop}"))),
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn send_frame(&mut self, frame: &Frame) -> Result<(), Trouble> {
        let text = String::from_utf8_lossy(&frame.payload);
        let mark = format!("> {:x}", frame.opcode);
        self.bench.note(self.number, &mark, &text);
        self.said_close |= frame.opcode == wire::CLOSE;
        self.send_bytes(&frame.encode())
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn say(&mut self, text: &str) -> Result<(), Trouble> {
        self.send_frame(&Frame::client(wire::TEXT, text))
    }

    /// Sends a request and returns its id.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn request(&mut self, method: &str, params: Value) -> Result<String, Trouble> {
        self.ids += 1;
        let id = format!("r{}", self.ids);
        self.watch.is_node |= method == "connect" && params.text("role") == Some("node");
        self.say(&request(&id, method, params))?;
        Ok(id)
    }

    /// Sends a request and waits for its first answer.
    ///
    /// # Errors
    /// [`Trouble`] when none comes.
    pub fn ask(&mut self, method: &str, params: Value) -> Result<Value, Trouble> {
        let id = self.request(method, params)?;
        self.answer(&id)
            .map_err(|trouble| Trouble(format!("{method}: {trouble}")))
    }

    /// Waits for the next answer with this id.
    ///
    /// # Errors
    /// [`Trouble`] when none comes.
    pub fn answer(&mut self, id: &str) -> Result<Value, Trouble> {
        self.answer_within(id, self.bench.patience())
    }

    /// Waits for the next answer with this id for a time.
    ///
    /// # Errors
    /// [`Trouble`] when none comes.
    pub fn answer_within(&mut self, id: &str, within: Duration) -> Result<Value, Trouble> {
        match self.take(within, |frame| is_answer(frame, id))? {
            Some(answer) => Ok(answer),
            None if self.ending.is_some() => {
                let ending = self.ending.clone().unwrap_or(Ending::Open);
                Err(Trouble(format!("no answer to {id}: {ending}")))
            }
            None => Err(Trouble(format!("no answer to {id} in time"))),
        }
    }

    /// Connects, with the device that is to be proven if there is one, and waits for hello-ok.
    ///
    /// # Errors
    /// [`Trouble`] when it does not come.
    pub fn connect(&mut self, params: Value) -> Result<(), Trouble> {
        let params = match &self.bench.device {
            Some(device) if params.at("device").is_none() => {
                let claim = device.claim(&self.challenge()?);
                let proof = device.prove(&claim, &params, Layout::V3);
                params.with("device", proof)
            }
            _ => params,
        };
        self.connect_plainly(params)
    }

    /// Connects with these parameters alone, and waits for hello-ok.
    ///
    /// # Errors
    /// [`Trouble`] when it does not come.
    pub fn connect_plainly(&mut self, params: Value) -> Result<(), Trouble> {
        let answer = self.ask("connect", params)?;
        self.welcomed(&answer)
    }

    /// Waits for the challenge.
    ///
    /// # Errors
    /// [`Trouble`] when it does not come.
    pub fn challenge(&mut self) -> Result<Value, Trouble> {
        let challenge = self.take(self.bench.patience(), |frame| {
            is_push(frame, "connect.challenge")
        })?;
        challenge.ok_or_else(|| Trouble("no challenge came".to_owned()))
    }

    /// Takes the answer to `connect`.
    ///
    /// # Errors
    /// [`Trouble`] when it is a refusal.
    pub fn welcomed(&mut self, answer: &Value) -> Result<(), Trouble> {
        if answer.flag("ok") != Some(true) {
            let said = answer.at("error").unwrap_or(&Value::Null);
            return Err(Trouble(format!("connect was refused: {said}")));
        }
        self.hello = answer.at("payload").cloned();
        Ok(())
    }

    /// What hello-ok said at a path.
    pub fn hello(&self, path: &str) -> Option<&Value> {
        self.hello.as_ref()?.at(path)
    }

    /// Waits for a message that nobody has taken yet, and takes it; `None` when the time or the
    /// connection is over.
    ///
    /// # Errors
    /// [`Trouble`] where the peer floods or speaks no WebSocket.
    pub fn take(
        &mut self,
        within: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>, Trouble> {
        let until = self.bench.deadline(within);
        let mut from = 0;
        loop {
            while from < self.heard.len() {
                if !self.taken[from] && fits(&self.heard[from]) {
                    self.taken[from] = true;
                    return Ok(Some(self.heard[from].clone()));
                }
                from += 1;
            }
            if !self.pump(until)? {
                return Ok(None);
            }
        }
    }

    /// Waits until nothing comes for a moment.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn settle(&mut self) -> Result<(), Trouble> {
        let until = self.bench.deadline(self.bench.patience());
        while self.pump(self.bench.deadline(QUIET).min(until))? {}
        Ok(())
    }

    /// Asks for health, so that all that was caused before has come when it is answered.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn lives(&mut self) -> Result<bool, Trouble> {
        let id = self.request("health", object! {})?;
        let answer = self.take(self.bench.patience(), |frame| is_answer(frame, &id))?;
        Ok(answer.is_some_and(|answer| answer.flag("ok") == Some(true)))
    }

    /// Waits for the end of the conversation for as long as anything is waited for.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn ending(&mut self) -> Result<Ending, Trouble> {
        self.ending_within(self.bench.patience())
    }

    /// Waits for the end of the conversation for a time.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn ending_within(&mut self, within: Duration) -> Result<Ending, Trouble> {
        let until = self.bench.deadline(within);
        while self.ending.is_none() && self.pump(until)? {}
        Ok(self.ending.clone().unwrap_or(Ending::Open))
    }

    /// Whether a pong with these bytes comes.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn ponged(&mut self, payload: &[u8]) -> Result<bool, Trouble> {
        let until = self.bench.deadline(self.bench.patience());
        while !self.pongs.iter().any(|pong| pong == payload) {
            if !self.pump(until)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads one frame; false when the time or the connection is over.
    fn pump(&mut self, until: Instant) -> Result<bool, Trouble> {
        if self.ending.is_some() {
            return Ok(false);
        }
        match self.wire.frame(until) {
            Ok(frame) => {
                self.handle(frame)?;
                Ok(true)
            }
            Err(Stop::Late) => Ok(false),
            Err(Stop::Eof | Stop::Broken(_)) => {
                self.bench.note(self.number, "<", "the connection went");
                let expected = self.rude || self.said_close;
                self.bench.check("CLO-004/throughout", expected, || {
                    format!("connection {} went without a close", self.number)
                });
                self.ending = Some(Ending::Cut);
                Ok(false)
            }
            Err(stop) => Err(stop.into()),
        }
    }

    fn handle(&mut self, frame: Frame) -> Result<(), Trouble> {
        let text = String::from_utf8_lossy(&frame.payload);
        let mark = format!("< {:x}", frame.opcode);
        self.bench.note(self.number, &mark, &text);
        if frame.reserved != 0 || frame.mask.is_some() {
            return Err(Trouble("the gateway breaks WebSocket framing".into()));
        }
        match frame.opcode {
            wire::PING => {
                self.pings += 1;
                self.send_frame(&Frame::client(wire::PONG, frame.payload))
            }
            wire::PONG => {
                self.pongs.push(frame.payload);
                Ok(())
            }
            wire::CLOSE => self.closed(&frame),
            wire::TEXT | wire::BINARY | wire::CONTINUATION => {
                self.pieces.extend_from_slice(&frame.payload);
                if frame.fin {
                    let message = std::mem::take(&mut self.pieces);
                    self.message(&message)?;
                }
                Ok(())
            }
            other => Err(Trouble(format!("the gateway sends opcode {other}"))),
        }
    }

    fn message(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if self.heard.len() >= MAX_HEARD {
            return Err(Stop::Flood.into());
        }
        let read = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned());
        let read = read.and_then(|text| Value::parse(text).map_err(|why| why.to_string()));
        let kept = match &read {
            Ok(value) if value.is_object() => Ok(()),
            Ok(value) => Err(format!("a message is {value}")),
            Err(why) => Err(format!("a message is {why}")),
        };
        self.bench.judge("FRM-008/throughout", kept);
        if let Ok(value) = read {
            self.watch.see(self.bench, &value);
            self.heard.push(value);
            self.taken.push(false);
        }
        Ok(())
    }

    fn closed(&mut self, frame: &Frame) -> Result<(), Trouble> {
        let (code, reason) = frame.close().map_err(Trouble)?;
        if !self.said_close {
            let bench = self.bench;
            bench.judge("CLO-004/throughout", Ok(()));
            let legal = matches!(code, Some(1000..=1003 | 1007..=1014 | 3000..=4999));
            bench.check("CLO-002/throughout", legal, || match code {
                Some(code) => format!("closed with {code}, which may not be sent"),
                None => "closed without a code".to_owned(),
            });
            let said = !reason.is_empty();
            bench.check("CLO-003/throughout", said, || {
                format!("closed {} without a reason", code.unwrap_or(1005))
            });
            let answer = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
            self.send_frame(&Frame::client(wire::CLOSE, answer))?;
        }
        self.ending = Some(Ending::Closed(code, reason));
        let until = self.bench.deadline(self.bench.patience());
        let after = match self.wire.frame(until) {
            Ok(frame) => Err(format!("a frame with opcode {} came", frame.opcode)),
            Err(Stop::Late) => Err("the connection was kept".to_owned()),
            Err(_) => Ok(()),
        };
        self.bench.judge("CLO-005/throughout", after);
        Ok(())
    }
}

/// A request as text.
pub fn request(id: &str, method: &str, params: Value) -> String {
    object! {"type": "req", "id": id, "method": method, "params": params}.to_string()
}

/// Whether a message is an answer to this request.
pub fn is_answer(frame: &Value, id: &str) -> bool {
    frame.text("type") == Some("res") && frame.text("id") == Some(id)
}

/// Whether a message is a push of this event.
pub fn is_push(frame: &Value, event: &str) -> bool {
    frame.text("type") == Some("event") && frame.text("event") == Some(event)
}
