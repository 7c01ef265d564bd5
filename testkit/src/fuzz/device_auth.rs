//! Whether a device is who it says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use openclaw_gateway_service::device::{DeviceClaim, DeviceFault, device_id, verify};
use openclaw_protocol_core::device::DevicePayload;

use super::judge::{BEGINNING_MS, NONCE};
use super::tape::Tape;

/// How far a signature's time may lie from the gateway's, in milliseconds.
const SKEW_MS: u64 = 120_000;

/// Signs a claim and changes it: what was signed is believed, and of what is changed only what the signed text does not
/// tell apart.
///
/// The first line is a byte each for the version, the key, what is changed and by how much. Then come the fields, a line
/// each; the last holds how late it is signed, and the scopes.
pub fn device_auth(data: &[u8]) {
    let mut tape = Tape::new(data);
    let version_2 = tape.number() % 2 == 1;
    let seed = tape.number() as u8;
    let key = SigningKey::from_bytes(&[seed; 32]);
    let (place, by) = (tape.number(), tape.number());
    tape.line();
    let claim = Claim::read(tape, &key);
    claim.is_built_in_order();
    let signed = if version_2 { claim.v2() } else { claim.v3() };
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    assert_eq!(
        claim.judge(&signature),
        Ok(()),
        "what was signed is believed"
    );
    claim.forged(&signature, &SigningKey::from_bytes(&[seed ^ 1; 32]));
    changed(&claim, &signature, &signed, place, by);
}

#[derive(Clone, Debug, PartialEq)]
struct Claim {
    device_id: String,
    public_key: String,
    client_id: String,
    client_mode: String,
    role: String,
    token: String,
    nonce: String,
    platform: Option<String>,
    device_family: Option<String>,
    scopes: Vec<String>,
    signed_at_ms: u64,
    now_ms: u64,
}

impl Claim {
    fn read(mut tape: Tape<'_>, key: &SigningKey) -> Self {
        let public_key = key.verifying_key().to_bytes();
        let some = |text: String| (!text.is_empty()).then_some(text);
        let (client_id, client_mode, role) = (tape.text(), tape.text(), tape.text());
        let (token, platform, device_family) = (tape.text(), tape.text(), tape.text());
        let late = tape.number() as u64;
        let rest = String::from_utf8_lossy(tape.rest()).into_owned();
        Self {
            device_id: device_id(&public_key),
            public_key: URL_SAFE_NO_PAD.encode(public_key),
            client_id,
            client_mode,
            role,
            token,
            nonce: NONCE.to_owned(),
            platform: some(platform),
            device_family: some(device_family),
            scopes: rest.split_whitespace().map(str::to_owned).collect(),
            signed_at_ms: BEGINNING_MS + late,
            now_ms: BEGINNING_MS,
        }
    }

    fn payload(&self) -> DevicePayload<'_, String> {
        DevicePayload {
            device_id: &self.device_id,
            client_id: &self.client_id,
            client_mode: &self.client_mode,
            role: &self.role,
            scopes: &self.scopes,
            signed_at_ms: self.signed_at_ms,
            token: &self.token,
            nonce: &self.nonce,
            platform: self.platform.as_deref(),
            device_family: self.device_family.as_deref(),
        }
    }

    fn v2(&self) -> String {
        self.payload().v2()
    }

    fn v3(&self) -> String {
        self.payload().v3()
    }

    fn judge(&self, signature: &str) -> Result<(), DeviceFault> {
        verify(&DeviceClaim {
            payload: self.payload(),
            public_key: &self.public_key,
            signature,
            challenge: NONCE,
            now_ms: self.now_ms,
        })
    }

    /// A text whose fields hold no separator falls into its fields again.
    fn is_built_in_order(&self) {
        let scopes = self.scopes.join(",");
        let at = self.signed_at_ms.to_string();
        let lower = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            text.trim().to_ascii_lowercase()
        };
        let (platform, family) = (lower(&self.platform), lower(&self.device_family));
        let fields = [
            "v3",
            &self.device_id,
            &self.client_id,
            &self.client_mode,
            &self.role,
            &scopes,
            &at,
            &self.token,
            &self.nonce,
            &platform,
            &family,
        ];
        // Blanks that are only blanks to ECMAScript are for the core's own tests.
        if fields
            .iter()
            .all(|field| field.is_ascii() && !field.contains('|'))
        {
            assert_eq!(self.v3().split('|').collect::<Vec<_>>(), fields);
            let v2 = self.v2();
            let v2: Vec<&str> = v2.split('|').collect();
            assert_eq!((v2[0], &v2[1..]), ("v2", &fields[1..9]));
        }
    }

    /// Nobody is believed with the signature of somebody else, or with none.
    fn forged(&self, signature: &str, other: &SigningKey) {
        let stolen = Self {
            public_key: URL_SAFE_NO_PAD.encode(other.verifying_key().to_bytes()),
            ..self.clone()
        };
        assert_eq!(stolen.judge(signature), Err(DeviceFault::IdMismatch));
        let own = Self {
            device_id: device_id(&other.verifying_key().to_bytes()),
            ..stolen
        };
        assert_eq!(own.judge(signature), Err(DeviceFault::SignatureInvalid));
        // A key of small order, for which every signature of zeros might do.
        let key = [0; 32];
        let small = Self {
            public_key: URL_SAFE_NO_PAD.encode(key),
            device_id: device_id(&key),
            ..self.clone()
        };
        let nothing = URL_SAFE_NO_PAD.encode([0; 64]);
        for claim in [&small, self] {
            assert_eq!(claim.judge(&nothing), Err(DeviceFault::SignatureInvalid));
        }
    }
}

/// Changes one thing of a claim that is believed.
fn changed(claim: &Claim, signature: &str, signed: &str, place: usize, by: usize) {
    let mut other = claim.clone();
    let mut proof = signature.to_owned();
    match place % 14 {
        0 => proof = altered(signature, by),
        1 => other.public_key = altered(&claim.public_key, by),
        2 => other.device_id = altered(&claim.device_id, by),
        3 => other.client_id = altered(&claim.client_id, by),
        4 => other.client_mode = altered(&claim.client_mode, by),
        5 => other.role = altered(&claim.role, by),
        6 => other.token = altered(&claim.token, by),
        7 => other.nonce = altered(&claim.nonce, by),
        8 => other.platform = Some(altered(claim.platform.as_deref().unwrap_or_default(), by)),
        9 => other.device_family = None,
        10 => other.signed_at_ms += 1 + by as u64,
        11 => other.now_ms += by as u64 * 1_000,
        12 => {
            other.scopes.pop();
        }
        _ => other.scopes.reverse(),
    }
    let verdict = other.judge(&proof);
    let same_device =
        (&other.public_key, &other.device_id) == (&claim.public_key, &claim.device_id);
    let expected = if !same_device {
        Err(DeviceFault::IdMismatch)
    } else if other.now_ms.abs_diff(other.signed_at_ms) > SKEW_MS {
        Err(DeviceFault::Expired)
    } else if other.nonce != NONCE {
        Err(DeviceFault::NonceMismatch)
    } else if proof != signature || ![other.v2(), other.v3()].iter().any(|text| text == signed) {
        Err(DeviceFault::SignatureInvalid)
    } else {
        Ok(())
    };
    assert_eq!(verdict, expected, "{other:?} in the place of {claim:?}");
    let fields = |claim: &Claim| {
        let Claim {
            client_id,
            client_mode,
            role,
            token,
            scopes,
            signed_at_ms,
            ..
        } = claim.clone();
        (client_id, client_mode, role, token, scopes, signed_at_ms)
    };
    // Scopes with commas in them are one text with scopes without.
    let plain = claim.scopes.iter().all(|scope| !scope.contains(','));
    if plain && verdict.is_ok() {
        assert_eq!(fields(&other), fields(claim), "a change that nobody sees");
    }
}

/// The same text with one character replaced, or one added at its end.
fn altered(text: &str, by: usize) -> String {
    let place = by % (text.chars().count() + 1);
    let fresh = |old: char| if old == 'A' { 'Q' } else { 'A' };
    let mut letters: Vec<char> = text.chars().collect();
    match letters.get_mut(place) {
        Some(letter) => *letter = fresh(*letter),
        None => letters.push('A'),
    }
    letters.into_iter().collect()
}
