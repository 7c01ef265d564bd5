//! The application with a virtual clock, an agent that the test plays, and peers that speak raw
//! JSON.

#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

mod agent;
mod caller;
mod notebook;
mod setting;
mod story;

pub(crate) use agent::{Do, Puppet};
pub(crate) use caller::{Caller, Device, TOKEN};
pub(crate) use notebook::Notebook;
pub(crate) use setting::{
    ADMIN, NONCE, PORT, READ, Settings, WRITE, from, local, millis, remote, seconds,
};
pub(crate) use story::{count, errors, events, final_of, scopes_of, story, story_of};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openclaw_gateway_service::admission::Admission;
use openclaw_gateway_service::admission::origin::Origins;
use openclaw_gateway_service::app::{App, Command, Devices, Parts};
use openclaw_gateway_service::probes::Probes;
use openclaw_gateway_service::secret::{Secret, SharedSecret};
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hub::{Event, Health, Hub, Peer, Row};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::server::ConnId;
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::server::{Application, Detached, Handle};
use serde_json::{Value, json};
use setting::{moment, welcome};
use smol::Executor;

/// What a setup code carries.
pub(crate) fn carried(code: &str) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(code)
        .expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A gateway without sockets: a hub, the application, and a clock that only the test moves.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) app: App,
    pub(crate) agent: Puppet,
    pub(crate) ledger: Notebook,
    executor: Arc<Executor<'static>>,
    commands: Detached<Command>,
    beginning_ms: u64,
    passed: Duration,
    heard: BTreeMap<ConnId, Vec<Value>>,
    closes: BTreeMap<ConnId, (u16, String)>,
    gone: BTreeSet<ConnId>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let now = moment(settings.beginning_ms, Duration::ZERO);
        let own = Row {
            text: Some("Gateway: lab".to_owned()),
            mode: Some("gateway".to_owned()),
            reason: Some("self".to_owned()),
            ..Row::default()
        };
        let mut hub = Hub::new(settings.limits, welcome(), own, now);
        let health = Health {
            took: Duration::ZERO,
            content: Json::of(&json!({"defaultAgentId": "main"})).expect("JSON"),
        };
        hub.set_health(health, now);
        let agent = Puppet::default();
        let ledger = Notebook::default();
        let executor = Arc::new(Executor::new());
        let (handle, commands) = Handle::detached();
        let secret = settings.secret.map(|(kind, text)| {
            let secret = Secret::new(text).expect("not blank");
            (kind, SharedSecret::new(&secret))
        });
        let parts = Parts {
            admission: Admission {
                secret,
                origins: Origins::new(PORT, &settings.allowed_origins),
                rate_limit: settings.rate_limit,
                users: settings.users,
            },
            directory: settings.directory,
            devices: Devices {
                ledger: Arc::new(ledger.clone()),
                ..Devices::fleeting()
            },
            backend: Arc::new(agent.clone()),
            executor: Arc::clone(&executor),
            probes: Arc::new(Probes::default()),
            repeats: settings.repeats,
            heartbeat: settings.heartbeat,
            commands: settings.commands,
            version: "0.1.0",
            started: now.at,
        };
        Self {
            hub,
            app: App::new(parts, handle),
            agent,
            ledger,
            executor,
            commands,
            beginning_ms: settings.beginning_ms,
            passed: Duration::ZERO,
            heard: BTreeMap::new(),
            closes: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        moment(self.beginning_ms, self.passed)
    }

    /// A socket whose challenge was read.
    pub(crate) fn open(&mut self, peer: Peer) -> ConnId {
        let conn = self.open_with(peer, NONCE);
        self.hear(conn);
        conn
    }

    pub(crate) fn open_with(&mut self, peer: Peer, nonce: &str) -> ConnId {
        let conn = self.hub.open(peer, nonce, 0, self.now());
        self.settle();
        conn
    }

    /// A connection that was let in and has heard nothing but its hello.
    pub(crate) fn join(&mut self, caller: &Caller<'_>) -> ConnId {
        let conn = self.open(local());
        let hello = self.knock(conn, caller);
        assert_eq!(hello["ok"], true, "{caller:?}: {hello}");
        conn
    }

    /// An operator without a device that may do what its scopes allow.
    pub(crate) fn operator(&mut self, scopes: &[&str]) -> ConnId {
        self.join(&Caller {
            scopes,
            ..Caller::default()
        })
    }

    /// Sends a `connect` and returns what it is answered with; `Null` if it is not, yet.
    pub(crate) fn knock(&mut self, conn: ConnId, caller: &Caller<'_>) -> Value {
        let params = caller.params(NONCE, self.now().unix_ms);
        self.request(conn, "c", "connect", params);
        self.answer(conn, "c")
    }

    /// Knocks from somewhere, and lets the time pass that the answer takes.
    pub(crate) fn knock_from(&mut self, peer: Peer, caller: &Caller<'_>) -> (ConnId, Value) {
        let conn = self.open(peer);
        let mut answer = self.knock(conn, caller);
        if answer.is_null() {
            self.advance(seconds(5));
            answer = self.answer(conn, "c");
        }
        (conn, answer)
    }

    /// The error that a caller is told who is then closed with 1008 and the same words.
    pub(crate) fn refused(&mut self, peer: Peer, caller: &Caller<'_>) -> Value {
        let (conn, answer) = self.knock_from(peer, caller);
        assert_eq!(answer["ok"], false, "{caller:?}: {answer}");
        let error = answer["error"].clone();
        let message = error["message"].as_str().expect("a message");
        let (code, reason) = self.close(conn).expect("closed");
        assert_eq!(code, 1008);
        let same = message.starts_with(reason) && reason.len() >= message.len().min(117);
        assert!(same, "{reason:?} of {message:?}");
        error
    }

    pub(crate) fn request(&mut self, conn: ConnId, id: &str, method: &str, params: Value) {
        self.say(
            conn,
            &json!({"type": "req", "id": id, "method": method, "params": params}),
        );
    }

    /// Asks for an agent turn in a session of its own, whose message is its key.
    pub(crate) fn run(&mut self, conn: ConnId, id: &str, key: &str) {
        self.run_in(conn, id, key, key);
    }

    pub(crate) fn run_in(&mut self, conn: ConnId, id: &str, key: &str, session: &str) {
        let params = json!({"message": key, "idempotencyKey": key, "sessionKey": session});
        self.request(conn, id, "agent", params);
    }

    pub(crate) fn say(&mut self, conn: ConnId, frame: &Value) {
        self.say_bytes(conn, frame.to_string().into_bytes());
    }

    pub(crate) fn say_bytes(&mut self, conn: ConnId, message: impl Into<Bytes>) {
        let now = self.now();
        self.hub
            .handle_frame(conn, Inbound::decode(&message.into()), now);
        self.settle();
    }

    /// The agent that answers `message` does something.
    pub(crate) fn agent_does(&mut self, message: &str, what: Do) {
        self.agent.tell(message, what);
        self.settle();
    }

    /// The disk has what it was given, or has failed.
    pub(crate) fn disk_does(&mut self, result: Result<(), &str>) {
        self.ledger.end(result.map_err(str::to_owned));
        self.settle();
    }

    /// The agent says a piece of its answer.
    pub(crate) fn agent_says(&mut self, message: &str, text: &str) {
        self.agent_does(message, Do::Say(text.to_owned()));
    }

    /// The socket is gone.
    pub(crate) fn cut(&mut self, conn: ConnId) {
        let now = self.now();
        self.hub.handle_disconnect(conn, now);
        self.settle();
    }

    /// Lets time pass, serving every timer at its moment as the runtime does.
    pub(crate) fn advance(&mut self, time: Duration) {
        let until = self.passed + time;
        let mut served_at = (self.passed, 0);
        while let Some(due) = self.due().filter(|due| *due <= until) {
            self.passed = self.passed.max(due);
            served_at = if served_at.0 == self.passed {
                (self.passed, served_at.1 + 1)
            } else {
                (self.passed, 0)
            };
            assert!(served_at.1 < 64, "a timer never comes to rest");
            self.serve_timers();
        }
        self.passed = until;
    }

    pub(crate) fn passed(&self) -> Duration {
        self.passed
    }

    /// No new work from now, as the runtime says it at the first signal.
    pub(crate) fn drain(&mut self) {
        let now = self.now();
        self.hub.drain();
        self.app.drain(&mut self.hub, now);
        self.settle();
    }

    /// The time to drain is over.
    pub(crate) fn finish(&mut self) {
        let now = self.now();
        self.app.finish(&mut self.hub, now);
        self.settle();
    }

    /// Everything that came out of a connection since the last time.
    pub(crate) fn hear(&mut self, conn: ConnId) -> Vec<Value> {
        self.heard.remove(&conn).unwrap_or_default()
    }

    /// Takes the next answer to one request out of what was heard; the rest stays.
    pub(crate) fn answer(&mut self, conn: ConnId, id: &str) -> Value {
        let heard = self.heard.entry(conn).or_default();
        let found = heard
            .iter()
            .position(|frame| frame["type"] == "res" && frame["id"] == id);
        found.map_or(Value::Null, |index| heard.remove(index))
    }

    /// Waits for an answer that something away from this thread has a part in.
    #[allow(dead_code, reason = "not every test has such answers")]
    pub(crate) fn wait_for(&mut self, conn: ConnId, id: &str) -> Value {
        loop {
            let answer = self.answer(conn, id);
            if !answer.is_null() {
                return answer;
            }
            let executor = Arc::clone(&self.executor);
            smol::block_on(executor.tick());
            self.settle();
        }
    }

    /// Asks, and returns the answer.
    pub(crate) fn ask(&mut self, conn: ConnId, method: &str, params: Value) -> Value {
        self.request(conn, "ask", method, params);
        self.answer(conn, "ask")
    }

    /// How a connection was ended by the gateway, if it was.
    pub(crate) fn close(&self, conn: ConnId) -> Option<(u16, &str)> {
        let (code, reason) = self.closes.get(&conn)?;
        Some((*code, reason))
    }

    fn due(&self) -> Option<Duration> {
        let hub = self.hub.poll_timeout().map(|due| due.at);
        let app = self.app.poll_timeout();
        let due: Option<Instant> = hub.into_iter().chain(app).min();
        due.map(Instant::since_origin)
    }

    fn serve_timers(&mut self) {
        let now = self.now();
        if self.hub.poll_timeout().is_some_and(|due| due.at <= now.at) {
            self.hub.handle_timeout(now);
        }
        if self.app.poll_timeout().is_some_and(|due| due <= now.at) {
            self.app.handle_timeout(&mut self.hub, now);
        }
        self.settle();
    }

    /// Lets everybody act until nobody has anything left to do.
    fn settle(&mut self) {
        loop {
            let mut moved = self.pass_events_on();
            while self.executor.try_tick() {
                moved = true;
            }
            while let Some(command) = self.commands.take() {
                moved = true;
                let now = self.now();
                self.app.handle_command(&mut self.hub, command, now);
                self.pass_events_on();
            }
            while let Some(conn) = self.hub.poll_ready() {
                moved = true;
                self.pull(conn);
            }
            if !moved {
                return;
            }
        }
    }

    fn pass_events_on(&mut self) -> bool {
        let mut moved = false;
        let now = self.now();
        while let Some(event) = self.hub.poll_event() {
            moved = true;
            if let Event::Closed { conn, .. } = &event {
                self.gone.insert(*conn);
            }
            self.app.handle_event(&mut self.hub, event, now);
        }
        moved
    }

    fn pull(&mut self, conn: ConnId) {
        let now = self.now();
        while let Some(transmit) = self.hub.poll_transmit(conn) {
            assert!(
                !self.closes.contains_key(&conn),
                "nothing follows a close: {transmit:?}"
            );
            match transmit {
                Transmit::Frame(frame) => {
                    let frame = serde_json::from_slice(&frame.encode()).expect("JSON");
                    self.heard.entry(conn).or_default().push(frame);
                }
                Transmit::Ping => self.hub.handle_activity(conn, now),
                Transmit::Close(close) => {
                    let end = (close.code, close.reason().to_owned());
                    self.closes.insert(conn, end);
                }
            }
        }
        self.hub.sent(conn);
        if self.closes.contains_key(&conn) && !self.gone.contains(&conn) {
            self.hub.handle_disconnect(conn, now);
        }
    }
}
