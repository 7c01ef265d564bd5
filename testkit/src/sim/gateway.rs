//! The gateway of a world: a hub, and a small application behind it.

mod policy;

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::Welcome;
use openclaw_protocol_core::hub::{Event, Health, Hub, Peer, Row};
use openclaw_protocol_core::idempotency::{Bounds, Table};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::{Applicant, Call, ConnId};

use super::coverage::Trial;
use super::history::{Family, Guest, Note, Socket};
use super::log::{Log, micros};
use super::plan::Plan;
use super::work::{Wait, Work};
use policy::{audience, granted, limits};

/// How long a gateway that has just started refuses everybody.
const STARTING: u64 = 700_000;
/// How long it takes over a decision where it decides late.
const DECISION: u64 = 40_000;
/// How long after its farewell it is gone.
const FAREWELL: u64 = 1_200_000;

pub(super) struct Gateway {
    pub(super) hub: Option<Hub>,
    pub(super) boot: u32,
    pub(super) limits: Limits,
    pub(super) table: Table,
    pub(super) works: BTreeMap<String, Work>,
    pub(super) ended: BTreeMap<String, Outcome>,
    pub(super) waits: Vec<Wait>,
    pub(super) later: Vec<(u64, Call, String, usize)>,
    applicants: Vec<(u64, Applicant, Box<ConnectParams>)>,
    guests: BTreeMap<ConnId, Guest>,
    keeps_runs: bool,
    decides_late: bool,
    starting_until: u64,
    /// When it stops, and when it starts again.
    stops_at: Option<u64>,
    starts_at: Option<u64>,
    pub(super) pushes: u64,
}

impl Gateway {
    pub(super) fn new(plan: &Plan, log: &mut Log) -> Self {
        let mut gateway = Self {
            hub: None,
            boot: 0,
            limits: limits(plan.is_tight),
            table: Table::new(Bounds::default()),
            works: BTreeMap::new(),
            ended: BTreeMap::new(),
            waits: Vec::new(),
            later: Vec::new(),
            applicants: Vec::new(),
            guests: BTreeMap::new(),
            keeps_runs: plan.keeps_runs,
            decides_late: plan.decides_late,
            starting_until: 0,
            stops_at: None,
            starts_at: None,
            pushes: 0,
        };
        gateway.start(log);
        gateway
    }

    fn start(&mut self, log: &mut Log) {
        self.boot += 1;
        log.note(Note::Boot(self.boot));
        let welcome = Welcome {
            version: "0.1.0".into(),
            boot_id: format!("boot-{}", self.boot),
            methods: Json::null(),
            events: Json::null(),
            session_defaults: Json::null(),
            config_path: None,
            state_dir: None,
            auth_mode: None,
        };
        let own = Row {
            host: Some("gateway".into()),
            reason: Some("self".into()),
            ..Row::default()
        };
        self.hub = Some(Hub::new(self.limits, welcome, own, log.now()));
        self.starts_at = None;
    }

    pub(super) fn socket(&self, conn: ConnId) -> Socket {
        Socket {
            boot: self.boot,
            conn: conn.0,
        }
    }

    /// When it must be served.
    pub(super) fn due(&self) -> Option<u64> {
        let hub = self.hub.as_ref().and_then(Hub::poll_timeout);
        let hub = hub.map(|due| micros(due.at));
        let works = self.works.values().map(|work| work.next);
        let later = self.later.iter().map(|(at, ..)| *at);
        let waits = self.waits.iter().map(|wait| wait.until);
        let applicants = self.applicants.iter().map(|(at, ..)| *at);
        let own = works.chain(later).chain(waits).chain(applicants);
        let own = own.filter(|_| self.hub.is_some());
        let life = self.stops_at.into_iter().chain(self.starts_at);
        own.chain(hub).chain(life).min()
    }

    /// Opens a socket; `None` where nothing listens.
    pub(super) fn open(&mut self, who: &str, jitter: u8, log: &mut Log) -> Option<ConnId> {
        if self.stops_at.is_some() {
            return None;
        }
        let peer = Peer {
            address: "10.0.0.1".parse().expect("an address"),
            direct_loopback: false,
            origin: None,
            claims: None,
        };
        let nonce = format!("nonce-{}", log.at());
        let conn = self.hub.as_mut()?.open(peer, &nonce, jitter, log.now());
        log.note(Note::Opened(self.socket(conn), who.to_owned()));
        Some(conn)
    }

    /// Serves what is due, and hears what the hub has to tell. Says whether it went down.
    pub(super) fn turn(&mut self, log: &mut Log) -> bool {
        let at = log.at();
        if self.stops_at.is_some_and(|due| due <= at) {
            return true;
        }
        if self.starts_at.is_some_and(|due| due <= at) {
            self.start(log);
            self.starting_until = at + STARTING;
        }
        let Some(hub) = &mut self.hub else {
            return false;
        };
        if hub.poll_timeout().is_some_and(|due| micros(due.at) <= at) {
            hub.handle_timeout(log.now());
        }
        self.decide_due(log);
        self.reply_due(log);
        self.work_due(log);
        self.hear(log);
        false
    }

    /// Hears what the hub has to tell, to the last.
    pub(super) fn hear(&mut self, log: &mut Log) {
        while let Some(event) = self.hub.as_mut().and_then(Hub::poll_event) {
            match event {
                Event::Connect {
                    applicant, params, ..
                } => {
                    let wait = if self.decides_late { DECISION } else { 0 };
                    self.applicants.push((log.at() + wait, applicant, params));
                    self.decide_due(log);
                }
                Event::Request { call, request } => self.ask(call, &request, log),
                Event::Fault { conn, fault } => {
                    match fault.clause() {
                        "LIM-004" => log.tried(Trial::SlowConsumer),
                        "LIV-001" => log.tried(Trial::Silence),
                        _ => {}
                    }
                    log.note(Note::Fault(self.socket(conn), fault.clause()));
                }
                Event::Closed { conn, .. } => {
                    self.guests.remove(&conn);
                    log.note(Note::Ended(self.socket(conn)));
                    log.ended.push(conn);
                }
            }
        }
        log.note(Note::Settled);
    }

    fn decide_due(&mut self, log: &mut Log) {
        let at = log.at();
        while let Some(next) = self.applicants.iter().position(|(due, ..)| *due <= at) {
            let (_, applicant, params) = self.applicants.remove(next);
            let conn = applicant.conn();
            let socket = self.socket(conn);
            let Some(hub) = &mut self.hub else { return };
            if at < self.starting_until || self.stops_at.is_some() {
                log.tried(Trial::Starting);
                let details = Object::new().text("reason", "startup-sidecars");
                let error = ErrorShape::unavailable("starting")
                    .with_details(details)
                    .retryable_after(Some(300));
                drop(hub.refuse(applicant, error, log.now()));
                continue;
            }
            let (grant, guest) = granted(&params);
            drop(hub.admit(applicant, &grant, log.now()));
            if hub.session(conn).is_some() {
                if self.decides_late {
                    log.tried(Trial::LateDecision);
                }
                log.note(Note::Admitted(socket, guest.clone()));
                self.guests.insert(conn, guest);
            }
        }
    }

    pub(super) fn reply_presence(&mut self, call: Call, id: String, log: &mut Log) {
        let socket = self.socket(call.conn());
        if let Some(hub) = &mut self.hub {
            log.note(Note::Replied(socket, id, hub.presence().len()));
            hub.reply_presence(call, log.now());
        }
    }

    pub(super) fn reply(&mut self, call: Call, id: &str, outcome: Outcome, log: &mut Log) {
        let bytes = outcome.payload.as_ref().map_or(0, Json::len);
        let bytes = if bytes + 200 > self.limits.frame {
            log.tried(Trial::TextTooLarge);
            0
        } else {
            bytes
        };
        log.note(Note::Replied(
            self.socket(call.conn()),
            id.to_owned(),
            bytes,
        ));
        if let Some(hub) = &mut self.hub {
            hub.reply(call, outcome, log.now());
        }
    }

    /// Pushes something with a number of its own.
    pub(super) fn publish(
        &mut self,
        event: &'static str,
        family: Family,
        is_delta: bool,
        payload: Object,
        log: &mut Log,
    ) {
        let Some(hub) = &mut self.hub else { return };
        self.pushes += 1;
        let payload = payload.number("n", self.pushes).finish();
        let is_large = event.len() + payload.len() + 160 > self.limits.frame;
        log.note(Note::Published {
            boot: self.boot,
            number: self.pushes,
            family,
            droppable: is_delta || is_large,
            bytes: if is_large { 0 } else { payload.len() },
        });
        let publication = Publication {
            event,
            payload,
            audience: audience(family),
            class: if is_delta {
                Class::Delta
            } else {
                Class::Ordinary
            },
        };
        hub.broadcast(publication, log.now());
        self.hear(log);
    }

    pub(super) fn set_health(&mut self, number: u64, log: &mut Log) {
        if let Some(hub) = &mut self.hub {
            let health = Health {
                took: Duration::ZERO,
                content: Object::new().number("n", number).finish(),
            };
            log.tried(Trial::HealthChange);
            hub.set_health(health, log.now());
            self.hear(log);
        }
    }

    pub(super) fn close(&mut self, conn: ConnId, log: &mut Log) {
        log.note(Note::Dismissed(self.socket(conn)));
        if let Some(hub) = &mut self.hub {
            log.tried(Trial::Close);
            hub.close(conn, Close::new(1012, "moved"), log.now());
            self.hear(log);
        }
    }

    /// Begins to stop: with a farewell, or at once.
    pub(super) fn stop(&mut self, with_farewell: bool, down: u64, log: &mut Log) {
        if self.hub.is_none() || self.stops_at.is_some() {
            return;
        }
        let at = log.at();
        self.stops_at = Some(if with_farewell { at + FAREWELL } else { at });
        self.starts_at = Some(at + FAREWELL + down);
        log.tried(if with_farewell {
            Trial::Farewell
        } else {
            Trial::Crash
        });
        if !with_farewell {
            return;
        }
        if !self.keeps_runs {
            self.abandon_works(log);
        }
        for conn in self.guests.keys() {
            log.note(Note::Dismissed(self.socket(*conn)));
        }
        if let Some(hub) = &mut self.hub {
            hub.drain();
            hub.announce_shutdown("restart", Some((FAREWELL + down) / 1_000), log.now());
            hub.close_all(&Close::new(1012, "restart"), log.now());
            self.hear(log);
        }
    }

    /// Is gone, at once.
    pub(super) fn die(&mut self, log: &mut Log) {
        log.note(Note::Down(self.boot));
        self.hub = None;
        self.stops_at = None;
        self.later.clear();
        self.waits.clear();
        self.applicants.clear();
        self.guests.clear();
        for work in self.works.values_mut() {
            work.run = None;
        }
        if self.keeps_runs {
            if !self.works.is_empty() {
                log.tried(Trial::RestartWithRuns);
            }
        } else {
            log.tried(Trial::RestartWithout);
            self.works.clear();
            self.ended.clear();
            self.table = Table::new(Bounds::default());
        }
    }

    /// Whether a connection holds a scope.
    pub(super) fn may(&self, conn: ConnId, scope: &'static str) -> bool {
        self.guests
            .get(&conn)
            .is_some_and(|guest| !guest.is_node && guest.scopes.contains(&scope))
    }
}
