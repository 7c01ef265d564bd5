//! What a peer says of itself when it connects.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use openclaw_gateway_service::device::device_id;
use openclaw_protocol_core::device::DevicePayload;
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "test-token";

/// A peer; by default the published client's back end with the right token and no scopes.
#[derive(Clone, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) id: &'a str,
    pub(crate) mode: &'a str,
    pub(crate) role: &'a str,
    pub(crate) scopes: &'a [&'a str],
    pub(crate) auth: Value,
    pub(crate) versions: (u32, u32),
    pub(crate) caps: &'a [&'a str],
    pub(crate) commands: &'a [&'a str],
    pub(crate) permissions: Value,
    pub(crate) instance: Option<&'a str>,
    pub(crate) device: Option<Device>,
    pub(crate) platform: &'a str,
    pub(crate) family: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
}

impl Default for Caller<'_> {
    fn default() -> Self {
        Self {
            id: "gateway-client",
            mode: "backend",
            role: "operator",
            scopes: &[],
            auth: json!({"token": TOKEN}),
            versions: (3, 4),
            caps: &[],
            commands: &[],
            permissions: Value::Null,
            instance: None,
            device: None,
            platform: "Linux",
            family: None,
            name: None,
        }
    }
}

impl Caller<'_> {
    pub(crate) fn params(&self, nonce: &str, now_ms: u64) -> Value {
        let (min, max) = self.versions;
        let mut params = json!({
            "minProtocol": min,
            "maxProtocol": max,
            "client": {"id": self.id, "version": "1.2.3", "platform": self.platform, "mode": self.mode},
            "role": self.role,
            "scopes": self.scopes,
            "auth": self.auth,
        });
        if !self.caps.is_empty() {
            params["caps"] = json!(self.caps);
        }
        if !self.commands.is_empty() {
            params["commands"] = json!(self.commands);
        }
        if !self.permissions.is_null() {
            params["permissions"] = self.permissions.clone();
        }
        if let Some(instance) = self.instance {
            params["client"]["instanceId"] = json!(instance);
        }
        if let Some(family) = self.family {
            params["client"]["deviceFamily"] = json!(family);
        }
        if let Some(name) = self.name {
            params["client"]["displayName"] = json!(name);
        }
        if let Some(device) = &self.device {
            params["device"] = device.prove(self, nonce, now_ms);
        }
        params
    }
}

/// A device that holds a key, and how it departs from what is right.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) seed: u8,
    pub(crate) layout: u8,
    /// How late its clock is, in milliseconds.
    pub(crate) late_ms: i64,
    pub(crate) nonce: Option<&'static str>,
    pub(crate) id: Option<&'static str>,
    pub(crate) public_key: Option<&'static str>,
    pub(crate) signature: Option<&'static str>,
    /// The token that it signs, if not the one it sends.
    pub(crate) token: Option<&'static str>,
}

impl Device {
    pub(crate) const fn new(seed: u8) -> Self {
        Self {
            seed,
            layout: 3,
            late_ms: 0,
            nonce: None,
            id: None,
            public_key: None,
            signature: None,
            token: None,
        }
    }

    pub(crate) fn id(&self) -> String {
        device_id(self.key().verifying_key().as_bytes())
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed; 32])
    }

    fn prove(&self, caller: &Caller<'_>, nonce: &str, now_ms: u64) -> Value {
        let own_id = self.id();
        let id = self.id.unwrap_or(&own_id);
        let nonce = self.nonce.unwrap_or(nonce);
        let signed_at = now_ms.saturating_add_signed(-self.late_ms);
        let sent = ["token", "deviceToken", "bootstrapToken"]
            .into_iter()
            .find_map(|member| caller.auth[member].as_str())
            .unwrap_or("");
        let payload = DevicePayload {
            device_id: id,
            client_id: caller.id,
            client_mode: caller.mode,
            role: caller.role,
            scopes: caller.scopes,
            signed_at_ms: signed_at,
            token: self.token.unwrap_or(sent),
            nonce,
            platform: Some(caller.platform),
            device_family: caller.family,
        };
        let text = if self.layout == 2 {
            payload.v2()
        } else {
            payload.v3()
        };
        let signature = self.key().sign(text.as_bytes()).to_bytes();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let key = URL_SAFE_NO_PAD.encode(self.key().verifying_key().as_bytes());
        json!({
            "id": id,
            "publicKey": self.public_key.unwrap_or(&key),
            "signature": self.signature.unwrap_or(&signature),
            "signedAt": signed_at,
            "nonce": nonce,
        })
    }
}
