//! `openclaw node`.

use std::net::{IpAddr, Ipv6Addr};

use openclaw_gateway_service::config::Config;
use openclaw_gateway_service::environment::{Environment, GATEWAY_PORT};
use openclaw_gateway_service::paths::{Paths, Profile};

use crate::args::node::{Node, NodeCommand, Run};
use crate::args::{ClientFlags, Globals};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::node::Command;
use crate::node::allowed::Allowed;
use crate::node::host::{self, Offer};
use crate::output;
use crate::target::{Role, Target};

/// Where gateways listen on other hosts.
const PORT: &str = "18789";

/// Does what is asked of a node.
pub(super) fn run(globals: &Globals, node: Node) -> Result<Exit, Failure> {
    match node.command {
        NodeCommand::Run(run) => serve(globals, run),
    }
}

fn serve(globals: &Globals, run: Run) -> Result<Exit, Failure> {
    let mut env = Environment::of_this_process();
    port(run.port.as_deref())?;
    let allowed = Allowed::of(run.allow_run.clone(), Failure::usage)?;
    let allowed = allowed.and(Allowed::of(configured(globals, &env)?, |message| {
        Failure::configuration(message)
    })?);
    let commands = offered(&run.commands, &allowed)?;
    let url = address(&run)?;
    if let (None, Some(port)) = (&url, &run.port) {
        env = env.with(GATEWAY_PORT, port);
    }
    let flags = ClientFlags {
        url,
        token: run.token,
        password: run.password,
        tls_fingerprint: run.tls_fingerprint,
        json: false,
    };
    let target = Target::choose(globals, &flags, &env, Role::Node)?;
    crate::logger::start(run.verbose)
        .map_err(|error| Failure::other(format!("cannot start a thread: {error}")))?;
    for program in allowed.open_ended() {
        log::warn!(
            "{} can start any other program: whoever may invoke system.run may do anything here",
            program.display()
        );
    }
    let offer = Offer {
        commands,
        allowed,
        display_name: run.display_name,
        instance_id: run.node_id,
    };
    smol::block_on(host::serve(target, offer))
}

/// What the configuration lets `system.run` start.
fn configured(globals: &Globals, env: &Environment) -> Result<Vec<String>, Failure> {
    let configuration = |fault: &dyn std::error::Error| Failure::configuration(fault.to_string());
    let profile = Profile::choose(globals.dev, globals.profile.as_deref())
        .map_err(|fault| Failure::usage(fault.to_string()))?;
    let paths = Paths::new(&profile, env).map_err(|fault| configuration(&fault))?;
    let config = Config::read(&paths.config_path).map_err(|fault| configuration(&fault))?;
    Ok(config.map_or_else(Vec::new, |config| config.node_host.allow_run))
}

/// Which gateway is meant by `--url`, or by `--host`; none for the one of this host or of the configuration.
fn address(run: &Run) -> Result<Option<String>, Failure> {
    let Some(host) = run.host.as_deref().map(str::trim) else {
        if run.tls {
            return Err(Failure::usage(
                "--tls goes with --host; write wss:// in --url instead.",
            ));
        }
        return Ok(run.url.clone());
    };
    if run.url.is_some() {
        return Err(Failure::usage(
            "--url and --host exclude each other; pass one of them.",
        ));
    }
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err(Failure::usage("Invalid --host. Use a name or an address."));
    }
    if is_this_host(host) && !run.tls {
        return Ok(None);
    }
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    };
    let scheme = if run.tls { "wss" } else { "ws" };
    let port = run.port.as_deref().unwrap_or(PORT);
    Ok(Some(format!("{scheme}://{host}:{port}")))
}

fn is_this_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn port(typed: Option<&str>) -> Result<(), Failure> {
    let fits = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if typed.is_none_or(fits) {
        Ok(())
    } else {
        Err(Failure::usage(
            "Invalid --port. Use a number from 1 to 65535.",
        ))
    }
}

/// Which commands are offered; one that nothing is allowed for is none.
fn offered(typed: &[String], allowed: &Allowed) -> Result<Vec<Command>, Failure> {
    let names = typed.iter().flat_map(|names| names.split(','));
    let names: Vec<&str> = names
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let known = |command: &Command| *command != Command::Run || !allowed.is_empty();
    if typed.is_empty() {
        return Ok(Command::ALL.into_iter().filter(known).collect());
    }
    let mut commands = Vec::new();
    for name in names {
        let Some(command) = Command::named(name) else {
            let all = Command::ALL.map(Command::name).join(", ");
            return Err(Failure::usage(format!(
                "Invalid --commands. There is no {}; there are {all}.",
                output::short(name, 80)
            )));
        };
        if !known(&command) {
            return Err(Failure::usage(
                "system.run needs --allow-run with the absolute path of each program that it may start.",
            ));
        }
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    commands.sort_unstable_by_key(|command| command.name());
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Allowed {
        let own = std::env::current_exe().unwrap();
        Allowed::of(vec![own.to_str().unwrap().to_owned()], Failure::usage).unwrap()
    }

    fn names(typed: &[&str], allowed: &Allowed) -> Result<String, Failure> {
        let typed: Vec<String> = typed.iter().map(|&name| name.to_owned()).collect();
        let commands = offered(&typed, allowed)?;
        let names: Vec<&str> = commands.iter().map(|command| command.name()).collect();
        Ok(names.join(" "))
    }

    #[test]
    fn programs_run_only_where_one_is_allowed() {
        let harmless = "system.info system.notify system.which";
        assert_eq!(names(&[], &Allowed::default()).unwrap(), harmless);
        let all = "system.info system.notify system.run system.which";
        assert_eq!(names(&[], &allowed()).unwrap(), all);
        let some = names(&["system.which, system.info", "system.info"], &allowed());
        assert_eq!(some.unwrap(), "system.info system.which");
        for typed in ["system.run", "system.ls"] {
            let failure = names(&[typed], &Allowed::default()).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
        }
    }

    fn typed(url: Option<&str>, host: Option<&str>, port: Option<&str>) -> Run {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Run {
            url: text(url),
            host: text(host),
            port: text(port),
            tls: false,
            tls_fingerprint: None,
            token: None,
            password: None,
            display_name: None,
            node_id: None,
            commands: Vec::new(),
            allow_run: Vec::new(),
            verbose: false,
        }
    }

    #[test]
    fn with_tls_a_host_is_an_address_of_its_own() {
        let with_tls = |host| Run {
            tls: true,
            ..typed(None, host, Some("7"))
        };
        for (host, expected) in [
            ("gateway.local", "wss://gateway.local:7"),
            ("127.0.0.1", "wss://127.0.0.1:7"),
        ] {
            let address = address(&with_tls(Some(host))).unwrap();
            assert_eq!(address.as_deref(), Some(expected));
        }
        assert_eq!(address(&with_tls(None)).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_host_is_an_address_unless_it_is_this_one() {
        for (host, expected) in [
            ("gateway.local", Some("ws://gateway.local:7")),
            ("fd00::1", Some("ws://[fd00::1]:7")),
            ("127.0.0.1", None),
            ("LOCALHOST", None),
            ("::1", None),
        ] {
            let address = address(&typed(None, Some(host), Some("7"))).unwrap();
            assert_eq!(address.as_deref(), expected, "{host}");
        }
        let far = address(&typed(None, Some("h"), None)).unwrap();
        assert_eq!(far.as_deref(), Some("ws://h:18789"));
        assert!(address(&typed(Some("ws://h"), Some("h"), None)).is_err());
        assert!(address(&typed(None, Some("me@h"), None)).is_err());
        assert!(port(Some("0")).is_err() && port(Some("65536")).is_err() && port(None).is_ok());
    }
}
