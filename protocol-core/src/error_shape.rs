//! The error of a `res` frame: `{code, message, details?, retryable?, retryAfterMs?}`.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::json::{Json, text_len, write_number, write_text};

/// The codes of [`ErrorShape::code`] that this crate or a gateway sends.
pub mod code {
    /// A channel's account is not authenticated.
    pub const NOT_LINKED: &str = "NOT_LINKED";
    /// The connection's device, or the connection for want of a device, is not approved.
    pub const NOT_PAIRED: &str = "NOT_PAIRED";
    /// An agent did not finish within its time.
    pub const AGENT_TIMEOUT: &str = "AGENT_TIMEOUT";
    /// The request is malformed, or asks for something that does not exist.
    pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
    /// The connection lacks a scope.
    pub const FORBIDDEN: &str = "FORBIDDEN";
    /// The gateway, or something that it depends on, cannot do it now.
    pub const UNAVAILABLE: &str = "UNAVAILABLE";
}

/// Why a request failed.
///
/// `Debug` and `Display` show the code only: a message may quote the peer.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorShape {
    /// One of [`code`], or a server's own.
    pub code: Cow<'static, str>,
    /// One sentence for people.
    pub message: String,
    /// What a program can act on.
    pub details: Option<Json>,
    /// Whether the same request may succeed later.
    pub retryable: Option<bool>,
    /// How long to wait before a retry, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl ErrorShape {
    /// An error with a code and a message.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            message: message.into(),
            details: None,
            retryable: None,
            retry_after_ms: None,
        }
    }

    /// The request itself is wrong.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_REQUEST, message)
    }

    /// It cannot be done now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(code::UNAVAILABLE, message)
    }

    /// The connection lacks `scope`.
    #[must_use]
    pub fn missing_scope(scope: &str) -> Self {
        let details = crate::json::Object::new()
            .text("code", "MISSING_SCOPE")
            .text("missingScope", scope)
            .texts("requiredScopes", [scope])
            .finish();
        Self::new(code::FORBIDDEN, alloc::format!("missing scope: {scope}")).with_details(details)
    }

    /// Adds what a program can act on.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Json>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// Says that the same request may succeed later, and when, in milliseconds.
    #[must_use]
    pub fn retryable_after(mut self, retry_after_ms: Option<u64>) -> Self {
        self.retryable = Some(true);
        self.retry_after_ms = retry_after_ms;
        self
    }

    /// The member `code` of the details, which tells apart refusals of one code.
    #[must_use]
    pub fn detail_code(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Details {
            code: String,
        }
        let details: Details = self.details.as_ref()?.read().ok()?;
        Some(details.code)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"code\":");
        write_text(out, &self.code);
        out.extend_from_slice(b",\"message\":");
        write_text(out, &self.message);
        if let Some(details) = &self.details {
            out.extend_from_slice(b",\"details\":");
            out.extend_from_slice(details.as_bytes());
        }
        if let Some(retryable) = self.retryable {
            out.extend_from_slice(b",\"retryable\":");
            out.extend_from_slice(if retryable { b"true" } else { b"false" });
        }
        if let Some(after) = self.retry_after_ms {
            out.extend_from_slice(b",\"retryAfterMs\":");
            write_number(out, after);
        }
        out.push(b'}');
    }

    pub(crate) fn weight(&self) -> usize {
        text_len(&self.code)
            + text_len(&self.message)
            + self.details.as_ref().map_or(0, Json::len)
            + 96
    }
}

impl fmt::Display for ErrorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}

impl fmt::Debug for ErrorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorShape({})", self.code)
    }
}

impl core::error::Error for ErrorShape {}
