//! Agents: what answers a message.

pub mod echo;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use openclaw_protocol_core::json::Json;

/// One message for an agent.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What was said.
    pub message: String,
    /// The session that it belongs to.
    pub session_key: String,
    /// The agent that it is for.
    pub agent_id: String,
}

/// What an agent does with a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolStep {
    /// It calls one.
    Start {
        /// The call; no other call of the same turn may have the same name.
        id: String,
        /// The tool.
        name: String,
        /// What it is called with.
        args: Json,
    },
    /// A call has ended.
    Result {
        /// The call.
        id: String,
        /// Whether it failed.
        is_error: bool,
        /// What came of it.
        result: Json,
    },
}

/// Tells the gateway something; done when the gateway has it.
pub type Told<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where an agent's answer goes while it is being made.
pub trait Output: Send + Sync {
    /// Adds a piece of text to the answer; waits while the gateway has enough to do.
    fn text<'a>(&'a self, delta: String) -> Told<'a>;

    /// Reports what the agent does with a tool; waits while the gateway has enough to do.
    ///
    /// Calls that are still open when the turn ends are told to have failed.
    fn tool<'a>(&'a self, step: ToolStep) -> Told<'a>;
}

/// Why an agent has no answer; the text is shown to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFault(pub String);

impl fmt::Display for AgentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AgentFault {}

/// The work on one turn.
pub type Work<'a> = Pin<Box<dyn Future<Output = Result<(), AgentFault>> + Send + 'a>>;

/// Something that answers messages.
///
/// A turn ends when its work is done. It is cancelled by dropping the work, and may panic: both
/// end only that turn.
pub trait Backend: Send + Sync {
    /// The name of who provides the model.
    fn provider(&self) -> &str;

    /// The name of the model.
    fn model(&self) -> &str;

    /// Answers one message, piece by piece.
    fn answer<'a>(&'a self, turn: Turn, output: &'a dyn Output) -> Work<'a>;
}
