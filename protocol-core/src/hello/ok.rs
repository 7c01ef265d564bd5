//! `hello-ok`, the payload that answers an accepted `connect`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::frame::outgoing::StateVersion;
use crate::json::{Json, Object, array};
use crate::scope::{Role, Scope, Scopes};

/// What every newcomer is told of the gateway.
///
/// A member that cannot be filled truthfully is left out.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The gateway's version.
    pub version: String,
    /// What changes at every start.
    pub boot_id: String,
    /// The methods that are served.
    pub methods: Json,
    /// The events that are pushed.
    pub events: Json,
    /// How sessions are named when a client names none.
    pub session_defaults: Json,
    /// Where the configuration lies; told to administrators.
    pub config_path: Option<String>,
    /// Where the state lies; told to administrators.
    pub state_dir: Option<String>,
    /// How connections authenticate; told to administrators.
    pub auth_mode: Option<&'static str>,
}

/// What a connection was granted, as the application decided it.
#[derive(Clone)]
pub struct Grant {
    /// Its role.
    pub role: Role,
    /// Its scopes.
    pub scopes: Scopes,
    /// Who it is, across reconnects: a device, or the holder of a secret.
    pub principal: Arc<str>,
    /// Whose it is, where a proxy or a directory says so.
    pub user: Option<Box<str>>,
    /// Its device, if it proved one.
    pub device_id: Option<Box<str>>,
    /// A token that was issued to it, and when (milliseconds since 1970).
    pub device_token: Option<(String, u64)>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("principal", &self.principal)
            .field("user", &self.user)
            .field("device_id", &self.device_id)
            .field("device_token", &self.device_token.is_some())
            .finish()
    }
}

/// The limits that a newcomer is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) max_payload: u64,
    pub(crate) max_buffered_bytes: u64,
    pub(crate) tick_interval_ms: u64,
}

/// The moment's state that a newcomer is told.
pub(crate) struct Snapshot<'a> {
    pub(crate) suspension: &'static str,
    pub(crate) presence: &'a Json,
    pub(crate) health: &'a Json,
    pub(crate) state_version: StateVersion,
    pub(crate) uptime_ms: u64,
}

/// Writes the payload.
pub(crate) fn write(
    welcome: &Welcome,
    protocol: u32,
    conn_id: &str,
    grant: &Grant,
    policy: Policy,
    snapshot: &Snapshot<'_>,
) -> Json {
    Object::new()
        .text("type", "hello-ok")
        .number("protocol", protocol.into())
        .object(
            "server",
            Object::new()
                .text("version", &welcome.version)
                .text("bootId", &welcome.boot_id)
                .text("connId", conn_id),
        )
        .object(
            "features",
            Object::new()
                .json("methods", &welcome.methods)
                .json("events", &welcome.events)
                .json("capabilities", &array([])),
        )
        .object("snapshot", write_snapshot(welcome, grant, snapshot))
        .object("auth", write_auth(grant))
        .object(
            "policy",
            Object::new()
                .number("maxPayload", policy.max_payload)
                .number("maxBufferedBytes", policy.max_buffered_bytes)
                .number("tickIntervalMs", policy.tick_interval_ms),
        )
        .finish()
}

fn write_snapshot(welcome: &Welcome, grant: &Grant, snapshot: &Snapshot<'_>) -> Object {
    let mut object = Object::new()
        .object(
            "suspension",
            Object::new().text("phase", snapshot.suspension),
        )
        .json("presence", snapshot.presence)
        .json("health", snapshot.health)
        .object("stateVersion", write_version(snapshot.state_version))
        .number("uptimeMs", snapshot.uptime_ms)
        .json("sessionDefaults", &welcome.session_defaults);
    if grant.role == Role::Operator && grant.scopes.allow(Scope::Admin) {
        object = object
            .maybe_text("configPath", welcome.config_path.as_deref())
            .maybe_text("stateDir", welcome.state_dir.as_deref())
            .maybe_text("authMode", welcome.auth_mode);
    }
    object
}

fn write_version(version: StateVersion) -> Object {
    Object::new()
        .number("presence", version.presence)
        .number("health", version.health)
}

fn write_auth(grant: &Grant) -> Object {
    let object = Object::new()
        .text("role", grant.role.as_str())
        .texts("scopes", grant.scopes.names());
    match &grant.device_token {
        Some((token, issued_at_ms)) => object
            .text("deviceToken", token)
            .number("issuedAtMs", *issued_at_ms),
        None => object,
    }
}
