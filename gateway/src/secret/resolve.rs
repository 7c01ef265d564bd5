//! Which of several secrets counts: flag, then environment, then configuration, then the token file.

use std::fmt;
use std::path::PathBuf;

use super::file::{TokenFile, TokenFileFault};
use super::reference::{ReferenceFault, SecretInput, SecretsConfig};
use super::{Secret, SharedSecret};
use crate::config::{AuthMode, Config};
use crate::environment::{Environment, GATEWAY_PASSWORD, GATEWAY_TOKEN, NotText};

/// Whether a secret was set as a token or as a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A token; clients send it in `auth.token`.
    Token,
    /// A password; clients send it in `auth.password`.
    Password,
}

impl SecretKind {
    /// Returns the word that `gateway.auth.mode` and `authMode` use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Password => "password",
        }
    }
}

/// Where a secret came from, in words that may be shown to anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A command-line flag, by its name.
    Flag(&'static str),
    /// An environment variable, by its name.
    Environment(&'static str),
    /// A configuration key, by its dotted path.
    Config(&'static str),
    /// The token file.
    File(PathBuf),
    /// The token file, written just now.
    Generated(PathBuf),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) | Self::Config(name) => f.write_str(name),
            Self::File(path) | Self::Generated(path) => path.display().fmt(f),
        }
    }
}

/// A secret with its kind and its source.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The secret.
    pub secret: Secret,
    /// Whether it was set as a token or as a password.
    pub kind: SecretKind,
    /// Where it came from.
    pub source: SecretSource,
}

impl Resolved {
    /// Returns what a gateway needs in order to recognise the secret.
    pub fn shared(&self) -> SharedSecret {
        SharedSecret::new(&self.secret)
    }
}

/// The secrets given as flags.
#[derive(Clone, Debug, Default)]
pub struct SecretFlags {
    /// `--token`.
    pub token: Option<Secret>,
    /// `--password`.
    pub password: Option<Secret>,
}

impl SecretFlags {
    /// Takes the values of `--token` and `--password` as they were typed; a blank one is a fault.
    pub fn new(token: Option<&str>, password: Option<&str>) -> Result<Self, SecretFault> {
        let take = |typed: Option<&str>, flag| {
            typed
                .map(|typed| Secret::new(typed).ok_or(SecretFault::BlankFlag(flag)))
                .transpose()
        };
        Ok(Self {
            token: take(token, TOKEN_FLAG)?,
            password: take(password, PASSWORD_FLAG)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.token.is_none() && self.password.is_none()
    }
}

/// What a starting gateway finds.
#[derive(Clone, Debug)]
pub enum ServerSecret {
    /// This secret is to be used.
    Found(Resolved),
    /// The mode is `none`: clients need no secret.
    NotWanted,
    /// The mode is `trusted-proxy`: a proxy vouches for clients, and those on this host may present this password instead.
    Vouched(Option<Resolved>),
    /// There is none; the kind is set where a mode asks for that kind.
    Missing(Option<SecretKind>),
}

/// Finds the secret of a gateway that starts.
///
/// Flag, environment, `gateway.auth`, token file: the first of them that has one wins. `--auth` decides the kind; without it a
/// secret given as a flag does; without that `gateway.auth.mode` does; without that whichever is found first. Two secrets at one
/// place, with nothing to choose between them, are a fault. The token file is read only when nothing before it has a secret,
/// and never for a password. A reference is followed only if it is the one that wins; it blocks, and if it leads nowhere
/// that is a fault, never a reason to look further.
pub fn for_server(
    flags: &SecretFlags,
    auth: Option<AuthMode>,
    env: &Environment,
    config: Option<&Config>,
    read_file: impl FnOnce() -> Result<Option<TokenFile>, TokenFileFault>,
) -> Result<ServerSecret, SecretFault> {
    if let Some(auth) = auth {
        for (given, flag, wanted) in [
            (&flags.token, TOKEN_FLAG, AuthMode::Token),
            (&flags.password, PASSWORD_FLAG, AuthMode::Password),
        ] {
            let is_fallback = wanted == AuthMode::Password && auth == AuthMode::TrustedProxy;
            if given.is_some() && auth != wanted && !is_fallback {
                return Err(SecretFault::Contradiction { flag, auth });
            }
        }
    }
    let configured = config.and_then(|config| config.gateway.auth.mode);
    let mode = match (auth, configured) {
        (Some(auth), _) => Some(auth),
        (None, Some(AuthMode::TrustedProxy)) => configured,
        (None, _) if !flags.is_empty() => None,
        (None, _) => configured,
    };
    let kind = match mode {
        None => None,
        Some(AuthMode::None) => return Ok(ServerSecret::NotWanted),
        Some(AuthMode::Token) => Some(SecretKind::Token),
        Some(AuthMode::Password) => Some(SecretKind::Password),
        Some(AuthMode::TrustedProxy) => return beside_proxy(flags, env, config),
    };
    for place in Place::of_server(flags, env, config)? {
        if let Some(found) = place.only(kind)? {
            return found.fetch(env, config).map(ServerSecret::Found);
        }
    }
    if kind != Some(SecretKind::Password)
        && let Some(file) = read_file().map_err(SecretFault::File)?
    {
        return Ok(ServerSecret::Found(file.into()));
    }
    Ok(ServerSecret::Missing(kind))
}

/// Finds the password that may be presented on the gateway's host where a proxy vouches for everybody else.
fn beside_proxy(
    flags: &SecretFlags,
    env: &Environment,
    config: Option<&Config>,
) -> Result<ServerSecret, SecretFault> {
    let places = Place::of_server(flags, env, config)?;
    if places.iter().any(|place| place.token.is_some()) {
        return Err(SecretFault::TokenBesideProxy {
            flag: flags.token.is_some(),
        });
    }
    let password = places.into_iter().find_map(|place| place.password);
    let password = password.map(|found| found.fetch(env, config)).transpose()?;
    Ok(ServerSecret::Vouched(password))
}

/// Which gateway a client talks to; it decides which secrets may be sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The gateway of this host and profile: everything it would find itself.
    Local,
    /// The gateway in `gateway.remote.url`: flags, environment and `gateway.remote`.
    Remote,
    /// A gateway named by `--url`: flags only, so that no other gateway's secret leaks to it.
    Explicit,
}

/// Finds the secret a client sends: flag, then environment, then configuration, then the token file, as far as the target
/// allows them.
///
/// For the local gateway `gateway.auth.mode` chooses the kind, as it does for the gateway. Where nothing chooses, a token is
/// preferred. `None` means that no secret is known, which a gateway in mode `none` does not mind. It blocks where a reference
/// wins, as [`for_server`] does.
pub fn for_client(
    target: Target,
    flags: &SecretFlags,
    env: &Environment,
    config: Option<&Config>,
    read_file: impl FnOnce() -> Result<Option<TokenFile>, TokenFileFault>,
) -> Result<Option<Resolved>, SecretFault> {
    if let Some(found) = Place::flags(flags).only(None)? {
        return found.fetch(env, config).map(Some);
    }
    let (configured, mode) = match target {
        Target::Explicit => return Ok(None),
        Target::Remote => (config.map(Place::remote_config), None),
        Target::Local => (
            config.map(Place::local_config),
            config.and_then(|config| config.gateway.auth.mode),
        ),
    };
    let kind = match mode {
        Some(AuthMode::Token) => Some(SecretKind::Token),
        Some(AuthMode::Password | AuthMode::TrustedProxy) => Some(SecretKind::Password),
        Some(AuthMode::None) | None => None,
    };
    for place in [Some(Place::environment(env)?), configured]
        .into_iter()
        .flatten()
    {
        if let Some(found) = place.preferred(kind) {
            return found.fetch(env, config).map(Some);
        }
    }
    if target == Target::Local && kind != Some(SecretKind::Password) {
        return Ok(read_file().map_err(SecretFault::File)?.map(Resolved::from));
    }
    Ok(None)
}

/// Why no secret can be chosen.
#[derive(Debug)]
pub enum SecretFault {
    /// A flag was given without a value.
    BlankFlag(&'static str),
    /// A flag gives a secret that `--auth` has no use for.
    Contradiction {
        /// The flag.
        flag: &'static str,
        /// What `--auth` says.
        auth: AuthMode,
    },
    /// One place has a token and a password, and nothing chooses.
    TwoSecrets {
        /// Where the token is.
        token: SecretSource,
        /// Where the password is.
        password: SecretSource,
    },
    /// The mode is `trusted-proxy`, and there is a token all the same.
    TokenBesideProxy {
        /// Whether the token was given as a flag.
        flag: bool,
    },
    /// A variable is not text.
    NotText(NotText),
    /// The token file is of no use.
    File(TokenFileFault),
    /// A reference leads nowhere.
    Reference(ReferenceFault),
}

impl SecretFault {
    /// Tells whether the command line is to blame, and not the host's set-up.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::BlankFlag(_) | Self::Contradiction { .. } => true,
            Self::TwoSecrets { token, .. } => matches!(token, SecretSource::Flag(_)),
            Self::TokenBesideProxy { flag } => *flag,
            Self::NotText(_) | Self::File(_) | Self::Reference(_) => false,
        }
    }
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlankFlag(flag) => write!(f, "Invalid {flag}. It must not be empty."),
            Self::Contradiction { flag, auth } => {
                write!(f, "{flag} and --auth {} contradict each other; pass one of them.", auth.word())
            }
            Self::TwoSecrets { token, password } if self.is_usage() => {
                write!(f, "{token} and {password} exclude each other; pass one of them.")
            }
            Self::TwoSecrets { token, password } => write!(
                f,
                "{token} and {password} are both set; remove one, or set gateway.auth.mode to \"token\" or \"password\"."
            ),
            Self::TokenBesideProxy { .. } => f.write_str(
                "gateway auth mode is trusted-proxy, but a shared token is also configured; remove gateway.auth.token / \
                 OPENCLAW_GATEWAY_TOKEN because trusted-proxy and token auth are mutually exclusive",
            ),
            Self::NotText(fault) => fault.fmt(f),
            Self::File(fault) => fault.fmt(f),
            Self::Reference(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for SecretFault {}

const TOKEN_FLAG: &str = "--token";
const PASSWORD_FLAG: &str = "--password";

impl From<TokenFile> for Resolved {
    fn from(file: TokenFile) -> Self {
        Self {
            secret: file.secret,
            kind: SecretKind::Token,
            source: SecretSource::File(file.path),
        }
    }
}

/// A secret that was found, and may have to be fetched yet.
struct Found {
    input: SecretInput,
    kind: SecretKind,
    key: &'static str,
    source: SecretSource,
}

impl Found {
    fn fetch(self, env: &Environment, config: Option<&Config>) -> Result<Resolved, SecretFault> {
        let none = SecretsConfig::default();
        let secrets = config.map_or(&none, |config| &config.secrets);
        let secret = self.input.fetch(self.key, env, secrets);
        Ok(Resolved {
            secret: secret.map_err(SecretFault::Reference)?,
            kind: self.kind,
            source: self.source,
        })
    }
}

/// One of the places that may hold a token, a password, or both.
struct Place {
    token: Option<Found>,
    password: Option<Found>,
}

impl Place {
    fn new(
        [token, password]: [Option<SecretInput>; 2],
        [token_key, password_key]: [&'static str; 2],
        source: fn(&'static str) -> SecretSource,
    ) -> Self {
        let found = |input, kind, key| Found {
            input,
            kind,
            key,
            source: source(key),
        };
        Self {
            token: token.map(|input| found(input, SecretKind::Token, token_key)),
            password: password.map(|input| found(input, SecretKind::Password, password_key)),
        }
    }

    /// The places where a gateway looks, the first first.
    fn of_server(
        flags: &SecretFlags,
        env: &Environment,
        config: Option<&Config>,
    ) -> Result<Vec<Self>, SecretFault> {
        let mut places = vec![Self::flags(flags), Self::environment(env)?];
        places.extend(config.map(Self::local_config));
        Ok(places)
    }

    fn flags(flags: &SecretFlags) -> Self {
        let given = [flags.token.clone(), flags.password.clone()];
        Self::new(
            given.map(|secret| secret.map(SecretInput::Text)),
            [TOKEN_FLAG, PASSWORD_FLAG],
            SecretSource::Flag,
        )
    }

    fn environment(env: &Environment) -> Result<Self, SecretFault> {
        let read = |name| {
            let text = env.get(name).map_err(SecretFault::NotText)?;
            Ok(text.and_then(Secret::new).map(SecretInput::Text))
        };
        Ok(Self::new(
            [read(GATEWAY_TOKEN)?, read(GATEWAY_PASSWORD)?],
            [GATEWAY_TOKEN, GATEWAY_PASSWORD],
            SecretSource::Environment,
        ))
    }

    fn local_config(config: &Config) -> Self {
        let auth = &config.gateway.auth;
        Self::new(
            [auth.token.clone(), auth.password.clone()],
            ["gateway.auth.token", "gateway.auth.password"],
            SecretSource::Config,
        )
    }

    fn remote_config(config: &Config) -> Self {
        let remote = &config.gateway.remote;
        Self::new(
            [remote.token.clone(), remote.password.clone()],
            ["gateway.remote.token", "gateway.remote.password"],
            SecretSource::Config,
        )
    }

    fn only(self, kind: Option<SecretKind>) -> Result<Option<Found>, SecretFault> {
        match (kind, self.token, self.password) {
            (None, Some(token), Some(password)) => Err(SecretFault::TwoSecrets {
                token: token.source,
                password: password.source,
            }),
            (None, token, password) => Ok(token.or(password)),
            (Some(SecretKind::Token), token, _) => Ok(token),
            (Some(SecretKind::Password), _, password) => Ok(password),
        }
    }

    fn preferred(self, kind: Option<SecretKind>) -> Option<Found> {
        match kind {
            None => self.token.or(self.password),
            Some(SecretKind::Token) => self.token,
            Some(SecretKind::Password) => self.password,
        }
    }
}

#[cfg(test)]
mod tests;
