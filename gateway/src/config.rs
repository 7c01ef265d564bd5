//! The operator's `openclaw.json`.
//!
//! The file is JSON5: comments, trailing commas, single quotes, bare keys, hexadecimal numbers, leading `+` and `.`, and the
//! escapes of ECMAScript strings. Of JSON5 these are not read: unicode escapes and combining characters in bare keys, a
//! comment that touches the end of a bare key, and line separators (U+2028, U+2029) as the end of a `//` comment. Beyond
//! JSON5, bare keys may hold `-` and start with a digit, and strings may run over lines.
//!
//! Keys that this gateway does not know are kept in mind and never an error: the same file may serve a newer release.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::{self, ReadFault};
use crate::nodes::policy::Policy;
use crate::proxies::Tailscale;
use crate::proxies::forwarded::Network;
use crate::secret::reference::SecretsConfig;

mod auth;
mod heartbeat;
pub mod limits;
mod nodes;
mod proxies;
mod read;
mod secrets;
mod tls;

pub use auth::{AuthConfig, ControlUiConfig, RemoteConfig};
use limits::LimitsConfig;
pub use tls::TlsConfig;

/// How large a configuration file may be, in bytes.
pub const CONFIG_LIMIT: u64 = 1024 * 1024;

/// What the configuration file says, as far as this gateway knows its keys.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The section `gateway`.
    pub gateway: GatewayConfig,
    /// The section `agents.defaults.heartbeat`.
    pub heartbeat: HeartbeatConfig,
    /// The section `secrets`.
    pub secrets: SecretsConfig,
    /// The section `nodeHost`.
    pub node_host: NodeHostConfig,
    unknown_keys: Vec<String>,
}

/// The section `gateway`: the gateway's own settings.
#[derive(Clone, Debug, Default)]
pub struct GatewayConfig {
    /// `gateway.mode`: whether this host runs the gateway; none by default, which blocks a start.
    pub mode: Option<Mode>,
    /// `gateway.port`: where to listen; by default the profile's port.
    pub port: Option<u16>,
    /// `gateway.bind`: which addresses to listen on; loopback by default, because nobody else is let in unasked.
    pub bind: Option<Bind>,
    /// The section `gateway.auth`.
    pub auth: AuthConfig,
    /// The section `gateway.remote`.
    pub remote: RemoteConfig,
    /// The section `gateway.controlUi`.
    pub control_ui: ControlUiConfig,
    /// The section `gateway.tls`.
    pub tls: TlsConfig,
    /// `gateway.trustedProxies`: whose word is taken for where a request comes from; nobody's by default.
    pub trusted_proxies: Vec<Network>,
    /// `gateway.allowRealIpFallback`: whether a trusted proxy may say so in `X-Real-IP`; false by default.
    pub real_ip_fallback: bool,
    /// `gateway.tailscale.mode`; off by default.
    pub tailscale: Tailscale,
    /// The section `gateway.limits`.
    pub limits: LimitsConfig,
    /// `gateway.nodes.commands`: which commands nodes may offer; by default what their platforms have and nothing dangerous.
    pub commands: Policy,
}

/// The section `agents.defaults.heartbeat`: agent turns that the gateway runs by itself.
#[derive(Clone, Debug, Default)]
pub struct HeartbeatConfig {
    /// `agents.defaults.heartbeat.every`: the interval; none by default, and for `"0m"`, which is off.
    pub every: Option<Duration>,
    /// `agents.defaults.heartbeat.prompt`: what the agent is asked; a short question by default.
    pub prompt: Option<String>,
    /// `agents.defaults.heartbeat.session`: by its full name; the agent's main session by default.
    pub session: Option<String>,
    /// `agents.defaults.heartbeat.timeoutSeconds`: by default the interval, but at most 10 min.
    pub timeout: Option<Duration>,
}

/// The section `nodeHost`: this host as a node.
#[derive(Clone, Debug, Default)]
pub struct NodeHostConfig {
    /// `nodeHost.allowRun`: the programs that `system.run` may start, by their absolute paths; none by default.
    pub allow_run: Vec<String>,
}

/// Every key that this gateway knows, but those of [`limits::LIMITS`].
///
/// `<name>` stands for the name of a provider or of a user.
pub const KEYS: [&str; 56] = [
    "gateway.mode",
    "gateway.port",
    "gateway.bind",
    "gateway.auth.mode",
    "gateway.auth.token",
    "gateway.auth.password",
    "gateway.auth.trustedProxy.userHeader",
    "gateway.auth.trustedProxy.requiredHeaders",
    "gateway.auth.trustedProxy.allowUsers",
    "gateway.auth.trustedProxy.allowLoopback",
    "gateway.auth.identityScopes.<name>",
    "gateway.auth.allowTailscale",
    "gateway.trustedProxies",
    "gateway.allowRealIpFallback",
    "gateway.tailscale.mode",
    "gateway.auth.dangerouslyAllowNoneOnNetwork",
    "gateway.auth.rateLimit.maxAttempts",
    "gateway.auth.rateLimit.windowMs",
    "gateway.auth.rateLimit.lockoutMs",
    "gateway.auth.rateLimit.exemptLoopback",
    "gateway.controlUi.allowedOrigins",
    "gateway.nodes.commands.allow",
    "gateway.nodes.commands.deny",
    "gateway.nodes.allowCommands",
    "gateway.nodes.denyCommands",
    "gateway.remote.url",
    "gateway.remote.token",
    "gateway.remote.password",
    "gateway.remote.tlsFingerprint",
    "gateway.tls.enabled",
    "gateway.tls.autoGenerate",
    "gateway.tls.certPath",
    "gateway.tls.keyPath",
    "gateway.tls.caPath",
    "secrets.providers.<name>.source",
    "secrets.providers.<name>.allowlist",
    "secrets.providers.<name>.path",
    "secrets.providers.<name>.mode",
    "secrets.providers.<name>.timeoutMs",
    "secrets.providers.<name>.maxBytes",
    "secrets.providers.<name>.command",
    "secrets.providers.<name>.args",
    "secrets.providers.<name>.env",
    "secrets.providers.<name>.passEnv",
    "secrets.providers.<name>.trustedDirs",
    "secrets.providers.<name>.noOutputTimeoutMs",
    "secrets.providers.<name>.maxOutputBytes",
    "secrets.providers.<name>.jsonOnly",
    "secrets.defaults.env",
    "secrets.defaults.file",
    "secrets.defaults.exec",
    "agents.defaults.heartbeat.every",
    "agents.defaults.heartbeat.prompt",
    "agents.defaults.heartbeat.session",
    "agents.defaults.heartbeat.timeoutSeconds",
    "nodeHost.allowRun",
];

/// Whether a host runs its own gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The gateway runs on this host.
    Local,
    /// This host only has clients of a gateway elsewhere.
    Remote,
}

/// Which addresses a gateway listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// This host only.
    Loopback,
    /// Every address of this host.
    Lan,
    /// The gateway's choice, which is loopback.
    Auto,
    /// The address in a tailnet; not supported yet.
    Tailnet,
    /// An address of the operator's own; not supported yet.
    Custom,
}

impl Bind {
    /// Reads the word that flags and files use.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Loopback,
            Self::Lan,
            Self::Auto,
            Self::Tailnet,
            Self::Custom,
        ]
        .into_iter()
        .find(|bind| bind.word() == word)
    }

    /// Returns the word that flags and files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Lan => "lan",
            Self::Auto => "auto",
            Self::Tailnet => "tailnet",
            Self::Custom => "custom",
        }
    }
}

/// How clients prove that they may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Not at all; only for a gateway that listens on loopback, unless the operator insists.
    None,
    /// With the shared token.
    Token,
    /// With the shared password.
    Password,
    /// Through a proxy that vouches for them.
    TrustedProxy,
}

impl AuthMode {
    /// Reads the word that flags and files use.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Token, Self::Password, Self::TrustedProxy]
            .into_iter()
            .find(|mode| mode.word() == word)
    }

    /// Returns the word that flags and files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Password => "password",
            Self::TrustedProxy => "trusted-proxy",
        }
    }
}

impl Config {
    /// Reads a configuration from text; `path` only serves its errors.
    ///
    /// If a key stands twice, the last one counts.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        read::config(text).map_err(|kind| ConfigError {
            path: path.to_owned(),
            kind,
        })
    }

    /// Reads the configuration file; `None` if there is none. It blocks.
    pub fn read(path: &Path) -> Result<Option<Self>, ConfigError> {
        let fault = |kind| ConfigError {
            path: path.to_owned(),
            kind,
        };
        let read = files::read(path, CONFIG_LIMIT).map_err(|read| {
            fault(match read {
                ReadFault::Unreadable(error) => ConfigFault::Unreadable(error),
                ReadFault::NotAFile => ConfigFault::NotAFile,
                ReadFault::TooLarge => ConfigFault::TooLarge,
            })
        })?;
        let Some((bytes, _)) = read else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            fault(ConfigFault::NotText {
                line: 1 + good.iter().filter(|byte| **byte == b'\n').count(),
            })
        })?;
        Self::parse(text, path).map(Some)
    }

    /// Returns the keys that this gateway does not know, as dotted paths in the order of the file.
    ///
    /// Of an unknown section only the section is named. They are escaped and cut, fit to be printed.
    pub fn unknown_keys(&self) -> &[String] {
        &self.unknown_keys
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: ConfigFault,
}

/// What is wrong with a configuration file.
#[derive(Debug)]
pub enum ConfigFault {
    /// It is a directory, a pipe or a device.
    NotAFile,
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is larger than [`CONFIG_LIMIT`].
    TooLarge,
    /// It is not UTF-8.
    NotText {
        /// The line of the first bad byte, from 1.
        line: usize,
    },
    /// It is not JSON5.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What the parser missed.
        message: &'static str,
    },
    /// It is empty, or holds something else than one object.
    NotAnObject,
    /// A key has a value it cannot have.
    Value {
        /// The key as a dotted path.
        key: Cow<'static, str>,
        /// What the value must be; never what it is.
        expectation: Cow<'static, str>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invalid config at {}", self.path.display())?;
        match &self.kind {
            ConfigFault::NotAFile => f.write_str(": not a regular file"),
            ConfigFault::Unreadable(error) => write!(f, ": cannot be read: {error}"),
            ConfigFault::TooLarge => write!(f, ": larger than {CONFIG_LIMIT} bytes"),
            ConfigFault::NotText { line } => write!(f, ":{line}: not UTF-8 text"),
            ConfigFault::Syntax {
                line,
                column,
                message,
            } => write!(f, ":{line}:{column}: {message}"),
            ConfigFault::NotAnObject => {
                f.write_str(": must hold one object, such as {gateway: {mode: \"local\"}}")
            }
            ConfigFault::Value { key, expectation } => write!(f, ": {key}: {expectation}"),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests;
