//! Reading and writing the parameters.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::{Client, ConnectParams, Credentials, DeviceProof, PARAMS};
use crate::hello::VersionRange;
use crate::json::{Json, Object as Writer};
use crate::shape::{Finding, integer};

impl ConnectParams {
    /// Reads the parameters of a `connect` request.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn read(params: Option<&Json>) -> Result<Self, Finding> {
        let value: Value = match params {
            Some(params) => params.read().map_err(|_| Finding::unreadable(""))?,
            None => Value::Null,
        };
        PARAMS.check(&value)?;
        let Value::Object(mut members) = value else {
            return Err(Finding::not_an_object());
        };
        Ok(Self {
            versions: VersionRange {
                min: version(&members, "minProtocol"),
                max: version(&members, "maxProtocol"),
            },
            client: client(taken(&mut members, "client")),
            caps: list(&mut members, "caps"),
            commands: list(&mut members, "commands"),
            permissions: taken(&mut members, "permissions")
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_bool()?)))
                .collect(),
            path_env: text(&mut members, "pathEnv"),
            role: text(&mut members, "role").unwrap_or_else(|| "operator".to_owned()),
            scopes: list(&mut members, "scopes"),
            device: members
                .contains_key("device")
                .then(|| device(taken(&mut members, "device"))),
            auth: credentials(taken(&mut members, "auth")),
            locale: text(&mut members, "locale"),
            user_agent: text(&mut members, "userAgent"),
        })
    }

    /// Writes the parameters as a client sends them.
    ///
    /// Absent and empty optional members are left out, secrets included.
    #[must_use]
    pub fn write(&self) -> Json {
        let client = &self.client;
        let mut writer = Writer::new()
            .number("minProtocol", self.versions.min.into())
            .number("maxProtocol", self.versions.max.into())
            .object(
                "client",
                Writer::new()
                    .text("id", &client.id)
                    .maybe_text("displayName", client.display_name.as_deref())
                    .text("version", &client.version)
                    .maybe_text("buildId", client.build_id.as_deref())
                    .text("platform", &client.platform)
                    .maybe_text("deviceFamily", client.device_family.as_deref())
                    .maybe_text("modelIdentifier", client.model_identifier.as_deref())
                    .maybe_text("timeZone", client.time_zone.as_deref())
                    .text("mode", &client.mode)
                    .maybe_text("instanceId", client.instance_id.as_deref()),
            )
            .text("role", &self.role)
            .texts("scopes", &self.scopes)
            .texts("caps", &self.caps);
        if !self.commands.is_empty() {
            writer = writer.texts("commands", &self.commands);
        }
        if !self.permissions.is_empty() {
            let permissions = self
                .permissions
                .iter()
                .fold(Writer::new(), |all, (name, value)| {
                    all.boolean(name, *value)
                });
            writer = writer.object("permissions", permissions);
        }
        writer = writer.maybe_text("pathEnv", self.path_env.as_deref());
        if let Some(device) = &self.device {
            writer = writer.object(
                "device",
                Writer::new()
                    .text("id", &device.id)
                    .text("publicKey", &device.public_key)
                    .text("signature", &device.signature)
                    .number("signedAt", device.signed_at_ms)
                    .text("nonce", &device.nonce),
            );
        }
        if !self.auth.is_empty() {
            let auth = &self.auth;
            writer = writer.object(
                "auth",
                Writer::new()
                    .maybe_text("token", auth.token.as_deref())
                    .maybe_text("password", auth.password.as_deref())
                    .maybe_text("deviceToken", auth.device_token.as_deref())
                    .maybe_text("bootstrapToken", auth.bootstrap_token.as_deref()),
            );
        }
        writer
            .maybe_text("locale", self.locale.as_deref())
            .maybe_text("userAgent", self.user_agent.as_deref())
            .finish()
    }
}

type Members = Map<String, Value>;

fn version(members: &Members, name: &str) -> u32 {
    let number = members.get(name).and_then(integer).unwrap_or(0);
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn taken(members: &mut Members, name: &str) -> Members {
    match members.remove(name) {
        Some(Value::Object(inner)) => inner,
        _ => Members::new(),
    }
}

fn text(members: &mut Members, name: &str) -> Option<String> {
    match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn list(members: &mut Members, name: &str) -> Vec<String> {
    match members.remove(name) {
        Some(Value::Array(items)) => items
            .into_iter()
            .filter_map(|item| item.as_str().map(ToOwned::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

fn client(mut members: Members) -> Client {
    Client {
        id: text(&mut members, "id").unwrap_or_default(),
        display_name: text(&mut members, "displayName"),
        version: text(&mut members, "version").unwrap_or_default(),
        build_id: text(&mut members, "buildId"),
        platform: text(&mut members, "platform").unwrap_or_default(),
        device_family: text(&mut members, "deviceFamily"),
        model_identifier: text(&mut members, "modelIdentifier"),
        time_zone: text(&mut members, "timeZone"),
        mode: text(&mut members, "mode").unwrap_or_default(),
        instance_id: text(&mut members, "instanceId"),
    }
}

fn device(mut members: Members) -> DeviceProof {
    let signed_at = members.get("signedAt").and_then(integer).unwrap_or(0);
    DeviceProof {
        id: text(&mut members, "id").unwrap_or_default(),
        public_key: text(&mut members, "publicKey").unwrap_or_default(),
        signature: text(&mut members, "signature").unwrap_or_default(),
        signed_at_ms: u64::try_from(signed_at).unwrap_or(0),
        nonce: text(&mut members, "nonce").unwrap_or_default(),
    }
}

fn credentials(mut members: Members) -> Credentials {
    Credentials {
        token: text(&mut members, "token"),
        password: text(&mut members, "password"),
        device_token: text(&mut members, "deviceToken"),
        bootstrap_token: text(&mut members, "bootstrapToken"),
    }
}
