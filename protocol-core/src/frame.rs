//! The three frames of the protocol: `req`, `res` and `event`, one JSON object a message.
//!
//! What a gateway hears is read strictly ([`inbound`]), what a client hears leniently
//! ([`from_gateway`]). [`outgoing`] writes frames at the moment at which they are sent.

pub mod from_gateway;
pub mod inbound;
pub mod outgoing;

pub(crate) mod envelope;

use alloc::string::String;

use crate::json::cut_owned;

/// The most bytes of a request id, a method name or an idempotency key.
pub const MAX_IDENTIFIER: usize = 1024;
/// The most characters of `traceparent`.
pub const MAX_TRACEPARENT: usize = 128;
/// The most bytes of a close reason that fit into one close frame with room to spare.
pub const MAX_CLOSE_REASON: usize = 120;
/// The id under which a frame without a usable id of its own is answered.
pub const INVALID_ID: &str = "invalid";

/// How a connection ends: a WebSocket close code and a reason of at most 120 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code (RFC 6455, section 7.4).
    pub code: u16,
    reason: String,
}

impl Close {
    /// A close; a longer reason is cut at a character.
    #[must_use]
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: cut_owned(reason.into(), MAX_CLOSE_REASON),
        }
    }

    /// Why, for people and for logs.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Close codes that the protocol uses.
pub mod close_code {
    /// An ordinary end.
    pub const NORMAL: u16 = 1000;
    /// The peers speak no common protocol version.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A text message was not UTF-8.
    pub const INVALID_UTF8: u16 = 1007;
    /// The peer broke a rule.
    pub const POLICY: u16 = 1008;
    /// A message was larger than is accepted.
    pub const TOO_LARGE: u16 = 1009;
    /// The server stops or restarts.
    pub const RESTART: u16 = 1012;
    /// The server cannot take the connection now.
    pub const TRY_LATER: u16 = 1013;
    /// A client heard nothing from the gateway for two ticks, or gave its handshake up.
    pub const SILENT_GATEWAY: u16 = 4000;
    /// The gateway removed the client's device, or its policy changed; the reason says which.
    pub const REVOKED: u16 = 4001;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reason_never_exceeds_its_limit() {
        let close = Close::new(close_code::POLICY, "é".repeat(100));
        assert_eq!(close.reason(), "é".repeat(60));
    }
}
