//! What a client says of itself.

use bytes::Bytes;
use openclaw_protocol_core::hello::connect::{
    CLIENT_IDS, CLIENT_MODES, ConnectParams, Credentials,
};
use openclaw_protocol_core::json::Json;
use serde_json::Value;

use super::judge;

/// The most bytes that a finding takes, the path to it included.
const FINDING: usize = 1_200;

/// Reads the parameters of a `connect`: what is read keeps to the schema, is written and read again as the same, and
/// never shows a secret.
pub fn connect_params(data: &[u8]) {
    let Ok(json) = Json::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    match ConnectParams::read(Some(&json)) {
        Err(finding) => judge::is_bounded(&finding.to_string(), FINDING),
        Ok(params) => {
            let value: Value = json.read().expect("it was read as parameters");
            keeps_to_the_schema(&params, &value);
            writes_back(&params);
            hides_its_secrets(&params);
        }
    }
}

fn keeps_to_the_schema(params: &ConnectParams, value: &Value) {
    assert!(params.versions.min >= 1 && params.versions.max >= 1);
    assert!(CLIENT_IDS.contains(&params.client.id.as_str()));
    assert!(CLIENT_MODES.contains(&params.client.mode.as_str()));
    assert_eq!(value["client"]["id"], params.client.id);
    assert_eq!(value["client"]["version"], params.client.version);
    assert!(!params.client.version.is_empty() && !params.client.platform.is_empty());
    let role = value.get("role").map_or("operator", |role| {
        role.as_str().expect("a role is a string")
    });
    assert_eq!(params.role, role);
    let scopes = value.get("scopes").and_then(Value::as_array);
    assert_eq!(scopes.map_or(0, Vec::len), params.scopes.len());
    assert!(params.scopes.iter().all(|scope| !scope.is_empty()));
    let secret = |member: &str| {
        value
            .pointer(&format!("/auth/{member}"))
            .and_then(Value::as_str)
    };
    assert_eq!(secret("token"), params.auth.token.as_deref());
    assert_eq!(secret("password"), params.auth.password.as_deref());
    assert_eq!(value.get("device").is_some(), params.device.is_some());
    if let Some(device) = &params.device {
        assert!(!device.nonce.is_empty() && !device.signature.is_empty());
    }
}

fn writes_back(params: &ConnectParams) {
    let text = params.write();
    let again = ConnectParams::read(Some(&text)).expect("what a client writes a gateway reads");
    // Credentials that are all empty are left out.
    let auth = if params.auth.is_empty() {
        Credentials::default()
    } else {
        params.auth.clone()
    };
    let expected = ConnectParams {
        auth,
        ..params.clone()
    };
    assert_eq!(again, expected);
    assert_eq!(again.write(), text, "written twice, the same text");
}

fn hides_its_secrets(params: &ConnectParams) {
    let other = |secret: &Option<String>| secret.as_ref().map(|_| "another".to_owned());
    let auth = &params.auth;
    let others = ConnectParams {
        auth: Credentials {
            token: other(&auth.token),
            password: other(&auth.password),
            device_token: other(&auth.device_token),
            bootstrap_token: other(&auth.bootstrap_token),
        },
        ..params.clone()
    };
    assert_eq!(format!("{params:?}"), format!("{others:?}"));
}
