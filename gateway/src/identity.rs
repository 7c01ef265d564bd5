//! The key that a state directory has: who a gateway is, and who its host's own clients are.
//!
//! It lies in `identity/device.json`, in the form that OpenClaw's own programs use, so that who moves here keeps it: an Ed25519
//! key as PKCS #8 and SubjectPublicKeyInfo in PEM (RFC 8410).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use crate::device::device_id;
use crate::files::{self, ReadFault};
use crate::pairing::token::TokenKey;

/// Where it lies in the state directory.
pub const IDENTITY_FILE: &str = "identity/device.json";
/// How large the file may be, in bytes.
const LIMIT: u64 = 16 * 1024;

/// Warns of a file that other users of this host can read; one line, with the command that ends it. It blocks.
///
/// `what` says what the file is, for example `the identity file`.
#[must_use]
pub fn exposure(what: &str, path: &Path) -> Option<String> {
    files::is_exposed(path).then(|| {
        format!(
            "{what} {0} can be read by other users; run chmod 600 {0}",
            path.display()
        )
    })
}

/// A key, and the device that it makes.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
    device_id: String,
    public_key: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    version: u32,
    device_id: String,
    public_key_pem: String,
    private_key_pem: String,
    /// For people; not every program writes it.
    #[serde(skip_deserializing)]
    created_at_ms: u64,
}

impl Identity {
    /// Reads the key of a state directory, or makes it where there is none. It blocks.
    ///
    /// # Errors
    /// [`IdentityError`], which names the file and says what to do; a file that is there is never replaced.
    pub fn of(state_dir: &Path, now_ms: u64) -> Result<Self, IdentityError> {
        let path = state_dir.join(IDENTITY_FILE);
        let error = |kind| IdentityError {
            path: path.clone(),
            kind,
        };
        if let Some(identity) = read(&path).map_err(error)? {
            return Ok(identity);
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| error(IdentityFault::NoRandomness))?;
        let identity = Self::from_seed(&seed);
        let content = identity
            .write(now_ms)
            .ok_or_else(|| error(IdentityFault::NotAKey))?;
        let unwritable = |cause| error(IdentityFault::Unwritable(cause));
        if files::create_whole(&path, &content).map_err(unwritable)? {
            return Ok(identity);
        }
        // Another process was first.
        read(&path)
            .map_err(error)?
            .ok_or_else(|| error(IdentityFault::NotAKey))
    }

    /// Makes one from 32 bytes that nobody else knows.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key();
        Self {
            device_id: device_id(public.as_bytes()),
            public_key: URL_SAFE_NO_PAD.encode(public.as_bytes()),
            key,
        }
    }

    /// The hex SHA-256 of the raw public key.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The raw public key in unpadded base64url.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Signs a text; the signature is in unpadded base64url.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }

    /// What the device tokens of a gateway with this key are made with.
    #[must_use]
    pub fn token_key(&self) -> TokenKey {
        TokenKey::new(self.key.as_bytes())
    }

    fn write(&self, now_ms: u64) -> Option<Vec<u8>> {
        let pair = KeypairBytes {
            secret_key: self.key.to_bytes(),
            // The older form of PKCS #8, which every program reads, has no public key.
            public_key: None,
        };
        let private = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_pem(&pair, LineEnding::LF);
        let file = File {
            version: 1,
            device_id: self.device_id.clone(),
            public_key_pem: self
                .key
                .verifying_key()
                .to_public_key_pem(LineEnding::LF)
                .ok()?,
            private_key_pem: private.ok()?.to_string(),
            created_at_ms: now_ms,
        };
        let mut content = serde_json::to_vec_pretty(&file).ok()?;
        content.push(b'\n');
        Some(content)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("device_id", &self.device_id)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Option<Identity>, IdentityFault> {
    let read = files::read(path, LIMIT).map_err(|fault| match fault {
        ReadFault::Unreadable(error) => IdentityFault::Unreadable(error),
        ReadFault::NotAFile | ReadFault::TooLarge => IdentityFault::NotAKey,
    })?;
    let Some((bytes, _)) = read else {
        return Ok(None);
    };
    let file: File = serde_json::from_slice(&bytes).map_err(|_| IdentityFault::NotAKey)?;
    let key =
        SigningKey::from_pkcs8_pem(&file.private_key_pem).map_err(|_| IdentityFault::NotAKey)?;
    let identity = Identity::from_seed(&key.to_bytes());
    if identity.device_id == file.device_id {
        Ok(Some(identity))
    } else {
        Err(IdentityFault::NotAKey)
    }
}

/// Why a state directory has no key.
#[derive(Debug)]
pub struct IdentityError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: IdentityFault,
}

/// What is wrong with a key's file.
#[derive(Debug)]
pub enum IdentityFault {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It holds something else than a device's key.
    NotAKey,
    /// It cannot be written.
    Unwritable(io::Error),
    /// The operating system has no random bytes to give.
    NoRandomness,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            IdentityFault::Unreadable(error) => write!(
                f,
                "cannot read the identity file {path}: {error}; check its owner and permissions"
            ),
            IdentityFault::NotAKey => write!(
                f,
                "the identity file {path} does not hold a device's key; restore a copy, or move it away to become a new device"
            ),
            IdentityFault::Unwritable(error) => write!(
                f,
                "cannot write the identity file {path}: {error}; check the state directory's owner and permissions"
            ),
            IdentityFault::NoRandomness => write!(
                f,
                "cannot make the identity file {path}: the operating system gives no random bytes; try again later"
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let made = Identity::of(dir.path(), 7).unwrap();
        let read = Identity::of(dir.path(), 8).unwrap();
        assert_eq!(made.device_id(), read.device_id());
        assert_eq!(made.sign("text"), read.sign("text"));
        let path = dir.path().join(IDENTITY_FILE);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .contains("\"createdAtMs\": 7")
        );
    }

    /// As OpenClaw's own programs write it; the seed is 1, 2, … 32.
    #[test]
    fn a_file_of_another_program_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(IDENTITY_FILE);
        let seed: [u8; 32] = std::array::from_fn(|index| index as u8 + 1);
        let identity = Identity::from_seed(&seed);
        let file = serde_json::json!({
            "version": 1,
            "deviceId": identity.device_id(),
            "publicKeyPem": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAebVWLo/mVPlAeLEtiG0hOWCNsQJLSNYbn0EpJ9mnxnI=\n-----END PUBLIC KEY-----\n",
            "privateKeyPem": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n-----END PRIVATE KEY-----\n",
            "createdAtMs": 1,
        });
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file.to_string()).unwrap();
        let read = Identity::of(dir.path(), 2).unwrap();
        assert_eq!(read.public_key(), identity.public_key());
        let written = String::from_utf8(identity.write(1).unwrap()).unwrap();
        assert!(
            written.contains("MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"),
            "{written}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        Identity::of(dir.path(), 1).unwrap();
        let path = dir.path().join(IDENTITY_FILE);
        let warning = || exposure("the identity file", &path);
        assert_eq!(warning(), None);
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let shown = path.display();
            let expected = format!(
                "the identity file {shown} can be read by other users; run chmod 600 {shown}"
            );
            assert_eq!(warning(), Some(expected), "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(warning(), None);
    }

    #[test]
    fn a_file_need_not_say_when_it_was_made() {
        let made = Identity::from_seed(&[7; 32]);
        let content = made.write(1).unwrap();
        for time in [None, Some("1".into()), Some(1.5.into()), Some((-1).into())] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(IDENTITY_FILE);
            let mut file: serde_json::Value = serde_json::from_slice(&content).unwrap();
            match time {
                Some(time) => file["createdAtMs"] = time,
                None => drop(file.as_object_mut().unwrap().remove("createdAtMs")),
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, file.to_string()).unwrap();
            let read = Identity::of(dir.path(), 2).unwrap();
            assert_eq!(read.device_id(), made.device_id(), "{file}");
            assert_eq!(fs::read_to_string(&path).unwrap(), file.to_string());
        }
    }

    #[test]
    fn what_is_no_key_is_named_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(IDENTITY_FILE);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "{}").unwrap();
        let error = Identity::of(dir.path(), 1).unwrap_err().to_string();
        assert!(
            error.contains("identity/device.json does not hold"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", Identity::from_seed(&[7; 32]));
        assert!(
            shown.starts_with("Identity { device_id: ") && shown.ends_with(", .. }"),
            "{shown}"
        );
    }
}
