//! A device of our own, which proves that it holds its key.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use crate::json::Value;
use crate::object;

/// A device with a key that was made for one judgement.
#[derive(Debug)]
pub struct Device {
    key: SigningKey,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its id.
    pub id: String,
    /// The nonce of the challenge.
    pub nonce: String,
    /// When it signed, in milliseconds since 1970.
    pub signed_at: i64,
}

/// Which text is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Up to the nonce.
    V2,
    /// With the platform and the family of the device.
    V3,
}

impl Device {
    /// A device with this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(&key),
        }
    }

    /// What is true of the device after this challenge.
    #[must_use]
    pub fn claim(&self, challenge: &Value) -> Claim {
        let digest = Sha256::digest(self.key.verifying_key().as_bytes());
        let mut id = String::new();
        for byte in digest {
            let _ = write!(id, "{byte:02x}");
        }
        Claim {
            id,
            nonce: challenge.text("payload.nonce").unwrap_or("").to_owned(),
            signed_at: challenge.integer("payload.ts").unwrap_or(0),
        }
    }

    /// The member `device` of the parameters of `connect`.
    #[must_use]
    pub fn prove(&self, claim: &Claim, params: &Value, layout: Layout) -> Value {
        let signature = self.key.sign(text(claim, params, layout).as_bytes());
        object! {
            "id": claim.id.as_str(),
            "publicKey": URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes()),
            "signature": URL_SAFE_NO_PAD.encode(signature.to_bytes()),
            "signedAt": claim.signed_at,
            "nonce": claim.nonce.as_str(),
        }
    }
}

fn text(claim: &Claim, params: &Value, layout: Layout) -> String {
    let at = |path: &str| params.text(path).unwrap_or("");
    let scopes = params.list("scopes").unwrap_or(&[]).iter();
    let scopes: Vec<&str> = scopes
        .filter_map(|scope| {
            let Value::Text(text) = scope else {
                return None;
            };
            Some(text.as_str())
        })
        .collect();
    let (scopes, signed_at) = (scopes.join(","), claim.signed_at.to_string());
    let credentials = ["auth.token", "auth.deviceToken", "auth.bootstrapToken"];
    let signed = credentials.into_iter().find_map(|path| params.text(path));
    let mut parts = vec![
        if layout == Layout::V2 { "v2" } else { "v3" },
        &claim.id,
        at("client.id"),
        at("client.mode"),
        at("role"),
        &scopes,
        &signed_at,
        signed.unwrap_or(""),
        &claim.nonce,
    ];
    let [platform, family] =
        ["client.platform", "client.deviceFamily"].map(|path| at(path).trim().to_ascii_lowercase());
    if layout == Layout::V3 {
        parts.extend([platform.as_str(), family.as_str()]);
    }
    parts.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_texts_have_their_fields_in_order() {
        let claim = Claim {
            id: "ab".to_owned(),
            nonce: "n".to_owned(),
            signed_at: 7,
        };
        let scopes: &[&str] = &["a", "b"];
        let params = object! {
            "client": object! {"id": "cli", "mode": "cli", "platform": " Linux "},
            "role": "operator",
            "scopes": scopes,
            "auth": object! {"token": "t"},
        };
        assert_eq!(
            text(&claim, &params, Layout::V2),
            "v2|ab|cli|cli|operator|a,b|7|t|n"
        );
        assert_eq!(
            text(&claim, &params, Layout::V3),
            "v3|ab|cli|cli|operator|a,b|7|t|n|linux|"
        );
        for (auth, signed) in [
            (object! {"deviceToken": "d", "bootstrapToken": "b"}, "d"),
            (object! {"bootstrapToken": "b"}, "b"),
            (object! {}, ""),
        ] {
            assert_eq!(
                text(&claim, &params.clone().with("auth", auth), Layout::V2),
                format!("v2|ab|cli|cli|operator|a,b|7|{signed}|n")
            );
        }
    }
}
