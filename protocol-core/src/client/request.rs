//! What a client sends, and how that may fail.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::json::Json;

/// Names one request of one client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Box<str>,
    /// Its parameters.
    pub params: Option<Json>,
    /// Which answer completes it.
    pub expect: Expect,
    /// How long the first answer may take; `None` for the connection's default.
    pub within: Option<Duration>,
}

/// Which answer completes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The first.
    Reply,
    /// The first that is not `status:"accepted"`.
    Final,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It was never sent: a retry is safe.
    NotSent,
    /// It was sent, and the connection ended before its answer: what became of it is unknown.
    Unknown,
    /// It was sent and not answered in time: what became of it is unknown.
    TimedOut,
}
