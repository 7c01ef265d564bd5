//! The commands over nodes.

use argh::{ArgsInfo, FromArgs};

use super::client::{ClientFlags, client_command};

/// See which nodes there are, decide what they may offer, and have them do it.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "nodes",
    help_triggers("-h", "--help", "help"),
    example = "openclaw nodes status\nopenclaw nodes invoke --node desk --command system.which --params '{{\"bins\":[\"ls\"]}}'"
)]
pub(crate) struct Nodes {
    #[argh(subcommand)]
    pub(crate) command: NodesCommand,
}

/// A command of `nodes`.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum NodesCommand {
    /// `nodes status`.
    Status(Status),
    /// `nodes list`.
    List(List),
    /// `nodes describe`.
    Describe(Describe),
    /// `nodes pending`.
    Pending(Pending),
    /// `nodes approve`.
    Approve(Approve),
    /// `nodes reject`.
    Reject(Reject),
    /// `nodes remove`.
    Remove(Remove),
    /// `nodes rename`.
    Rename(Rename),
    /// `nodes invoke`.
    Invoke(Invoke),
}

client_command! {
    /// Tell which nodes are known, whether they are connected, and what they offer.
    #[argh(
        subcommand,
        name = "status",
        help_triggers("-h", "--help", "help")
    )]
    Status {
        /// show only nodes that are connected
        #[argh(switch)]
        connected: bool,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// List the requests that wait, and the nodes that are paired.
    #[argh(
        subcommand,
        name = "list",
        help_triggers("-h", "--help", "help")
    )]
    List {
        /// show only nodes that are connected
        #[argh(switch)]
        connected: bool,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Tell everything about one node.
    #[argh(
        subcommand,
        name = "describe",
        help_triggers("-h", "--help", "help")
    )]
    Describe {
        /// the node: its id, its name, its address, or the first six or more characters of its id
        #[argh(option, arg_name = "node")]
        node: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// List what nodes ask to be approved for.
    #[argh(
        subcommand,
        name = "pending",
        help_triggers("-h", "--help", "help")
    )]
    Pending {
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Approve what a node offers.
    #[argh(
        subcommand,
        name = "approve",
        help_triggers("-h", "--help", "help")
    )]
    Approve {
        /// the request, as nodes pending shows it
        #[argh(positional, arg_name = "requestId")]
        request_id: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Reject what a node offers; it asks again when it connects again.
    #[argh(
        subcommand,
        name = "reject",
        help_triggers("-h", "--help", "help")
    )]
    Reject {
        /// the request, as nodes pending shows it
        #[argh(positional, arg_name = "requestId")]
        request_id: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Forget a node: its connections end, and it has to be approved again.
    #[argh(
        subcommand,
        name = "remove",
        help_triggers("-h", "--help", "help")
    )]
    Remove {
        /// the node: its id, its name, its address, or the first six or more characters of its id
        #[argh(option, arg_name = "node")]
        node: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Give a node a name of your own.
    #[argh(
        subcommand,
        name = "rename",
        help_triggers("-h", "--help", "help")
    )]
    Rename {
        /// the node: its id, its name, its address, or the first six or more characters of its id
        #[argh(option, arg_name = "node")]
        node: String,
        /// the name
        #[argh(option, arg_name = "name")]
        name: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Have a node do something, and print what came of it. Always prints JSON.
    #[argh(
        subcommand,
        name = "invoke",
        help_triggers("-h", "--help", "help"),
        example = "openclaw nodes invoke --node desk --command system.notify --params '{{\"title\":\"Tea\"}}'"
    )]
    Invoke {
        /// the node: its id, its name, its address, or the first six or more characters of its id
        #[argh(option, arg_name = "node")]
        node: String,
        /// the command, such as system.which
        #[argh(option, arg_name = "command")]
        command: String,
        /// the parameters, a JSON object; none by default
        #[argh(option, arg_name = "json")]
        params: Option<String>,
        /// how long the node may take, in milliseconds; 15000 by default
        #[argh(option, arg_name = "ms")]
        invoke_timeout: Option<String>,
        /// names the call; a new name by default
        #[argh(option, arg_name = "key")]
        idempotency_key: Option<String>,
        /// how long to wait for each answer, in milliseconds; the node's time and 5000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}
