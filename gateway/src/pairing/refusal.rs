//! What a device is told that may not come in, or not yet.

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::json::Object;

use super::knock::Knock;
use super::record::{Device, Request};

/// Why a device has to be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It never was.
    NotPaired,
    /// It asks for a role that it was not approved for.
    RoleUpgrade,
    /// It asks for scopes that it was not approved for.
    ScopeUpgrade,
    /// It says that it is another kind of machine.
    MetadataUpgrade,
}

impl Reason {
    const fn word(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::RoleUpgrade => "role-upgrade",
            Self::ScopeUpgrade => "scope-upgrade",
            Self::MetadataUpgrade => "metadata-upgrade",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::NotPaired => "pairing required: device is not approved yet",
            Self::RoleUpgrade => {
                "pairing required: device is asking for a higher role than currently approved"
            }
            Self::ScopeUpgrade => {
                "pairing required: device is asking for more scopes than currently approved"
            }
            Self::MetadataUpgrade => {
                "pairing required: device identity changed and must be re-approved"
            }
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::NotPaired => "Approve this device from the pending pairing requests.",
            Self::RoleUpgrade => {
                "Review the requested role upgrade, then approve the pending request."
            }
            Self::ScopeUpgrade => "Review the requested scopes, then approve the pending upgrade.",
            Self::MetadataUpgrade => {
                "Review the refreshed device details, then approve the pending request."
            }
        }
    }
}

/// The refusal of a device that has to be approved: it names the request and the command that approves it.
pub(super) fn pairing_required(
    reason: Reason,
    request: &Request,
    knock: &Knock<'_>,
    approved: Option<&Device>,
) -> ErrorShape {
    let mut details = Object::new()
        .text("code", "PAIRING_REQUIRED")
        .text("reason", reason.word())
        .text("requestId", &request.id)
        .text("remediationHint", reason.hint())
        .text("deviceId", &request.device_id)
        .text("requestedRole", knock.role.as_str());
    if !knock.scopes.is_empty() {
        details = details.texts("requestedScopes", knock.scopes);
    }
    if let Some(device) = approved {
        let roles = device.granted.iter().map(|granted| granted.role.as_str());
        details = details.texts("approvedRoles", roles);
        let mut scopes = device.scopes();
        if !scopes.is_empty() {
            scopes.sort();
            details = details.texts("approvedScopes", scopes);
        }
    }
    let command = format!("openclaw devices approve {}", request.id);
    ErrorShape::new(code::NOT_PAIRED, reason.message())
        .with_details(details.text("approveCommand", &command))
}

/// The refusal of a token that is no token of the device, or no more.
pub(crate) fn device_token_mismatch() -> ErrorShape {
    unauthorized(
        "device token mismatch (rotate/reissue device token)",
        "AUTH_DEVICE_TOKEN_MISMATCH",
        "device_token_mismatch",
        "update_auth_credentials",
    )
}

/// The refusal of a token that is right but opens less than was asked for.
pub(super) fn scope_mismatch() -> ErrorShape {
    unauthorized(
        "device token scope mismatch (re-pair or approve scope upgrade)",
        "AUTH_SCOPE_MISMATCH",
        "scope_mismatch",
        "review_auth_configuration",
    )
}

/// The refusal of a setup code that is not open.
pub(crate) fn setup_invalid() -> ErrorShape {
    unauthorized(
        "setup code invalid, expired, revoked, or already used (create a new code; review `openclaw devices list`)",
        "AUTH_BOOTSTRAP_TOKEN_INVALID",
        "bootstrap_token_invalid",
        "review_auth_configuration",
    )
}

/// The refusal of a device whose address has enough devices that wait.
pub(super) fn too_many_requests() -> ErrorShape {
    ErrorShape::unavailable(format!(
        "{} devices of this address wait for an approval already; approve or reject one with openclaw devices",
        super::MAX_REQUESTS_OF_ADDRESS
    ))
    .retryable_after(Some(60_000))
}

/// The refusal of a device that asks for one thing after another.
pub(super) fn too_fast() -> ErrorShape {
    ErrorShape::unavailable("this device has just asked for something else; retry shortly")
        .retryable_after(Some(1_000))
}

/// The refusal of a scope that no device can be approved for.
pub(super) fn unknown_scope(scope: &str) -> ErrorShape {
    let scope = openclaw_protocol_core::json::cut(scope, 120);
    ErrorShape::invalid_request(format!("invalid scope for requested roles: {scope}"))
}

/// The refusal of a device that there is no room for.
pub(super) fn too_many_devices() -> ErrorShape {
    ErrorShape::unavailable(format!(
        "{} devices are paired, which is the most; remove one with openclaw devices remove",
        super::MAX_DEVICES
    ))
}

fn unauthorized(what: &str, code: &str, reason: &str, next: &str) -> ErrorShape {
    ErrorShape::invalid_request(format!("unauthorized: {what}")).with_details(
        Object::new()
            .text("code", code)
            .text("authReason", reason)
            .boolean("canRetryWithDeviceToken", false)
            .text("recommendedNextStep", next),
    )
}
