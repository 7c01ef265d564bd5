//! `openclaw gateway run`.

use std::net::SocketAddr;
use std::sync::Arc;

use async_signal::{Signal, Signals};
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::port::PortSource;
use openclaw_gateway_service::secret::resolve::{SecretFlags, SecretSource};
use openclaw_gateway_service::service::{ServeError, Service};
use openclaw_gateway_service::startup::{self, Auth, Flags, Plan, StartError};
use openclaw_runtime_smol::threads;
use smol::stream::StreamExt;

use crate::args::{Globals, Run};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{logger, output};

/// Runs a gateway until it is stopped.
pub(super) fn run(globals: &Globals, args: &Run) -> Result<Exit, Failure> {
    if args.force {
        return Err(Failure::usage(
            "--force is not there yet: stop whoever listens on the port, or pass another --port.",
        ));
    }
    logger::start(args.verbose)
        .map_err(|error| Failure::other(format!("cannot start a thread for the log: {error}")))?;
    let flags = Flags {
        dev: globals.dev,
        profile: globals.profile.clone(),
        allow_unconfigured: args.allow_unconfigured,
        port: args.port.clone(),
        bind: args.bind.clone(),
        auth: args.auth.clone(),
        secrets: SecretFlags::new(args.token.as_deref(), args.password.as_deref())
            .map_err(|fault| start_failure(&StartError::Secret(fault)))?,
    };
    let prepared = startup::prepare(&flags, &Environment::of_this_process())
        .map_err(|error| start_failure(&error))?;
    for warning in &prepared.plan.warnings {
        log::warn!("{warning}");
    }
    let plan = prepared.plan.clone();
    let drain = prepared.limits().server.drain;
    let service = Service::bind(prepared).map_err(|error| serve_failure(&error))?;
    let stopper = service.stopper();
    let announcement = announcement(&plan, service.addresses(), globals);
    threads::run(|executor| async move {
        let mut signals = Signals::new([Signal::Term, Signal::Int])
            .map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
        let watch = executor.spawn(async move {
            let mut stopping = false;
            while let Some(Ok(signal)) = signals.next().await {
                let name = if signal == Signal::Int {
                    "SIGINT"
                } else {
                    "SIGTERM"
                };
                if stopping {
                    log::info!("{name}: stopping at once");
                } else {
                    log::info!("{name}: stopping; runs may end by themselves for {} ms, a second signal skips that", drain.as_millis());
                }
                stopping = true;
                stopper.stop();
            }
        });
        // A gateway serves whether or not somebody reads this.
        let _ = output::text(&announcement);
        service.run(Arc::clone(&executor)).await;
        drop(watch);
        // The last line is not to be one of those that find no room.
        log::logger().flush();
        log::info!("stopped");
        Ok(Exit::Ok)
    })
}

/// What an operator wants to know at the start: where it listens, where the secret is, what to do next.
fn announcement(plan: &Plan, addresses: &[SocketAddr], globals: &Globals) -> String {
    let mut listening = addresses.iter();
    let mut text = match listening.next() {
        Some(first) => format!("listening on {}://{first}", plan.scheme()),
        None => "listening on nothing".to_owned(),
    };
    let others: Vec<String> = listening
        .map(|address| match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        })
        .collect();
    if !others.is_empty() {
        text += &format!(" (and {})", others.join(", "));
    }
    text.push('\n');
    if let Some(tls) = &plan.tls {
        let (path, fingerprint) = (tls.path.display(), tls.credential.fingerprint());
        text += &if tls.is_new {
            format!("made a TLS certificate for you: {path}\n")
        } else {
            format!("TLS certificate from {path}\n")
        };
        text += &format!("TLS fingerprint (SHA-256) {fingerprint}\n");
    }

    let mut hint = format!("{} agent --message hello", globals.invocation());
    if let (PortSource::Flag, Some(address)) = (plan.port.source, addresses.first()) {
        hint = format!("OPENCLAW_GATEWAY_PORT={} {hint}", address.port());
    }
    match &plan.auth {
        Auth::Secret(secret) => {
            let kind = secret.kind.word();
            text += &match &secret.source {
                SecretSource::Generated(path) => {
                    format!("made a {kind} for you: {}\n", path.display())
                }
                SecretSource::Flag(_)
                | SecretSource::Environment(_)
                | SecretSource::Config(_)
                | SecretSource::File(_) => format!("{kind} from {}\n", secret.source),
            };
            if let SecretSource::Flag(flag) = secret.source {
                hint += &format!(" {flag} …");
            }
        }
        Auth::Proxy(password) => {
            text += "a trusted proxy says who comes in\n";
            if let Some(password) = password {
                text += &format!(
                    "password for programs on this host from {}\n",
                    password.source
                );
            }
        }
        Auth::None | Auth::Generate => text += "no token or password is asked for\n",
    }
    text + &format!("try it: {hint}\n")
}

fn start_failure(error: &StartError) -> Failure {
    let failure = match error.exit_code() {
        2 => Failure::usage(error.to_string()),
        78 => Failure::configuration(error.to_string()),
        _ => Failure::other(error.to_string()),
    };
    failure.hints(error.hints())
}

fn serve_failure(error: &ServeError) -> Failure {
    let in_use = match error {
        ServeError::Listen(error) if error.is_in_use() => Some(error.address),
        ServeError::Store(_) | ServeError::Identity(_) => {
            return Failure::configuration(error.to_string()).context("Gateway failed to start");
        }
        ServeError::Listen(_) | ServeError::Random(_) => None,
    };
    let failure = match in_use {
        Some(address) => Failure::other(format!(
            "{error} | listen EADDRINUSE: address already in use {address}"
        ))
        .hint(format!(
            "Stop whoever listens on port {}, or pass another --port.",
            address.port()
        )),
        None => Failure::other(error.to_string()),
    };
    failure.context("Gateway failed to start")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use openclaw_gateway_service::paths::{Paths, Profile};
    use openclaw_gateway_service::secret::Secret;
    use openclaw_gateway_service::secret::file::TokenFile;

    use super::*;

    fn announced(flags: Flags, kept: bool) -> String {
        let globals = Globals {
            dev: flags.dev,
            profile: None,
        };
        let env = Environment::new("/home/ada");
        let paths = Paths::new(&Profile::default(), &env).unwrap();
        let file = kept.then(|| TokenFile {
            path: PathBuf::from("/home/ada/.openclaw/gateway-token"),
            secret: Secret::new("hunter2").unwrap(),
            exposed: false,
        });
        let plan = startup::plan(&flags, &env, None, &paths, || Ok(file)).unwrap();
        let addresses: Vec<SocketAddr> = plan.listen.iter().map(|listen| listen.address).collect();
        announcement(&plan, &addresses, &globals)
    }

    #[test]
    fn the_start_says_where_and_how_and_no_secret() {
        let dev = Flags {
            dev: true,
            ..Flags::default()
        };
        assert_eq!(
            announced(dev.clone(), true),
            "listening on ws://127.0.0.1:19001 (and [::1])\n\
             token from /home/ada/.openclaw/gateway-token\n\
             try it: openclaw --dev agent --message hello\n"
        );
        let flags = Flags {
            port: Some("5".to_owned()),
            bind: Some("lan".to_owned()),
            secrets: SecretFlags::new(None, Some("hunter2")).unwrap(),
            ..Flags::default()
        };
        assert_eq!(
            announced(flags, false),
            "listening on ws://0.0.0.0:5 (and [::])\n\
             password from --password\n\
             try it: OPENCLAW_GATEWAY_PORT=5 openclaw agent --message hello --password …\n"
        );
        let open = Flags {
            auth: Some("none".to_owned()),
            ..dev
        };
        assert!(announced(open, false).contains("no token or password is asked for\n"));
    }

    #[test]
    fn a_start_that_fails_has_the_exit_code_of_its_cause() {
        assert_eq!(start_failure(&StartError::InvalidBind).exit, Exit::Usage);
        let missing = StartError::MissingConfig {
            path: Path::new("/c").to_owned(),
        };
        let failure = start_failure(&missing);
        assert_eq!(failure.exit, Exit::Configuration);
        assert_eq!(failure.report(), missing.report());
    }
}
