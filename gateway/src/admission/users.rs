//! Users whom a proxy or a directory names, and what that opens.

use std::collections::BTreeMap;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hub::{Peer, Who};
use openclaw_protocol_core::json::Object;
use openclaw_protocol_core::scope::Scopes;

const HEADER_MISSING: &str = "trusted_proxy_missing_header_";
const NODE_WITHOUT_HEADER: &str = "gateway rejected this node: trusted-proxy identity-header authentication is required and no usable machine credential was accepted; run `openclaw doctor` on the Gateway";

/// How users come in whom somebody else than they themselves names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Whether the mode is `trusted-proxy`: a proxy names them, and the gateway's secret is for programs on this host only.
    pub by_proxy: bool,
    /// `gateway.auth.identityScopes`: what their name opens.
    pub scopes: BTreeMap<String, Vec<String>>,
}

impl Users {
    /// Returns the user who is let in by name.
    #[must_use]
    pub fn of<'p>(&self, peer: &'p Peer) -> Option<&'p str> {
        match (&peer.claims.as_ref()?.who, self.by_proxy) {
            (Who::Vouched(user), true) | (Who::Verified(user), false) => Some(user),
            (Who::Vouched(_) | Who::Verified(_) | Who::Claimed(_) | Who::Nobody(_), _) => None,
        }
    }

    /// Returns the name under which the requests of a user are known, or of a user's device.
    #[must_use]
    pub fn principal(user: &str, device_id: Option<&str>) -> String {
        match device_id {
            // In quotes, so that no user is named like another one's device.
            Some(device_id) => format!("user:{user:?} device:{device_id}"),
            None => format!("user:{user:?}"),
        }
    }

    /// Adds what a user's name opens to `scopes`, and takes away what the connection's request excludes.
    #[must_use]
    pub fn scopes(&self, mut scopes: Vec<String>, peer: &Peer) -> Scopes {
        let by_name = self.of(peer).into_iter().flat_map(|user| self.opens(user));
        for scope in by_name {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        if let Some(limit) = peer.claims.as_ref().and_then(|c| c.scopes.as_ref()) {
            scopes.retain(|scope| limit.iter().any(|allowed| **allowed == **scope));
        }
        scopes.into()
    }

    fn opens(&self, user: &str) -> &[String] {
        // Addresses are written in any case.
        let is_it = |name: &str| name.contains('@') && name.to_lowercase() == user.to_lowercase();
        let in_any_case = || self.scopes.iter().find(|(name, _)| is_it(name));
        self.scopes
            .get_key_value(user)
            .or_else(in_any_case)
            .map_or(&[], |(_, scopes)| scopes)
    }
}

/// The refusal of who has no user whom a proxy vouches for.
pub(super) fn unvouched(params: &ConnectParams, peer: &Peer) -> ErrorShape {
    let reason = match peer.claims.as_ref().map(|claims| &claims.who) {
        Some(Who::Nobody(reason)) => reason,
        Some(Who::Vouched(_) | Who::Verified(_) | Who::Claimed(_)) | None => {
            "trusted_proxy_untrusted_source"
        }
    };
    let lacks_header = reason.starts_with(HEADER_MISSING);
    let message = match lacks_header && params.client.mode == "node" {
        true => NODE_WITHOUT_HEADER,
        false => "unauthorized",
    };
    let code = match lacks_header {
        true => "AUTH_IDENTITY_HEADER_REQUIRED",
        false => "AUTH_UNAUTHORIZED",
    };
    refusal(message, code, reason)
}

/// The refusal of who came through `tailscale serve` and is not known to the tailnet as who they are said to be.
pub(super) fn unidentified(reason: &str) -> Option<ErrorShape> {
    let (code, message) = match reason {
        "tailscale_user_missing" => (
            "AUTH_TAILSCALE_IDENTITY_MISSING",
            "unauthorized: tailscale identity missing (use Tailscale Serve auth or gateway token/password)",
        ),
        "tailscale_whois_failed" => (
            "AUTH_TAILSCALE_WHOIS_FAILED",
            "unauthorized: tailscale identity check failed (use Tailscale Serve auth or gateway token/password)",
        ),
        "tailscale_user_mismatch" => (
            "AUTH_TAILSCALE_IDENTITY_MISMATCH",
            "unauthorized: tailscale identity mismatch (use Tailscale Serve auth or gateway token/password)",
        ),
        _ => return None,
    };
    Some(refusal(message, code, reason))
}

fn refusal(message: &str, code: &str, reason: &str) -> ErrorShape {
    ErrorShape::invalid_request(message).with_details(
        Object::new()
            .text("code", code)
            .text("authReason", reason)
            .boolean("canRetryWithDeviceToken", false)
            .text("recommendedNextStep", "review_auth_configuration"),
    )
}
