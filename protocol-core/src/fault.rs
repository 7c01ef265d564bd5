//! What a peer can do wrong, and the one consequence that each fault has on the wire.

use alloc::format;
use core::fmt;

use crate::error_shape::ErrorShape;
use crate::frame::{Close, close_code};
use crate::hello::{LATEST, VERSIONS, VersionRange};
use crate::json::Object;
use crate::shape::Finding;

/// A clause of the protocol that a peer of a gateway broke.
///
/// `Display` names the fault and never repeats what the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerFault {
    /// No `connect` was accepted in time.
    HandshakeTimeout,
    /// The first message is not JSON.
    FirstMessageNotJson,
    /// The first message is JSON, but no request.
    FirstMessageNoRequest,
    /// The first request has another method than `connect`.
    FirstRequestNotConnect,
    /// The parameters of `connect` have the wrong shape.
    ConnectParams(Finding),
    /// No protocol version is spoken by both sides.
    Versions(VersionRange),
    /// The role of `connect` is unknown.
    Role,
    /// The role of `connect` is `worker`, which only a worker's own program may take.
    WorkerRole,
    /// More was sent before hello than is kept for later.
    TooMuchBeforeHello,
    /// A message is larger than is accepted.
    TooLarge {
        /// The most that is accepted, in bytes.
        limit: usize,
    },
    /// A text message is not UTF-8.
    NotUtf8,
    /// The peer broke RFC 6455.
    WebSocket,
    /// `connect` was sent again.
    SecondConnect,
    /// JSON that is no request.
    InvalidFrame(Finding),
    /// Not JSON.
    Malformed,
    /// Not JSON, several times in a row.
    MalformedInRow,
    /// More requests are unanswered than a connection may have.
    TooManyCalls,
    /// Requests that are unanswered hold more memory than they may.
    TooMuchHeld,
    /// What the peer sent and we have not dealt with is the most of all, and too much.
    TooMuchInput,
    /// The peer sent nothing for too long, not even a pong.
    Silent,
    /// More waits for the peer than it may have waiting.
    SlowConsumer,
}

/// What follows from a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consequence {
    /// The error that the message is answered with.
    pub answer: Option<ErrorShape>,
    /// How the connection ends.
    pub close: Option<Close>,
}

impl Consequence {
    fn answer(error: ErrorShape) -> Self {
        Self {
            answer: Some(error),
            close: None,
        }
    }

    fn close(code: u16, reason: &str) -> Self {
        Self {
            answer: None,
            close: Some(Close::new(code, reason)),
        }
    }

    /// An answer, and a close with the same words.
    pub(crate) fn refuse(code: u16, error: ErrorShape) -> Self {
        Self {
            close: Some(Close::new(code, error.message.clone())),
            answer: Some(error),
        }
    }
}

impl PeerFault {
    /// The fault's consequence: the protocol's table of penalties.
    #[must_use]
    pub fn consequence(&self) -> Consequence {
        let policy = close_code::POLICY;
        let refuse = |text: &str| Consequence::refuse(policy, ErrorShape::invalid_request(text));
        let close = |text: &str| Consequence::close(policy, text);
        let answer = |text: &str| Consequence::answer(ErrorShape::invalid_request(text));
        match self {
            Self::HandshakeTimeout => close("handshake timeout"),
            Self::FirstMessageNotJson => close("invalid request frame: must be JSON"),
            Self::FirstMessageNoRequest => close("invalid request frame"),
            Self::FirstRequestNotConnect => {
                refuse("invalid handshake: first request must be connect")
            }
            Self::ConnectParams(finding) => refuse(&format!("invalid connect params: {finding}")),
            Self::Versions(offered) => {
                Consequence::refuse(close_code::PROTOCOL_ERROR, version_mismatch(*offered))
            }
            Self::Role => refuse("invalid role"),
            Self::WorkerRole => close("invalid-handshake"),
            Self::TooMuchBeforeHello => close("too much sent before hello-ok"),
            Self::TooLarge { limit } => Consequence::close(
                close_code::TOO_LARGE,
                &format!("message too large: at most {limit} bytes are accepted"),
            ),
            Self::NotUtf8 => Consequence::close(close_code::INVALID_UTF8, "text must be UTF-8"),
            Self::WebSocket => {
                Consequence::close(close_code::PROTOCOL_ERROR, "WebSocket protocol error")
            }
            Self::SecondConnect => answer("connect is only valid as the first request"),
            Self::InvalidFrame(finding) => answer(&format!("invalid request frame: {finding}")),
            Self::Malformed => answer("invalid request frame: must be JSON"),
            Self::MalformedInRow => Consequence {
                close: Some(Close::new(policy, "too many malformed messages in a row")),
                ..answer("invalid request frame: must be JSON")
            },
            Self::TooManyCalls => Consequence::answer(
                ErrorShape::unavailable("too many requests are unanswered on this connection")
                    .retryable_after(None),
            ),
            Self::TooMuchHeld => Consequence::answer(
                ErrorShape::unavailable("requests that are unanswered hold too much memory")
                    .retryable_after(None),
            ),
            Self::TooMuchInput => close("too much sent that is not dealt with yet"),
            Self::Silent => close("nothing received for too long"),
            Self::SlowConsumer => close("slow consumer"),
        }
    }

    /// The id of the clause that was broken.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::HandshakeTimeout => "HSK-001",
            Self::FirstMessageNotJson => "HSK-002",
            Self::FirstMessageNoRequest => "HSK-003",
            Self::FirstRequestNotConnect => "HSK-004",
            Self::ConnectParams(_) => "HSK-005",
            Self::Versions(_) => "HSK-006",
            Self::Role => "HSK-007",
            Self::WorkerRole => "HSK-008",
            Self::TooMuchBeforeHello => "LIM-001",
            Self::TooLarge { .. } => "LIM-002",
            Self::NotUtf8 => "TRN-001",
            Self::WebSocket => "TRN-002",
            Self::SecondConnect => "HSK-009",
            Self::InvalidFrame(_) => "FRM-002",
            Self::Malformed => "FRM-001",
            Self::MalformedInRow => "FRM-003",
            Self::TooManyCalls => "LIM-003",
            Self::TooMuchHeld => "LIM-005",
            Self::TooMuchInput => "LIM-006",
            Self::Silent => "LIV-001",
            Self::SlowConsumer => "LIM-004",
        }
    }
}

fn version_mismatch(offered: VersionRange) -> ErrorShape {
    let [oldest, .., newest] = VERSIONS;
    ErrorShape::invalid_request("protocol mismatch").with_details(
        Object::new()
            .text("code", "PROTOCOL_MISMATCH")
            .number("clientMinProtocol", offered.min.into())
            .number("clientMaxProtocol", offered.max.into())
            .number("expectedProtocol", LATEST.into())
            .number("minimumProbeProtocol", oldest.into())
            .number("serverMinProtocol", oldest.into())
            .number("serverMaxProtocol", newest.into()),
    )
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::HandshakeTimeout => "the handshake took too long",
            Self::FirstMessageNotJson => "the first message is not JSON",
            Self::FirstMessageNoRequest => "the first message is no request",
            Self::FirstRequestNotConnect => "the first request is not connect",
            Self::ConnectParams(_) => "the parameters of connect have the wrong shape",
            Self::Versions(range) => return write!(f, "no common protocol version with {range}"),
            Self::Role => "the role is unknown",
            Self::WorkerRole => "the role worker is not for this client",
            Self::TooMuchBeforeHello => "too much was sent before hello",
            Self::TooLarge { limit } => return write!(f, "a message exceeds {limit} bytes"),
            Self::NotUtf8 => "a text message is not UTF-8",
            Self::WebSocket => "the WebSocket protocol was broken",
            Self::SecondConnect => "connect was sent twice",
            Self::InvalidFrame(_) => "a message is no request",
            Self::Malformed => "a message is not JSON",
            Self::MalformedInRow => "several messages in a row are not JSON",
            Self::TooManyCalls => "too many requests are unanswered",
            Self::TooMuchHeld => "unanswered requests hold too much memory",
            Self::TooMuchInput => "too much waits to be dealt with",
            Self::Silent => "the peer is silent",
            Self::SlowConsumer => "the peer reads too slowly",
        };
        f.write_str(text)
    }
}

impl core::error::Error for PeerFault {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    fn all() -> Vec<PeerFault> {
        let finding = || Finding::missing("client");
        [
            PeerFault::HandshakeTimeout,
            PeerFault::FirstMessageNotJson,
            PeerFault::FirstMessageNoRequest,
            PeerFault::FirstRequestNotConnect,
            PeerFault::ConnectParams(finding()),
            PeerFault::Versions(VersionRange { min: 5, max: 9 }),
            PeerFault::Role,
            PeerFault::WorkerRole,
            PeerFault::TooMuchBeforeHello,
            PeerFault::TooLarge { limit: 1 },
            PeerFault::NotUtf8,
            PeerFault::WebSocket,
            PeerFault::SecondConnect,
            PeerFault::InvalidFrame(finding()),
            PeerFault::Malformed,
            PeerFault::MalformedInRow,
            PeerFault::TooManyCalls,
            PeerFault::TooMuchHeld,
            PeerFault::TooMuchInput,
            PeerFault::Silent,
            PeerFault::SlowConsumer,
        ]
        .into()
    }

    #[test]
    fn no_fault_goes_without_a_consequence() {
        for fault in all() {
            let consequence = fault.consequence();
            assert!(
                consequence.answer.is_some() || consequence.close.is_some(),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn every_close_names_its_cause() {
        for close in all().iter().filter_map(|fault| fault.consequence().close) {
            assert!(!close.reason().is_empty());
            assert!(!close.reason().contains("device token mismatch"));
        }
    }

    #[test]
    fn no_two_faults_share_a_clause() {
        let clauses: BTreeSet<_> = all().iter().map(PeerFault::clause).collect();
        assert_eq!(clauses.len(), all().len());
    }
}
