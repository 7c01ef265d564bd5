//! What a gateway is started with, and where its peers come from.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use openclaw_gateway_service::admission::origin::AllowedOrigin;
use openclaw_gateway_service::admission::users::Users;
use openclaw_gateway_service::config::HeartbeatConfig;
use openclaw_gateway_service::nodes::policy::Policy;
use openclaw_gateway_service::secret::resolve::SecretKind;
use openclaw_gateway_service::tailscale::{Directory, Tailscaled};
use openclaw_gateway_service::throttle::RateLimit;
use openclaw_protocol_core::hello::ok::Welcome;
use openclaw_protocol_core::hub::Peer;
use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::time::{Instant, Now};
use serde_json::json;

use super::TOKEN;

/// 2023-11-14T22:13:20Z, the wall clock's time when every test begins.
pub(crate) const BEGINNING_MS: u64 = 1_700_000_000_000;
pub(crate) const NONCE: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const PORT: u16 = 18_789;

pub(crate) const READ: &str = "operator.read";
pub(crate) const WRITE: &str = "operator.write";
pub(crate) const ADMIN: &str = "operator.admin";

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Where a peer connects from.
pub(crate) fn from(address: IpAddr, origin: Option<&str>) -> Peer {
    Peer {
        address,
        direct_loopback: address.is_loopback(),
        origin: origin.map(Into::into),
        claims: None,
    }
}

pub(crate) fn local() -> Peer {
    from(IpAddr::V4(Ipv4Addr::LOCALHOST), None)
}

pub(crate) fn remote(last: u8) -> Peer {
    from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), None)
}

/// What a gateway is started with.
pub(crate) struct Settings {
    pub(crate) repeats: Bounds,
    pub(crate) limits: Limits,
    pub(crate) secret: Option<(SecretKind, &'static str)>,
    pub(crate) beginning_ms: u64,
    pub(crate) heartbeat: HeartbeatConfig,
    pub(crate) commands: Policy,
    pub(crate) allowed_origins: Vec<AllowedOrigin>,
    pub(crate) rate_limit: RateLimit,
    pub(crate) users: Users,
    pub(crate) directory: Arc<dyn Directory>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            repeats: Bounds::default(),
            limits: Limits::default(),
            secret: Some((SecretKind::Token, TOKEN)),
            beginning_ms: BEGINNING_MS,
            heartbeat: HeartbeatConfig::default(),
            commands: Policy::default(),
            allowed_origins: Vec::new(),
            rate_limit: RateLimit::default(),
            users: Users::default(),
            directory: Arc::new(Tailscaled::new(None)),
        }
    }
}

pub(super) fn moment(beginning_ms: u64, passed: Duration) -> Now {
    Now {
        at: Instant::after_origin(passed),
        unix_ms: beginning_ms + passed.as_millis() as u64,
    }
}

pub(super) fn welcome() -> Welcome {
    Welcome {
        version: "0.1.0".to_owned(),
        boot_id: "boot-1".to_owned(),
        methods: Json::of(&json!(["health"])).expect("JSON"),
        events: Json::of(&json!(["tick"])).expect("JSON"),
        session_defaults: Json::of(&json!({"mainKey": "main"})).expect("JSON"),
        config_path: None,
        state_dir: None,
        auth_mode: Some("token"),
    }
}
