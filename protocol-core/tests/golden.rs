//! Conversations in `transcripts/`, replayed byte for byte.
//!
//! A line is a moment in seconds, who, and what. The test feeds what came in (`open`, `<-`,
//! `pong`, `gone`, and `app` for the application) at its moment and writes down what came out
//! (`->`, `ping`, `close`) and what the application was told (`event`); the result must be the
//! file. A line `end` lets time pass. `UPDATE_GOLDEN=1 cargo test --test golden` rewrites the
//! files.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;

use core::time::Duration;

use bytes::Bytes;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::inbound::{Inbound, Request};
use openclaw_protocol_core::frame::outgoing::{Outcome, Transmit};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hub::{Event, Health, Hub, Peer, Run};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::server::{Applicant, Call, ConnId};
use openclaw_protocol_core::time::Now;
use support::{Clock, Gateway, NONCE, grant, ordinary};

/// A hub whose peers and application follow a transcript.
struct Replay {
    hub: Hub,
    clock: Clock,
    names: BTreeMap<ConnId, String>,
    runs: BTreeMap<String, Run>,
    calls: VecDeque<(Call, Request)>,
    text: String,
}

impl Replay {
    fn of(transcript: &str) -> String {
        let Gateway { hub, clock, .. } = Gateway::new();
        let mut replay = Self {
            hub,
            clock,
            names: BTreeMap::new(),
            runs: BTreeMap::new(),
            calls: VecDeque::new(),
            text: String::new(),
        };
        for line in transcript.lines() {
            if line.is_empty() || line.starts_with('#') {
                replay.text.push_str(line);
                replay.text.push('\n');
            } else {
                replay.line(line);
            }
        }
        replay.text
    }

    fn line(&mut self, line: &str) {
        let mut words = line.splitn(4, ' ');
        let moment = words.next().expect("a moment");
        let who = words.next().expect("who");
        let what = words.next().unwrap_or_default();
        let rest = words.next().unwrap_or_default();
        if matches!(what, "->" | "ping" | "close" | "event") {
            return;
        }
        self.wait_until(Duration::from_millis(milliseconds(moment)));
        self.write(line.split_once(' ').expect("a moment and more").1);
        let now = self.clock.now();
        match (who, what) {
            ("end", _) => {}
            ("app", _) => self.app(what, rest, now),
            (_, "open") => {
                let peer = Peer {
                    address: "127.0.0.1".parse().expect("an address"),
                    direct_loopback: true,
                    origin: None,
                };
                let conn = self.hub.open(peer, NONCE, 0, now);
                self.names.insert(conn, who.to_owned());
            }
            (_, "<-") => {
                let message = Bytes::copy_from_slice(rest.as_bytes());
                self.hub
                    .handle_frame(self.conn(who), Inbound::decode(&message), now);
            }
            (_, "pong") => self.hub.handle_activity(self.conn(who), now),
            (_, "gone") => self.hub.handle_disconnect(self.conn(who), now),
            _ => panic!("a line that is not understood: {line}"),
        }
        self.drain();
    }

    /// What the application does: `accept RUN`, `complete RUN JSON`, `fail RUN WORDS`,
    /// `push EVENT TEXT`, `health JSON`, `shutdown REASON`, `close-all REASON`.
    fn app(&mut self, what: &str, rest: &str, now: Now) {
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        match what {
            "accept" => {
                let (call, _) = self.calls.pop_front().expect("a request waits");
                let ack = Object::new()
                    .text("runId", first)
                    .text("status", "accepted");
                let run = self.hub.accept(call, first, ack, now);
                self.runs.insert(first.to_owned(), run);
            }
            "complete" => {
                let run = self.runs.remove(first).expect("an open run");
                self.hub.complete(run, Outcome::success(json(second)), now);
            }
            "fail" => {
                let run = self.runs.remove(first).expect("an open run");
                let payload = Object::new().text("runId", first).text("status", "error");
                let error = ErrorShape::unavailable(second);
                self.hub
                    .complete(run, Outcome::failure_with(payload, error), now);
            }
            "push" => {
                let event = if first == "chat" { "chat" } else { "agent" };
                let audience = Audience::Operators(Scope::Read);
                self.hub.broadcast(ordinary(event, second, audience), now);
            }
            "health" => {
                let content = json(rest);
                let took = Duration::from_millis(3);
                self.hub.set_health(Health { took, content }, now);
            }
            "shutdown" => self.hub.announce_shutdown(rest, None, now),
            "close-all" => self.hub.close_all(&Close::new(1012, rest), now),
            _ => panic!("the application cannot {what}"),
        }
    }

    fn wait_until(&mut self, moment: Duration) {
        while let Some(due) = self.hub.poll_timeout() {
            let at = due.at.since_origin();
            if at > moment {
                break;
            }
            self.clock.set(at.max(self.clock.passed()));
            self.hub.handle_timeout(self.clock.now());
            self.drain();
        }
        self.clock.set(moment);
    }

    fn drain(&mut self) {
        while let Some(event) = self.hub.poll_event() {
            match event {
                Event::Connect {
                    applicant, params, ..
                } => self.decide(applicant, &params),
                Event::Request { call, request } => self.ask(call, request),
                Event::Fault { conn, fault } => {
                    let line = format!("{} event {}: {fault}", self.name(conn), fault.clause());
                    self.write(&line);
                }
                Event::Closed { conn, .. } => {
                    let line = format!("{} event closed", self.name(conn));
                    self.write(&line);
                }
            }
        }
        while let Some(conn) = self.hub.poll_ready() {
            while let Some(transmit) = self.hub.poll_transmit(conn) {
                let name = self.name(conn);
                let line = match transmit {
                    Transmit::Frame(frame) => {
                        let text = String::from_utf8(frame.encode()).expect("UTF-8");
                        format!("{name} -> {text}")
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
        let now = self.clock.now();
        if params.auth.token.as_deref() == Some("sesame") {
            self.hub.admit(applicant, &grant(params), now)
        } else {
            let words = "unauthorized: gateway token mismatch (provide gateway auth token)";
            let details = Object::new()
                .text("code", "AUTH_TOKEN_MISMATCH")
                .text("authReason", "token_mismatch");
            let error = ErrorShape::invalid_request(words).with_details(details);
            self.hub.refuse(applicant, error, now)
        }
        .expect("its own token");
    }

    fn ask(&mut self, call: Call, request: Request) {
        let now = self.clock.now();
        match &*request.method {
            "health" => {
                let health = self.hub.health(true).clone();
                self.hub.reply(call, Outcome::success(health), now);
            }
            "system-presence" => {
                let list = self.hub.presence().clone();
                self.hub.reply(call, Outcome::success(list), now);
            }
            "agent" => self.calls.push_back((call, request)),
            other => {
                let error = ErrorShape::invalid_request(format!("unknown method: {other}"));
                self.hub.reply(call, Outcome::failure(error), now);
            }
        }
    }

    fn name(&self, conn: ConnId) -> &str {
        &self.names[&conn]
    }

    /// The newest connection of that name.
    fn conn(&self, name: &str) -> ConnId {
        let named = self.names.iter().rev().find(|(_, given)| *given == name);
        *named.expect("a connection of that name").0
    }

    fn write(&mut self, line: &str) {
        let passed = self.clock.passed();
        writeln!(
            self.text,
            "{}.{:03} {line}",
            passed.as_secs(),
            passed.subsec_millis()
        )
        .expect("memory");
    }
}

fn milliseconds(moment: &str) -> u64 {
    let (whole, part) = moment.split_once('.').expect("seconds.milliseconds");
    assert_eq!(part.len(), 3, "{moment}");
    whole.parse::<u64>().expect("seconds") * 1_000 + part.parse::<u64>().expect("milliseconds")
}

fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).expect("JSON")
}

fn transcripts() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

#[test]
fn our_own_conversations_replay_byte_for_byte() {
    let rewrite = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let files = transcripts();
    assert_eq!(files.len(), 7);
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("text");
        let replayed = Replay::of(&expected);
        if rewrite {
            std::fs::write(&file, &replayed).expect("written");
            continue;
        }
        for (number, (replayed, expected)) in replayed.lines().zip(expected.lines()).enumerate() {
            assert_eq!(replayed, expected, "{}:{}", file.display(), number + 1);
        }
        assert_eq!(replayed, expected, "{}", file.display());
    }
    assert!(
        !rewrite,
        "rewritten: look at the difference, then run without UPDATE_GOLDEN"
    );
}
