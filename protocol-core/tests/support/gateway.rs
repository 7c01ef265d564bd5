//! A hub with an application that lets everybody in, or waits for the test to decide.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::inbound::{Inbound, Request};
use openclaw_protocol_core::frame::outgoing::{Outcome, Publication, Transmit};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::{Grant, Welcome};
use openclaw_protocol_core::hub::{Event, Hub, Peer, Row};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::Role;
use openclaw_protocol_core::server::{Applicant, Call, ConnId};
use openclaw_protocol_core::time::Now;
use serde_json::{Value, json};

use super::{Clock, NONCE};

/// Something that came out of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Frame(String),
    Ping,
    Close(u16, String),
}

/// Who decides about newcomers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applicants {
    /// Everybody is let in with what they ask for.
    LetIn,
    /// They wait in [`Gateway::applicants`].
    Wait,
}

/// What a newcomer says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Joiner<'a> {
    pub(crate) id: &'a str,
    pub(crate) mode: &'a str,
    pub(crate) role: &'a str,
    pub(crate) scopes: &'a [&'a str],
    pub(crate) device: Option<&'a str>,
    pub(crate) instance: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
}

impl Default for Joiner<'_> {
    fn default() -> Self {
        Self {
            id: "gateway-client",
            mode: "backend",
            role: "operator",
            scopes: &[],
            device: None,
            instance: None,
            name: None,
        }
    }
}

impl Joiner<'_> {
    pub(crate) fn params(&self) -> Value {
        let mut params = json!({
            "minProtocol": 3,
            "maxProtocol": 4,
            "client": {"id": self.id, "version": "1.2.3", "platform": "linux", "mode": self.mode},
            "role": self.role,
            "scopes": self.scopes,
        });
        if let Some(device) = self.device {
            params["device"] = json!({
                "id": device, "publicKey": "k", "signature": "s", "signedAt": 1, "nonce": NONCE,
            });
        }
        if let Some(instance) = self.instance {
            params["client"]["instanceId"] = json!(instance);
        }
        if let Some(name) = self.name {
            params["client"]["displayName"] = json!(name);
        }
        params
    }
}

pub(crate) struct Gateway {
    pub(crate) hub: Hub,
    pub(crate) clock: Clock,
    pub(crate) policy: Applicants,
    pub(crate) applicants: VecDeque<(Applicant, Box<ConnectParams>)>,
    pub(crate) calls: VecDeque<(Call, Request)>,
    pub(crate) faults: Vec<PeerFault>,
    pub(crate) ended: Vec<ConnId>,
    heard: BTreeMap<ConnId, Vec<Heard>>,
    mute: BTreeSet<ConnId>,
    stalled: BTreeSet<ConnId>,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let clock = Clock::default();
        let welcome = Welcome {
            version: "0.1.0".into(),
            boot_id: "boot-1".into(),
            methods: super::json(json!(["health", "agent"])),
            events: super::json(json!(["tick", "health", "presence", "chat"])),
            session_defaults: super::json(json!({"mainKey": "main"})),
            config_path: Some("/state/openclaw.json".into()),
            state_dir: Some("/state".into()),
            auth_mode: Some("token"),
        };
        let own = Row {
            host: Some("lab".into()),
            mode: Some("gateway".into()),
            reason: Some("self".into()),
            ..Row::default()
        };
        Self {
            hub: Hub::new(limits, welcome, own, clock.now()),
            clock,
            policy: Applicants::LetIn,
            applicants: VecDeque::new(),
            calls: VecDeque::new(),
            faults: Vec::new(),
            ended: Vec::new(),
            heard: BTreeMap::new(),
            mute: BTreeSet::new(),
            stalled: BTreeSet::new(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// A socket from this host.
    pub(crate) fn open(&mut self) -> ConnId {
        self.open_from(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub(crate) fn open_from(&mut self, address: IpAddr) -> ConnId {
        let peer = Peer {
            address,
            direct_loopback: address.is_loopback(),
            origin: None,
            claims: None,
        };
        let conn = self.hub.open(peer, NONCE, 0, self.now());
        self.settle();
        conn
    }

    /// A socket that has had its hello and heard everything so far.
    pub(crate) fn join(&mut self, joiner: &Joiner<'_>) -> ConnId {
        let conn = self.open();
        self.request(conn, "c", "connect", joiner.params());
        self.hear(conn);
        assert!(self.hub.session(conn).is_some(), "{joiner:?} was let in");
        conn
    }

    pub(crate) fn operator(&mut self, scopes: &[&str]) -> ConnId {
        self.join(&Joiner {
            scopes,
            ..Joiner::default()
        })
    }

    /// The peer sends one message.
    pub(crate) fn say(&mut self, conn: ConnId, text: &str) {
        self.say_at_once(conn, &[text]);
    }

    /// The peer sends messages that are read before the application is asked.
    pub(crate) fn say_at_once(&mut self, conn: ConnId, texts: &[&str]) {
        for text in texts {
            let message = Bytes::copy_from_slice(text.as_bytes());
            self.hub
                .handle_frame(conn, Inbound::decode(&message), self.clock.now());
        }
        self.settle();
    }

    pub(crate) fn request(&mut self, conn: ConnId, id: &str, method: &str, params: Value) {
        let frame = json!({"type": "req", "id": id, "method": method, "params": params});
        self.say(conn, &frame.to_string());
    }

    /// A request, and the token to answer it with.
    pub(crate) fn call(&mut self, conn: ConnId, id: &str) -> Call {
        self.request(conn, id, "agent", json!({}));
        self.calls.pop_back().expect("a request came in").0
    }

    pub(crate) fn reply(&mut self, call: Call, payload: Value) {
        let outcome = Outcome::success(super::json(payload));
        self.hub.reply(call, outcome, self.clock.now());
        self.settle();
    }

    /// Somebody who has heard everything asks who is there.
    pub(crate) fn look(&mut self, conn: ConnId) -> Vec<Value> {
        let call = self.call(conn, "look");
        self.hub.reply_presence(call, self.clock.now());
        self.settle();
        let mut frames = self.frames(conn);
        let list = frames.pop().expect("an answer")["payload"].take();
        assert!(frames.is_empty(), "{frames:?}");
        serde_json::from_value(list).expect("a list")
    }

    pub(crate) fn broadcast(&mut self, publication: Publication) {
        self.hub.broadcast(publication, self.clock.now());
        self.settle();
    }

    pub(crate) fn close(&mut self, conn: ConnId, code: u16, reason: &str) {
        self.hub
            .close(conn, Close::new(code, reason), self.clock.now());
        self.settle();
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId) {
        self.hub.handle_disconnect(conn, self.clock.now());
        self.settle();
    }

    /// The peer answers no pings from now on.
    pub(crate) fn mute(&mut self, conn: ConnId) {
        self.mute.insert(conn);
    }

    /// The peer reads nothing until [`Self::hear`].
    pub(crate) fn stall(&mut self, conn: ConnId) {
        self.stalled.insert(conn);
    }

    /// Everything that came out of a connection since the last time.
    pub(crate) fn hear(&mut self, conn: ConnId) -> Vec<Heard> {
        self.stalled.remove(&conn);
        self.pull(conn);
        self.heard.remove(&conn).unwrap_or_default()
    }

    /// The same as JSON; a close or a ping is not expected.
    pub(crate) fn frames(&mut self, conn: ConnId) -> Vec<Value> {
        parsed(&self.hear(conn))
    }

    /// Waits, serving every timer at its moment.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.clock.passed() + time;
        while let Some(due) = self.hub.poll_timeout() {
            let at = due.at.since_origin();
            if at > until {
                break;
            }
            self.clock.set(at.max(self.clock.passed()));
            self.serve_timers();
        }
        self.clock.set(until);
    }

    /// Serves the timers that are due now; they must come to rest.
    pub(crate) fn serve_timers(&mut self) {
        for _ in 0..16 {
            self.hub.handle_timeout(self.clock.now());
            self.settle();
            if self
                .hub
                .poll_timeout()
                .is_none_or(|due| due.at > self.clock.now().at)
            {
                return;
            }
        }
        panic!(
            "busy loop: {:?} never comes to rest",
            self.hub.poll_timeout()
        );
    }

    pub(crate) fn settle(&mut self) {
        while let Some(event) = self.hub.poll_event() {
            match event {
                Event::Connect {
                    applicant, params, ..
                } => match self.policy {
                    Applicants::LetIn => {
                        let grant = grant(&params);
                        self.hub
                            .admit(applicant, &grant, self.clock.now())
                            .expect("its own token");
                    }
                    Applicants::Wait => self.applicants.push_back((applicant, params)),
                },
                Event::Request { call, request } => self.calls.push_back((call, request)),
                Event::Fault { fault, .. } => self.faults.push(fault),
                Event::Closed { conn, .. } => self.ended.push(conn),
            }
        }
        let mut ready = Vec::new();
        while let Some(conn) = self.hub.poll_ready() {
            ready.push(conn);
        }
        for conn in ready {
            if !self.stalled.contains(&conn) {
                self.pull(conn);
            }
        }
    }

    fn pull(&mut self, conn: ConnId) {
        while let Some(transmit) = self.hub.poll_transmit(conn) {
            let heard = match transmit {
                Transmit::Frame(frame) => {
                    Heard::Frame(String::from_utf8(frame.encode()).expect("UTF-8"))
                }
                Transmit::Ping => {
                    if !self.mute.contains(&conn) {
                        self.hub.handle_activity(conn, self.clock.now());
                    }
                    Heard::Ping
                }
                Transmit::Close(close) => Heard::Close(close.code, close.reason().to_owned()),
            };
            self.heard.entry(conn).or_default().push(heard);
        }
        self.hub.sent(conn);
    }
}

/// What everybody is granted: what they asked for.
pub(crate) fn grant(params: &ConnectParams) -> Grant {
    let device_id: Option<Box<str>> = params
        .device
        .as_ref()
        .map(|device| device.id.as_str().into());
    Grant {
        role: if params.role == "node" {
            Role::Node
        } else {
            Role::Operator
        },
        scopes: params.scopes.clone().into(),
        principal: device_id.as_deref().unwrap_or("secret").into(),
        device_id,
        device_token: None,
        user: None,
    }
}

impl Gateway {
    /// Lets the applicant that has waited longest in.
    pub(crate) fn admit_next(&mut self) {
        let (applicant, params) = self.applicants.pop_front().expect("somebody waits");
        self.hub
            .admit(applicant, &grant(&params), self.clock.now())
            .expect("its own token");
        self.settle();
    }

    pub(crate) fn presence(&mut self) -> Vec<Value> {
        let list: &Json = self.hub.presence();
        list.read().expect("a list")
    }
}

/// The frames among what was heard.
pub(crate) fn parsed(heard: &[Heard]) -> Vec<Value> {
    heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Frame(text) => Some(serde_json::from_str(text).expect("JSON")),
            Heard::Ping | Heard::Close(..) => None,
        })
        .collect()
}

/// The pushes of one name among frames.
pub(crate) fn events<'a>(frames: &'a [Value], name: &str) -> Vec<&'a Value> {
    frames
        .iter()
        .filter(|frame| frame["type"] == "event" && frame["event"] == name)
        .collect()
}

/// How the connection ended, if it did; nothing may follow a close.
pub(crate) fn closes(heard: &[Heard]) -> Option<(u16, &str)> {
    let at = heard
        .iter()
        .position(|heard| matches!(heard, Heard::Close(..)))?;
    assert_eq!(at + 1, heard.len(), "nothing follows a close: {heard:?}");
    match &heard[at] {
        Heard::Close(code, reason) => Some((*code, reason)),
        Heard::Frame(_) | Heard::Ping => None,
    }
}
