//! Who the clients of a world are.

use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::json::Json;
use serde_json::{Value, json};

struct Profile {
    id: &'static str,
    mode: &'static str,
    role: &'static str,
    scopes: &'static [&'static str],
    caps: &'static [&'static str],
    oldest: u32,
    newest: u32,
    device: Option<&'static str>,
    instance: Option<&'static str>,
}

const PLAIN: Profile = Profile {
    id: "gateway-client",
    mode: "backend",
    role: "operator",
    scopes: &["operator.read", "operator.write"],
    caps: &[],
    oldest: 3,
    newest: 4,
    device: None,
    instance: None,
};

/// The first always may write; the others differ in everything that decides what they hear.
const PROFILES: [Profile; 6] = [
    Profile {
        device: Some("d1"),
        mode: "ui",
        id: "openclaw-control-ui",
        caps: &["tool-events"],
        ..PLAIN
    },
    Profile {
        newest: 3,
        device: Some("d2"),
        ..PLAIN
    },
    Profile {
        id: "node-host",
        mode: "node",
        role: "node",
        scopes: &[],
        instance: Some("i1"),
        ..PLAIN
    },
    Profile {
        id: "cli",
        mode: "cli",
        scopes: &["operator.admin"],
        oldest: 4,
        device: Some("d1"),
        ..PLAIN
    },
    Profile {
        scopes: &["operator.approvals"],
        mode: "webchat",
        id: "webchat",
        instance: Some("i2"),
        ..PLAIN
    },
    Profile {
        scopes: &["operator.read", "operator.pairing"],
        ..PLAIN
    },
];

fn profile(index: usize) -> &'static Profile {
    &PROFILES[index % PROFILES.len()]
}

/// Whether a client may read the gateway's state.
pub(super) fn reads(index: usize) -> bool {
    let scopes = profile(index).scopes;
    ["operator.read", "operator.admin"]
        .iter()
        .any(|scope| scopes.contains(scope))
}

/// What a client says of itself.
pub(super) fn params(index: usize, nonce: &str) -> ConnectParams {
    let text = value(index, nonce).to_string();
    let json = Json::parse(text).expect("JSON");
    ConnectParams::read(Some(&json)).expect("well-formed parameters")
}

/// The same as JSON.
pub(super) fn value(index: usize, nonce: &str) -> Value {
    let profile = profile(index);
    let mut params = json!({
        "minProtocol": profile.oldest,
        "maxProtocol": profile.newest,
        "client": {
            "id": profile.id, "version": "1", "platform": "sim", "mode": profile.mode,
            "displayName": format!("peer-{index}"),
        },
        "role": profile.role,
        "scopes": profile.scopes,
        "caps": profile.caps,
    });
    if let Some(device) = profile.device {
        params["device"] = json!({
            "id": device, "publicKey": "k", "signature": "s", "signedAt": 1, "nonce": nonce,
        });
    }
    if let Some(instance) = profile.instance {
        params["client"]["instanceId"] = json!(instance);
    }
    params
}
