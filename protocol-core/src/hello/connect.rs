//! The parameters of `connect`, the first request of every connection.

mod text;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::VersionRange;
use crate::shape::{COUNT, Kind, NAME, Object, TEXT, optional, required};

/// What a client says of itself.
///
/// `Debug` of the secrets in it shows only whether they are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectParams {
    /// The protocol versions that it accepts.
    pub versions: VersionRange,
    /// The program that connects.
    pub client: Client,
    /// Features that it understands, such as `tool-events`.
    pub caps: Vec<String>,
    /// Commands that a node offers: claims.
    pub commands: Vec<String>,
    /// Permissions that a node has on its host: claims.
    pub permissions: BTreeMap<String, bool>,
    /// A node's `PATH`.
    pub path_env: Option<String>,
    /// The role that it asks for, as it wrote it; `operator` if it wrote none.
    pub role: String,
    /// The scopes that it asks for.
    pub scopes: Vec<String>,
    /// The proof that it holds a device's key.
    pub device: Option<DeviceProof>,
    /// What it presents to be let in.
    pub auth: Credentials,
    /// Its locale.
    pub locale: Option<String>,
    /// Its user agent.
    pub user_agent: Option<String>,
}

/// The program behind a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Which program, of a closed set.
    pub id: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// Its version.
    pub version: String,
    /// Its build.
    pub build_id: Option<String>,
    /// The operating system it runs on.
    pub platform: String,
    /// The family of its device, such as `iPhone`.
    pub device_family: Option<String>,
    /// The model of its device.
    pub model_identifier: Option<String>,
    /// Its time zone.
    pub time_zone: Option<String>,
    /// How it is used, of a closed set.
    pub mode: String,
    /// What stays the same when the program reconnects.
    pub instance_id: Option<String>,
}

/// The proof that a client holds a device's private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProof {
    /// The hex SHA-256 of the raw public key.
    pub id: String,
    /// The raw Ed25519 public key in base64url without padding.
    pub public_key: String,
    /// The signature in base64url without padding.
    pub signature: String,
    /// When it was signed, in milliseconds since 1970.
    pub signed_at_ms: u64,
    /// The nonce of the challenge that it answers.
    pub nonce: String,
}

/// What a client presents to be let in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The gateway's shared token, or a device token.
    pub token: Option<String>,
    /// The gateway's password.
    pub password: Option<String>,
    /// A token that was issued to this device.
    pub device_token: Option<String>,
    /// A one-time token of a setup code.
    pub bootstrap_token: Option<String>,
}

impl Credentials {
    /// Whether nothing is presented; an empty string is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [
            &self.token,
            &self.password,
            &self.device_token,
            &self.bootstrap_token,
        ]
        .into_iter()
        .all(|secret| secret.as_deref().is_none_or(str::is_empty))
    }

    /// The secret that a device signature covers: the first of token, device token and bootstrap
    /// token that is there, or nothing.
    #[must_use]
    pub fn signed(&self) -> &str {
        [&self.token, &self.device_token, &self.bootstrap_token]
            .into_iter()
            .find_map(|secret| secret.as_deref().filter(|text| !text.is_empty()))
            .unwrap_or("")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.is_some())
            .field("password", &self.password.is_some())
            .field("device_token", &self.device_token.is_some())
            .field("bootstrap_token", &self.bootstrap_token.is_some())
            .finish()
    }
}

/// The programs that may connect.
pub const CLIENT_IDS: [&str; 17] = [
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
];

/// The ways in which a program is used.
pub const CLIENT_MODES: [&str; 8] = [
    "webchat", "cli", "ui", "backend", "node", "worker", "probe", "test",
];

const VERSION: Kind = Kind::Integer { min: 1 };
const CLIENT: Object = Object {
    members: &[
        required("id", Kind::OneOf(&CLIENT_IDS)),
        optional("displayName", NAME),
        required("version", NAME),
        optional("buildId", Kind::Text { min: 1, max: 96 }),
        required("platform", NAME),
        optional("deviceFamily", NAME),
        optional("modelIdentifier", NAME),
        optional("timeZone", Kind::Text { min: 1, max: 64 }),
        required("mode", Kind::OneOf(&CLIENT_MODES)),
        optional("instanceId", NAME),
    ],
};
const DEVICE: Object = Object {
    members: &[
        required("id", NAME),
        required("publicKey", NAME),
        required("signature", NAME),
        required("signedAt", COUNT),
        required("nonce", NAME),
    ],
};
const AUTH: Object = Object {
    members: &[
        optional("token", TEXT),
        optional("bootstrapToken", TEXT),
        optional("deviceToken", TEXT),
        optional("password", TEXT),
    ],
};
const PARAMS: Object = Object {
    members: &[
        required("minProtocol", VERSION),
        required("maxProtocol", VERSION),
        required("client", Kind::Object(&CLIENT)),
        optional("caps", Kind::List(&NAME)),
        optional("commands", Kind::List(&NAME)),
        optional("computerUse", Kind::Any),
        optional("workerRuns", Kind::Any),
        optional("permissions", Kind::Map(&Kind::Boolean)),
        optional("pathEnv", TEXT),
        optional("role", NAME),
        optional("scopes", Kind::List(&NAME)),
        optional("device", Kind::Object(&DEVICE)),
        optional("auth", Kind::Object(&AUTH)),
        optional("locale", TEXT),
        optional("userAgent", TEXT),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use crate::shape::Finding;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use serde_json::Value;

    fn minimal() -> Value {
        serde_json::json!({
            "minProtocol": 4, "maxProtocol": 4,
            "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}
        })
    }

    fn read(value: &Value) -> Result<ConnectParams, Finding> {
        ConnectParams::read(Some(&Json::of(value).unwrap()))
    }

    #[test]
    fn what_is_left_out_has_its_observed_default() {
        let params = read(&minimal()).unwrap();
        assert_eq!(params.role, "operator");
        assert!(params.scopes.is_empty() && params.caps.is_empty());
        assert!(params.auth.is_empty() && params.device.is_none());
    }

    #[test]
    fn findings_name_the_place() {
        assert_eq!(
            ConnectParams::read(None).unwrap_err().to_string(),
            "must be object"
        );
        for (member, value, finding) in [
            (
                "bogus",
                serde_json::json!(1),
                "at root: unexpected property 'bogus'",
            ),
            (
                "role",
                serde_json::json!(""),
                "at /role: must not have fewer than 1 characters",
            ),
            (
                "scopes",
                serde_json::json!("x"),
                "at /scopes: must be array",
            ),
            (
                "scopes",
                serde_json::json!([""]),
                "at /scopes/0: must not have fewer than 1 characters",
            ),
            (
                "minProtocol",
                serde_json::json!("4"),
                "at /minProtocol: must be integer",
            ),
            (
                "minProtocol",
                serde_json::json!(0),
                "at /minProtocol: must be >= 1",
            ),
            (
                "auth",
                serde_json::json!({"approvalRuntimeToken": "x"}),
                "at /auth: unexpected property 'approvalRuntimeToken'",
            ),
            (
                "device",
                serde_json::json!({"id": "a", "publicKey": "b", "signature": "c", "signedAt": 1}),
                "at /device: must have required property 'nonce'",
            ),
        ] {
            let mut params = minimal();
            params[member] = value;
            assert_eq!(read(&params).unwrap_err().to_string(), finding);
        }
        let mut params = minimal();
        params["client"]["id"] = serde_json::json!("somebody");
        assert_eq!(
            read(&params).unwrap_err().to_string(),
            "at /client/id: must be equal to one of the allowed values"
        );
    }

    #[test]
    fn what_a_client_writes_a_gateway_reads() {
        let mut params = read(&minimal()).unwrap();
        params.client.instance_id = Some("i".into());
        params.scopes = vec!["operator.read".into()];
        params.permissions.insert("camera".into(), true);
        params.commands = vec!["system.run".into()];
        params.auth.password = Some("secret".into());
        params.device = Some(DeviceProof {
            id: "d".into(),
            public_key: "k".into(),
            signature: "s".into(),
            signed_at_ms: 1_795_215_833_202,
            nonce: "n".into(),
        });
        assert_eq!(ConnectParams::read(Some(&params.write())).unwrap(), params);
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let mut params = read(&minimal()).unwrap();
        params.auth.token = Some("hunter2".into());
        assert!(!format!("{params:?}").contains("hunter2"));
    }

    #[test]
    fn the_signed_secret_is_the_first_that_was_sent() {
        let mut auth = Credentials {
            bootstrap_token: Some("b".into()),
            ..Credentials::default()
        };
        assert_eq!(auth.signed(), "b");
        auth.device_token = Some("d".into());
        assert_eq!(auth.signed(), "d");
        auth.token = Some("t".into());
        assert_eq!(auth.signed(), "t");
    }
}
