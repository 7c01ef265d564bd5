//! Agents: what answers a message.

pub mod echo;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

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

/// Where an agent's answer goes while it is being made.
pub trait Output: Send + Sync {
    /// Adds a piece of text to the answer; waits while the gateway has enough to do.
    fn text<'a>(&'a self, delta: String) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
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
