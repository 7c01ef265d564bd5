//! Why a command did not do what it should.

use std::io;

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::frame::close_code;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::{ConnectError, RequestError};
use openclaw_runtime_smol::tls::CertificateFault;

use crate::exit::Exit;

/// Why a command did not do what it should.
///
/// It never holds a secret of ours.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// It was reported already, or nobody listens.
    quiet: bool,
    said: Box<Said>,
}

/// What a failure tells.
#[derive(Clone, Debug)]
struct Said {
    kind: Kind,
    code: String,
    /// What could not be done, before the message.
    context: Option<&'static str>,
    message: String,
    retryable: bool,
    /// More members of `error`.
    members: Vec<(&'static str, Json)>,
    /// Members beside `error`.
    beside: Vec<(&'static str, Json)>,
    hints: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Cli,
    Transport,
    Request,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Cli => "cli_error",
            Self::Transport => "gateway_transport_error",
            Self::Request => "gateway_request_error",
        }
    }
}

impl Failure {
    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, Kind::Cli, "USAGE", message)
    }

    /// The set-up of this host is wrong.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, Kind::Cli, "CONFIGURATION", message)
    }

    /// It did not work.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, Kind::Cli, "FAILURE", message)
    }

    /// The gateway does not let us in any more.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, Kind::Cli, "REFUSED", message)
    }

    /// The exit code says it all.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self {
            quiet: true,
            ..Self::new(exit, Kind::Cli, "FAILURE", "")
        }
    }

    /// There is no connection to the gateway at `url`.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum may grow, and says in words what it is"
    )]
    pub(crate) fn connect(error: &ConnectError, url: &str) -> Self {
        let unreachable = |code: &str, message: String| {
            Self::new(Exit::Unreachable, Kind::Transport, code, message).retryable()
        };
        match error {
            ConnectError::Unreachable { error, .. } => {
                let code = errno(error);
                let named = code.map_or_else(|| error.to_string(), str::to_owned);
                unreachable(
                    code.unwrap_or("UNREACHABLE"),
                    format!("Gateway not reachable at {url} ({named})."),
                )
                .member("kind", "closed")
                .member("reason", &error.to_string())
            }
            ConnectError::NotAGateway { status, .. } => {
                let what = match status {
                    Some(status) => format!("it answered with HTTP status {status}"),
                    None => "it does not speak WebSocket, or wants TLS (wss://)".to_owned(),
                };
                unreachable("NOT_A_GATEWAY", format!("No gateway at {url}: {what}."))
                    .member("kind", "closed")
                    .permanent()
            }
            ConnectError::Unattributable { .. } => Self::new(
                Exit::Refused,
                Kind::Transport,
                "PROXY_ATTRIBUTION_REQUIRED",
                format!(
                    "Gateway at {url} does not trust the proxy in front of it (HTTP status 403, proxy_attribution_required)."
                ),
            )
            .member("kind", "closed"),
            ConnectError::Timeout { .. } => unreachable(
                "TIMEOUT",
                format!("Something listens at {url} and does not answer in time."),
            )
            .member("kind", "timeout"),
            ConnectError::Untrusted { fault, .. } => {
                let code = match fault {
                    CertificateFault::Pin { .. } => "TLS_FINGERPRINT_MISMATCH",
                    _ => "TLS_UNTRUSTED",
                };
                let message = format!("Gateway at {url} not trusted: {fault}.");
                Self::new(Exit::Refused, Kind::Transport, code, message).member("kind", "tls")
            }
            ConnectError::Tls { error, .. } => unreachable(
                "TLS_FAILED",
                format!(
                    "No TLS with {url} ({error}); check host and port, and whether it is ws:// instead."
                ),
            )
            .member("kind", "tls")
            .permanent(),
            ConnectError::Refused(shape) => Self::answered(refusal(shape), shape),
            ConnectError::Closed { code, reason } => {
                let exit = match *code {
                    close_code::POLICY => Exit::Refused,
                    _ => Exit::Unreachable,
                };
                let reason = Some(reason.as_str()).filter(|reason| !reason.is_empty());
                let why = reason.unwrap_or("no reason given");
                let message = format!("{url} closed the connection before hello: {code} {why}");
                Self::new(exit, Kind::Transport, "CLOSED", message)
                    .member("kind", "closed")
                    .member("reason", why)
            }
            other => Self::other(other.to_string()),
        }
    }

    /// A request to the gateway at `url` has no good answer.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum may grow, and says in words what it is"
    )]
    pub(crate) fn request(error: RequestError, url: &str) -> Self {
        let transport = |exit, code, message: &str| Self::new(exit, Kind::Transport, code, message);
        let message = error.to_string();
        match error {
            RequestError::Answered { error, payload } => {
                let failure = Self::answered(Exit::Failure, &error);
                match payload {
                    Some(payload) => failure.beside("payload", payload),
                    None => failure,
                }
            }
            RequestError::NotSent => transport(Exit::Unreachable, "NOT_SENT", &message)
                .retryable()
                .member("kind", "closed"),
            RequestError::Unknown => transport(
                Exit::Failure,
                "OUTCOME_UNKNOWN",
                &format!(
                    "The connection to {url} ended before the answer; the gateway may have done it."
                ),
            )
            .member("kind", "closed"),
            RequestError::TimedOut => transport(
                Exit::Failure,
                "TIMEOUT",
                &format!("{url} did not answer in time; it may still do it."),
            )
            .member("kind", "timeout"),
            _ => Self::other(message),
        }
    }

    /// Tells whether there is nothing to report.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says what could not be done.
    pub(crate) fn context(mut self, context: &'static str) -> Self {
        self.said.context = Some(context);
        self
    }

    /// Says it in other words.
    pub(crate) fn reworded(mut self, message: String) -> Self {
        self.said.message = message;
        self
    }

    /// Adds a line for people.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.said.hints.push(hint.into());
        self
    }

    /// Adds lines for people.
    pub(crate) fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.said.hints.extend(hints);
        self
    }

    /// Adds a line for people where the gateway said no to what it was asked.
    pub(crate) fn hint_if_answered(self, hint: impl FnOnce() -> String) -> Self {
        match self.said.kind {
            Kind::Request if self.exit == Exit::Failure => self.hint(hint()),
            Kind::Request | Kind::Cli | Kind::Transport => self,
        }
    }

    /// Adds a member to the document, beside `error`.
    pub(crate) fn beside(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.said.beside.push((name, value.into()));
        self
    }

    /// Returns the member `error` of the document.
    pub(crate) fn error(&self) -> Object {
        let error = Object::new()
            .text("type", self.said.kind.word())
            .text("code", &self.said.code)
            .text("message", &self.said.message)
            .boolean("retryable", self.said.retryable);
        let add = |error: Object, (name, value): &(&str, Json)| error.json(name, value);
        self.said.members.iter().fold(error, add)
    }

    /// Returns the document for `--json`.
    pub(crate) fn document(&self) -> Json {
        let document = Object::new()
            .boolean("ok", false)
            .object("error", self.error());
        let add = |document: Object, (name, value): &(&str, Json)| document.json(name, value);
        self.said.beside.iter().fold(document, add).finish()
    }

    /// Returns what people read, lines without a line end.
    pub(crate) fn report(&self) -> String {
        let message = match self.said.context {
            Some(context) => format!("{context}: {}", self.said.message),
            None => self.said.message.clone(),
        };
        let mut lines = vec![message];
        lines.extend(self.said.hints.iter().cloned());
        lines.join("\n")
    }

    fn new(exit: Exit, kind: Kind, code: &str, message: impl Into<String>) -> Self {
        Self {
            exit,
            quiet: false,
            said: Box::new(Said {
                kind,
                code: code.to_owned(),
                context: None,
                message: message.into(),
                retryable: false,
                members: Vec::new(),
                beside: Vec::new(),
                hints: Vec::new(),
            }),
        }
    }

    /// The gateway said no.
    fn answered(exit: Exit, shape: &ErrorShape) -> Self {
        let mut failure = Self::new(exit, Kind::Request, &shape.code, &*shape.message);
        failure.said.retryable = shape.retryable.unwrap_or(false);
        if let Some(ms) = shape.retry_after_ms
            && let Ok(ms) = Json::of(&ms)
        {
            failure.said.members.push(("retryAfterMs", ms));
        }
        if let Some(details) = &shape.details {
            failure.said.members.push(("details", details.clone()));
        }
        failure
    }

    fn retryable(mut self) -> Self {
        self.said.retryable = true;
        self
    }

    fn permanent(mut self) -> Self {
        self.said.retryable = false;
        self
    }

    fn member(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = Json::of(value) {
            self.said.members.push((name, value));
        }
        self
    }
}

impl From<io::Error> for Failure {
    /// Standard output cannot be written; if nobody reads it any more, that is the reader's choice.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::silent(Exit::Ok)
        } else {
            Self::other(format!("cannot write to standard output: {error}"))
        }
    }
}

/// The exit code for a refusal at connect.
fn refusal(shape: &ErrorShape) -> Exit {
    if shape.code == code::UNAVAILABLE && shape.retryable == Some(true) {
        return Exit::Unreachable;
    }
    let detail = shape.detail_code().unwrap_or_default();
    let about_identity = ["AUTH_", "DEVICE_", "PAIRING_", "CONTROL_UI_"]
        .iter()
        .any(|family| detail.starts_with(family));
    if shape.code == code::NOT_PAIRED || shape.code == code::FORBIDDEN || about_identity {
        Exit::Refused
    } else {
        Exit::Failure
    }
}

/// The name that operators know an error of the system by.
fn errno(error: &io::Error) -> Option<&'static str> {
    let names = [
        (io::ErrorKind::ConnectionRefused, "ECONNREFUSED"),
        (io::ErrorKind::ConnectionReset, "ECONNRESET"),
        (io::ErrorKind::HostUnreachable, "EHOSTUNREACH"),
        (io::ErrorKind::NetworkUnreachable, "ENETUNREACH"),
        (io::ErrorKind::TimedOut, "ETIMEDOUT"),
        (io::ErrorKind::AddrNotAvailable, "EADDRNOTAVAIL"),
        (io::ErrorKind::PermissionDenied, "EACCES"),
    ];
    names
        .into_iter()
        .find_map(|(kind, name)| (kind == error.kind()).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "ws://127.0.0.1:1";

    fn refused(shape: ErrorShape) -> Failure {
        Failure::connect(&ConnectError::Refused(Box::new(shape)), URL)
    }

    #[test]
    fn a_closed_port_reads_as_operators_know_it() {
        let error = ConnectError::Unreachable {
            target: "127.0.0.1:1".to_owned(),
            error: io::ErrorKind::ConnectionRefused.into(),
        };
        let failure = Failure::connect(&error, URL)
            .beside("gateway", Object::new().text("url", URL).finish());
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(
            failure.report(),
            "Gateway not reachable at ws://127.0.0.1:1 (ECONNREFUSED)."
        );
        assert_eq!(
            failure.document().as_str(),
            concat!(
                r#"{"ok":false,"error":{"type":"gateway_transport_error","code":"ECONNREFUSED","#,
                r#""message":"Gateway not reachable at ws://127.0.0.1:1 (ECONNREFUSED).","#,
                r#""retryable":true,"kind":"closed","reason":"connection refused"},"#,
                r#""gateway":{"url":"ws://127.0.0.1:1"}}"#
            )
        );
    }

    #[test]
    fn a_refused_request_has_the_observed_document() {
        let error = RequestError::Answered {
            error: Box::new(ErrorShape::invalid_request("unknown method: bogus")),
            payload: None,
        };
        let failure = Failure::request(error, URL).context("Gateway call failed");
        assert_eq!(failure.exit, Exit::Failure);
        assert_eq!(
            failure.report(),
            "Gateway call failed: unknown method: bogus"
        );
        assert_eq!(
            failure.document().as_str(),
            concat!(
                r#"{"ok":false,"error":{"type":"gateway_request_error","code":"INVALID_REQUEST","#,
                r#""message":"unknown method: bogus","retryable":false}}"#
            )
        );
    }

    #[test]
    fn refusals_tell_who_may_not_from_what_does_not_fit_and_who_is_busy() {
        let detail = |code: &str| {
            let details = Object::new().text("code", code).finish();
            ErrorShape::invalid_request("no").with_details(details)
        };
        assert_eq!(refused(detail("AUTH_TOKEN_MISMATCH")).exit, Exit::Refused);
        assert_eq!(
            refused(ErrorShape::new(code::NOT_PAIRED, "no")).exit,
            Exit::Refused
        );
        assert_eq!(refused(detail("PROTOCOL_MISMATCH")).exit, Exit::Failure);
        let busy = ErrorShape::unavailable("gateway stopping").retryable_after(Some(500));
        let failure = refused(busy);
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(
            failure
                .document()
                .as_str()
                .contains(r#""retryAfterMs":500"#)
        );
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert_eq!(
            Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit,
            Exit::Ok
        );
        assert_eq!(
            Failure::from(io::Error::from(io::ErrorKind::StorageFull)).exit,
            Exit::Failure
        );
    }
}
