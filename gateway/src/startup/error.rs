//! Why a gateway does not start.

use std::fmt;
use std::path::PathBuf;

use super::ProxiesFault;
use crate::config::{Bind, ConfigError};
use crate::paths::{PathFault, ProfileFault};
use crate::port::PortFault;
use crate::secret::NoRandomness;
use crate::secret::file::TokenFileFault;
use crate::secret::resolve::{SecretFault, SecretKind};
use crate::tls::TlsFault;

/// The exit code of a mistake on the command line.
const USAGE: u8 = 2;
/// The exit code of a fault in the host's set-up.
const CONFIGURATION: u8 = 78;

/// Why a gateway does not start, for the operator to read.
///
/// `Display` is one line. [`StartError::hints`] are the ways out that do not fit in it.
#[derive(Debug)]
pub enum StartError {
    /// `--dev` and `--profile` cannot be used as given.
    Profile(ProfileFault),
    /// The port cannot be used.
    Port(PortFault),
    /// `--bind` is not one of its words.
    InvalidBind,
    /// `--auth` is not one of its words.
    InvalidAuth,
    /// This kind of address is not supported yet.
    BindUnsupported {
        /// What was asked for.
        bind: Bind,
        /// Whether `--bind` asked for it, and not the configuration.
        flag: bool,
    },
    /// The paths cannot be worked out.
    Path(PathFault),
    /// The configuration file cannot be used.
    Config(ConfigError),
    /// There is no configuration, no secret, and no flag that makes up for it.
    MissingConfig {
        /// Where the configuration would be.
        path: PathBuf,
    },
    /// The configuration does not say `gateway.mode`.
    ModeMissing {
        /// The configuration.
        path: PathBuf,
    },
    /// The configuration says that the gateway runs elsewhere.
    ModeRemote,
    /// No secret can be chosen.
    Secret(SecretFault),
    /// The configuration or `--auth` wants a secret of this kind, and there is none.
    NoSecret(SecretKind),
    /// Nothing would keep strangers out.
    WithoutAuth {
        /// Where it would have listened.
        bind: Bind,
        /// Whether the mode is `none`, and not just no secret there.
        asked: bool,
    },
    /// What is believed of proxies does not fit with the rest.
    Proxies(ProxiesFault),
    /// A new secret cannot be made.
    NoRandomness(NoRandomness),
    /// A new secret cannot be written.
    TokenFile(TokenFileFault),
    /// TLS is wanted, and there is no certificate for it.
    Tls(TlsFault),
}

impl StartError {
    /// Returns the exit code: 2 for a mistake on the command line, 78 for everything in the host's set-up.
    pub fn exit_code(&self) -> u8 {
        let usage = match self {
            Self::Profile(_) | Self::InvalidBind | Self::InvalidAuth => true,
            Self::Port(fault) => fault.is_usage(),
            Self::BindUnsupported { flag, .. } => *flag,
            Self::Secret(fault) => fault.is_usage(),
            Self::Path(_)
            | Self::Config(_)
            | Self::MissingConfig { .. }
            | Self::ModeMissing { .. }
            | Self::ModeRemote
            | Self::NoSecret(_)
            | Self::WithoutAuth { .. }
            | Self::Proxies(_)
            | Self::NoRandomness(_)
            | Self::TokenFile(_)
            | Self::Tls(_) => false,
        };
        if usage { USAGE } else { CONFIGURATION }
    }

    /// Returns what else to tell the operator, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::MissingConfig { path } => vec![
                format!(
                    r#"To configure it, write {{ gateway: {{ mode: "local" }} }} into {}, and add a secret:"#,
                    path.display()
                ),
                WAYS_TO_A_TOKEN.to_owned(),
                "To try it without, pass --dev or --allow-unconfigured: a token is made and kept for you.".to_owned(),
            ],
            Self::ModeMissing { path } => vec![format!("The file is {}.", path.display())],
            Self::ModeRemote => {
                vec!["This host is set up as a client of the gateway in gateway.remote.url; clients need no gateway here."
                    .to_owned()]
            }
            Self::NoSecret(SecretKind::Token) => {
                vec![WAYS_TO_A_TOKEN.to_owned(), WAY_TO_A_GENERATED_TOKEN.to_owned()]
            }
            Self::NoSecret(SecretKind::Password) => {
                vec!["Set gateway.auth.password (or OPENCLAW_GATEWAY_PASSWORD), or pass --password.".to_owned()]
            }
            Self::WithoutAuth { asked: true, .. } => vec![
                "Listen on loopback (--bind loopback), or set gateway.auth.mode to \"token\" or \"password\", with a secret.".to_owned(),
                "If whoever can reach it may use it, set gateway.auth.dangerouslyAllowNoneOnNetwork to true.".to_owned(),
            ],
            Self::WithoutAuth { asked: false, .. } => vec![
                WAYS_TO_A_TOKEN.to_owned(),
                "A password does as well: gateway.auth.password, OPENCLAW_GATEWAY_PASSWORD or --password.".to_owned(),
                WAY_TO_A_GENERATED_TOKEN.to_owned(),
            ],
            Self::Profile(_)
            | Self::Port(_)
            | Self::InvalidBind
            | Self::InvalidAuth
            | Self::BindUnsupported { .. }
            | Self::Path(_)
            | Self::Config(_)
            | Self::Secret(_)
            | Self::Proxies(_)
            | Self::NoRandomness(_)
            | Self::TokenFile(_)
            | Self::Tls(_) => Vec::new(),
        }
    }

    /// Returns the whole message: the first line and the hints, without a line end.
    pub fn report(&self) -> String {
        let mut lines = vec![self.to_string()];
        lines.extend(self.hints());
        lines.join("\n")
    }
}

const WAYS_TO_A_TOKEN: &str =
    "Set gateway.auth.token (or OPENCLAW_GATEWAY_TOKEN), or pass --token.";
const WAY_TO_A_GENERATED_TOKEN: &str =
    "Or pass --allow-unconfigured once: a token is made and kept for you.";

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(fault) => fault.fmt(f),
            Self::Port(fault) => fault.fmt(f),
            Self::InvalidBind => {
                f.write_str(r#"Invalid --bind. Use "loopback", "lan", "tailnet", "auto", or "custom"."#)
            }
            Self::InvalidAuth => {
                f.write_str(r#"Invalid --auth. Use "none", "token", "password", or "trusted-proxy"."#)
            }
            Self::BindUnsupported { bind, flag } => {
                let asked = if *flag { "--bind" } else { "gateway.bind" };
                write!(
                    f,
                    r#"{asked} "{}" is not supported yet; use "loopback", "lan" or "auto"."#,
                    bind.word()
                )
            }
            Self::Path(fault) => fault.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::MissingConfig { path } => write!(
                f,
                "Missing config. Set gateway.mode=local in {} (or pass --allow-unconfigured).",
                path.display()
            ),
            Self::ModeMissing { .. } => f.write_str(
                "Gateway start blocked: existing config is missing gateway.mode. Treat this as suspicious or clobbered \
                 config. Set gateway.mode=local manually, or pass --allow-unconfigured.",
            ),
            Self::ModeRemote => f.write_str(
                "Gateway start blocked: set gateway.mode=local (current: remote) or pass --allow-unconfigured.",
            ),
            Self::Secret(fault) => fault.fmt(f),
            Self::NoSecret(kind) => {
                let kind = kind.word();
                write!(f, "Gateway auth is set to {kind}, but no {kind} is configured.")
            }
            Self::WithoutAuth { bind, .. } => write!(f, "Refusing to bind gateway to {} without auth.", bind.word()),
            Self::Proxies(fault) => fault.fmt(f),
            Self::NoRandomness(fault) => fault.fmt(f),
            Self::TokenFile(fault) => fault.fmt(f),
            Self::Tls(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}
