//! Runs a gateway: binds its addresses, serves until it is stopped.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use openclaw_protocol_core::hello::ok::Welcome;
use openclaw_protocol_core::hub::{Hub, Row};
use openclaw_protocol_core::json::{Json, Object, array};
use openclaw_runtime_smol::clock::Clock;
use openclaw_runtime_smol::random;
use openclaw_runtime_smol::server::{Endpoint, ListenError, Server, Stopper};
use smol::Executor;

use crate::admission::Admission;
use crate::admission::origin::Origins;
use crate::agents::Backend;
use crate::agents::echo::Echo;
use crate::app::{self, App, Parts};
use crate::config::HeartbeatConfig;
use crate::config::limits::LimitsConfig;
use crate::methods;
use crate::open_files;
use crate::params::{DEFAULT_AGENT, MAIN_SESSION};
use crate::probes::Probes;
use crate::startup::{Auth, Prepared};
use crate::throttle::RateLimit;

/// The version that the gateway says it has.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A gateway whose addresses are bound.
#[derive(Debug)]
pub struct Service {
    prepared: Prepared,
    server: Server,
    limits: LimitsConfig,
    boot_id: String,
    clock: Clock,
}

/// Why a gateway cannot serve.
#[derive(Debug)]
pub enum ServeError {
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The operating system has no random numbers to give.
    Random(std::io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) if error.is_in_use() => write!(
                f,
                "another gateway instance is already listening on ws://{}",
                error.address
            ),
            Self::Listen(error) => error.fmt(f),
            Self::Random(error) => write!(f, "no random numbers to be had: {error}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(error) => Some(error),
            Self::Random(error) => Some(error),
        }
    }
}

impl Service {
    /// Binds the addresses of a plan; the configured limits apply, as far as the files that the
    /// process may open allow.
    ///
    /// # Errors
    /// [`ServeError`] when an address is taken or cannot be had.
    pub fn bind(prepared: Prepared) -> Result<Self, ServeError> {
        let endpoints: Vec<Endpoint> = prepared
            .plan
            .listen
            .iter()
            .map(|listen| Endpoint {
                address: listen.address,
                required: listen.required,
            })
            .collect();
        let server = Server::bind(&endpoints).map_err(ServeError::Listen)?;
        let mut limits = prepared.limits();
        if let Some(files) = open_files::raise() {
            open_files::fit(&mut limits, files);
        }
        Ok(Self {
            limits,
            prepared,
            server,
            boot_id: random::uuid().map_err(ServeError::Random)?,
            clock: Clock::start(),
        })
    }

    /// Takes other limits than the configured ones.
    #[must_use]
    pub fn with_limits(mut self, limits: LimitsConfig) -> Self {
        self.limits = limits;
        self
    }

    /// The addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// What stops it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.server.stopper()
    }

    /// Serves until it is stopped.
    pub async fn run(self, executor: Arc<Executor<'static>>) {
        self.run_with(executor, Arc::new(Echo)).await;
    }

    /// Serves until it is stopped, with another agent.
    pub async fn run_with(self, executor: Arc<Executor<'static>>, backend: Arc<dyn Backend>) {
        let now = self.clock.now();
        let config = self.prepared.config.as_ref();
        let heartbeat = config.map_or_else(HeartbeatConfig::default, |c| c.heartbeat.clone());
        let mut hub = Hub::new(self.limits.core, self.welcome(), self.own_row(), now);
        hub.set_health(app::health(heartbeat.every), now);
        let port = self.addresses().first().map_or(0, SocketAddr::port);
        let secret = match &self.prepared.plan.auth {
            Auth::Secret(resolved) => Some((resolved.kind, resolved.shared())),
            Auth::None | Auth::Generate => None,
        };
        let probes = Arc::new(Probes::default());
        let gateway = config.map(|config| &config.gateway);
        let allowed = gateway.map(|gateway| gateway.control_ui.allowed_origins.as_slice());
        let parts = Parts {
            admission: Admission {
                secret,
                origins: Origins::new(port, allowed.unwrap_or_default()),
                rate_limit: gateway.map_or_else(RateLimit::default, |g| g.auth.rate_limit.clone()),
            },
            backend,
            executor: Arc::clone(&executor),
            probes: Arc::clone(&probes),
            repeats: self.limits.repeats,
            heartbeat,
            version: VERSION,
            started: now.at,
        };
        let app = |handle| App::new(parts, handle);
        self.server
            .run(executor, self.clock, hub, self.limits.server, probes, app)
            .await;
    }

    fn welcome(&self) -> Welcome {
        let names = |names: &[&str]| Json::of(names).unwrap_or_else(|_| array([]));
        let methods: Vec<&str> = methods::TABLE.iter().map(|row| row.name).collect();
        Welcome {
            version: VERSION.to_owned(),
            boot_id: self.boot_id.clone(),
            methods: names(&methods),
            events: names(&methods::EVENTS),
            session_defaults: Object::new()
                .text("defaultAgentId", DEFAULT_AGENT)
                .text("mainKey", "main")
                .text("mainSessionKey", MAIN_SESSION)
                .finish(),
            config_path: Some(self.prepared.paths.config_path.display().to_string()),
            state_dir: Some(self.prepared.paths.state_dir.display().to_string()),
            auth_mode: Some(self.prepared.plan.auth_mode()),
        }
    }

    fn own_row(&self) -> Row {
        let host = host_name().unwrap_or_else(|| "gateway".to_owned());
        Row {
            text: Some(format!(
                "Gateway: {host} · app {VERSION} · mode gateway · reason self"
            )),
            host: Some(host),
            version: Some(VERSION.to_owned()),
            platform: Some(std::env::consts::OS.to_owned()),
            mode: Some("gateway".to_owned()),
            reason: Some("self".to_owned()),
            instance_id: Some(self.boot_id.clone()),
            ..Row::default()
        }
    }
}

fn host_name() -> Option<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    (!name.is_empty()).then_some(name)
}
