//! Judges a client: we play the gateway, and the client is a command that is started for each
//! conversation.

pub mod groups;
pub mod hello;
pub mod judge;
pub mod program;
pub mod scenarios;
pub mod session;
pub mod stage;
pub mod watch;

use std::path::PathBuf;
use std::time::Duration;

/// How a client is judged.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command line that starts it, for `sh -c`.
    pub command: String,
    /// The protocol version that we speak.
    pub protocol: u32,
    /// How long is waited for anything that must come.
    pub timeout: Duration,
    /// How long is watched for what must not come.
    pub window: Duration,
    /// Whether checks that take a minute are made as well.
    pub slow: bool,
    /// The beginnings of ids that are judged; all where there are none.
    pub only: Vec<String>,
    /// Where the conversations are written to.
    pub transcripts: Option<PathBuf>,
    /// How many conversations are held at once.
    pub at_once: usize,
}

impl Options {
    /// The defaults for a command.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            protocol: 4,
            timeout: Duration::from_secs(10),
            window: Duration::from_millis(2_500),
            slow: false,
            only: Vec::new(),
            transcripts: None,
            at_once: 8,
        }
    }
}

/// What a client is started to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Ask for health and print the answer.
    Health,
    /// Ask for health and for the status at the same time, and print both answers in this order.
    Pair,
    /// Run the agent, wait for the end and print it.
    Run,
    /// Connect, and stay connected until it is killed.
    Stay,
}

impl Job {
    /// Its name in `OPENCLAW_CONFORMANCE_JOB`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Pair => "pair",
            Self::Run => "run",
            Self::Stay => "stay",
        }
    }
}
