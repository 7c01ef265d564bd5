//! What can go wrong, and what to do then.

use std::io;
use std::{error, fmt};

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::shape::Finding;

use crate::tls::CertificateFault;

/// Why there is no connection.
///
/// `Debug` and `Display` show neither secrets nor what the gateway wrote; [`Self::message`] gives
/// the gateway's words.
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none that can be used.
    Url(UrlError),
    /// What the client says of itself breaks the protocol: a client id or mode outside the closed
    /// sets, an empty name. Nothing was sent.
    Params(Finding),
    /// No TCP connection; `error.kind()` tells a closed port from a host that does not answer.
    Unreachable {
        /// Host and port.
        target: String,
        /// What the operating system said, of the address that came closest.
        error: io::Error,
    },
    /// Something listens there that is no gateway.
    NotAGateway {
        /// Host and port.
        target: String,
        /// The HTTP status that it answered with; `None` when it did not answer in HTTP, as a
        /// TLS server does not.
        status: Option<u16>,
    },
    /// A gateway answers, and does not hear what comes through a proxy that it does not trust: HTTP status 403,
    /// `proxy_attribution_required`.
    Unattributable {
        /// Host and port.
        target: String,
    },
    /// It listens, and did not answer in time.
    Timeout {
        /// What was being waited for.
        waiting_for: Stage,
    },
    /// Who answers there is not believed to be the gateway, and was sent nothing.
    Untrusted {
        /// Host and port.
        target: String,
        /// Why.
        fault: CertificateFault,
    },
    /// There is no TLS to be had there: what answers speaks none, or none of ours.
    Tls {
        /// Host and port.
        target: String,
        /// What went wrong.
        error: io::Error,
    },
    /// The gateway turned us away.
    Refused(Box<ErrorShape>),
    /// The connection ended before the gateway said hello.
    Closed {
        /// The close code; 1006 when there was no close, 1005 when it had no code.
        code: u16,
        /// The reason: the gateway's words, or ours if we ended it.
        reason: String,
    },
}

/// What a client waits for while it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The end of the TLS handshake.
    Tls,
    /// The answer to the WebSocket handshake.
    Upgrade,
    /// The gateway's challenge, or its hello after `connect`.
    Hello,
}

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It is no URL.
    Syntax,
    /// It does not begin with `ws://` or `wss://`.
    Scheme,
    /// A fingerprint is pinned, and the address is `ws://`, over which nobody shows a certificate.
    PinWithoutTls,
    /// It has a user name or a password in it.
    Credentials,
}

/// Why a request has no good answer.
///
/// *Not sent* is safe to repeat; after *unknown* and *timed out* the gateway may have done it, so
/// repeat it only under the same idempotency key. `Debug` and `Display` show neither payloads nor
/// what the gateway wrote; [`Self::message`] gives the gateway's words.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The gateway answered with a failure.
    Answered {
        /// Why.
        error: Box<ErrorShape>,
        /// What it returned all the same, as failed runs do.
        payload: Option<Json>,
    },
    /// It was never sent: the connection had ended, or the gateway reads so slowly that it waited
    /// for all its time or behind 1,024 others.
    NotSent,
    /// It is larger than the gateway accepts, and was not sent.
    TooLarge {
        /// Its size in bytes, about.
        bytes: u64,
        /// The most that the gateway accepts, in bytes.
        limit: u64,
    },
    /// It was sent, and the connection ended before its answer.
    Unknown,
    /// It was sent, and not answered in time.
    TimedOut,
}

impl ConnectError {
    /// What the gateway said for people to read, if it said anything; not for logs.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => Some(&error.message),
            Self::Closed { reason, .. } => {
                Some(reason).filter(|text| !text.is_empty()).map(|t| &**t)
            }
            Self::Url(_)
            | Self::Params(_)
            | Self::Unreachable { .. }
            | Self::NotAGateway { .. }
            | Self::Unattributable { .. }
            | Self::Timeout { .. }
            | Self::Untrusted { .. }
            | Self::Tls { .. } => None,
        }
    }

    pub(super) fn closed(close: &Close) -> Self {
        Self::Closed {
            code: close.code,
            reason: close.reason().to_owned(),
        }
    }
}

impl RequestError {
    /// What the gateway said for people to read, if it said anything; not for logs.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Answered { error, .. } => Some(&error.message),
            Self::NotSent | Self::TooLarge { .. } | Self::Unknown | Self::TimedOut => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Params(_) => f.write_str(
                "the connect parameters are not valid; check client id, mode, role and scopes",
            ),
            Self::Unreachable { target, error } => write!(
                f,
                "cannot reach {target}: {error}; check that the gateway runs and listens there"
            ),
            Self::NotAGateway {
                target,
                status: Some(status),
            } => write!(
                f,
                "{target} answered with HTTP status {status} instead of a WebSocket; check host and port"
            ),
            Self::NotAGateway {
                target,
                status: None,
            } => write!(
                f,
                "{target} does not speak WebSocket; check host and port, and whether it expects TLS, which is wss:// in the address"
            ),
            Self::Unattributable { target } => write!(
                f,
                "the gateway at {target} does not trust the proxy in front of it (proxy_attribution_required); name the proxy in the gateway's gateway.trustedProxies and have it set X-Forwarded-For, or connect without it"
            ),
            Self::Timeout {
                waiting_for: Stage::Tls,
            } => f.write_str(
                "connected, but the TLS handshake was not answered in time; check host and port, and whether it speaks TLS",
            ),
            Self::Timeout {
                waiting_for: Stage::Upgrade,
            } => f.write_str(
                "connected, but the WebSocket handshake was not answered in time; check host and port",
            ),
            Self::Timeout {
                waiting_for: Stage::Hello,
            } => f.write_str(
                "connected, but the gateway did not say hello in time; check that it is healthy and try again",
            ),
            Self::Untrusted { target, fault } => write!(f, "{target} is not trusted: {fault}"),
            Self::Tls { target, error } => write!(
                f,
                "no TLS with {target} ({error}); check host and port, and whether it is ws:// instead"
            ),
            Self::Refused(error) => write!(
                f,
                "the gateway refused the connection ({}); check token, password, scopes and pairing",
                known(error)
            ),
            Self::Closed { code, .. } => write!(
                f,
                "the connection ended with code {code} before hello; {}",
                advice(*code)
            ),
        }
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "the gateway's address is no URL; write it as ws://host:port",
            Self::Scheme => {
                "the gateway's address does not begin with ws:// or wss://; write it as wss://host:port or ws://host:port"
            }
            Self::PinWithoutTls => {
                "gateway tls fingerprint requires wss:// gateway url; write wss://, or leave the fingerprint out"
            }
            Self::Credentials => {
                "the gateway's address has credentials in it; give the token or password separately"
            }
        })
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { error, .. } => {
                write!(f, "the gateway answered with an error ({})", known(error))?;
                match (error.retryable, error.retry_after_ms) {
                    (Some(true), Some(ms)) => write!(f, "; try again in {ms} ms"),
                    (Some(true), None) => f.write_str("; try again later"),
                    _ => f.write_str("; its message says what to change"),
                }
            }
            Self::NotSent => f.write_str(
                "the request was not sent; repeat it, over a new connection if this one has ended",
            ),
            Self::TooLarge { bytes, limit } => write!(
                f,
                "the request has {bytes} bytes and was not sent: the gateway accepts {limit}; send less"
            ),
            Self::Unknown => f.write_str(
                "the connection ended before the answer, and the gateway may have done it; connect again, then look or repeat it under the same idempotency key",
            ),
            Self::TimedOut => f.write_str(
                "no answer in time, and the gateway may still do it; look, or repeat it under the same idempotency key",
            ),
        }
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectError({self})")
    }
}

impl fmt::Debug for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestError({self})")
    }
}

/// An error's code, unless it is so strange that it could be anything.
fn known(error: &ErrorShape) -> &str {
    let ordinary = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if error.code.len() <= 64 && error.code.bytes().all(ordinary) {
        &error.code
    } else {
        "a code of its own"
    }
}

fn advice(code: u16) -> &'static str {
    match code {
        close_code::RESTART | close_code::TRY_LATER => "the gateway is restarting; try again soon",
        1005 | 1006 => "check that the gateway runs and is healthy",
        _ => "its message says why",
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Params(error) => Some(error),
            Self::Unreachable { error, .. } => Some(error),
            Self::Refused(error) => Some(&**error),
            Self::Untrusted { fault, .. } => Some(fault),
            Self::Tls { error, .. } => Some(error),
            Self::NotAGateway { .. }
            | Self::Unattributable { .. }
            | Self::Timeout { .. }
            | Self::Closed { .. } => None,
        }
    }
}

impl error::Error for UrlError {}

impl error::Error for RequestError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Answered { error, .. } => Some(&**error),
            Self::NotSent | Self::TooLarge { .. } | Self::Unknown | Self::TimedOut => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_display_nor_debug_shows_what_the_gateway_wrote() {
        let shape = || ErrorShape {
            code: "\u{1b}[31mhunter2".into(),
            ..ErrorShape::unavailable("hunter2").with_details(Json::null())
        };
        let closed = ConnectError::Closed {
            code: 1008,
            reason: "hunter2".to_owned(),
        };
        let answered = RequestError::Answered {
            error: Box::new(shape()),
            payload: Some(Json::null()),
        };
        let refused = ConnectError::Refused(Box::new(shape()));
        assert_eq!(closed.message(), Some("hunter2"));
        assert_eq!(answered.message(), Some("hunter2"));
        assert_eq!(refused.message(), Some("hunter2"));
        let shown = format!("{closed} {closed:?} {answered} {answered:?} {refused} {refused:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn every_error_says_what_to_do() {
        for error in [
            RequestError::NotSent,
            RequestError::TooLarge { bytes: 2, limit: 1 },
            RequestError::Unknown,
            RequestError::TimedOut,
        ] {
            assert!(error.to_string().contains([';', ':']), "{error}");
            assert_eq!(error.message(), None);
        }
    }
}
