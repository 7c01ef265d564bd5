//! One client of a world, over all its connections.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use openclaw_protocol_core::client::{
    Connection, Ending, Event, Expect, Failure, Fetch, Hello, Mirror, Next, Outgoing, Patience,
    Reconnect, RequestId, Timeouts,
};
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::json::{Json, Object};

use super::coverage::Trial;
use super::draw::Draw;
use super::history::{Asked, End, Note};
use super::link::Message;
use super::log::{Log, micros};
use super::plan::Question;
use super::profile;
use super::task::{self, Task};

pub(super) struct Peer {
    pub(super) index: usize,
    draw: Draw,
    /// How many connections it has opened.
    pub(super) life: u32,
    pub(super) conn: Option<Connection>,
    /// Whether that has had its hello.
    was_ready: bool,
    pub(super) mirror: Option<Mirror>,
    reconnect: Reconnect,
    refused: Option<Box<ErrorShape>>,
    /// The close that it was told, or told.
    pub(super) close: Option<Close>,
    pub(super) dials_at: Option<u64>,
    pub(super) is_away: bool,
    fetches: BTreeMap<RequestId, Fetch>,
    open: Vec<RequestId>,
    pub(super) tasks: Vec<Task>,
    /// What the gateway said when it let us in last.
    pub(super) hello: Option<Box<Hello>>,
}

impl Peer {
    pub(super) fn new(index: usize, mut draw: Draw) -> Self {
        let dials_at = Some(draw.below(200_000));
        Self {
            index,
            draw,
            life: 0,
            conn: None,
            was_ready: false,
            mirror: None,
            reconnect: Reconnect::new(Patience::default(), false),
            refused: None,
            close: None,
            dials_at,
            is_away: false,
            fetches: BTreeMap::new(),
            open: Vec::new(),
            tasks: Vec::new(),
            hello: None,
        }
    }

    /// When it must be served.
    pub(super) fn due(&self) -> Option<u64> {
        let conn = self.conn.as_ref().and_then(Connection::poll_timeout);
        let conn = conn.map(|due| micros(due.at));
        let is_ready = self.conn.as_ref().is_some_and(Connection::is_ready);
        let mirror = self.mirror.as_ref().filter(|_| is_ready);
        let mirror = mirror.and_then(Mirror::poll_timeout).map(micros);
        let tasks = self.tasks.iter().filter_map(Task::due);
        let tasks = tasks.filter(|_| is_ready);
        tasks.chain(conn).chain(mirror).chain(self.dials_at).min()
    }

    /// A socket was opened.
    pub(super) fn dialled(&mut self, log: &mut Log) {
        self.life += 1;
        self.dials_at = None;
        self.close = None;
        self.was_ready = false;
        self.conn = Some(Connection::new(Timeouts::default(), log.now()));
        log.note(Note::Dialled(self.index, self.life));
    }

    /// Nothing listens there.
    pub(super) fn unreachable(&mut self, log: &mut Log) {
        log.tried(Trial::Unreachable);
        self.again(&Ending::Unreachable, log);
    }

    /// Goes, or comes back.
    pub(super) fn go(&mut self, away: bool, log: &mut Log) {
        if self.is_away != away {
            log.tried(if away { Trial::Leave } else { Trial::Return });
        }
        self.is_away = away;
        if !away {
            if self.conn.is_none() && self.dials_at.is_none() {
                self.dials_at = Some(log.at());
            }
            return;
        }
        self.dials_at = None;
        let close = Close::new(close_code::NORMAL, "bye");
        if let Some(conn) = &mut self.conn {
            conn.close(close, log.now());
        }
    }

    /// Serves what is due.
    pub(super) fn turn(&mut self, log: &mut Log) {
        let now = log.now();
        if let Some(conn) = &mut self.conn
            && conn.poll_timeout().is_some_and(|due| due.at <= now.at)
        {
            conn.handle_timeout(now);
        }
        let is_ready = self.conn.as_ref().is_some_and(Connection::is_ready);
        if let Some(mirror) = self.mirror.as_mut().filter(|_| is_ready) {
            mirror.handle_timeout(now);
        }
        self.hear(log);
        self.drive_tasks(log);
    }

    pub(super) fn got(&mut self, message: &Rc<Message>, log: &mut Log) {
        let Some(conn) = &mut self.conn else {
            return;
        };
        // Whoever is closing does not listen any more.
        if conn.is_ready() || !self.was_ready {
            log.note(Note::Got(self.index, self.life, Rc::clone(message)));
        }
        conn.handle_frame(FromGateway::decode(&message.text), log.now());
        self.hear(log);
    }

    /// Its socket is gone.
    pub(super) fn disconnected(&mut self, log: &mut Log) {
        if let Some(conn) = &mut self.conn {
            conn.handle_disconnect();
        }
        self.hear(log);
    }

    /// Asks for something, if it is connected or about to be.
    pub(super) fn ask(&mut self, question: Question, log: &mut Log) {
        let (method, params) = asked(self.index, question);
        let expect = if matches!(question, Question::Agent(_)) {
            Expect::Final
        } else {
            Expect::Reply
        };
        let outgoing = Outgoing {
            method: method.into(),
            params: Some(params.into()),
            expect,
            within: Some(Duration::from_secs(3)),
        };
        if let Some(request) = self.request(outgoing, log) {
            self.open.push(request);
        }
        self.hear(log);
    }

    pub(super) fn request(&mut self, outgoing: Outgoing, log: &mut Log) -> Option<RequestId> {
        let conn = self.conn.as_mut()?;
        let request = conn.request(outgoing, log.now());
        log.note(Note::Asked(self.asked(request)));
        Some(request)
    }

    pub(super) fn forget_oldest(&mut self, log: &mut Log) {
        if !self.open.is_empty() {
            let request = self.open.remove(0);
            self.forget(request, log);
        }
    }

    pub(super) fn forget(&mut self, request: RequestId, log: &mut Log) {
        if let Some(conn) = &mut self.conn {
            conn.forget(request);
            log.tried(Trial::Forgotten);
            log.note(Note::Forgotten(self.asked(request)));
        }
    }

    fn asked(&self, request: RequestId) -> Asked {
        (self.index, self.life, request.to_string())
    }

    /// Hears what its connection has to tell, to the last.
    pub(super) fn hear(&mut self, log: &mut Log) {
        loop {
            self.follow_mirror(log);
            let Some(event) = self.conn.as_mut().and_then(Connection::poll_event) else {
                return;
            };
            self.handle(event, log);
        }
    }

    fn handle(&mut self, event: Event, log: &mut Log) {
        let now = log.now();
        match event {
            Event::Challenge { nonce, .. } => {
                let params = profile::params(self.index, &nonce);
                if let Some(conn) = &mut self.conn {
                    conn.connect(&params, now);
                }
            }
            Event::Ready(hello) => {
                log.note(Note::Ready(self.index, self.life, hello.protocol.into()));
                self.was_ready = true;
                self.reconnect.greeted(now);
                self.mirror = Some(Mirror::new(&hello));
                self.fetches.clear();
                self.greet_tasks(hello, log);
            }
            Event::Refused(error) => self.refused = Some(error),
            Event::Accepted { request, payload } => {
                log.note(Note::Acknowledged(self.asked(request)));
                self.task_accepted(request, task::run_id(&payload), log);
            }
            Event::Finished { request, outcome } => {
                log.note(Note::Concluded(self.asked(request), End::Answered));
                self.concluded(request, Ok(outcome), log);
            }
            Event::Failed { request, failure } => {
                let end = if failure == Failure::NotSent {
                    End::NotSent
                } else {
                    End::Unknown
                };
                log.note(Note::Concluded(self.asked(request), end));
                self.concluded(request, Err(failure), log);
            }
            Event::Push(push) => {
                self.reconnect.pushed(&push, now);
                if let Some(mirror) = &mut self.mirror {
                    mirror.handle_push(&push);
                }
            }
            Event::Gap(gap) => {
                let (expected, received) = (gap.expected, gap.received);
                log.tried(Trial::Gap);
                log.note(Note::Gap(self.index, self.life, expected, received));
                if let Some(mirror) = &mut self.mirror {
                    mirror.handle_gap(now);
                }
            }
            Event::Closed => self.over(log),
        }
    }

    fn over(&mut self, log: &mut Log) {
        log.note(Note::Over(self.index, self.life));
        self.conn = None;
        self.open.clear();
        self.interrupt_tasks(log);
        let close = self.close.take();
        let close = close.unwrap_or_else(|| Close::new(1006, ""));
        if let Some(error) = self.refused.take() {
            self.again(&Ending::Refused(&error), log);
        } else {
            self.again(&Ending::Closed(&close), log);
        }
    }

    fn again(&mut self, ending: &Ending<'_>, log: &Log) {
        let jitter = self.draw.jitter();
        self.dials_at = match self.reconnect.ended(*ending, jitter, log.now()) {
            Next::RetryAt(at, _) if !self.is_away => Some(micros(at)),
            Next::RetryAt(..) | Next::Pause(_) | Next::Stop(_) => None,
        };
    }

    fn concluded(&mut self, request: RequestId, how: Result<Outcome, Failure>, log: &mut Log) {
        self.open.retain(|open| *open != request);
        if let Some(fetch) = self.fetches.remove(&request) {
            let answer = match &how {
                Ok(outcome) => match (&outcome.payload, &outcome.error) {
                    (Some(payload), None) => Some(Ok(payload.clone())),
                    (_, Some(error)) => Some(Err(error)),
                    (None, None) => None,
                },
                Err(_) => None,
            };
            if let Some(mirror) = &mut self.mirror {
                mirror.handle_answer(fetch, answer, log.now());
            }
            return;
        }
        self.task_concluded(request, how, log);
    }

    fn follow_mirror(&mut self, log: &mut Log) {
        let (Some(mirror), Some(conn)) = (&mut self.mirror, &mut self.conn) else {
            return;
        };
        if mirror.poll_resynced() {
            conn.resynced();
        }
        if !conn.is_ready() {
            return;
        }
        let fetches: Vec<Fetch> = std::iter::from_fn(|| mirror.poll_fetch()).collect();
        for fetch in fetches {
            let outgoing = Outgoing {
                method: fetch.method().into(),
                params: None,
                expect: Expect::Reply,
                within: None,
            };
            if let Some(request) = self.request(outgoing, log) {
                self.fetches.insert(request, fetch);
            }
        }
    }
}

/// The parameters of `agent` under one of a few keys; the same key always means the same.
pub(super) fn agent(key: u8) -> Object {
    Object::new()
        .text("idempotencyKey", &format!("k{key}"))
        .text("message", &"m".repeat(usize::from(key)))
}

fn asked(index: usize, question: Question) -> (&'static str, Object) {
    match question {
        Question::Health => ("health", Object::new()),
        Question::Presence => ("system-presence", Object::new()),
        Question::Text(size, later) => (
            "text",
            Object::new()
                .number("size", u64::from(size) * 300)
                .boolean("later", later),
        ),
        Question::Unknown => ("no.such.method", Object::new()),
        Question::Announce(which) => {
            let name = format!("beacon-{index}-{which}");
            ("system-event", Object::new().text("name", &name))
        }
        Question::Agent(key) => ("agent", agent(key)),
    }
}

/// What a client knows, as its mirror says it.
pub(super) fn known(json: Option<&Json>) -> serde_json::Value {
    json.and_then(|json| json.read().ok()).unwrap_or_default()
}
