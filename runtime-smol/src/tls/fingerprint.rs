//! The name of a certificate that nobody else can have.

use std::fmt;
use std::str::FromStr;

use futures_rustls::pki_types::CertificateDer;
use futures_rustls::pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate in DER.
///
/// It is shown as 64 hexadecimal digits in lower case, and read in any case, with a colon after every two digits as browsers
/// and `openssl x509 -fingerprint -sha256` show it, and behind `sha256:`.
///
/// ```
/// use openclaw_runtime_smol::tls::Fingerprint;
///
/// let digits = "0f".repeat(32);
/// let fingerprint: Fingerprint = format!("SHA256:{digits}").parse()?;
/// assert_eq!(fingerprint.to_string(), digits);
/// # Ok::<(), openclaw_runtime_smol::tls::NotAFingerprint>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes the fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Takes the fingerprint of the first certificate in PEM, if there is one.
    #[must_use]
    pub fn of_pem(certificates: &[u8]) -> Option<Self> {
        let first = CertificateDer::from_pem_slice(certificates).ok()?;
        Some(Self::of(&first))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text is no SHA-256 fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFingerprint;

impl fmt::Display for NotAFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a TLS fingerprint is a SHA-256 in 64 hexadecimal digits, with a colon after every two or without",
        )
    }
}

impl std::error::Error for NotAFingerprint {}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let text = text.trim();
        let bare = match text.split_at_checked(7) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("sha256:") => rest.as_bytes(),
            _ => text.as_bytes(),
        };
        let step = match bare.len() {
            64 => 2,
            95 => 3,
            _ => return Err(NotAFingerprint),
        };
        let mut bytes = [0; 32];
        for (byte, part) in bytes.iter_mut().zip(bare.chunks(step)) {
            *byte = match part {
                [high, low] | [high, low, b':'] => digit(*high)? << 4 | digit(*low)?,
                _ => return Err(NotAFingerprint),
            };
        }
        Ok(Self(bytes))
    }
}

fn digit(byte: u8) -> Result<u8, NotAFingerprint> {
    let value = char::from(byte).to_digit(16);
    value
        .and_then(|value| u8::try_from(value).ok())
        .ok_or(NotAFingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52:B8:55";

    #[test]
    fn every_usual_spelling_is_the_same_fingerprint() {
        let expected = Fingerprint::of(b"");
        let bare = SHOWN.replace(':', "");
        assert_eq!(expected.to_string(), bare.to_lowercase());
        for text in [
            SHOWN.to_owned(),
            SHOWN.to_lowercase(),
            bare.clone(),
            bare.to_lowercase(),
            format!(" sha256:{SHOWN}\n"),
            format!("SHA256:{bare}"),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_none() {
        let bare = SHOWN.replace(':', "");
        for text in [
            "",
            "sha256:",
            &bare[1..],
            &format!("{bare}0"),
            &SHOWN.replacen(':', "-", 1),
            &SHOWN.replacen("E3", "G3", 1),
            &format!("+{}", &bare[1..]),
            &"é".repeat(32),
            &format!("{}:", &SHOWN[..94]),
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NotAFingerprint), "{text}");
        }
    }
}
