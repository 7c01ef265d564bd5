//! The commands of a node.

use argh::{ArgsInfo, FromArgs};

/// Be a node: offer what this host can do to a gateway.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "node",
    help_triggers("-h", "--help", "help"),
    example = "openclaw node run\nopenclaw node run --url ws://gateway.local:18789 --token …"
)]
pub(crate) struct Node {
    #[argh(subcommand)]
    pub(crate) command: NodeCommand,
}

/// A command of `node`.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum NodeCommand {
    /// `node run`.
    Run(Run),
}

/// Connect as a node, and do what is invoked, until stopped.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "run",
    help_triggers("-h", "--help", "help"),
    example = "openclaw node run --display-name desk --allow-run /usr/bin/uptime",
    note = "It connects again by itself. SIGTERM or SIGINT stops it, and what it runs with it.",
    note = "Commands: system.which, system.info, system.notify, and with --allow-run or nodeHost.allowRun system.run."
)]
pub(crate) struct Run {
    /// the gateway's address, ws://host:port; goes with --token or --password the first time
    #[argh(option, arg_name = "url")]
    pub(crate) url: Option<String>,
    /// the gateway's host, instead of --url; with --port alone it is this host
    #[argh(option, arg_name = "host")]
    pub(crate) host: Option<String>,
    /// the gateway's port, instead of --url; 18789 by default (19001 with --dev)
    #[argh(option, arg_name = "port")]
    pub(crate) port: Option<String>,
    /// speak TLS with --host, as wss:// in --url does
    #[argh(switch)]
    pub(crate) tls: bool,
    /// the only certificate to trust, by its SHA-256 fingerprint; with wss:// or --tls
    #[argh(option, arg_name = "fingerprint")]
    pub(crate) tls_fingerprint: Option<String>,
    /// the gateway's token; seen in the process list, so prefer OPENCLAW_GATEWAY_TOKEN
    #[argh(option, arg_name = "token")]
    pub(crate) token: Option<String>,
    /// the gateway's password; seen in the process list, so prefer OPENCLAW_GATEWAY_PASSWORD
    #[argh(option, arg_name = "password")]
    pub(crate) password: Option<String>,
    /// what operators know the node by; the host's name by default
    #[argh(option, arg_name = "name")]
    pub(crate) display_name: Option<String>,
    /// names this installation; what identifies the node is its device
    #[argh(option, arg_name = "id")]
    pub(crate) node_id: Option<String>,
    /// offer these commands only, with commas between them; may be repeated
    #[argh(option, arg_name = "ids")]
    pub(crate) commands: Vec<String>,
    /// a program that system.run may start, by its absolute path; may be repeated; none by default
    #[argh(option, arg_name = "path")]
    pub(crate) allow_run: Vec<String>,
    /// log more
    #[argh(switch)]
    pub(crate) verbose: bool,
}
