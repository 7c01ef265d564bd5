//! Conversations with a hub, written down line by line and replayed.
//!
//! A line is a moment in seconds (`12.345`), who, and what. What goes in is fed to a hub at its
//! moment: `open`, `<- TEXT`, `pong` and `gone` of a peer, and what the application does (`app`).
//! What comes out is written behind it: `-> TEXT`, `ping` and `close CODE REASON` to a peer,
//! `event WORDS` to the application. `end` lets time pass. Lines that begin with `#`, and empty
//! ones, stay as they are. The replay of a replay is the same.
//!
//! Let in is who has the token `sesame`. The application does `accept RUN`, `complete RUN JSON`,
//! `fail RUN WORDS`, `push EVENT TEXT`, `health JSON`, `shutdown REASON`, `close-all REASON`;
//! `accept` takes the `agent` request that has waited longest.

use core::fmt;
use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::inbound::{Inbound, Request};
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication, Transmit};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::{Grant, Welcome};
use openclaw_protocol_core::hub::{Event, Health, Hub, Peer, Row, Run};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Role, Scope};
use openclaw_protocol_core::server::{Applicant, Call, ConnId};
use openclaw_protocol_core::time::{Instant, Now};
use serde_json::json;

/// How many lines may go in.
pub const MAX_LINES: usize = 1_000;
/// The latest moment.
pub const MAX_MOMENT: Duration = Duration::from_secs(3_600);

/// 2023-11-14T22:13:20Z, the wall clock's time when every conversation begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;
/// The nonce of every challenge.
const NONCE: &str = "00000000-0000-4000-8000-000000000001";

/// A line that is not understood, or that asks for what cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.what)
    }
}

impl core::error::Error for BadLine {}

/// What a transcript becomes: its input with what our hub answers now.
///
/// # Errors
/// The first line that is not understood, that goes back in time or past [`MAX_MOMENT`], is more
/// than [`MAX_LINES`], or names a peer or a run that is not there.
pub fn replay(transcript: &str) -> Result<String, BadLine> {
    let mut replay = Replay::new();
    let mut fed = 0;
    for (index, line) in transcript.split_terminator('\n').enumerate() {
        let bad = |what| BadLine {
            number: index + 1,
            what,
        };
        if line.is_empty() || line.starts_with('#') {
            replay.text.push_str(line);
            replay.text.push('\n');
        } else if let Some(input) = Input::read(line).map_err(bad)? {
            fed += 1;
            if fed > MAX_LINES {
                return Err(bad("too many lines"));
            }
            replay.feed(&input).map_err(bad)?;
        }
    }
    Ok(replay.text)
}

/// A line that goes in.
#[derive(Debug)]
struct Input<'a> {
    moment: Duration,
    who: &'a str,
    what: &'a str,
    rest: &'a str,
    /// All of it but the moment.
    words: &'a str,
}

impl<'a> Input<'a> {
    /// Reads a line; `None` for one that came out.
    fn read(line: &'a str) -> Result<Option<Self>, &'static str> {
        let (moment, words) = line.split_once(' ').ok_or("a moment and who, at least")?;
        let mut parts = words.splitn(3, ' ');
        let who = parts.next().unwrap_or_default();
        let what = parts.next().unwrap_or_default();
        if who.is_empty() {
            return Err("nobody is named");
        }
        if matches!(what, "->" | "ping" | "close" | "event") {
            return Ok(None);
        }
        Ok(Some(Self {
            moment: seconds(moment).ok_or("a moment is seconds with three decimals")?,
            who,
            what,
            rest: parts.next().unwrap_or_default(),
            words,
        }))
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() != 3 || !digits(part) || !digits(whole) {
        return None;
    }
    let (whole, part) = (whole.parse().ok()?, part.parse().ok()?);
    Duration::from_secs(whole).checked_add(Duration::from_millis(part))
}

/// A hub whose peers and application follow a transcript.
struct Replay {
    hub: Hub,
    passed: Duration,
    names: BTreeMap<ConnId, String>,
    runs: BTreeMap<String, Run>,
    calls: VecDeque<Call>,
    text: String,
}

impl Replay {
    fn new() -> Self {
        let now = at(Duration::ZERO);
        Self {
            hub: Hub::new(Limits::default(), welcome(), own_row(), now),
            passed: Duration::ZERO,
            names: BTreeMap::new(),
            runs: BTreeMap::new(),
            calls: VecDeque::new(),
            text: String::new(),
        }
    }

    fn now(&self) -> Now {
        at(self.passed)
    }

    fn feed(&mut self, input: &Input<'_>) -> Result<(), &'static str> {
        if input.moment < self.passed {
            return Err("time runs forward");
        }
        if input.moment > MAX_MOMENT {
            return Err("later than an hour");
        }
        self.wait_until(input.moment);
        self.write(input.words);
        let now = self.now();
        match (input.who, input.what) {
            ("end", _) => {}
            ("app", what) => self.app(what, input.rest, now)?,
            (who, "open") => {
                let peer = Peer {
                    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    direct_loopback: true,
                    origin: None,
                    claims: None,
                };
                let conn = self.hub.open(peer, NONCE, 0, now);
                self.names.insert(conn, who.to_owned());
            }
            (who, "<-") => {
                let message = Bytes::copy_from_slice(input.rest.as_bytes());
                self.hub
                    .handle_frame(self.conn(who)?, Inbound::decode(&message), now);
            }
            (who, "pong") => self.hub.handle_activity(self.conn(who)?, now),
            (who, "gone") => self.hub.handle_disconnect(self.conn(who)?, now),
            _ => return Err("nobody can do that"),
        }
        self.drain();
        Ok(())
    }

    fn app(&mut self, what: &str, rest: &str, now: Now) -> Result<(), &'static str> {
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        match what {
            "accept" => {
                let call = self.calls.pop_front().ok_or("no request waits")?;
                let ack = Object::new()
                    .text("runId", first)
                    .text("status", "accepted");
                let run = self.hub.accept(call, first, ack, now);
                if let Some(before) = self.runs.insert(first.to_owned(), run) {
                    let error = ErrorShape::unavailable("another run has its name");
                    self.hub.complete(before, Outcome::failure(error), now);
                }
            }
            "complete" => {
                let payload = parsed(second)?;
                let run = self.run(first)?;
                self.hub.complete(run, Outcome::success(payload), now);
            }
            "fail" => {
                let run = self.run(first)?;
                let payload = Object::new().text("runId", first).text("status", "error");
                let error = ErrorShape::unavailable(second);
                self.hub
                    .complete(run, Outcome::failure_with(payload, error), now);
            }
            "push" => {
                let event = if first == "chat" { "chat" } else { "agent" };
                let publication = Publication {
                    event,
                    payload: of(&json!({ "text": second })),
                    audience: Audience::Operators(Scope::Read),
                    class: Class::Ordinary,
                };
                self.hub.broadcast(publication, now);
            }
            "health" => {
                let content = parsed(rest)?;
                let took = Duration::from_millis(3);
                self.hub.set_health(Health { took, content }, now);
            }
            "shutdown" => self.hub.announce_shutdown(rest, None, now),
            "close-all" => self.hub.close_all(&Close::new(1012, rest), now),
            _ => return Err("the application cannot do that"),
        }
        Ok(())
    }

    fn wait_until(&mut self, moment: Duration) {
        while let Some(due) = self.hub.poll_timeout() {
            let at = due.at.since_origin();
            if at > moment {
                break;
            }
            self.passed = at.max(self.passed);
            self.hub.handle_timeout(self.now());
            self.drain();
        }
        self.passed = moment;
    }

    fn drain(&mut self) {
        while let Some(event) = self.hub.poll_event() {
            match event {
                Event::Connect {
                    applicant, params, ..
                } => self.decide(applicant, &params),
                Event::Request { call, request } => self.ask(call, &request),
                Event::Fault { conn, fault } => {
                    let line = format!("{} event {}: {fault}", self.name(conn), fault.clause());
                    self.write(&line);
                }
                Event::Closed { conn, .. } => {
                    let line = format!("{} event closed", self.name(conn));
                    self.write(&line);
                    self.names.remove(&conn);
                }
            }
        }
        while let Some(conn) = self.hub.poll_ready() {
            while let Some(transmit) = self.hub.poll_transmit(conn) {
                let name = self.name(conn);
                let line = match transmit {
                    Transmit::Frame(frame) => {
                        let text = frame.encode();
                        format!("{name} -> {}", String::from_utf8_lossy(&text))
                    }
                    Transmit::Ping => format!("{name} ping"),
                    Transmit::Close(close) => {
                        format!("{name} close {} {}", close.code, close.reason())
                    }
                };
                self.write(&line);
            }
            self.hub.sent(conn);
        }
    }

    /// Lets in who knows the secret.
    fn decide(&mut self, applicant: Applicant, params: &ConnectParams) {
        let now = self.now();
        let decided = if params.auth.token.as_deref() == Some("sesame") {
            self.hub.admit(applicant, &granted(params), now)
        } else {
            let words = "unauthorized: gateway token mismatch (provide gateway auth token)";
            let details = Object::new()
                .text("code", "AUTH_TOKEN_MISMATCH")
                .text("authReason", "token_mismatch");
            let error = ErrorShape::invalid_request(words).with_details(details);
            self.hub.refuse(applicant, error, now)
        };
        assert!(decided.is_ok(), "{decided:?}: it was its own token");
    }

    fn ask(&mut self, call: Call, request: &Request) {
        let now = self.now();
        match &*request.method {
            "health" => {
                let health = self.hub.health(true).clone();
                self.hub.reply(call, Outcome::success(health), now);
            }
            "system-presence" => self.hub.reply_presence(call, now),
            "agent" => self.calls.push_back(call),
            other => {
                let error = ErrorShape::invalid_request(format!("unknown method: {other}"));
                self.hub.reply(call, Outcome::failure(error), now);
            }
        }
    }

    fn name(&self, conn: ConnId) -> &str {
        self.names.get(&conn).map_or("?", String::as_str)
    }

    /// The newest connection of that name.
    fn conn(&self, name: &str) -> Result<ConnId, &'static str> {
        let named = self.names.iter().rev().find(|(_, given)| *given == name);
        named.map(|(conn, _)| *conn).ok_or("no peer of that name")
    }

    fn run(&mut self, name: &str) -> Result<Run, &'static str> {
        self.runs.remove(name).ok_or("no run of that name")
    }

    fn write(&mut self, line: &str) {
        let passed = self.passed;
        let (whole, part) = (passed.as_secs(), passed.subsec_millis());
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{whole}.{part:03} {line}");
    }
}

fn at(passed: Duration) -> Now {
    Now {
        at: Instant::after_origin(passed),
        unix_ms: BEGINNING_MS + passed.as_millis() as u64,
    }
}

fn parsed(text: &str) -> Result<Json, &'static str> {
    Json::parse(text.to_owned()).map_err(|_| "no JSON")
}

fn of(value: &serde_json::Value) -> Json {
    Json::of(value).expect("a value has a JSON form")
}

/// What it asks for, granted.
fn granted(params: &ConnectParams) -> Grant {
    Grant {
        role: if params.role == "node" {
            Role::Node
        } else {
            Role::Operator
        },
        scopes: params.scopes.clone().into(),
        principal: "secret".into(),
        device_id: None,
        device_token: None,
        user: None,
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: "0.1.0".into(),
        boot_id: "boot-1".into(),
        methods: of(&json!(["health", "agent"])),
        events: of(&json!(["tick", "health", "presence", "chat"])),
        session_defaults: of(&json!({"mainKey": "main"})),
        config_path: Some("/state/openclaw.json".into()),
        state_dir: Some("/state".into()),
        auth_mode: Some("token"),
    }
}

fn own_row() -> Row {
    Row {
        host: Some("lab".into()),
        mode: Some("gateway".into()),
        reason: Some("self".into()),
        ..Row::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(transcript: &str) -> String {
        replay(transcript).expect_err("bad").to_string()
    }

    #[test]
    fn bad_lines_are_named() {
        for (transcript, error) in [
            ("0.000", "line 1: a moment and who, at least"),
            (
                "# x\n0.00 a open",
                "line 2: a moment is seconds with three decimals",
            ),
            ("0.000 a flies", "line 1: nobody can do that"),
            ("0.000 a gone", "line 1: no peer of that name"),
            ("0.000 app fly", "line 1: the application cannot do that"),
            ("0.000 app accept r", "line 1: no request waits"),
            ("0.000 app fail r", "line 1: no run of that name"),
            ("0.000 app health {", "line 1: no JSON"),
            ("1.000 end\n0.999 end", "line 2: time runs forward"),
            ("3600.001 end", "line 1: later than an hour"),
        ] {
            assert_eq!(refused(transcript), error, "{transcript}");
        }
        let long = "0.000 end\n".repeat(MAX_LINES + 1);
        assert_eq!(
            refused(&long),
            format!("line {}: too many lines", MAX_LINES + 1)
        );
    }

    #[test]
    fn what_came_out_is_written_anew() {
        let text = replay("# mine\n0.000 a open\n0.000 a -> never\n16.000 end\n").expect("good");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["# mine", "0.000 a open"]);
        assert!(lines[2].contains("connect.challenge"), "{text}");
        assert!(lines[3].starts_with("15.000 a "), "{text}");
        assert!(!text.contains("never"));
        for nothing in ["", "0.000 a -> x"] {
            assert_eq!(replay(nothing).as_deref(), Ok(""));
        }
    }
}
