//! Device tokens: how they are made, and how they are recognised.
//!
//! A token is not stored, only its digest. Whoever proves the right to it gets the same text again, because it is made from
//! the gateway's own key: the keyed hash (HMAC-SHA256, RFC 2104) of the device, the role and a random salt. Without that key
//! the store alone opens nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use openclaw_protocol_core::scope::Role;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::record::Token;

/// What tokens are made with.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// Makes one from a secret that only this gateway has.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        // Nothing else that the same secret serves for may give the same bytes.
        let key = Sha256::new()
            .chain_update(b"openclaw device tokens 1\0")
            .chain_update(secret)
            .finalize();
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        Self(Hmac::new(&block.into()))
    }

    /// Makes the text of a token.
    #[must_use]
    pub fn text(&self, device_id: &str, role: Role, salt: &[u8; 16]) -> String {
        let mut mac = self.0.clone();
        for part in [device_id.as_bytes(), role.as_str().as_bytes(), salt] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// What is kept of a secret's text.
#[must_use]
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

impl Token {
    /// Whether this is its text, in a time that does not depend on how much of it is right.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.digest.ct_eq(&digest(text)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_again_from_the_same_parts_and_from_no_others() {
        let key = TokenKey::new(&[7; 32]);
        let text = key.text("device", Role::Operator, &[1; 16]);
        assert_eq!(text.len(), 43);
        assert_eq!(text, key.text("device", Role::Operator, &[1; 16]));
        for other in [
            key.text("devicf", Role::Operator, &[1; 16]),
            key.text("device", Role::Node, &[1; 16]),
            key.text("device", Role::Operator, &[2; 16]),
            TokenKey::new(&[8; 32]).text("device", Role::Operator, &[1; 16]),
        ] {
            assert_ne!(text, other);
        }
    }

    #[test]
    fn nothing_shows_a_key_or_a_token() {
        let token = Token {
            digest: digest("hunter2"),
            salt: [9; 16],
            scopes: vec![],
            created_ms: 1,
            rotated_ms: None,
            revoked_ms: None,
        };
        assert!(token.is("hunter2") && !token.is("hunter3"));
        let shown = format!("{token:?} {:?}", TokenKey::new(&[7; 32]));
        assert!(
            !shown.contains("digest") && !shown.contains("salt"),
            "{shown}"
        );
    }
}
