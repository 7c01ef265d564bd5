//! What a device signs to prove who it is.
//!
//! A device signs one line of text: fields joined by `|`, led by the version of the layout. Making that text needs no key, so it
//! lives here; making and checking signatures is the application's work.

use alloc::string::{String, ToString};
use core::time::Duration;

/// How far a signature's time may lie from the verifier's clock, in either direction.
pub const SIGNATURE_SKEW: Duration = Duration::from_secs(120);

/// The facts a device signs, as they stand in its connect request.
///
/// ```
/// use openclaw_protocol_core::device::DevicePayload;
///
/// let payload = DevicePayload {
///     device_id: "d1",
///     client_id: "cli",
///     client_mode: "cli",
///     role: "operator",
///     scopes: &["operator.read", "operator.write"],
///     signed_at_ms: 1_700_000_000_000,
///     token: "secret",
///     nonce: "n1",
///     platform: Some("Linux"),
///     device_family: None,
/// };
/// assert_eq!(
///     payload.v3(),
///     "v3|d1|cli|cli|operator|operator.read,operator.write|1700000000000|secret|n1|linux|"
/// );
/// ```
#[derive(Clone, Copy)]
pub struct DevicePayload<'a, S> {
    /// `device.id`: the hexadecimal SHA-256 digest of the raw public key.
    pub device_id: &'a str,
    /// `client.id`.
    pub client_id: &'a str,
    /// `client.mode`.
    pub client_mode: &'a str,
    /// `role`; `operator` where the request leaves it out.
    pub role: &'a str,
    /// `scopes` in the order of the request.
    pub scopes: &'a [S],
    /// `device.signedAt`, in milliseconds since 1970.
    pub signed_at_ms: u64,
    /// The secret that the request sends, in whichever field; empty if it sends none.
    pub token: &'a str,
    /// `device.nonce`: the nonce of the challenge.
    pub nonce: &'a str,
    /// `client.platform`; only version 3 signs it.
    pub platform: Option<&'a str>,
    /// `client.deviceFamily`; only version 3 signs it.
    pub device_family: Option<&'a str>,
}

impl<S: AsRef<str>> DevicePayload<'_, S> {
    /// Writes the text of layout version 2.
    pub fn v2(&self) -> String {
        self.text("v2")
    }

    /// Writes the text of layout version 3: version 2 with platform and device family at the end, trimmed and in ASCII
    /// lower case.
    pub fn v3(&self) -> String {
        let mut text = self.text("v3");
        for field in [self.platform, self.device_family] {
            text.push('|');
            let field = field.unwrap_or("").trim_matches(is_blank);
            text.extend(field.chars().map(|letter| letter.to_ascii_lowercase()));
        }
        text
    }

    fn text(&self, version: &str) -> String {
        let mut text = String::from(version);
        for field in [self.device_id, self.client_id, self.client_mode, self.role] {
            text.push('|');
            text.push_str(field);
        }
        text.push('|');
        for (index, scope) in self.scopes.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(scope.as_ref());
        }
        text.push('|');
        text.push_str(&self.signed_at_ms.to_string());
        for field in [self.token, self.nonce] {
            text.push('|');
            text.push_str(field);
        }
        text
    }
}

impl<S> core::fmt::Debug for DevicePayload<'_, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DevicePayload")
            .field("device_id", &self.device_id)
            .field("client_id", &self.client_id)
            .field("signed_at_ms", &self.signed_at_ms)
            .finish_non_exhaustive()
    }
}

// Signers trim as ECMAScript does, which differs from Unicode white space in these two characters.
fn is_blank(letter: char) -> bool {
    letter == '\u{feff}' || (letter.is_whitespace() && letter != '\u{85}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SCOPES: &[&str] = &[];

    fn payload() -> DevicePayload<'static, &'static str> {
        DevicePayload {
            device_id: "id",
            client_id: "node-host",
            client_mode: "node",
            role: "node",
            scopes: NO_SCOPES,
            signed_at_ms: 5,
            token: "",
            nonce: "n",
            platform: None,
            device_family: None,
        }
    }

    #[test]
    fn absent_fields_are_signed_as_empty_ones() {
        assert_eq!(payload().v2(), "v2|id|node-host|node|node||5||n");
        assert_eq!(payload().v3(), "v3|id|node-host|node|node||5||n||");
    }

    #[test]
    fn platform_and_family_are_signed_trimmed_and_in_lower_case() {
        let payload = DevicePayload {
            platform: Some("\u{feff} MacOS 26 \n"),
            device_family: Some("IPhone Ä"),
            ..payload()
        };
        assert!(
            payload.v3().ends_with("|n|macos 26|iphone Ä"),
            "{}",
            payload.v3()
        );
        assert!(payload.v2().ends_with("|n"), "{}", payload.v2());
    }

    #[test]
    fn scopes_keep_their_order() {
        let payload = DevicePayload {
            scopes: &["b", "a"],
            ..payload()
        };
        assert_eq!(payload.v2(), "v2|id|node-host|node|node|b,a|5||n");
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let payload = DevicePayload {
            token: "hunter2",
            ..payload()
        };
        assert!(!alloc::format!("{payload:?}").contains("hunter2"));
    }
}
