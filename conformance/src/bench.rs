//! What a scenario works with: the gateway, what is asked of it, and the verdicts so far.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::conn::Conn;
use crate::device::Device;
use crate::json::Value;
use crate::object;
use crate::redact::shown;
use crate::verdict::{Verdict, Verdicts};
use crate::wire::{Head, Stop, Target, Wire};

/// The most characters of one line of a transcript.
pub const NOTED: usize = 4_000;

/// How a gateway is judged.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gateway.
    pub target: Target,
    /// The shared token; empty where the gateway asks for none.
    pub token: String,
    /// The protocol version that is offered.
    pub protocol: u32,
    /// How long is waited for anything that must come.
    pub timeout: Duration,
    /// How long a run may take.
    pub run_time: Duration,
    /// Whether checks that take a minute are made as well.
    pub slow: bool,
    /// How long that minute is: less than one for a gateway whose own times are as much shorter.
    pub minute: Duration,
    /// The key of the device that every connection proves.
    pub device: Option<[u8; 32]>,
    /// The beginnings of ids that are judged; all where there are none.
    pub only: Vec<String>,
    /// Where the conversations are written to.
    pub transcripts: Option<PathBuf>,
    /// What makes the agent answer.
    pub message: String,
    /// What keeps the agent busy for about a second.
    pub slow_message: String,
    /// What makes the agent fail.
    pub failing_message: String,
    /// What keeps the agent busy until it is stopped.
    pub endless_message: String,
    /// What makes the agent use a tool.
    pub tool_message: String,
}

impl Options {
    /// The defaults for a gateway; messages are for the agent that is built into ours.
    #[must_use]
    pub fn new(target: Target, token: &str) -> Self {
        Self {
            target,
            token: token.to_owned(),
            protocol: 4,
            timeout: Duration::from_secs(5),
            run_time: Duration::from_secs(15),
            slow: false,
            minute: Duration::from_secs(60),
            device: None,
            only: Vec::new(),
            transcripts: None,
            message: "hello there".to_owned(),
            slow_message: "/slow 800ms one two three four".to_owned(),
            failing_message: "/fail because it was asked to".to_owned(),
            endless_message: "/hang".to_owned(),
            tool_message: "/tool ls hello".to_owned(),
        }
    }
}

/// Why a scenario cannot go on.
#[derive(Clone, Debug)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self(stop.to_string())
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self(format!("cannot connect: {error}"))
    }
}

/// How a conversation went on or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It goes on.
    Open,
    /// The gateway sent a close.
    Closed(Option<u16>, String),
    /// The connection went without a close.
    Cut,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("the connection stays open"),
            Self::Closed(Some(code), reason) => write!(f, "closed {code} {reason:?}"),
            Self::Closed(None, _) => f.write_str("closed without a code"),
            Self::Cut => f.write_str("the connection went without a close"),
        }
    }
}

/// An ending that is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// It goes on.
    Stay,
    /// A close with this code.
    Close(u16),
    /// No close at all.
    Cut,
}

impl May {
    fn allows(self, ending: &Ending) -> bool {
        match (self, ending) {
            (Self::Stay, Ending::Open) | (Self::Cut, Ending::Cut) => true,
            (Self::Close(code), Ending::Closed(own, _)) => *own == Some(code),
            (Self::Stay | Self::Close(_) | Self::Cut, _) => false,
        }
    }
}

/// The gateway on the bench.
#[derive(Debug)]
pub struct Bench {
    /// How it is judged.
    pub options: Options,
    /// The device that every connection proves.
    pub device: Option<Device>,
    /// What names of this judgement end with, so that no other judgement has them.
    stamp: String,
    names: Cell<u32>,
    conns: Cell<u32>,
    until: Cell<Instant>,
    verdicts: Verdicts,
    transcript: RefCell<String>,
}

impl Bench {
    /// A gateway that nothing is known of.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let now = std::time::SystemTime::now();
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            stamp: format!("{:x}{:x}", std::process::id(), since.as_nanos()),
            device: options.device.map(Device::new),
            options,
            names: Cell::new(0),
            conns: Cell::new(0),
            until: Cell::new(Instant::now()),
            verdicts: Verdicts::default(),
            transcript: RefCell::default(),
        }
    }

    /// Begins a scenario that must be over within a time.
    pub fn begin(&self, within: Duration) {
        self.until.set(Instant::now() + within);
        self.transcript.borrow_mut().clear();
    }

    /// What was said since the scenario began.
    pub fn transcript(&self) -> String {
        self.transcript.take()
    }

    /// The verdicts so far.
    pub fn verdicts(&self) -> BTreeMap<&'static str, Verdict> {
        self.verdicts.all()
    }

    /// A name that nobody else uses.
    pub fn name(&self, what: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{what}-{}-{}", self.names.get(), self.stamp)
    }

    /// A device that nobody else has.
    pub fn new_device(&self) -> Device {
        let name = self.name("device");
        let mut key = [0; 32];
        for (place, byte) in name.bytes().rev().take(32).enumerate() {
            key[place] = byte;
        }
        Device::new(key)
    }

    /// How long is waited for what must come.
    pub fn patience(&self) -> Duration {
        self.options.timeout
    }

    /// The instant at which a wait from now ends; no later than the scenario.
    pub fn deadline(&self, within: Duration) -> Instant {
        (Instant::now() + within).min(self.until.get())
    }

    /// Writes a line of the transcript; the token is left out.
    pub fn note(&self, conn: u32, mark: &str, text: &str) {
        if self.options.transcripts.is_none() {
            return;
        }
        let shown = shown(text, &self.options.token, NOTED);
        *self.transcript.borrow_mut() += &format!("{conn} {mark} {shown}\n");
    }

    /// Judges a check; a check that is judged more often keeps the gravest verdict.
    pub fn check(&self, id: &'static str, kept: bool, why: impl FnOnce() -> String) {
        self.judge(id, if kept { Ok(()) } else { Err(why()) });
    }

    /// Judges a check by what was found.
    pub fn judge(&self, id: &'static str, kept: Result<(), String>) {
        self.verdicts.judge(id, kept);
    }

    /// Judges how a conversation ended by the endings that are acceptable.
    pub fn ends(&self, id: &'static str, after: &str, ending: &Ending, allowed: &[May]) {
        let kept = allowed.iter().any(|may| may.allows(ending));
        self.check(id, kept, || {
            format!("after {after}: {ending}; acceptable: {allowed:?}")
        });
    }

    /// Says that a check does not concern this gateway.
    pub fn not_applicable(&self, id: &'static str, why: &str) {
        self.verdicts
            .put(id, Verdict::NotApplicable(why.to_owned()));
    }

    /// Says of a check that nothing has judged that it cannot be judged.
    pub fn leave(&self, id: &'static str, why: &str) {
        self.verdicts.leave(id, why);
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// [`Trouble`] when it cannot be had.
    pub fn wire(&self) -> Result<Wire, Trouble> {
        Ok(Wire::connect(
            &self.options.target.authority,
            self.patience(),
        )?)
    }

    /// Sends a request head and reads the head of the answer.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn http(&self, line: &str, fields: &str) -> Result<(Head, Wire), Trouble> {
        let mut wire = self.wire()?;
        let host = &self.options.target.authority;
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        self.note(0, ">", &head);
        wire.send(head.as_bytes(), self.patience())?;
        let head = wire.head(self.deadline(self.patience()))?;
        self.note(0, "<", &format!("{head:?}"));
        Ok((head, wire))
    }

    /// Opens a WebSocket.
    ///
    /// # Errors
    /// [`Trouble`] when the upgrade fails.
    pub fn open(&self) -> Result<Conn<'_>, Trouble> {
        self.open_with("")
    }

    /// Opens a WebSocket with more header fields.
    ///
    /// # Errors
    /// [`Trouble`] when the upgrade fails.
    pub fn open_with(&self, more: &str) -> Result<Conn<'_>, Trouble> {
        let line = format!("GET {}", self.options.target.path);
        let (head, wire) = self.http(&line, &format!("{UPGRADE}{more}"))?;
        if head.status != 101 {
            return Err(Trouble(format!("the upgrade was answered {}", head.status)));
        }
        Ok(self.conn(wire))
    }

    /// Talks WebSocket over a socket that was upgraded.
    pub fn conn(&self, wire: Wire) -> Conn<'_> {
        self.conns.set(self.conns.get() + 1);
        Conn::new(self, wire, self.conns.get())
    }

    /// The parameters of `connect` of a backend with these scopes.
    pub fn params(&self, scopes: &[&str]) -> Value {
        let version = i64::from(self.options.protocol);
        let params = object! {
            "minProtocol": version,
            "maxProtocol": version,
            "client": object! {
                "id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend",
            },
            "role": "operator",
            "scopes": scopes,
        };
        match self.options.token.as_str() {
            "" => params,
            token => params.with("auth", object! {"token": token}),
        }
    }

    /// Opens a WebSocket and connects as an operator with these scopes.
    ///
    /// # Errors
    /// [`Trouble`] when hello-ok does not come.
    pub fn operator(&self, scopes: &[&str]) -> Result<Conn<'_>, Trouble> {
        self.join(self.params(scopes))
    }

    /// Opens a WebSocket and connects with these parameters.
    ///
    /// # Errors
    /// [`Trouble`] when hello-ok does not come.
    pub fn join(&self, params: Value) -> Result<Conn<'_>, Trouble> {
        let mut conn = self.open()?;
        conn.connect(params)?;
        Ok(conn)
    }
}

/// The fields of an upgrade; the key is the one of the RFC's example.
pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
