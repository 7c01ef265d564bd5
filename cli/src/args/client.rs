//! The commands that talk to a gateway.

use argh::{ArgsInfo, FromArgs};

/// How to reach a gateway and how to answer; the same for every command that is a client.
pub(crate) struct ClientFlags {
    /// `--url`.
    pub(crate) url: Option<String>,
    /// `--token`.
    pub(crate) token: Option<String>,
    /// `--password`.
    pub(crate) password: Option<String>,
    /// `--tls-fingerprint`.
    pub(crate) tls_fingerprint: Option<String>,
    /// `--json`.
    pub(crate) json: bool,
}

/// Defines a command with the flags that every client has.
///
/// argh looks at the tokens of a type, which are out of its sight in a `ty`.
macro_rules! client_command {
    ($(#[$about:meta])* $name:ident {
        $($(#[$attr:meta])* $field:ident: $kind:ident $(<$inner:ident>)?,)*
    }) => {
        #[derive(FromArgs, ArgsInfo)]
        $(#[$about])*
        pub(crate) struct $name {
            $($(#[$attr])* pub(crate) $field: $kind $(<$inner>)?,)*
            /// the gateway's address, ws://host:port or wss://host:port; goes with --token or --password
            #[argh(option, arg_name = "url")]
            url: Option<String>,
            /// the gateway's token; seen in the process list, so prefer OPENCLAW_GATEWAY_TOKEN
            #[argh(option, arg_name = "token")]
            token: Option<String>,
            /// the gateway's password; seen in the process list, so prefer OPENCLAW_GATEWAY_PASSWORD
            #[argh(option, arg_name = "password")]
            password: Option<String>,
            /// the SHA-256 fingerprint of the certificate that the gateway has to show; needs wss://
            #[argh(option, arg_name = "sha256")]
            tls_fingerprint: Option<String>,
            /// print one JSON document and nothing else
            #[argh(switch)]
            json: bool,
        }

        impl $name {
            /// Takes the flags that every client has.
            pub(crate) fn client(&mut self) -> ClientFlags {
                ClientFlags {
                    url: self.url.take(),
                    token: self.token.take(),
                    password: self.password.take(),
                    tls_fingerprint: self.tls_fingerprint.take(),
                    json: self.json,
                }
            }
        }
    };
}

pub(crate) use client_command;

client_command! {
    /// Call one method of a gateway.
    #[argh(
        subcommand,
        name = "call",
        help_triggers("-h", "--help", "help"),
        example = "openclaw gateway call agent.wait --params '{{\"runId\":\"…\",\"timeoutMs\":5000}}'"
    )]
    Call {
        /// the method, such as health
        #[argh(positional)]
        method: String,
        /// the parameters, a JSON text
        #[argh(option, arg_name = "json")]
        params: Option<String>,
        /// wait past an acknowledgement for the final answer
        #[argh(switch)]
        expect_final: bool,
        /// how long to wait for the answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Tell whether a gateway is well.
    #[argh(subcommand, name = "health", help_triggers("-h", "--help", "help"))]
    GatewayHealth {
        /// how long to wait for the answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Tell whether a gateway can be reached, and what it lets us do.
    #[argh(subcommand, name = "probe", help_triggers("-h", "--help", "help"))]
    Probe {
        /// how long to wait for the answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Tell how the gateway, its agents and channels are.
    #[argh(subcommand, name = "health", help_triggers("-h", "--help", "help"))]
    Health {
        /// how long to wait for the answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Tell what the gateway is doing and who is connected.
    #[argh(subcommand, name = "status", help_triggers("-h", "--help", "help"))]
    Status {
        /// how long to wait for each answer, in milliseconds; 10000 by default
        #[argh(option, arg_name = "ms")]
        timeout: Option<String>,
    }
}

client_command! {
    /// Say something to an agent, and print what it answers.
    #[argh(
        subcommand,
        name = "agent",
        help_triggers("-h", "--help", "help"),
        note = "The run goes on when this command is interrupted."
    )]
    Agent {
        /// what to say
        #[argh(option, short = 'm', arg_name = "text")]
        message: String,
        /// the session; main by default
        #[argh(option, arg_name = "key")]
        session_key: Option<String>,
        /// the agent; the gateway's default by default
        #[argh(option, arg_name = "id")]
        agent: Option<String>,
        /// names the run: the same key never runs twice; a new one by default
        #[argh(option, arg_name = "key")]
        idempotency_key: Option<String>,
        /// how long the run may take, in seconds; the gateway's limit by default
        #[argh(option, arg_name = "seconds")]
        timeout: Option<String>,
    }
}
