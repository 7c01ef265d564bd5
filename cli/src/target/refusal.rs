//! What to do about a gateway that does not let us in.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::json::Json;
use serde_json::Value;

use super::{Source, Target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// How long the id of a request may be.
const LONGEST_ID: usize = 128;

impl Target {
    /// Adds what to do about a refusal.
    pub(super) fn refused(&self, shape: &ErrorShape, failure: Failure) -> Failure {
        let failure = failure.context("Gateway connect failed");
        match shape.detail_code().as_deref() {
            Some("PAIRING_REQUIRED") => self.pairing(shape, failure),
            Some("AUTH_SCOPE_MISMATCH") => failure.hints(self.credentials()).hint(
                "To ask for more, run this again with --token or --password of the gateway: the request is then listed on the gateway's host.",
            ),
            Some("AUTH_DEVICE_TOKEN_MISMATCH") => {
                let Some((own, stored)) = self.stored() else {
                    return failure.hints(self.credentials());
                };
                own.forget(&stored.token);
                failure.hint(format!(
                    "The device token in {} opens nothing any more, and was dropped. Run this again with --token or --password of the gateway.",
                    own.tokens_path().display()
                ))
            }
            _ if failure.exit == Exit::Refused => failure.hints(self.credentials()),
            _ => failure,
        }
    }

    fn pairing(&self, shape: &ErrorShape, failure: Failure) -> Failure {
        let details = details(shape);
        let failure = failure.hints(asked(&details));
        let Some(id) = request_id(&details) else {
            return failure
                .hint(format!(
                    "Find the request on the gateway's host: {} devices list",
                    self.there()
                ))
                .hint("Once it is approved, run this again.");
        };
        let command = format!("{} devices approve {id}", self.there());
        let failure = match Json::of(&command) {
            Ok(command) => failure.beside("approveCommand", command),
            Err(_) => failure,
        };
        failure
            .hint(format!("Request: {id}"))
            .hint(format!("Approve it on the gateway's host: {command}"))
            .hint("It waits for five minutes, and as long again whenever this is run; once it is approved, run this again.")
    }
}

impl Target {
    /// Returns how to call this program on the gateway's host.
    pub(super) fn there(&self) -> &str {
        match self.source {
            Source::Local { .. } => self.invocation(),
            Source::Flag | Source::Remote { .. } if self.own.is_none() => self.invocation(),
            Source::Flag | Source::Remote { .. } => "openclaw",
        }
    }
}

/// Returns what else a refusal says.
pub(super) fn details(shape: &ErrorShape) -> Value {
    let details = shape
        .details
        .as_ref()
        .and_then(|details| details.read().ok());
    details.unwrap_or_default()
}

/// Returns the request that waits, if it may go into a command.
pub(super) fn request_id(details: &Value) -> Option<&str> {
    details["requestId"].as_str().filter(|id| is_id(id))
}

/// Says which device asked for what.
fn asked(details: &Value) -> Option<String> {
    let device = details["deviceId"].as_str()?;
    let role = details["requestedRole"].as_str().unwrap_or("operator");
    let scopes: Vec<&str> = details["requestedScopes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let scopes = if scopes.is_empty() {
        "no scopes".to_owned()
    } else {
        scopes.join(", ")
    };
    Some(output::line(&format!(
        "Device: {device}, which asks for role {role} with {scopes}"
    )))
}

/// Only an id like this goes into a command that people are told to run.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    text.len() <= LONGEST_ID
        && text.bytes().all(fits)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gateway_puts_words_into_a_command() {
        assert!(is_id("3f0c51b2-7d1e-4f8e-9c1a-000000000000"));
        for strange in ["", "-h", "a b", "a;b", "$(x)", "a\n", &"a".repeat(129)] {
            assert!(!is_id(strange), "{strange}");
        }
    }

    #[test]
    fn what_was_asked_for_is_said_as_far_as_it_is_known() {
        let details = serde_json::json!({
            "deviceId": "d1\n",
            "requestedRole": "operator",
            "requestedScopes": ["operator.read", 7, "operator.write"],
        });
        assert_eq!(
            asked(&details).as_deref(),
            Some("Device: d1 , which asks for role operator with operator.read, operator.write")
        );
        assert_eq!(asked(&Value::Null), None);
    }
}
