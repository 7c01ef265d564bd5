//! Which gateway a command talks to, and with which secret.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use openclaw_gateway_service::config::{Config, Mode};
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::paths::{Paths, Profile};
use openclaw_gateway_service::port::{self, Port};
use openclaw_gateway_service::secret::file;
use openclaw_gateway_service::secret::resolve::{
    self, Resolved, SecretFault, SecretFlags, SecretKind,
};
use openclaw_gateway_service::service::VERSION;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::{
    Builder, ConnectError, Gateway, RequestError, Timeouts, UrlError,
};

use crate::args::{ClientFlags, Globals};
use crate::exit::Exit;
use crate::failure::Failure;

mod address;
mod device;
mod node;
mod pin;
mod refusal;
mod scopes;
mod session;
mod tokens;
mod wait;

use device::Own;
pub(crate) use device::{Role, host_name};
pub(crate) use node::Node;
use pin::Pin;
pub(crate) use scopes::{ADMIN, LOOK, PAIRING, READ, RUN, WRITE};
pub(crate) use session::Session;
pub(crate) use wait::{REQUEST, milliseconds, seconds};

/// How long opening a TCP connection may take, to this host and to others.
const NEAR: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(5);
/// How long the gateway may take to answer our close.
const CLOSE: Duration = Duration::from_millis(250);
/// A gateway to talk to.
pub(crate) struct Target {
    url: String,
    source: Source,
    secret: Option<Resolved>,
    /// The certificate that the gateway has to show, and where that is said.
    pin: Option<Pin>,
    /// Why nobody can be believed: this host's gateway speaks TLS, and its certificate cannot be read.
    unpinned: Option<Failure>,
    /// This host's device, for a gateway on another host.
    own: Option<Own>,
    /// How to call this program for the same profile.
    invocation: String,
}

/// Where an address came from.
enum Source {
    /// `--url`.
    Flag,
    /// `gateway.remote.url`.
    Remote { config: PathBuf },
    /// This host's own gateway.
    Local {
        port: Port,
        paths: Paths,
        /// Whether a gateway starts there without more flags.
        configured: bool,
    },
}

impl Target {
    /// Decides which gateway to talk to: `--url`, or `gateway.remote.url` in mode `remote`, or the one of this host.
    ///
    /// It reads files, so it blocks.
    pub(crate) fn choose(
        globals: &Globals,
        flags: &ClientFlags,
        env: &Environment,
        role: Role,
    ) -> Result<Self, Failure> {
        let invocation = globals.invocation();
        // Over loopback the gateway's secret is enough for a command.
        let needs_device = |url: &str| role == Role::Node || !address::is_loopback(url);
        let secrets = SecretFlags::new(flags.token.as_deref(), flags.password.as_deref())
            .map_err(|fault| secret_failure(&fault))?;
        let pin = Pin::flag(flags)?;
        if let Some(url) = &flags.url {
            let secret =
                resolve::for_client(resolve::Target::Explicit, &secrets, env, None, || Ok(None))
                    .map_err(|fault| secret_failure(&fault))?;
            let own = if !needs_device(url) {
                None
            } else {
                let profile = profile(globals)?;
                let paths = Paths::new(&profile, env)
                    .map_err(|fault| Failure::configuration(fault.to_string()))?;
                Some(Own::of(&paths.state_dir, url, secret.is_some(), role)?)
            };
            let has_token = own.as_ref().is_some_and(|own| own.stored.is_some());
            if secret.is_none() && !has_token {
                return Err(Failure::usage("gateway url override requires explicit credentials")
                    .hint("Fix: pass --token or --password with --url; secrets set elsewhere are for other gateways.")
                    .hint("For the gateway of this host or of the configuration leave --url out."));
            }
            return Ok(Self {
                url: url.trim().to_owned(),
                source: Source::Flag,
                secret,
                pin,
                unpinned: None,
                own,
                invocation,
            });
        }

        let profile = profile(globals)?;
        let configuration =
            |fault: &dyn std::error::Error| Failure::configuration(fault.to_string());
        let paths = Paths::new(&profile, env).map_err(|fault| configuration(&fault))?;
        let config = Config::read(&paths.config_path).map_err(|fault| configuration(&fault))?;
        let mode = config.as_ref().and_then(|config| config.gateway.mode);
        let secret = |target| {
            resolve::for_client(target, &secrets, env, config.as_ref(), || {
                file::read(&paths.token_path)
            })
            .map_err(|fault| secret_failure(&fault))
        };
        if mode == Some(Mode::Remote) {
            let url = config
                .as_ref()
                .and_then(|config| config.gateway.remote.url.as_deref());
            let Some(url) = url else {
                return Err(Failure::configuration(
                    "gateway.mode is \"remote\", and gateway.remote.url is not set.",
                )
                .hint(format!(
                    "Set it in {}, or pass --url.",
                    paths.config_path.display()
                )));
            };
            let secret = secret(resolve::Target::Remote)?;
            let own = if needs_device(url) {
                Some(Own::of(&paths.state_dir, url, secret.is_some(), role)?)
            } else {
                None
            };
            return Ok(Self {
                url: url.trim().to_owned(),
                secret,
                pin: pin.or_else(|| Pin::remote(config.as_ref())),
                unpinned: None,
                own,
                source: Source::Remote {
                    config: paths.config_path,
                },
                invocation,
            });
        }
        let port = port::choose(None, env, config.as_ref(), &profile)
            .map_err(|fault| configuration(&fault))?;
        let tls = config.as_ref().map(|config| &config.gateway.tls);
        let tls = tls.filter(|tls| tls.enabled);
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let (pin, unpinned) = match (pin, tls) {
            (None, Some(tls)) => match Pin::local(tls, &paths, env) {
                Ok(pin) => (Some(pin), None),
                Err(failure) => (None, Some(failure)),
            },
            (pin, _) => (pin, None),
        };
        let url = format!("{scheme}://127.0.0.1:{}", port.number);
        let secret = secret(resolve::Target::Local)?;
        let own = if needs_device(&url) {
            Some(Own::of(&paths.state_dir, &url, secret.is_some(), role)?)
        } else {
            None
        };
        Ok(Self {
            url,
            secret,
            pin,
            unpinned,
            own,
            source: Source::Local {
                port,
                configured: globals.dev || mode == Some(Mode::Local),
                paths,
            },
            invocation,
        })
    }

    /// Returns the address as it may be shown: without user, path and query, which may hold secrets.
    pub(crate) fn shown_url(&self) -> String {
        address::shown(&self.url)
    }

    /// Returns where the address came from, in words.
    pub(crate) fn source(&self) -> &'static str {
        match self.source {
            Source::Flag => "cli --url",
            Source::Remote { .. } => "config gateway.remote.url",
            Source::Local { .. } => "local loopback",
        }
    }

    /// Returns what the gateway is sent, in words: never the secret.
    pub(crate) fn auth(&self) -> String {
        match &self.secret {
            Some(secret) => format!("{} from {}", secret.kind.word(), secret.source),
            None => match self.stored() {
                Some((own, _)) => format!("device token from {}", own.tokens_path().display()),
                None => "none".to_owned(),
            },
        }
    }

    /// Returns how to call this program for the same profile.
    pub(crate) fn invocation(&self) -> &str {
        &self.invocation
    }

    /// Returns the flags that lead another command to the same gateway; the secret is left for
    /// whoever types them.
    pub(crate) fn flags(&self) -> String {
        match &self.source {
            Source::Flag => {
                let token = if self.secret.is_some() {
                    " --token …"
                } else {
                    ""
                };
                let pin = self.pin.as_ref().map_or_else(String::new, Pin::flags);
                format!(" --url {}{token}{pin}", address::name(&self.url))
            }
            Source::Remote { .. } | Source::Local { .. } => String::new(),
        }
    }

    /// Returns the device as which this connects, if it does so as one.
    pub(crate) fn own_device(&self) -> Option<String> {
        let identity = self.own.as_ref()?.identity().ok()?;
        Some(identity.device_id().to_owned())
    }

    /// Connects; each step, and later each answer, may take `within`.
    pub(crate) async fn connect(
        &self,
        scopes: &[&str],
        within: Duration,
    ) -> Result<Session<'_>, Failure> {
        let (builder, device_id) = self.introduction(within)?;
        let builder = builder.client("cli", "cli").scopes(scopes.iter().copied());
        let began = Instant::now();
        match builder.connect().await {
            Ok(gateway) => {
                let took = began.elapsed();
                if let Some(own) = &self.own {
                    own.keep(&device_id, &gateway.hello().raw);
                }
                Ok(Session {
                    target: self,
                    gateway,
                    took,
                })
            }
            Err(error) => Err(self.connect_failure(&error)),
        }
    }

    /// Prepares a connection, and returns the device that it is of, if it is of one. It blocks.
    fn introduction(&self, within: Duration) -> Result<(Builder, String), Failure> {
        if let Some(failure) = &self.unpinned {
            return Err(failure
                .clone()
                .hints(self.start())
                .beside("gateway", self.note()));
        }
        let is_local = matches!(self.source, Source::Local { .. });
        let mut builder = Gateway::builder(&self.url)
            .client_version(VERSION)
            .connect_timeout(within.min(if is_local { NEAR } else { FAR }))
            .timeouts(Timeouts {
                handshake: within,
                request: within,
                close: CLOSE,
            });
        if let Some(pin) = &self.pin {
            builder = builder.tls_fingerprint(pin.fingerprint);
        }
        if let Some(secret) = &self.secret {
            let text = secret.secret.expose();
            builder = match secret.kind {
                SecretKind::Token => builder.token(text),
                SecretKind::Password => builder.password(text),
            };
        }
        let mut device_id = String::new();
        if let Some(own) = &self.own {
            let identity = own.identity()?;
            identity.device_id().clone_into(&mut device_id);
            builder = builder.device(device::signer(identity));
            if let Some(name) = host_name() {
                builder = builder.display_name(name);
            }
        }
        if let Some((_, stored)) = self.stored() {
            builder = builder.device_token(&stored.token);
        }
        Ok((builder, device_id))
    }

    /// Keeps the token that the gateway gave this device in place of its own, if the answer has one. It blocks.
    pub(crate) fn keep_rotated(&self, answer: &Json) {
        if let Some(own) = &self.own {
            own.keep_rotated(answer);
        }
    }

    /// Says why a request has no good answer.
    pub(crate) fn request_failure(&self, error: RequestError) -> Failure {
        let shown = self.shown_url();
        let answered = matches!(error, RequestError::Answered { .. });
        let failure = Failure::request(error, &shown);
        if answered {
            failure
        } else {
            failure.beside("gateway", self.note())
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum may grow, and the failure says what it is"
    )]
    fn connect_failure(&self, error: &ConnectError) -> Failure {
        if let ConnectError::Url(fault) = error {
            if let UrlError::PinWithoutTls = fault {
                return Failure::usage(fault.to_string()).hints(self.pin.as_ref().map(Pin::place));
            }
            return match &self.source {
                Source::Flag => Failure::usage(format!("Invalid --url: {fault}")),
                Source::Remote { config } => Failure::configuration(format!(
                    "Invalid gateway.remote.url in {}: {fault}",
                    config.display()
                )),
                Source::Local { .. } => Failure::other(fault.to_string()),
            };
        }
        let failure = Failure::connect(error, &self.shown_url()).beside("gateway", self.note());
        let failure = match error {
            ConnectError::Refused(shape) => self.refused(shape, failure),
            ConnectError::Unreachable { .. } => failure.hints(self.start()),
            ConnectError::Untrusted { fault, .. } => match &self.pin {
                Some(pin) => pin.distrusted(fault, failure, &self.shown_url()),
                None => failure,
            },
            ConnectError::Unattributable { .. } => failure.hint(
                "On the gateway's host, name the proxy's address in gateway.trustedProxies and have the proxy set X-Forwarded-For; or connect without the proxy.",
            ),
            ConnectError::Closed { .. } if failure.exit == Exit::Refused => {
                failure.hints(self.credentials())
            }
            _ => failure,
        };
        failure.hints(self.details())
    }

    /// The token that is presented, because there is no secret.
    fn stored(&self) -> Option<(&Own, &tokens::Stored)> {
        let own = self.own.as_ref().filter(|_| self.secret.is_none())?;
        Some((own, own.stored.as_ref()?))
    }

    /// The member `gateway` of a failure's document.
    fn note(&self) -> Json {
        Object::new()
            .text("url", &self.shown_url())
            .text("urlSource", self.source())
            .finish()
    }

    fn start(&self) -> Option<String> {
        let Source::Local { configured, .. } = &self.source else {
            return None;
        };
        let flag = if *configured {
            ""
        } else {
            " --allow-unconfigured"
        };
        Some(format!(
            "Start it with `{} gateway run{flag}`.",
            self.invocation
        ))
    }

    fn credentials(&self) -> Vec<String> {
        if let Some((own, _)) = self.stored() {
            return vec![format!(
                "The device token came from {}.",
                own.tokens_path().display()
            )];
        }
        let place = match (&self.secret, &self.source) {
            (Some(secret), _) => {
                return vec![format!(
                    "The {} came from {}.",
                    secret.kind.word(),
                    secret.source
                )];
            }
            (None, Source::Flag) => String::new(),
            (None, Source::Remote { config }) => {
                format!(", gateway.remote in {}", config.display())
            }
            (None, Source::Local { paths, .. }) => format!(
                ", gateway.auth in {}, {}",
                paths.config_path.display(),
                paths.token_path.display()
            ),
        };
        vec![format!(
            "No token or password is set. Looked at: --token, --password, OPENCLAW_GATEWAY_TOKEN, OPENCLAW_GATEWAY_PASSWORD{place}."
        )]
    }

    fn details(&self) -> Vec<String> {
        let mut lines = vec![
            format!("Gateway target: {}", self.shown_url()),
            format!("Source: {}", self.source()),
        ];
        match &self.source {
            Source::Flag => {}
            Source::Remote { config } => lines.push(format!("Config: {}", config.display())),
            Source::Local { port, paths, .. } => {
                lines.push(format!("Port: {} ({})", port.number, port.source));
                lines.push(format!("Config: {}", paths.config_path.display()));
            }
        }
        lines
    }
}

fn profile(globals: &Globals) -> Result<Profile, Failure> {
    Profile::choose(globals.dev, globals.profile.as_deref())
        .map_err(|fault| Failure::usage(fault.to_string()))
}

fn secret_failure(fault: &SecretFault) -> Failure {
    if fault.is_usage() {
        Failure::usage(fault.to_string())
    } else {
        Failure::configuration(fault.to_string())
    }
}

#[cfg(test)]
mod tests;
