//! A gateway whose application does what a request's method says.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use http_types::StatusCode;
use openclaw_protocol_core::frame::inbound::Request;
use openclaw_protocol_core::frame::outgoing::{Class, Outcome, Publication};
use openclaw_protocol_core::hello::ok::{Grant, Welcome};
use openclaw_protocol_core::hub::{Event, Hub, Row};
use openclaw_protocol_core::json::{Json, Object, array};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Role, Scopes};
use openclaw_protocol_core::server::{Applicant, Call, ConnId};
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::clock::Clock;
use openclaw_runtime_smol::http::{self, Handler, Response, UpgradeHead};
use openclaw_runtime_smol::server::{Application, Endpoint, Handle, Server, ServerLimits, Stopper};
use openclaw_runtime_smol::threads;

use crate::wire::{Client, PATIENCE};

/// Limits whose deadlines are too far away to matter.
pub(crate) fn calm() -> Limits {
    Limits {
        tick: Duration::from_secs(3600),
        health: Duration::from_secs(3600),
        ping: Duration::from_secs(3600),
        silence: Duration::from_secs(7200),
        presence: Duration::from_secs(3600),
        handshake: Duration::from_secs(60),
        ..Limits::default()
    }
}

/// A running gateway; it is stopped when it is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) stopper: Stopper,
    pub(crate) handle: Handle<Order>,
    ended: Receiver<()>,
}

impl Gateway {
    pub(crate) fn calm() -> Self {
        Self::with(calm())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::with_both(limits, ServerLimits::default())
    }

    pub(crate) fn with_both(limits: Limits, server_limits: ServerLimits) -> Self {
        let loopback = Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            required: true,
        };
        Self::on(Server::bind(&[loopback]).unwrap(), limits, server_limits)
    }

    pub(crate) fn on(server: Server, limits: Limits, server_limits: ServerLimits) -> Self {
        let addresses = server.addresses().to_vec();
        let stopper = server.stopper();
        let (give_handle, handle) = channel();
        let (end, ended) = channel();
        thread::spawn(move || {
            threads::run(|executor| async move {
                let clock = Clock::start();
                let hub = Hub::new(limits, welcome(), Row::default(), clock.now());
                let desk = |handle: Handle<Order>| {
                    give_handle.send(handle).unwrap();
                    Desk::default()
                };
                server
                    .run(executor, clock, hub, server_limits, Arc::new(Front), desk)
                    .await;
                let _ = end.send(());
            });
        });
        Self {
            address: addresses[0],
            addresses,
            stopper,
            handle: handle.recv_timeout(PATIENCE).unwrap(),
            ended,
        }
    }

    /// An upgraded socket that has had its challenge.
    pub(crate) fn stranger(&self) -> Client {
        let mut client = Client::upgrade(self.address);
        assert!(client.text().contains("connect.challenge"));
        client
    }

    /// A client that has had its hello.
    pub(crate) fn client(&self) -> Client {
        let mut client = self.stranger();
        client.connect();
        client
    }

    /// Lets the application do something and returns what it found.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Desk, &mut Hub, Now) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = channel();
        let order = Order(Box::new(move |desk, hub, now| {
            let _ = answer.send(question(desk, hub, now));
        }));
        smol::block_on(self.handle.send(order)).unwrap();
        answered.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.ask(|_, hub, _| hub.connections())
    }

    /// Asks again until the answer is yes.
    pub(crate) fn until(
        &self,
        question: impl Fn(&mut Desk, &mut Hub) -> bool + Clone + Send + 'static,
    ) {
        let late = std::time::Instant::now() + PATIENCE;
        loop {
            let question = question.clone();
            if self.ask(move |desk, hub, _| question(desk, hub)) {
                return;
            }
            assert!(std::time::Instant::now() < late, "it never happens");
            thread::yield_now();
        }
    }

    pub(crate) fn until_empty(&self) {
        self.until(|_, hub| hub.connections() == 0);
    }

    pub(crate) fn publish(&self, bytes: usize, class: Class) {
        self.ask(move |_, hub, now| {
            let publication = Publication {
                event: "news",
                payload: filler(bytes),
                audience: Audience::Everyone,
                class,
            };
            hub.broadcast(publication, now);
        });
    }

    /// Waits until the gateway has stopped.
    pub(crate) fn ended(&self) {
        self.ended.recv_timeout(PATIENCE).unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stopper.stop();
        self.stopper.stop();
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: "0".to_owned(),
        boot_id: "boot".to_owned(),
        methods: array([]),
        events: array([]),
        session_defaults: Json::empty_object(),
        config_path: None,
        state_dir: None,
        auth_mode: None,
    }
}

fn filler(bytes: usize) -> Json {
    Object::new().text("filler", &"x".repeat(bytes)).finish()
}

type Deed = dyn FnOnce(&mut Desk, &mut Hub, Now) + Send;

/// Something for the application to do.
pub(crate) struct Order(Box<Deed>);

/// Does what it is asked.
#[derive(Default)]
pub(crate) struct Desk {
    /// Whether those who knock wait until somebody decides.
    pub(crate) undecided: bool,
    pub(crate) applicants: Vec<Applicant>,
    pub(crate) held: BTreeMap<ConnId, Vec<Call>>,
    pub(crate) requests: usize,
    fillers: BTreeMap<usize, Json>,
    /// What peers did wrong, and how often.
    pub(crate) faults: BTreeMap<String, usize>,
    pub(crate) peers: Vec<openclaw_protocol_core::hub::Peer>,
    pub(crate) busy: bool,
    pub(crate) finished: bool,
}

impl Desk {
    fn answer(&mut self, hub: &mut Hub, call: Call, request: &Request, now: Now) {
        self.requests += 1;
        let params = request.params.as_ref();
        let outcome = match &*request.method {
            "health" => Outcome::success(Json::empty_object()),
            "echo" => Outcome::success(params.cloned().unwrap_or_else(Json::null)),
            "measure" => Outcome::success(
                Object::new().number("bytes", params.map_or(0, |json| json.len() as u64)),
            ),
            "big" => {
                let bytes: usize = params.unwrap().as_str().parse().unwrap();
                let filler = self.fillers.entry(bytes).or_insert_with(|| filler(bytes));
                Outcome::success(filler.clone())
            }
            "hold" => {
                self.held.entry(call.conn()).or_default().push(call);
                return;
            }
            other => panic!("no test asks for {other}"),
        };
        hub.reply(call, outcome, now);
    }
}

pub(crate) fn grant() -> Grant {
    Grant {
        role: Role::Operator,
        scopes: Scopes::from(vec!["operator.read".to_owned()]),
        principal: "somebody".into(),
        device_id: None,
        device_token: None,
        user: None,
    }
}

impl Application for Desk {
    type Command = Order;

    fn handle_event(&mut self, hub: &mut Hub, event: Event, now: Now) {
        match event {
            Event::Connect {
                applicant, peer, ..
            } => {
                self.peers.push(peer);
                if self.undecided {
                    self.applicants.push(applicant);
                } else {
                    hub.admit(applicant, &grant(), now).unwrap();
                }
            }
            Event::Request { call, request } => self.answer(hub, call, &request, now),
            Event::Fault { fault, .. } => *self.faults.entry(fault.to_string()).or_default() += 1,
            Event::Closed { conn, .. } => {
                self.held.remove(&conn);
            }
        }
    }

    fn handle_command(&mut self, hub: &mut Hub, command: Order, now: Now) {
        (command.0)(self, hub, now);
    }

    fn handle_timeout(&mut self, _hub: &mut Hub, _now: Now) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn drain(&mut self, _hub: &mut Hub, _now: Now) {}

    fn is_drained(&self) -> bool {
        !self.busy
    }

    fn finish(&mut self, _hub: &mut Hub, _now: Now) {
        self.finished = true;
    }
}

struct Front;

impl Handler for Front {
    fn handle(
        &self,
        _request: http::Request,
    ) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        Box::pin(async { Response::text(StatusCode::Ok, "here") })
    }

    fn upgrade(&self, _head: &UpgradeHead) -> Result<(), Response> {
        Ok(())
    }
}
