//! What a refused `connect` means for the next attempt.

use alloc::string::String;
use core::time::Duration;

use serde::Deserialize;

use super::reconnect::Why;
use crate::error_shape::{ErrorShape, code};

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The gateway is starting: soon.
    Starting(Option<Duration>),
    /// It passes: later, and not before what the gateway said.
    Later(Option<Duration>),
    /// Only the owner can change it.
    Owner(Why),
    /// Nothing that is tried again changes it.
    Never(Why),
}

/// A refusal, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) verdict: Verdict,
    /// Whether a device token may succeed where these credentials failed.
    pub(super) device_token_may_do: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Details {
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    recommended_next_step: Option<String>,
    #[serde(deserialize_with = "lenient")]
    can_retry_with_device_token: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pause_reconnect: Option<bool>,
}

impl Refusal {
    pub(super) fn read(error: &ErrorShape) -> Self {
        let details = error.details.as_ref();
        let details: Details = details
            .and_then(|details| details.read().ok())
            .unwrap_or_default();
        let step = details.recommended_next_step.as_deref();
        Self {
            verdict: verdict(error, &details),
            device_token_may_do: details.can_retry_with_device_token == Some(true)
                || step == Some("retry_with_device_token"),
        }
    }
}

fn verdict(error: &ErrorShape, details: &Details) -> Verdict {
    let after = error.retry_after_ms.map(Duration::from_millis);
    let class = class(error, details.code.as_deref());
    if let Class::Never(why) = class {
        return Verdict::Never(why);
    }
    if error.code == code::UNAVAILABLE && details.reason.as_deref() == Some("startup-sidecars") {
        return Verdict::Starting(after);
    }
    let told_to_wait = details.pause_reconnect == Some(false)
        || details.recommended_next_step.as_deref() == Some("wait_then_retry");
    match (details.pause_reconnect, class) {
        _ if told_to_wait => Verdict::Later(after),
        (Some(true), Class::Owner(why)) => Verdict::Owner(why),
        (Some(true), _) => Verdict::Owner(Why::Refused),
        (_, Class::Owner(_)) if error.retryable == Some(true) => Verdict::Later(after),
        (_, Class::Owner(why)) => Verdict::Owner(why),
        (_, Class::Passes | Class::Never(_)) => Verdict::Later(after),
    }
}

enum Class {
    Passes,
    Owner(Why),
    Never(Why),
}

fn class(error: &ErrorShape, detail: Option<&str>) -> Class {
    match detail.unwrap_or_default() {
        "PROTOCOL_MISMATCH" | "CLIENT_VERSION_MISMATCH" | "CONTROL_UI_BUILD_MISMATCH" => {
            return Class::Never(Why::Version);
        }
        "PAIRING_REQUIRED" | "DEVICE_IDENTITY_REQUIRED" | "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" => {
            return Class::Owner(Why::Pairing);
        }
        // The next attempt signs a fresh challenge.
        "DEVICE_AUTH_SIGNATURE_EXPIRED" | "DEVICE_AUTH_NONCE_MISMATCH" => return Class::Passes,
        "AUTHENTICATED_PROFILE_UNAVAILABLE" | "AUTH_TAILSCALE_WHOIS_FAILED" => {
            return Class::Passes;
        }
        "CONTROL_UI_ORIGIN_NOT_ALLOWED" => return Class::Owner(Why::Refused),
        other if other.starts_with("AUTH_") || other.starts_with("DEVICE_AUTH_") => {
            return Class::Owner(Why::Credentials);
        }
        _ => {}
    }
    match &*error.code {
        code::NOT_PAIRED => Class::Owner(Why::Pairing),
        code::INVALID_REQUEST | code::FORBIDDEN => Class::Owner(Why::Refused),
        _ => Class::Passes,
    }
}

/// A member of another type than expected is a member that is not there.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}
