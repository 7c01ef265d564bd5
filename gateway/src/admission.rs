//! Who may connect, and as what.

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::hello::connect::{ConnectParams, Credentials};
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::hub::Peer;
use openclaw_protocol_core::json::Object;
use openclaw_protocol_core::scope::{Role, Scopes};

use crate::device::DeviceFault;
use crate::secret::SharedSecret;
use crate::secret::resolve::SecretKind;

const ORIGIN_NOT_ALLOWED: &str = "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)";
const UI_NEEDS_DEVICE: &str =
    "control ui requires device identity (use HTTPS or localhost secure context)";
/// The programs that run in a browser, and so always have an origin.
const BROWSER_CLIENTS: [&str; 3] = ["openclaw-control-ui", "webchat", "webchat-ui"];
/// The programs that need a device to be let in at all.
const UI_CLIENTS: [&str; 2] = ["openclaw-control-ui", "openclaw-tui"];

/// What connections are judged by.
#[derive(Debug)]
pub struct Admission {
    /// The shared secret; `None` lets everybody in, which only loopback listeners may do.
    pub secret: Option<(SecretKind, SharedSecret)>,
    /// The port that the gateway's own pages are served on.
    pub port: u16,
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
    /// Judges everything but the device proof.
    #[must_use]
    pub fn judge(&self, params: &ConnectParams, peer: &Peer) -> Verdict {
        if let Some(error) = self.judge_origin(params, peer) {
            return Verdict::Refuse(error);
        }
        if params.role == Role::Node.as_str() {
            return Verdict::Refuse(ErrorShape::unavailable(
                "role node is not supported by this gateway yet; connect with role operator",
            ));
        }
        if let Some((kind, secret)) = &self.secret {
            if params.auth.is_empty() {
                return Verdict::Refuse(missing(*kind, params));
            }
            if !presents(&params.auth, secret) {
                return Verdict::WrongSecret(mismatch(*kind, params));
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

    fn judge_origin(&self, params: &ConnectParams, peer: &Peer) -> Option<ErrorShape> {
        let reason = match &peer.origin {
            Some(origin) if self.is_own_origin(origin) => return None,
            Some(_) => "origin not allowed",
            None if BROWSER_CLIENTS.contains(&params.client.id.as_str()) => {
                "origin missing or invalid"
            }
            None => return None,
        };
        Some(
            ErrorShape::invalid_request(ORIGIN_NOT_ALLOWED).with_details(
                Object::new()
                    .text("code", "CONTROL_UI_ORIGIN_NOT_ALLOWED")
                    .text("reason", reason),
            ),
        )
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|host| origin.eq_ignore_ascii_case(&format!("http://{host}:{}", self.port)))
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

fn missing(kind: SecretKind, params: &ConnectParams) -> ErrorShape {
    if params.device.is_none() {
        return ErrorShape::new(code::NOT_PAIRED, "device identity required")
            .with_details(Object::new().text("code", "DEVICE_IDENTITY_REQUIRED"));
    }
    let word = kind.word();
    ErrorShape::invalid_request(format!(
        "unauthorized: gateway {word} missing ({})",
        hint(kind, params)
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

fn mismatch(kind: SecretKind, params: &ConnectParams) -> ErrorShape {
    let word = kind.word();
    ErrorShape::invalid_request(format!(
        "unauthorized: gateway {word} mismatch ({})",
        hint(kind, params)
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

fn hint(kind: SecretKind, params: &ConnectParams) -> &'static str {
    match (kind, params.client.id.as_str()) {
        (SecretKind::Password, _) => "provide gateway auth password",
        (SecretKind::Token, "cli") => "use this gateway's gateway.auth.token or pair the device",
        (SecretKind::Token, _) => "provide gateway auth token",
    }
}

fn refused_device(fault: DeviceFault) -> ErrorShape {
    ErrorShape::invalid_request(fault.message()).with_details(
        Object::new()
            .text("code", fault.code())
            .text("reason", fault.reason()),
    )
}
