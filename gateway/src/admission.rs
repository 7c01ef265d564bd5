//! Who may connect, and as what.

use std::time::Duration;

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::hello::connect::{ConnectParams, Credentials};
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::hub::Peer;
use openclaw_protocol_core::json::Object;
use openclaw_protocol_core::scope::{Role, Scopes};

use crate::device::DeviceFault;
use crate::secret::SharedSecret;
use crate::secret::resolve::SecretKind;
use crate::throttle::RateLimit;

mod hint;
pub mod origin;

use hint::hint;
use origin::Origins;

const LOCKED_OUT: &str = "unauthorized: too many failed authentication attempts (retry later)";
const UI_NEEDS_DEVICE: &str =
    "control ui requires device identity (use HTTPS or localhost secure context)";
/// The programs that need a device to be let in at all.
const UI_CLIENTS: [&str; 2] = ["openclaw-control-ui", "openclaw-tui"];

/// What connections are judged by.
#[derive(Debug)]
pub struct Admission {
    /// The shared secret; `None` lets everybody in, which only loopback listeners may do.
    pub secret: Option<(SecretKind, SharedSecret)>,
    /// The pages that may connect.
    pub origins: Origins,
    /// When who presents wrong secrets is not heard any more.
    pub rate_limit: RateLimit,
}

/// What follows from a connection's credentials, before a device proof was looked at.
#[derive(Debug)]
pub enum Verdict {
    /// It may come in as it is.
    Admit(Grant),
    /// It may come in if its device proof holds.
    Prove,
    /// It may not come in.
    Refuse(ErrorShape),
    /// It presented a wrong secret: it may not come in, and learns so late.
    WrongSecret(ErrorShape),
}

impl Admission {
    /// Judges everything but the device proof; nothing that is presented is looked at for as long as a `lockout` has left.
    #[must_use]
    pub fn judge(&self, params: &ConnectParams, peer: &Peer, lockout: Option<Duration>) -> Verdict {
        if let Some(error) = self.origins.judge(params, peer) {
            return Verdict::Refuse(error);
        }
        if params.role == Role::Node.as_str() {
            return Verdict::Refuse(ErrorShape::unavailable(
                "role node is not supported by this gateway yet; connect with role operator",
            ));
        }
        if let Some((kind, secret)) = &self.secret {
            if let Some(left) = lockout {
                return Verdict::Refuse(locked_out(left));
            }
            if params.auth.is_empty() {
                return Verdict::Refuse(missing(*kind, params, peer));
            }
            if !presents(&params.auth, secret) {
                return Verdict::WrongSecret(mismatch(*kind, params, peer));
            }
        }
        if params.device.is_some() {
            return Verdict::Prove;
        }
        if UI_CLIENTS.contains(&params.client.id.as_str()) {
            return Verdict::Refuse(
                ErrorShape::invalid_request(UI_NEEDS_DEVICE).with_details(
                    Object::new().text("code", "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"),
                ),
            );
        }
        let scopes = if keeps_scopes_without_device(params, peer) {
            params.scopes.clone().into()
        } else {
            Scopes::none()
        };
        Verdict::Admit(Grant {
            role: Role::Operator,
            scopes,
            principal: "secret".into(),
            device_id: None,
            device_token: None,
        })
    }

    /// Judges a connection whose device proof was checked.
    ///
    /// # Errors
    /// The refusal.
    pub fn judge_device(
        &self,
        params: &ConnectParams,
        peer: &Peer,
        proof: Result<(), DeviceFault>,
    ) -> Result<Grant, ErrorShape> {
        proof.map_err(refused_device)?;
        let Some(device) = &params.device else {
            return Err(ErrorShape::invalid_request("device identity required"));
        };
        if !peer.direct_loopback {
            return Err(ErrorShape::new(
                code::NOT_PAIRED,
                "pairing required: device is not approved yet",
            )
            .with_details(
                Object::new()
                    .text("code", "PAIRING_REQUIRED")
                    .text("reason", "not-paired")
                    .text(
                        "remediationHint",
                        "this gateway cannot pair devices yet; connect from its own host",
                    )
                    .text("deviceId", &device.id)
                    .text("requestedRole", &params.role)
                    .texts("requestedScopes", &params.scopes),
            ));
        }
        Ok(Grant {
            role: Role::Operator,
            scopes: params.scopes.clone().into(),
            principal: format!("device:{}", device.id).into(),
            device_id: Some(device.id.as_str().into()),
            device_token: None,
        })
    }
}

/// Whether the secret is among what is presented, in whichever field.
fn presents(auth: &Credentials, secret: &SharedSecret) -> bool {
    let tried = [&auth.token, &auth.password].map(|presented| {
        presented
            .as_deref()
            .is_some_and(|presented| secret.matches(presented))
    });
    tried.contains(&true)
}

/// Without a device, scopes survive only for programs on this very host that are no browsers.
fn keeps_scopes_without_device(params: &ConnectParams, peer: &Peer) -> bool {
    let program = (params.client.id.as_str(), params.client.mode.as_str());
    peer.direct_loopback
        && peer.origin.is_none()
        && matches!(program, ("gateway-client", "backend") | ("cli", "cli"))
}

fn missing(kind: SecretKind, params: &ConnectParams, peer: &Peer) -> ErrorShape {
    if params.device.is_none() {
        return ErrorShape::new(code::NOT_PAIRED, "device identity required")
            .with_details(Object::new().text("code", "DEVICE_IDENTITY_REQUIRED"));
    }
    let word = kind.word();
    ErrorShape::invalid_request(format!(
        "unauthorized: gateway {word} missing ({})",
        hint(kind, params, peer, true)
    ))
    .with_details(
        Object::new()
            .text(
                "code",
                &format!("AUTH_{}_MISSING", word.to_ascii_uppercase()),
            )
            .text("authReason", &format!("{word}_missing"))
            .boolean("canRetryWithDeviceToken", false)
            .text("recommendedNextStep", "update_auth_configuration"),
    )
}

fn mismatch(kind: SecretKind, params: &ConnectParams, peer: &Peer) -> ErrorShape {
    let word = kind.word();
    ErrorShape::invalid_request(format!(
        "unauthorized: gateway {word} mismatch ({})",
        hint(kind, params, peer, false)
    ))
    .with_details(
        Object::new()
            .text(
                "code",
                &format!("AUTH_{}_MISMATCH", word.to_ascii_uppercase()),
            )
            .text("authReason", &format!("{word}_mismatch"))
            .boolean("canRetryWithDeviceToken", false)
            .text("recommendedNextStep", "update_auth_credentials"),
    )
}

fn locked_out(left: Duration) -> ErrorShape {
    let left = u64::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    ErrorShape::invalid_request(LOCKED_OUT)
        .retryable_after(Some(left))
        .with_details(
            Object::new()
                .text("code", "AUTH_RATE_LIMITED")
                .text("authReason", "rate_limited")
                .boolean("canRetryWithDeviceToken", false)
                .text("recommendedNextStep", "wait_then_retry"),
        )
}

fn refused_device(fault: DeviceFault) -> ErrorShape {
    ErrorShape::invalid_request(fault.message()).with_details(
        Object::new()
            .text("code", fault.code())
            .text("reason", fault.reason()),
    )
}
