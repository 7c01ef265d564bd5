//! The command line.

use std::ffi::OsString;

use argh::{ArgsInfo, EarlyExit, FromArgs};

use crate::exit;
use crate::failure::Failure;

mod client;
mod devices;
pub(crate) mod node;
pub(crate) mod nodes;
mod normalise;

pub(crate) use client::{Agent, Call, ClientFlags, GatewayHealth, Health, Probe, Status};
pub(crate) use devices::{
    Approve, Clear, Devices, DevicesCommand, List, Qr, Reject, Remove, Rename, Revoke, Rotate,
};

const NAME: &str = "openclaw";

/// What was typed after `openclaw`.
pub(crate) struct Typed {
    /// Whether the answer is to be one JSON document, however the rest reads.
    pub(crate) json: bool,
    args: Result<Vec<String>, Failure>,
}

impl Typed {
    /// Takes the arguments without the program's name.
    pub(crate) fn new(args: impl Iterator<Item = OsString>) -> Self {
        let args: Vec<OsString> = args.collect();
        let lossy = args.iter().map(|arg| arg.to_string_lossy().into_owned());
        let json = normalise::wants_json(lossy);
        let texts = args.into_iter().enumerate().map(|(index, arg)| {
            arg.into_string()
                .map_err(|_| Failure::usage(format!("argument {} is not UTF-8 text", index + 1)))
        });
        let args = texts
            .collect::<Result<Vec<_>, _>>()
            .and_then(|args| normalise::normalise(args).map_err(unreadable));
        Self { json, args }
    }

    /// Reads them.
    pub(crate) fn read(self) -> Result<Request, Failure> {
        let args = self.args?;
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match Cli::from_args(&[NAME], &args) {
            Ok(cli) => Ok(cli.into()),
            Err(EarlyExit {
                output,
                status: Ok(()),
            }) => Ok(Request::Print(with_exit_codes(&output))),
            Err(EarlyExit {
                output,
                status: Err(()),
            }) => {
                let command = normalise::command(&args);
                Err(Failure::usage(output.trim_end())
                    .hint(format!("{NAME}{command} --help shows what it takes.")))
            }
        }
    }
}

fn unreadable(message: impl Into<String>) -> Failure {
    Failure::usage(message).hint("openclaw --help, or a command with --help, shows what there is.")
}

/// What the user wants.
pub(crate) enum Request {
    /// A text, such as help.
    Print(String),
    /// Something to be done.
    Do(Globals, Box<Command>),
}

/// What counts for every command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globals {
    /// `--dev`.
    pub(crate) dev: bool,
    /// `--profile NAME`.
    pub(crate) profile: Option<String>,
}

impl Globals {
    /// Returns how to call the same program for the same profile.
    pub(crate) fn invocation(&self) -> String {
        match (&self.profile, self.dev) {
            (_, true) => format!("{NAME} --dev"),
            (Some(profile), false) => format!("{NAME} --profile {profile}"),
            (None, false) => NAME.to_owned(),
        }
    }
}

/// A gateway for your own agents, and a client of it.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    name = "openclaw",
    help_triggers("-h", "--help", "help"),
    example = "openclaw --dev gateway\nopenclaw --dev agent --message \"hello there\"",
    note = "--flag=value works as well as --flag value.",
    note = "Variables: OPENCLAW_STATE_DIR, OPENCLAW_CONFIG_PATH, OPENCLAW_GATEWAY_PORT, OPENCLAW_GATEWAY_TOKEN, OPENCLAW_GATEWAY_PASSWORD."
)]
struct Cli {
    /// use the profile dev: state in ~/.openclaw-dev, port 19001, and a token made where none is set
    #[argh(switch)]
    dev: bool,
    /// use a profile of its own: state in ~/.openclaw-NAME
    #[argh(option, arg_name = "name")]
    profile: Option<String>,
    /// print the version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

impl From<Cli> for Request {
    fn from(cli: Cli) -> Self {
        if cli.version {
            let version = openclaw_gateway_service::service::VERSION;
            return Self::Print(format!("OpenClaw {version}\n"));
        }
        match cli.command {
            Some(command) => Self::Do(
                Globals {
                    dev: cli.dev,
                    profile: cli.profile,
                },
                Box::new(command),
            ),
            None => Self::Print(help()),
        }
    }
}

fn help() -> String {
    match Cli::from_args(&[NAME], &["--help"]) {
        Ok(_) => String::new(),
        Err(early) => with_exit_codes(&early.output),
    }
}

fn with_exit_codes(help: &str) -> String {
    format!("{}\n\n{}", help.trim_end(), exit::HELP)
}

/// A command.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum Command {
    /// `gateway`.
    Gateway(Gateway),
    /// `health`.
    Health(Health),
    /// `status`.
    Status(Status),
    /// `agent`.
    Agent(Agent),
    /// `devices`.
    Devices(Devices),
    /// `qr`.
    Qr(Qr),
    /// `node`.
    Node(node::Node),
    /// `nodes`.
    Nodes(nodes::Nodes),
}

/// Run a gateway, or ask one; without a command: run.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "gateway",
    help_triggers("-h", "--help", "help"),
    note = "openclaw gateway run --help shows the flags of openclaw gateway."
)]
pub(crate) struct Gateway {
    #[argh(subcommand)]
    pub(crate) command: GatewayCommand,
}

/// A command of `gateway`.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum GatewayCommand {
    /// `gateway run`.
    Run(Run),
    /// `gateway call`.
    Call(Call),
    /// `gateway health`.
    Health(GatewayHealth),
    /// `gateway probe`.
    Probe(Probe),
}

/// Run a gateway until it is stopped.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "run",
    help_triggers("-h", "--help", "help"),
    note = "SIGTERM or SIGINT stops it: runs may end by themselves for 10 s or gateway.limits.drainTimeoutMs, a second signal skips that.",
    note = "Flags win over variables, variables over openclaw.json."
)]
pub(crate) struct Run {
    /// the port; by default gateway.port, then 18789 (19001 with --dev)
    #[argh(option, arg_name = "port")]
    pub(crate) port: Option<String>,
    /// which addresses to listen on: loopback (default), lan or auto
    #[argh(option, arg_name = "where")]
    pub(crate) bind: Option<String>,
    /// the token that clients must present; seen in the process list, so prefer OPENCLAW_GATEWAY_TOKEN
    #[argh(option, arg_name = "token")]
    pub(crate) token: Option<String>,
    /// the password that clients must present; seen in the process list, so prefer OPENCLAW_GATEWAY_PASSWORD
    #[argh(option, arg_name = "password")]
    pub(crate) password: Option<String>,
    /// what clients must present: token, password, or none (loopback only)
    #[argh(option, arg_name = "mode")]
    pub(crate) auth: Option<String>,
    /// log more
    #[argh(switch)]
    pub(crate) verbose: bool,
    /// start without gateway.mode=local in the configuration; makes a token and keeps it where none is set
    #[argh(switch)]
    pub(crate) allow_unconfigured: bool,
    /// end whoever uses the port (not yet)
    #[argh(switch, hidden_help)]
    pub(crate) force: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Request, Failure> {
        Typed::new(args.iter().map(OsString::from)).read()
    }

    fn printed(args: &[&str]) -> String {
        match read(args) {
            Ok(Request::Print(text)) => text,
            Ok(Request::Do(..)) => panic!("{args:?} does something"),
            Err(failure) => panic!("{args:?}: {failure:?}"),
        }
    }

    #[test]
    fn every_command_has_help_with_the_exit_codes() {
        for args in [
            &[][..],
            &["--help"],
            &["-h"],
            &["help"],
            &["--dev"],
            &["gateway", "--help"],
            &["gateway", "run", "--help"],
            &["gateway", "call", "--help"],
            &["gateway", "health", "-h"],
            &["gateway", "probe", "--help"],
            &["health", "--help"],
            &["status", "--help"],
            &["agent", "--help"],
            &["devices"],
            &["devices", "approve", "--help"],
            &["devices", "rotate", "-h"],
            &["qr", "--help"],
            &["node"],
            &["node", "run", "--help"],
            &["nodes"],
            &["nodes", "invoke", "--help"],
        ] {
            let help = printed(args);
            assert!(help.contains("Usage: openclaw"), "{help}");
            assert!(help.contains("69  unreachable"), "{help}");
        }
        assert!(printed(&["gateway", "--help"]).contains("probe"));
        assert!(printed(&["gateway", "call", "-h"]).contains("'{\"runId\""));
    }

    #[test]
    fn gateway_alone_is_gateway_run_with_its_flags() {
        let args = ["gateway", "--port=1", "--dev", "--profile", "x"];
        let Ok(Request::Do(globals, command)) = read(&args) else {
            panic!("not a command");
        };
        let Command::Gateway(gateway) = *command else {
            panic!("not a gateway");
        };
        assert!(globals.dev);
        assert_eq!(globals.profile.as_deref(), Some("x"));
        let GatewayCommand::Run(run) = gateway.command else {
            panic!("not run");
        };
        assert_eq!(run.port.as_deref(), Some("1"));
    }

    #[test]
    fn no_message_shows_a_secret() {
        for args in [
            &["health", "--tokn=hunter2"][..],
            &["health", "--token", "hunter2", "--token=hunter2"],
            &["agent", "--token=hunter2"],
            &["health", "--token=hunter2", "--params", "1"],
            &["devices", "remove", "--token=hunter2"],
            &["qr", "--token=hunter2", "extra"],
            &["node", "run", "--token=hunter2", "extra"],
            &["nodes", "invoke", "--token=hunter2"],
        ] {
            let Err(failure) = read(args) else {
                panic!("{args:?} is fine");
            };
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn arguments_that_are_not_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let args = [
            OsString::from("health"),
            OsString::from_vec(vec![0xff]),
            OsString::from("--json"),
        ];
        let typed = Typed::new(args.into_iter());
        assert!(typed.json);
        let Err(failure) = typed.read() else {
            panic!("text");
        };
        assert!(format!("{failure:?}").contains("argument 2"));
    }
}
