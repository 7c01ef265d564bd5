//! Whether a gateway may start, and as what.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use openclaw_runtime_smol::clock::Clock;

use crate::admission::origin::AllowedOrigin;
use crate::config::limits::LimitsConfig;
use crate::config::{AuthMode, Bind, Config, Mode, TlsConfig};
use crate::environment::Environment;
use crate::paths::{Paths, Profile};
use crate::port::{self, Port};
use crate::proxies::Tailscale;
use crate::secret::Secret;
use crate::secret::file::{self, FaultKind, TokenFile, TokenFileFault};
use crate::secret::resolve::{self, Resolved, SecretFlags, SecretKind, SecretSource, ServerSecret};
use crate::tailscale;
use crate::tls::{Places, Tls, TlsFault};

mod error;
mod proxies;

pub use error::StartError;
pub use proxies::ProxiesFault;

/// How many unknown keys a warning names.
const NAMED_KEYS: usize = 20;

/// What the operator typed after `openclaw gateway`.
///
/// `port`, `bind` and `auth` are taken as typed; [`plan`] says what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--dev`: the profile `dev`, and a secret made where none is set.
    pub dev: bool,
    /// `--profile NAME`.
    pub profile: Option<String>,
    /// `--allow-unconfigured`: start without `gateway.mode`, and make a secret where none is set.
    pub allow_unconfigured: bool,
    /// `--port`.
    pub port: Option<String>,
    /// `--bind`.
    pub bind: Option<String>,
    /// `--auth`.
    pub auth: Option<String>,
    /// `--token` and `--password`.
    pub secrets: SecretFlags,
}

/// What a gateway does once it starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The kind of addresses it listens on.
    pub bind: Bind,
    /// The port, and where it was set.
    pub port: Port,
    /// The addresses, in the order to bind them; the first one names the gateway in messages.
    pub listen: Vec<Listen>,
    /// How clients prove that they may connect.
    pub auth: Auth,
    /// The certificate, if TLS is spoken; [`prepare`] finds or makes it.
    pub tls: Option<Tls>,
    /// What the operator should hear at the start, a line each; never a secret.
    pub warnings: Vec<String>,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address. An IPv6 one is for IPv6 only: IPv4 has its own.
    pub address: SocketAddr,
    /// Whether a host that does not have this address stops the start. An address in use always does.
    pub required: bool,
}

/// How clients of a starting gateway prove that they may connect.
#[derive(Clone, Debug)]
pub enum Auth {
    /// They need not; only on loopback, unless the configuration insists.
    None,
    /// With this secret.
    Secret(Resolved),
    /// A trusted proxy vouches for them; those on this host may present this password instead.
    Proxy(Option<Resolved>),
    /// With a secret that is still to be made and written to the token file; [`prepare`] does so.
    Generate,
}

impl Plan {
    /// Tells whether only this host can reach the gateway.
    pub fn is_loopback(&self) -> bool {
        self.listen
            .iter()
            .all(|listen| listen.address.ip().is_loopback())
    }

    /// Returns the scheme of the gateway's address.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "wss" } else { "ws" }
    }

    /// Returns the word for `authMode`.
    pub fn auth_mode(&self) -> &'static str {
        match &self.auth {
            Auth::None => AuthMode::None.word(),
            Auth::Secret(resolved) => resolved.kind.word(),
            Auth::Proxy(_) => AuthMode::TrustedProxy.word(),
            Auth::Generate => SecretKind::Token.word(),
        }
    }

    /// Tells whether the secret was made at this start; its source then is the path to print.
    pub fn is_generated(&self) -> bool {
        match &self.auth {
            Auth::Secret(resolved) => matches!(resolved.source, SecretSource::Generated(_)),
            Auth::None | Auth::Proxy(_) | Auth::Generate => false,
        }
    }
}

/// Decides whether a gateway may start, and as what.
///
/// It writes nothing, and reads nothing but what `read_token` does, which is asked for the token file only when no other
/// secret is set, and what the reference leads to that is the secret; it blocks then.
/// Mistakes on the command line are reported first, then what blocks the start, then what is wrong with the secret.
pub fn plan(
    flags: &Flags,
    env: &Environment,
    config: Option<&Config>,
    paths: &Paths,
    read_token: impl FnOnce() -> Result<Option<TokenFile>, TokenFileFault>,
) -> Result<Plan, StartError> {
    let profile = profile(flags)?;
    let bind_flag = read_word(
        flags.bind.as_deref(),
        Bind::from_word,
        StartError::InvalidBind,
    )?;
    let auth_flag = read_word(
        flags.auth.as_deref(),
        AuthMode::from_word,
        StartError::InvalidAuth,
    )?;
    let port =
        port::choose(flags.port.as_deref(), env, config, &profile).map_err(StartError::Port)?;
    let unconfigured = flags.dev || flags.allow_unconfigured;
    if let Some(config) = config {
        check_mode(config, flags, unconfigured, paths)?;
    }
    let bind = bind_flag
        .or(config.and_then(|config| config.gateway.bind))
        .unwrap_or(Bind::Loopback);
    let listen = addresses(bind, port.number).ok_or(StartError::BindUnsupported {
        bind,
        flag: bind_flag.is_some(),
    })?;

    let mut warnings = Vec::new();
    warn_of_unknown_keys(config, &mut warnings);
    let mut exposed = None;
    let read_token = || {
        let file = read_token()?;
        exposed = file
            .as_ref()
            .filter(|file| file.exposed)
            .map(|file| file.path.clone());
        Ok(file)
    };
    let found = resolve::for_server(&flags.secrets, auth_flag, env, config, read_token)
        .map_err(StartError::Secret)?;
    if let Some(path) = exposed {
        warnings.push(format!(
            "the token file {0} can be read by other users; run chmod 600 {0}",
            path.display()
        ));
    }
    let mut plan = Plan {
        bind,
        port,
        listen,
        auth: Auth::None,
        tls: None,
        warnings,
    };
    plan.auth = match found {
        ServerSecret::Found(resolved) => Auth::Secret(resolved),
        ServerSecret::NotWanted | ServerSecret::Missing(_) if config.is_none() && !unconfigured => {
            return Err(StartError::MissingConfig {
                path: paths.config_path.clone(),
            });
        }
        ServerSecret::Vouched(password) => {
            proxies::check_vouching(config).map_err(StartError::Proxies)?;
            Auth::Proxy(password)
        }
        ServerSecret::NotWanted if !plan.is_loopback() && !none_on_network(config) => {
            return Err(StartError::WithoutAuth { bind, asked: true });
        }
        ServerSecret::NotWanted => Auth::None,
        ServerSecret::Missing(Some(SecretKind::Password)) => {
            return Err(StartError::NoSecret(SecretKind::Password));
        }
        ServerSecret::Missing(_) if unconfigured => Auth::Generate,
        ServerSecret::Missing(Some(kind)) => return Err(StartError::NoSecret(kind)),
        ServerSecret::Missing(None) => {
            return Err(StartError::WithoutAuth { bind, asked: false });
        }
    };
    if let Auth::None = plan.auth {
        plan.warnings.push(
            "auth mode=none explicitly configured; all gateway connections are unauthenticated."
                .to_owned(),
        );
    }
    proxies::check_tailscale(&plan, config).map_err(StartError::Proxies)?;
    proxies::warn(&mut plan, config);
    warn_of_strangers(&mut plan);
    warn_of_pages(config, &mut plan.warnings);
    Ok(plan)
}

/// A start that may go on.
#[derive(Debug)]
pub struct Prepared {
    /// Where the gateway keeps its files.
    pub paths: Paths,
    /// The configuration, if there is a file.
    pub config: Option<Config>,
    /// What to do; its secret is there, generated or not.
    pub plan: Plan,
    /// The program that is asked who has an address of the tailnet, if there is one.
    pub tailscale: Option<PathBuf>,
}

impl Prepared {
    /// The limits that are configured, or the defaults.
    #[must_use]
    pub fn limits(&self) -> LimitsConfig {
        let config = self.config.as_ref();
        config.map_or_else(LimitsConfig::default, |config| {
            config.gateway.limits.clone()
        })
    }
}

/// Reads the configuration, the token file and the certificate, decides with [`plan`], and makes the secret and the certificate
/// if there are to be new ones.
///
/// It blocks: call it before there is an executor, or through `blocking`.
pub fn prepare(flags: &Flags, env: &Environment) -> Result<Prepared, StartError> {
    let paths = Paths::new(&profile(flags)?, env).map_err(StartError::Path)?;
    let config = Config::read(&paths.config_path).map_err(StartError::Config)?;
    let mut plan = plan(flags, env, config.as_ref(), &paths, || {
        file::read(&paths.token_path)
    })?;
    if let Auth::Generate = plan.auth {
        plan.auth = Auth::Secret(generate(&paths)?);
    }
    if let Some(tls) = config.as_ref().map(|config| &config.gateway.tls) {
        plan.tls = certificate(tls, &paths, env, &mut plan.warnings).map_err(StartError::Tls)?;
    }
    let mode = config.as_ref().map(|config| config.gateway.tailscale);
    let is_reached_by_tailscale = mode.is_some_and(|mode| mode != Tailscale::Off);
    Ok(Prepared {
        paths,
        config,
        plan,
        tailscale: is_reached_by_tailscale
            .then(|| tailscale::find(env))
            .flatten(),
    })
}

fn certificate(
    config: &TlsConfig,
    paths: &Paths,
    env: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Option<Tls>, TlsFault> {
    if !config.enabled {
        return Ok(None);
    }
    let places = Places::of(config, paths, env).map_err(TlsFault::Path)?;
    let now = Duration::from_millis(Clock::start().now().unix_ms);
    places.open(config.auto_generate, now, warnings).map(Some)
}

/// Makes a secret and writes the token file, or takes the one that another gateway has just written.
fn generate(paths: &Paths) -> Result<Resolved, StartError> {
    let path = &paths.token_path;
    let resolved = |secret, source| Resolved {
        secret,
        kind: SecretKind::Token,
        source,
    };
    let secret = Secret::generate().map_err(StartError::NoRandomness)?;
    if file::create(path, &secret).map_err(StartError::TokenFile)? {
        return Ok(resolved(secret, SecretSource::Generated(path.clone())));
    }
    match file::read(path).map_err(StartError::TokenFile)? {
        Some(file) => Ok(resolved(file.secret, SecretSource::File(file.path))),
        None => Err(StartError::TokenFile(TokenFileFault {
            path: path.clone(),
            kind: FaultKind::Unreadable(std::io::ErrorKind::NotFound.into()),
        })),
    }
}

fn profile(flags: &Flags) -> Result<Profile, StartError> {
    Profile::choose(flags.dev, flags.profile.as_deref()).map_err(StartError::Profile)
}

fn read_word<T>(
    typed: Option<&str>,
    read: impl FnOnce(&str) -> Option<T>,
    fault: StartError,
) -> Result<Option<T>, StartError> {
    typed.map(|word| read(word).ok_or(fault)).transpose()
}

fn check_mode(
    config: &Config,
    flags: &Flags,
    unconfigured: bool,
    paths: &Paths,
) -> Result<(), StartError> {
    match config.gateway.mode {
        Some(Mode::Local) => Ok(()),
        Some(Mode::Remote) if flags.allow_unconfigured => Ok(()),
        Some(Mode::Remote) => Err(StartError::ModeRemote),
        None if unconfigured => Ok(()),
        None => Err(StartError::ModeMissing {
            path: paths.config_path.clone(),
        }),
    }
}

fn addresses(bind: Bind, port: u16) -> Option<Vec<Listen>> {
    let (v4, v6) = match bind {
        Bind::Loopback | Bind::Auto => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        Bind::Lan => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
        Bind::Tailnet | Bind::Custom => return None,
    };
    Some(vec![
        Listen {
            address: (v4, port).into(),
            required: true,
        },
        Listen {
            address: (v6, port).into(),
            required: false,
        },
    ])
}

fn none_on_network(config: Option<&Config>) -> bool {
    config.is_some_and(|config| config.gateway.auth.none_on_network)
}

fn warn_of_strangers(plan: &mut Plan) {
    if plan.is_loopback() {
        return;
    }
    let warning = match plan.auth {
        Auth::None => {
            "Gateway is binding to a non-loopback address without auth; whoever can reach it may connect."
        }
        Auth::Secret(_) | Auth::Generate => {
            "Gateway is binding to a non-loopback address; whoever can reach it may try its secret."
        }
        Auth::Proxy(_) => return,
    };
    plan.warnings.push(warning.to_owned());
}

fn warn_of_pages(config: Option<&Config>, warnings: &mut Vec<String>) {
    let allowed = config.map(|config| &config.gateway.control_ui.allowed_origins);
    if allowed.is_some_and(|allowed| allowed.contains(&AllowedOrigin::Any)) {
        warnings.push(
            "gateway.controlUi.allowedOrigins has \"*\"; pages of any site may try to connect."
                .to_owned(),
        );
    }
}

fn warn_of_unknown_keys(config: Option<&Config>, warnings: &mut Vec<String>) {
    let keys = config.map(Config::unknown_keys).unwrap_or_default();
    if keys.is_empty() {
        return;
    }
    let named = keys
        .iter()
        .take(NAMED_KEYS)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    let more = match keys.len().saturating_sub(NAMED_KEYS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    warnings.push(format!(
        "config keys that have no effect here: {named}{more}"
    ));
}

#[cfg(test)]
mod tests;
