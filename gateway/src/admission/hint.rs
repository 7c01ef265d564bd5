//! What who presents no secret, or a wrong one, may do about it.

use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hub::Peer;

use crate::secret::resolve::SecretKind;

/// The programs in which people paste a secret.
const INTERFACES: [&str; 4] = [
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat-ui",
];

/// Returns the words in brackets of a refusal; `missing` if nothing was presented.
pub(super) fn hint(
    kind: SecretKind,
    params: &ConnectParams,
    peer: &Peer,
    missing: bool,
) -> &'static str {
    let client = &params.client;
    let pastes = client.mode == "webchat" || INTERFACES.contains(&client.id.as_str());
    match (kind, client.mode.as_str()) {
        (SecretKind::Token, _) if pastes && missing => {
            "paste in Control UI settings or openclaw doctor --generate-gateway-token; restart"
        }
        (SecretKind::Token, "cli") if peer.direct_loopback => {
            "use this gateway's gateway.auth.token or pair the device"
        }
        (SecretKind::Token, "cli") => "set gateway.remote.token to match gateway.auth.token",
        (SecretKind::Token, _) if pastes => {
            "open the dashboard URL and paste the token in Control UI settings"
        }
        (SecretKind::Token, _) => "provide gateway auth token",
        (SecretKind::Password, "cli") if peer.direct_loopback => {
            "use this gateway's gateway.auth.password"
        }
        (SecretKind::Password, "cli") => {
            "set gateway.remote.password to match gateway.auth.password"
        }
        (SecretKind::Password, _) if pastes => "enter the password in Control UI settings",
        (SecretKind::Password, _) => "provide gateway auth password",
    }
}
