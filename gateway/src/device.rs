//! Whether a device is who it says.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use openclaw_protocol_core::device::{DevicePayload, SIGNATURE_SKEW};
use sha2::{Digest, Sha256};

/// A device's claim together with what the gateway knows to check it against.
#[derive(Clone, Copy, Debug)]
pub struct DeviceClaim<'a, S> {
    /// What the device signed, as its connect request has it.
    pub payload: DevicePayload<'a, S>,
    /// `device.publicKey`: a raw ed25519 key in unpadded base64url.
    pub public_key: &'a str,
    /// `device.signature`: a raw ed25519 signature in unpadded base64url.
    pub signature: &'a str,
    /// The nonce this connection was challenged with.
    pub challenge: &'a str,
    /// The gateway's wall clock, in milliseconds since 1970.
    pub now_ms: u64,
}

/// Checks a claim and returns the first thing that is wrong with it.
///
/// In this order: the id is the lower-case hexadecimal SHA-256 digest of the key; the time lies within
/// [`SIGNATURE_SKEW`] of the gateway's; the nonce is the challenge's; the signature is right for the text of version 3 or,
/// failing that, version 2. Keys of small order and signatures that are not in canonical form are wrong.
pub fn verify<S: AsRef<str>>(proof: &DeviceClaim<'_, S>) -> Result<(), DeviceFault> {
    let payload = &proof.payload;
    let key: [u8; 32] = decode(proof.public_key).ok_or(DeviceFault::IdMismatch)?;
    if payload.device_id != device_id(&key) {
        return Err(DeviceFault::IdMismatch);
    }
    if u128::from(proof.now_ms.abs_diff(payload.signed_at_ms)) > SIGNATURE_SKEW.as_millis() {
        return Err(DeviceFault::Expired);
    }
    if payload.nonce != proof.challenge {
        return Err(DeviceFault::NonceMismatch);
    }
    let key = VerifyingKey::from_bytes(&key).map_err(|_| DeviceFault::SignatureInvalid)?;
    let signature: [u8; 64] = decode(proof.signature).ok_or(DeviceFault::SignatureInvalid)?;
    let signature = Signature::from_bytes(&signature);
    let signed = |text: String| key.verify_strict(text.as_bytes(), &signature).is_ok();
    if signed(payload.v3()) || signed(payload.v2()) {
        Ok(())
    } else {
        Err(DeviceFault::SignatureInvalid)
    }
}

/// Returns the id of the device that holds this key: the digest of its raw bytes in lower-case hexadecimal.
pub fn device_id(public_key: &[u8; 32]) -> String {
    let digest = Sha256::digest(public_key);
    let mut id = String::with_capacity(2 * digest.len());
    for byte in digest {
        for nibble in [byte >> 4, byte & 15] {
            id.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    id
}

/// Why a device is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// The id does not belong to the key, or the key cannot be read.
    IdMismatch,
    /// The signature is too old, or from the future.
    Expired,
    /// The nonce is not the one of this connection's challenge.
    NonceMismatch,
    /// The signature does not fit the request.
    SignatureInvalid,
}

impl DeviceFault {
    /// Returns `details.code` of the refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::IdMismatch => "DEVICE_AUTH_DEVICE_ID_MISMATCH",
            Self::Expired => "DEVICE_AUTH_SIGNATURE_EXPIRED",
            Self::NonceMismatch => "DEVICE_AUTH_NONCE_MISMATCH",
            Self::SignatureInvalid => "DEVICE_AUTH_SIGNATURE_INVALID",
        }
    }

    /// Returns `details.reason` of the refusal.
    pub fn reason(self) -> &'static str {
        match self {
            Self::IdMismatch => "device-id-mismatch",
            Self::Expired => "device-signature-stale",
            Self::NonceMismatch => "device-nonce-mismatch",
            Self::SignatureInvalid => "device-signature",
        }
    }

    /// Returns the refusal's message, which is also the reason of the close.
    pub fn message(self) -> &'static str {
        match self {
            Self::IdMismatch => "device identity mismatch",
            Self::Expired => "device signature expired",
            Self::NonceMismatch => "device nonce mismatch",
            Self::SignatureInvalid => "device signature invalid",
        }
    }
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for DeviceFault {}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Peers decide how long the text is; only one length can be right.
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
