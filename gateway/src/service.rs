//! Runs a gateway: binds its addresses, serves until it is stopped.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
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
use crate::admission::users::Users;
use crate::agents::Backend;
use crate::agents::echo::Echo;
use crate::app::desk::{Ledger, Writing};
use crate::app::setup::Reach;
use crate::app::{self, App, Devices, Parts};
use crate::config::HeartbeatConfig;
use crate::config::limits::LimitsConfig;
use crate::identity::{IDENTITY_FILE, Identity, IdentityError, exposure};
use crate::methods;
use crate::nodes::policy::Policy;
use crate::open_files;
use crate::pairing::{Change, Contents, Pairings};
use crate::params::{DEFAULT_AGENT, MAIN_SESSION};
use crate::probes::Probes;
use crate::proxies::Proxies;
use crate::startup::{Auth, Prepared};
use crate::store::{Store, StoreError, log_of};
use crate::tailscale::Tailscaled;
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
    store: Arc<Store>,
    contents: Contents,
    identity: Identity,
}

/// Why a gateway cannot serve.
#[derive(Debug)]
pub enum ServeError {
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The operating system has no random numbers to give.
    Random(std::io::Error),
    /// The database is of no use.
    Store(StoreError),
    /// The state directory has no key.
    Identity(IdentityError),
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
            Self::Store(error) => error.fmt(f),
            Self::Identity(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(error) => Some(error),
            Self::Random(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Identity(error) => Some(error),
        }
    }
}

impl Service {
    /// Binds the addresses of a plan and opens the state directory; the configured limits apply, as far as the files that
    /// the process may open allow. It blocks.
    ///
    /// # Errors
    /// [`ServeError`] when an address is taken or cannot be had, or the state directory is of no use.
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
        let mut server = Server::bind(&endpoints).map_err(ServeError::Listen)?;
        if let Some(tls) = &prepared.plan.tls {
            server = server.with_tls(tls.credential.clone());
        }
        let mut limits = prepared.limits();
        if let Some(files) = open_files::raise() {
            open_files::fit(&mut limits, files);
        }
        let clock = Clock::start();
        let paths = &prepared.paths;
        let (store, contents) = Store::open(&paths.store_path).map_err(ServeError::Store)?;
        let identity = Identity::of(&paths.state_dir, clock.now().unix_ms);
        let exposed = [
            exposure("the database", &paths.store_path),
            exposure("the database's log", &log_of(&paths.store_path)),
            exposure("the identity file", &paths.state_dir.join(IDENTITY_FILE)),
        ];
        for warning in exposed.into_iter().flatten() {
            log::warn!("{warning}");
        }
        Ok(Self {
            limits,
            server,
            boot_id: random::uuid().map_err(ServeError::Random)?,
            clock,
            store: Arc::new(store),
            contents,
            identity: identity.map_err(ServeError::Identity)?,
            prepared,
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
    pub async fn run_with(mut self, executor: Arc<Executor<'static>>, backend: Arc<dyn Backend>) {
        let now = self.clock.now();
        let config = self.prepared.config.as_ref();
        let heartbeat = config.map_or_else(HeartbeatConfig::default, |c| c.heartbeat.clone());
        let mut hub = Hub::new(self.limits.core, self.welcome(), self.own_row(), now);
        hub.set_health(app::health(heartbeat.every), now);
        let port = self.addresses().first().map_or(0, SocketAddr::port);
        let secret = match &self.prepared.plan.auth {
            Auth::Secret(resolved) | Auth::Proxy(Some(resolved)) => {
                Some((resolved.kind, resolved.shared()))
            }
            Auth::None | Auth::Proxy(None) | Auth::Generate => None,
        };
        let probes = Arc::new(Probes::new(Proxies::new(&self.prepared.plan, config)));
        let gateway = config.map(|config| &config.gateway);
        let allowed = gateway.map(|gateway| gateway.control_ui.allowed_origins.as_slice());
        let mut origins = Origins::new(port, allowed.unwrap_or_default());
        if self.prepared.plan.tls.is_some() {
            origins = origins.over_tls(port);
        }
        let parts = Parts {
            admission: Admission {
                secret,
                origins,
                rate_limit: gateway.map_or_else(RateLimit::default, |g| g.auth.rate_limit.clone()),
                users: Users {
                    by_proxy: matches!(self.prepared.plan.auth, Auth::Proxy(_)),
                    scopes: gateway
                        .map(|g| g.auth.identity_scopes.clone())
                        .unwrap_or_default(),
                },
            },
            directory: Arc::new(Tailscaled::new(self.prepared.tailscale.clone())),
            devices: Devices {
                pairings: Pairings::new(
                    std::mem::take(&mut self.contents),
                    self.identity.token_key(),
                ),
                ledger: Arc::new(OnDisk(Arc::clone(&self.store))),
                identity: self.identity.clone(),
                reach: self.reach(),
            },
            backend,
            executor: Arc::clone(&executor),
            probes: Arc::clone(&probes),
            repeats: self.limits.repeats,
            heartbeat,
            commands: gateway.map_or_else(Policy::default, |gateway| gateway.commands.clone()),
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
        let methods: Vec<&str> = methods::TABLE
            .iter()
            .filter(|row| !row.is_legacy)
            .map(|row| row.name)
            .collect();
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

    fn reach(&self) -> Reach {
        let plan = &self.prepared.plan;
        let port = self.addresses().first().map_or(0, SocketAddr::port);
        let config = self.prepared.config.as_ref();
        Reach {
            bind: plan.bind.word(),
            address: (!plan.is_loopback())
                .then(own_address)
                .flatten()
                .map(|address| (address, port)),
            remote_url: config.and_then(|config| config.gateway.remote.url.clone()),
            scheme: plan.scheme(),
            fingerprint: plan.tls.as_ref().map(|tls| tls.credential.fingerprint()),
            remote_fingerprint: config.and_then(|config| config.gateway.remote.tls_fingerprint),
            auth: plan.auth_mode(),
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

/// The address under which other hosts of the network know this one.
fn own_address() -> Option<IpAddr> {
    // Nothing is sent: the system only says from where it would send to an address that nobody has (RFC 5737).
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// The database as the application writes it: away from its task.
struct OnDisk(Arc<Store>);

impl Ledger for OnDisk {
    fn write(&self, changes: Vec<Change>) -> Writing {
        let store = Arc::clone(&self.0);
        Box::pin(smol::unblock(move || {
            store.write(&changes).map_err(|error| error.to_string())
        }))
    }
}

pub(crate) fn host_name() -> Option<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    (!name.is_empty()).then_some(name)
}
