//! The secret a gateway shares with its clients.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub mod file;
pub mod reference;
pub mod resolve;

/// A token or password in plain text, which shows itself to nobody by accident.
///
/// It has no `Display`, its `Debug` is `Secret(..)`, and it cannot be compared: see [`SharedSecret`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret, without the white space around it; `None` if nothing is left.
    ///
    /// White space at the ends is never meant: it is the line end of the file or the quotes of the shell the secret
    /// came through.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Makes a new secret of 32 random bytes, written in base64url.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Returns the text itself, to send it or to sign with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The operating system has no random bytes to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gives no random bytes; set a token yourself with OPENCLAW_GATEWAY_TOKEN")
    }
}

impl std::error::Error for NoRandomness {}

/// What a running gateway keeps of its secret: enough to recognise it.
#[derive(Clone)]
pub struct SharedSecret {
    digest: [u8; 32],
}

impl SharedSecret {
    /// Keeps the digest of a secret.
    pub fn new(secret: &Secret) -> Self {
        Self {
            digest: Sha256::digest(secret.expose()).into(),
        }
    }

    /// Tells whether this is the secret, in a time that does not depend on how much of it is right.
    pub fn matches(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        self.digest.ct_eq(&presented).into()
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_matches() {
        let shared = SharedSecret::new(&Secret::new("test-token").expect("not blank"));
        assert!(shared.matches("test-token"));
        for wrong in ["", "test-toke", "test-token ", "Test-token", "test-token\0"] {
            assert!(!shared.matches(wrong), "{wrong:?}");
        }
        // Enough that one of them would share the first byte of the digest.
        for guess in 0..5000 {
            assert!(!shared.matches(&guess.to_string()), "{guess}");
        }
    }

    #[test]
    fn white_space_around_a_secret_is_not_part_of_it() {
        assert_eq!(Secret::new(" a b\r\n").expect("not blank").expose(), "a b");
        assert!(Secret::new(" \n").is_none());
    }

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = Secret::new("hunter2").expect("not blank");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(
            format!("{:?}", SharedSecret::new(&secret)),
            "SharedSecret(..)"
        );
    }

    #[test]
    fn generated_secrets_hold_32_bytes_and_differ() {
        let [one, two] = [(), ()].map(|()| Secret::generate().expect("random bytes"));
        let bytes = URL_SAFE_NO_PAD.decode(one.expose()).expect("base64url");
        assert_eq!(bytes.len(), 32);
        assert_ne!(one.expose(), two.expose());
    }
}
