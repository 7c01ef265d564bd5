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
use openclaw_runtime_smol::client::{ConnectError, Gateway, RequestError, Timeouts};

use crate::args::{ClientFlags, Globals};
use crate::exit::Exit;
use crate::failure::Failure;

/// How long a command waits for an answer that says nothing of it.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);
/// How long opening a TCP connection may take, to this host and to others.
const NEAR: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(5);
/// How long the gateway may take to answer our close.
const CLOSE: Duration = Duration::from_millis(250);
/// What a command that only looks asks for.
pub(crate) const LOOK: [&str; 1] = ["operator.read"];
/// What a command that runs an agent asks for.
pub(crate) const RUN: [&str; 2] = ["operator.read", "operator.write"];
/// What `gateway call`, which may call anything, and `gateway probe`, which tells what may be
/// called, ask for.
pub(crate) const ANYTHING: [&str; 5] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
];

/// A gateway to talk to.
pub(crate) struct Target {
    url: String,
    source: Source,
    secret: Option<Resolved>,
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
    ) -> Result<Self, Failure> {
        let invocation = globals.invocation();
        let secrets = SecretFlags::new(flags.token.as_deref(), flags.password.as_deref())
            .map_err(|fault| secret_failure(&fault))?;
        if let Some(url) = &flags.url {
            let secret =
                resolve::for_client(resolve::Target::Explicit, &secrets, env, None, || Ok(None))
                    .map_err(|fault| secret_failure(&fault))?;
            if secret.is_none() {
                return Err(Failure::usage("gateway url override requires explicit credentials")
                    .hint("Fix: pass --token or --password with --url; secrets set elsewhere are for other gateways.")
                    .hint("For the gateway of this host or of the configuration leave --url out."));
            }
            return Ok(Self {
                url: url.trim().to_owned(),
                source: Source::Flag,
                secret,
                invocation,
            });
        }

        let profile = Profile::choose(globals.dev, globals.profile.as_deref())
            .map_err(|fault| Failure::usage(fault.to_string()))?;
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
            return Ok(Self {
                url: url.trim().to_owned(),
                secret: secret(resolve::Target::Remote)?,
                source: Source::Remote {
                    config: paths.config_path,
                },
                invocation,
            });
        }
        let port = port::choose(None, env, config.as_ref(), &profile)
            .map_err(|fault| configuration(&fault))?;
        Ok(Self {
            url: format!("ws://127.0.0.1:{}", port.number),
            secret: secret(resolve::Target::Local)?,
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
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return "the given address".to_owned();
        };
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}")
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
            None => "none".to_owned(),
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
            Source::Flag => format!(" --url {} --token …", self.url),
            Source::Remote { .. } | Source::Local { .. } => String::new(),
        }
    }

    /// Connects; each step, and later each answer, may take `within`.
    pub(crate) async fn connect(
        &self,
        scopes: &[&str],
        within: Duration,
    ) -> Result<Session<'_>, Failure> {
        let is_local = matches!(self.source, Source::Local { .. });
        let mut builder = Gateway::builder(&self.url)
            .client("cli", "cli")
            .client_version(VERSION)
            .scopes(scopes.iter().copied())
            .connect_timeout(within.min(if is_local { NEAR } else { FAR }))
            .timeouts(Timeouts {
                handshake: within,
                request: within,
                close: CLOSE,
            });
        if let Some(secret) = &self.secret {
            let text = secret.secret.expose();
            builder = match secret.kind {
                SecretKind::Token => builder.token(text),
                SecretKind::Password => builder.password(text),
            };
        }
        let began = Instant::now();
        match builder.connect().await {
            Ok(gateway) => Ok(Session {
                target: self,
                gateway,
                took: began.elapsed(),
            }),
            Err(error) => Err(self.connect_failure(&error)),
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

    fn connect_failure(&self, error: &ConnectError) -> Failure {
        if let ConnectError::Url(fault) = error {
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
        let failure = if matches!(error, ConnectError::Refused(_)) {
            failure.context("Gateway connect failed")
        } else {
            failure
        };
        let failure = match failure.exit {
            Exit::Refused => failure.hints(self.credentials()),
            Exit::Unreachable if matches!(error, ConnectError::Unreachable { .. }) => {
                failure.hints(self.start())
            }
            Exit::Ok | Exit::Failure | Exit::Usage | Exit::Unreachable | Exit::Configuration => {
                failure
            }
        };
        failure.hints(self.details())
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

/// A connection to a target.
pub(crate) struct Session<'a> {
    /// The target.
    pub(crate) target: &'a Target,
    /// The connection.
    pub(crate) gateway: Gateway,
    /// How long connecting took.
    pub(crate) took: Duration,
}

impl Session<'_> {
    /// Sends a request without parameters, and waits for its answer.
    pub(crate) async fn ask(&self, method: &str) -> Result<Json, Failure> {
        let answer = self.gateway.request(method, ()).await;
        answer.map_err(|error| {
            self.target
                .request_failure(error)
                .context("Gateway call failed")
        })
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        self.gateway.close().await;
    }
}

/// Reads the value of `--timeout`, in milliseconds.
pub(crate) fn milliseconds(typed: Option<&str>) -> Result<Duration, Failure> {
    let number = whole(
        typed,
        "milliseconds from 1 to 4294967295, for example 10000",
    )?;
    Ok(number.map_or(REQUEST, |ms| Duration::from_millis(ms.into())))
}

/// Reads the value of `--timeout`, in seconds.
pub(crate) fn seconds(typed: Option<&str>) -> Result<Option<u32>, Failure> {
    whole(typed, "seconds from 1 to 4294967295, for example 600")
}

fn whole(typed: Option<&str>, expected: &str) -> Result<Option<u32>, Failure> {
    let read = |text: &str| {
        // `parse` would take a plus sign too.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| *number > 0 && digits);
        number.ok_or_else(|| Failure::usage(format!("Invalid --timeout. Use {expected}.")))
    };
    typed.map(read).transpose()
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
