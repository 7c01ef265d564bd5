//! The commands over devices.

use argh::{ArgsInfo, FromArgs};

use super::client::{ClientFlags, client_command};

/// See which devices are paired and which wait, and decide over them.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "devices",
    help_triggers("-h", "--help", "help"),
    example = "openclaw devices list\nopenclaw devices approve 3f0c…",
    note = "On the gateway's own host its token or password is enough for all of them."
)]
pub(crate) struct Devices {
    #[argh(subcommand)]
    pub(crate) command: DevicesCommand,
}

/// A command of `devices`.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum DevicesCommand {
    /// `devices list`.
    List(List),
    /// `devices approve`.
    Approve(Approve),
    /// `devices reject`.
    Reject(Reject),
    /// `devices remove`.
    Remove(Remove),
    /// `devices rename`.
    Rename(Rename),
    /// `devices rotate`.
    Rotate(Rotate),
    /// `devices revoke`.
    Revoke(Revoke),
    /// `devices clear`.
    Clear(Clear),
}

client_command! {
    /// List who waits to be approved, and who is paired.
    #[argh(subcommand, name = "list", help_triggers("-h", "--help", "help"))]
    List {
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Approve a request; without its id: show the newest and the command that approves it.
    #[argh(subcommand, name = "approve", help_triggers("-h", "--help", "help"))]
    Approve {
        /// the request, as devices list shows it
        #[argh(positional, arg_name = "requestId")]
        request_id: Option<String>,
        /// show the newest request and the command that approves it; approves nothing
        #[argh(switch)]
        latest: bool,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Reject a request.
    #[argh(subcommand, name = "reject", help_triggers("-h", "--help", "help"))]
    Reject {
        /// the request, as devices list shows it
        #[argh(positional, arg_name = "requestId")]
        request_id: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Forget a paired device: its connections end, and it has to be approved again.
    #[argh(subcommand, name = "remove", help_triggers("-h", "--help", "help"))]
    Remove {
        /// the device, as devices list shows it
        #[argh(positional, arg_name = "deviceId")]
        device_id: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Give a paired device a name of your own.
    #[argh(subcommand, name = "rename", help_triggers("-h", "--help", "help"))]
    Rename {
        /// the device, as devices list shows it
        #[argh(option, arg_name = "deviceId")]
        device: String,
        /// the name, of at most 64 characters
        #[argh(option, arg_name = "label")]
        name: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Replace the token of a device: the one before opens nothing any more. Always prints JSON.
    #[argh(
        subcommand,
        name = "rotate",
        help_triggers("-h", "--help", "help"),
        note = "Only a device that rotates its own token is told the new one; any other gets it when it connects again with the gateway's secret."
    )]
    Rotate {
        /// the device, as devices list shows it
        #[argh(option, arg_name = "deviceId")]
        device: String,
        /// the role, such as operator
        #[argh(option, arg_name = "role")]
        role: String,
        /// a scope of the new token, of those that were approved; may be repeated; as before by default
        #[argh(option, arg_name = "scope")]
        scope: Vec<String>,
        /// make a token without scopes
        #[argh(switch)]
        no_scopes: bool,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Take the token of a device back: what it opened ends. Always prints JSON.
    #[argh(subcommand, name = "revoke", help_triggers("-h", "--help", "help"))]
    Revoke {
        /// the device, as devices list shows it
        #[argh(option, arg_name = "deviceId")]
        device: String,
        /// the role, such as operator
        #[argh(option, arg_name = "role")]
        role: String,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Forget every paired device.
    #[argh(subcommand, name = "clear", help_triggers("-h", "--help", "help"))]
    Clear {
        /// really do it
        #[argh(switch)]
        yes: bool,
        /// reject every request that waits, too
        #[argh(switch)]
        pending: bool,
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

/// Make a setup code, and a QR code of it, for a device to scan.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "qr",
    help_triggers("-h", "--help", "help"),
    note = "A setup code lets the first device in that shows it, within ten minutes. Show it to nobody else."
)]
pub(crate) struct Qr {
    /// the address at which the device reaches the gateway; wss:// or https:// outside your own network
    #[argh(option, arg_name = "url")]
    pub(crate) url: Option<String>,
    /// the same; --url counts for more
    #[argh(option, arg_name = "url")]
    pub(crate) public_url: Option<String>,
    /// use gateway.remote.url as the address
    #[argh(switch)]
    pub(crate) remote: bool,
    /// leave administration out of what the device may do
    #[argh(switch)]
    pub(crate) limited: bool,
    /// print the code alone
    #[argh(switch)]
    pub(crate) setup_code_only: bool,
    /// draw no QR code
    #[argh(switch)]
    pub(crate) no_ascii: bool,
    /// the gateway's token; seen in the process list, so prefer OPENCLAW_GATEWAY_TOKEN
    #[argh(option, arg_name = "token")]
    token: Option<String>,
    /// the gateway's password; seen in the process list, so prefer OPENCLAW_GATEWAY_PASSWORD
    #[argh(option, arg_name = "password")]
    password: Option<String>,
    /// the SHA-256 fingerprint of the certificate that the gateway has to show; needs wss://
    #[argh(option, arg_name = "sha256")]
    tls_fingerprint: Option<String>,
    /// how long to wait for each answer, in milliseconds; 10000 by default
    #[argh(option, arg_name = "ms")]
    pub(crate) timeout: Option<String>,
    /// print one JSON document and nothing else
    #[argh(switch)]
    json: bool,
}

impl Qr {
    /// Takes the flags that every client has; `--url` is not one of them here.
    pub(crate) fn client(&mut self) -> ClientFlags {
        ClientFlags {
            url: None,
            token: self.token.take(),
            password: self.password.take(),
            tls_fingerprint: self.tls_fingerprint.take(),
            json: self.json,
        }
    }
}
