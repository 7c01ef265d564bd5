//! What the protocol and the application cost without sockets.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openclaw_gateway_service::admission::Admission;
use openclaw_gateway_service::admission::origin::Origins;
use openclaw_gateway_service::admission::users::Users;
use openclaw_gateway_service::agents::echo::Echo;
use openclaw_gateway_service::app::{App, Command, Devices, Parts};
use openclaw_gateway_service::config::HeartbeatConfig;
use openclaw_gateway_service::nodes::policy::Policy;
use openclaw_gateway_service::probes::Probes;
use openclaw_gateway_service::tailscale::Tailscaled;
use openclaw_gateway_service::throttle::RateLimit;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::{Class, Publication, Transmit};
use openclaw_protocol_core::hello::ok::Welcome;
use openclaw_protocol_core::hub::{Health, Hub, Peer, Row};
use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::json::{Json, Object, array};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::server::ConnId;
use openclaw_protocol_core::time::Now;
use openclaw_runtime_smol::clock::Clock;
use openclaw_runtime_smol::server::{Application, Detached, Handle};

use crate::fanout::MESSAGE;
use crate::processes::median;
use crate::requests::{SMALL, sized};

const ROUNDS: usize = 15;
const CONNECT: &str = r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"client":{"id":"gateway-client","version":"1","platform":"linux","mode":"backend"},"role":"operator","scopes":["operator.read"]}}"#;

/// A gateway without sockets.
struct Core {
    hub: Hub,
    app: App,
    clock: Clock,
    _commands: Detached<Command>,
}

impl Core {
    fn new() -> Self {
        let clock = Clock::start();
        let now = clock.now();
        let (handle, commands) = Handle::detached();
        let parts = Parts {
            admission: Admission {
                secret: None,
                origins: Origins::new(18_789, &[]),
                rate_limit: RateLimit::default(),
                users: Users::default(),
            },
            directory: Arc::new(Tailscaled::new(None)),
            devices: Devices::fleeting(),
            backend: Arc::new(Echo),
            executor: Arc::new(smol::Executor::new()),
            probes: Arc::new(Probes::default()),
            repeats: Bounds::default(),
            heartbeat: HeartbeatConfig::default(),
            commands: Policy::default(),
            version: "0",
            started: now.at,
        };
        let welcome = Welcome {
            version: "0".to_owned(),
            boot_id: "boot".to_owned(),
            methods: array([]),
            events: array([]),
            session_defaults: Json::empty_object(),
            config_path: None,
            state_dir: None,
            auth_mode: None,
        };
        let mut hub = Hub::new(Limits::default(), welcome, Row::default(), now);
        hub.set_health(
            Health {
                took: Duration::ZERO,
                content: Object::new().text("defaultAgentId", "main").finish(),
            },
            now,
        );
        Self {
            hub,
            app: App::new(parts, handle),
            clock,
            _commands: commands,
        }
    }

    fn join(&mut self) -> ConnId {
        let now = self.clock.now();
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            direct_loopback: true,
            origin: None,
            claims: None,
        };
        let conn = self.hub.open(peer, "nonce", 0, now);
        self.say(conn, &Bytes::from_static(CONNECT.as_bytes()), now);
        self.pull_all();
        assert!(self.hub.session(conn).is_some(), "the core lets nobody in");
        conn
    }

    fn say(&mut self, conn: ConnId, message: &Bytes, now: Now) {
        self.hub.handle_frame(conn, Inbound::decode(message), now);
        while let Some(event) = self.hub.poll_event() {
            self.app.handle_event(&mut self.hub, event, now);
        }
    }

    /// Takes and encodes everything that is to be sent; returns how many frames there were.
    fn pull_all(&mut self) -> usize {
        let mut frames = 0;
        while let Some(conn) = self.hub.poll_ready() {
            while let Some(transmit) = self.hub.poll_transmit(conn) {
                if let Transmit::Frame(frame) = transmit {
                    black_box(frame.encode());
                    frames += 1;
                }
            }
            self.hub.sent(conn);
        }
        frames
    }
}

/// Decodes a request of 200 bytes, dispatches it, and encodes its answer: nanoseconds each.
pub(crate) fn request_nanos(count: usize) -> f64 {
    let mut core = Core::new();
    let conn = core.join();
    let message = Bytes::from(sized(SMALL));
    nanos(count, || {
        // A socket's task would have a buffer of its own.
        let message = Bytes::copy_from_slice(black_box(&message));
        let now = core.clock.now();
        core.say(conn, &message, now);
        assert_eq!(core.pull_all(), 1, "a request has one answer");
    })
}

/// Pushes 1 KB to 1,000 connections and encodes it for each: nanoseconds for all of them.
pub(crate) fn broadcast_nanos(connections: usize, count: usize) -> f64 {
    let mut core = Core::new();
    for _ in 0..connections {
        core.join();
    }
    let payload = Object::new().text("text", &"x".repeat(MESSAGE)).finish();
    nanos(count, || {
        let publication = Publication {
            event: "chat",
            payload: payload.clone(),
            audience: Audience::Operators(Scope::Read),
            class: Class::Ordinary,
        };
        let now = core.clock.now();
        core.hub.broadcast(publication, now);
        assert_eq!(core.pull_all(), connections, "everybody hears it");
    })
}

/// The median over several rounds, after one that warms up.
fn nanos(count: usize, mut once: impl FnMut()) -> f64 {
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let start = Instant::now();
        for _ in 0..count {
            once();
        }
        if round > 0 {
            rounds.push(start.elapsed().as_nanos() as f64 / count as f64);
        }
    }
    median(rounds)
}
