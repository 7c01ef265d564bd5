//! One connection of the client under test, from the gateway's end.

use std::time::{Duration, Instant};

use base64::Engine;
use sha1::{Digest, Sha1};

use super::hello::{hello_ok, now_ms};
use super::stage::Stage;
use super::watch::Watch;
use crate::bench::{Ending, Trouble};
use crate::json::Value;
use crate::object;
use crate::wire::{self, Frame, Stop, Wire, close_payload};

/// The most messages of one connection; past it the client floods.
const MAX_HEARD: usize = 20_000;
/// How long a client may take to hang up after both have closed.
const HANGS_UP: Duration = Duration::from_secs(2);

/// A connection and what came over it.
#[derive(Debug)]
pub struct Session<'s, 'a> {
    stage: &'s Stage<'a>,
    wire: Wire,
    number: u32,
    watch: Watch,
    /// Every message that came.
    pub heard: Vec<Value>,
    taken: Vec<bool>,
    pongs: Vec<Vec<u8>>,
    pieces: Vec<u8>,
    ending: Option<Ending>,
    said_close: bool,
    /// The accept value of the client's key.
    accept: String,
    seq: i64,
    /// What hello-ok says of the rhythm of ticks, in milliseconds.
    pub tick_ms: i64,
}

impl<'s, 'a> Session<'s, 'a> {
    /// A connection that nothing came over yet.
    pub fn new(stage: &'s Stage<'a>, wire: Wire, number: u32) -> Self {
        Self {
            stage,
            wire,
            number,
            watch: Watch::default(),
            heard: Vec::new(),
            taken: Vec::new(),
            pongs: Vec::new(),
            pieces: Vec::new(),
            ending: None,
            said_close: false,
            accept: String::new(),
            // Numbers of protocol 3 are those of the whole gateway.
            seq: if stage.options.protocol < 4 { 700 } else { 0 },
            tick_ms: 30_000,
        }
    }

    /// Reads the request for a WebSocket and grants it.
    ///
    /// # Errors
    /// [`Trouble`] where something else is asked for.
    pub fn upgrade(&mut self) -> Result<(), Trouble> {
        self.asked()?;
        let head = self.grant();
        self.send_bytes(head.as_bytes())
    }

    /// Reads the request for a WebSocket.
    ///
    /// # Errors
    /// [`Trouble`] where something else is asked for.
    pub fn asked(&mut self) -> Result<(), Trouble> {
        let until = self.stage.deadline(self.stage.patience());
        let head = self
            .wire
            .request(until)
            .map_err(|stop| Trouble(format!("the client does not ask for a WebSocket: {stop}")))?;
        self.stage.note(self.number, "<", head.trim_end());
        let key = self.watch.upgrade(self.stage, &head)?;
        let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let sum = Sha1::digest(text.as_bytes());
        self.accept = base64::engine::general_purpose::STANDARD.encode(sum);
        Ok(())
    }

    /// The answer that grants a WebSocket.
    #[must_use]
    pub fn grant(&self) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            self.accept
        )
    }

    /// Challenges the client, hears its `connect` and lets it in.
    ///
    /// # Errors
    /// [`Trouble`] where no `connect` comes.
    pub fn greet(&mut self) -> Result<(), Trouble> {
        let connect = self.challenged()?;
        self.welcome(&connect, |hello| hello)
    }

    /// Challenges the client and hears its `connect`.
    ///
    /// # Errors
    /// [`Trouble`] where none comes.
    pub fn challenged(&mut self) -> Result<Value, Trouble> {
        self.challenge()?;
        self.request("connect")
    }

    /// Sends the challenge.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn challenge(&mut self) -> Result<(), Trouble> {
        let payload = object! {"nonce": self.nonce(), "ts": now_ms()};
        self.say(&object! {"type": "event", "event": "connect.challenge", "payload": payload})
    }

    /// The nonce of this connection's challenge, as unlike others as the client's key is.
    #[must_use]
    pub fn nonce(&self) -> String {
        format!("nonce-{}", self.accept)
    }

    /// Answers `connect` with hello-ok, changed.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn welcome(
        &mut self,
        connect: &Value,
        change: impl FnOnce(Value) -> Value,
    ) -> Result<(), Trouble> {
        let hello = change(hello_ok(
            connect,
            self.stage.options.protocol,
            self.number,
            self.tick_ms,
        ));
        self.watch.welcomed();
        self.answer(connect, hello)
    }

    /// Waits for a request that nobody has taken yet.
    ///
    /// # Errors
    /// [`Trouble`] where none comes.
    pub fn request(&mut self, method: &str) -> Result<Value, Trouble> {
        let found = self.requested(method, self.stage.patience())?;
        found.ok_or_else(|| {
            Trouble(match &self.ending {
                Some(ending) => format!("no request {method}: {ending}"),
                None => format!("no request {method} in time"),
            })
        })
    }

    /// Waits for a request for a time, or to the end of the connection or of the client.
    ///
    /// # Errors
    /// [`Trouble`] where the client floods or speaks no WebSocket.
    pub fn requested(&mut self, method: &str, within: Duration) -> Result<Option<Value>, Trouble> {
        self.take(within, |frame| frame.text("method") == Some(method))
    }

    /// Waits for a message that nobody has taken yet, and takes it.
    ///
    /// # Errors
    /// [`Trouble`] where the client floods or speaks no WebSocket.
    pub fn take(
        &mut self,
        within: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>, Trouble> {
        let until = self.stage.deadline(within);
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

    /// Answers a request for good.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn answer(&mut self, request: &Value, payload: Value) -> Result<(), Trouble> {
        let id = request.at("id").cloned().unwrap_or(Value::Null);
        self.watch.answered(request);
        self.say(&object! {"type": "res", "id": id, "ok": true, "payload": payload})
    }

    /// Answers a request that is not over yet.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn interim(&mut self, request: &Value, payload: Value) -> Result<(), Trouble> {
        let id = request.at("id").cloned().unwrap_or(Value::Null);
        self.say(&object! {"type": "res", "id": id, "ok": true, "payload": payload})
    }

    /// Refuses a request; a payload may come with the error.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn refuse(
        &mut self,
        request: &Value,
        payload: Option<Value>,
        error: Value,
    ) -> Result<(), Trouble> {
        let id = request.at("id").cloned().unwrap_or(Value::Null);
        self.watch.answered(request);
        let answer = object! {"type": "res", "id": id, "ok": false};
        let answer = match payload {
            Some(payload) => answer.with("payload", payload),
            None => answer,
        };
        self.say(&answer.with("error", error))
    }

    /// Pushes an event with the next number.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn push(&mut self, event: &str, payload: Value) -> Result<(), Trouble> {
        self.seq += 1;
        let push = object! {"type": "event", "event": event, "payload": payload};
        self.say(&push.with("seq", self.seq))
    }

    /// Uses up numbers for pushes that never come.
    pub const fn skip(&mut self, count: i64) {
        self.seq += count;
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn say(&mut self, value: &Value) -> Result<(), Trouble> {
        self.send_frame(&Frame::server(wire::TEXT, value.to_string()))
    }

    /// Sends a close.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn close(&mut self, code: u16, reason: &str) -> Result<(), Trouble> {
        let frame = Frame::server(wire::CLOSE, close_payload(code, reason));
        self.send_frame(&frame)
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn send_frame(&mut self, frame: &Frame) -> Result<(), Trouble> {
        let text = String::from_utf8_lossy(&frame.payload);
        let mark = format!("> {:x}", frame.opcode);
        self.stage.note(self.number, &mark, &text);
        self.said_close |= frame.opcode == wire::CLOSE;
        self.send_bytes(&frame.encode())
    }

    /// Sends bytes as they are; a socket that has gone shows when it is read.
    ///
    /// # Errors
    /// [`Trouble`] where the client does not take them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        match self.wire.send(bytes, self.stage.patience()) {
            Ok(()) | Err(Stop::Broken(_)) => Ok(()),
            Err(stop) => Err(Trouble(format!("sending: {stop}"))),
        }
    }

    /// Whether a ping is answered with the same bytes.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn ponged(&mut self, payload: &[u8]) -> Result<bool, Trouble> {
        self.send_frame(&Frame::server(wire::PING, payload))?;
        let until = self.stage.deadline(self.stage.patience());
        while !self.pongs.iter().any(|pong| pong == payload) {
            if !self.pump(until)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for the end of the connection.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn ending(&mut self) -> Result<Ending, Trouble> {
        self.ending_within(self.stage.patience())
    }

    /// Waits for the end of the connection for a time.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn ending_within(&mut self, within: Duration) -> Result<Ending, Trouble> {
        self.listen(within)?;
        Ok(self.ending.clone().unwrap_or(Ending::Open))
    }

    /// Reads what comes for a time.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn listen(&mut self, within: Duration) -> Result<(), Trouble> {
        let until = self.stage.deadline(within);
        if self.ending.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(10)));
        }
        while self.ending.is_none() && self.pump(until)? {}
        Ok(())
    }

    /// Ends the connection without a close.
    pub fn cut(self) {
        self.stage.note(self.number, ">", "the connection is cut");
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
                self.stage.note(self.number, "<", "the connection went");
                self.ending = Some(Ending::Cut);
                Ok(false)
            }
            Err(stop) => Err(stop.into()),
        }
    }

    fn handle(&mut self, frame: Frame) -> Result<(), Trouble> {
        let text = String::from_utf8_lossy(&frame.payload);
        let mark = format!("< {:x}", frame.opcode);
        self.stage.note(self.number, &mark, &text);
        self.watch.frame(self.stage, &frame);
        match frame.opcode {
            wire::PING => self.send_frame(&Frame::server(wire::PONG, frame.payload)),
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
            other => Err(Trouble(format!("the client sends opcode {other}"))),
        }
    }

    fn message(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if self.heard.len() >= MAX_HEARD {
            return Err(Stop::Flood.into());
        }
        if let Some(value) = self.watch.message(self.stage, bytes) {
            self.heard.push(value);
            self.taken.push(false);
        }
        Ok(())
    }

    fn closed(&mut self, frame: &Frame) -> Result<(), Trouble> {
        let (code, reason) = frame.close().map_err(Trouble)?;
        if !self.said_close {
            let answer = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
            self.send_frame(&Frame::server(wire::CLOSE, answer))?;
        }
        self.ending = Some(Ending::Closed(code, reason));
        // The gateway hangs up first; what comes before that came after the close.
        let after = match self.wire.frame(self.stage.deadline(AFTER_CLOSE)) {
            Ok(frame) => Err(format!("a frame with opcode {} came", frame.opcode)),
            Err(_) => Ok(()),
        };
        self.stage.judge("CLO-104/throughout", after);
        self.wire.finish();
        let _ = self.wire.rest(self.stage.deadline(HANGS_UP));
        Ok(())
    }
}

/// How long is listened for more after a close.
const AFTER_CLOSE: Duration = Duration::from_millis(20);
