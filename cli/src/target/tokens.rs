//! The tokens that gateways on other hosts gave to this host's device.
//!
//! They lie in `identity/device-auth.json`, for their owner's eyes only; what other programs keep in that file stays. Commands
//! that run at the same time change it one after the other: who does has the file beside it locked.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where they lie in the state directory.
const FILE: &str = "identity/device-auth.json";
/// What is locked while that is changed.
const LOCK: &str = "identity/device-auth.json.lock";
/// How long another command may have it locked, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// The member of the file that is ours.
const MEMBER: &str = "gateways";
/// How large the file may be, in bytes.
const LIMIT: u64 = 256 * 1024;
/// The most gateways that are remembered; the one whose token is the oldest makes room.
const MOST: usize = 64;
/// The longest token that is kept, in bytes, and the most scopes with it.
const LONGEST: usize = 1_024;
const MOST_SCOPES: usize = 32;

/// A token that a gateway gave to a device.
#[derive(Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    /// The device.
    pub(super) device_id: String,
    /// The token.
    pub(super) token: String,
    /// What it is known to open.
    pub(super) scopes: Vec<String>,
    /// When it was stored, in milliseconds since 1970.
    #[serde(default)]
    pub(super) stored_at_ms: u64,
}

/// Tokens by gateway and role; what is no token stays as it is.
type Gateways = BTreeMap<String, BTreeMap<String, Value>>;

/// The file of a state directory.
pub(super) struct Tokens {
    path: PathBuf,
    lock: PathBuf,
}

impl Tokens {
    /// Names the file; it need not be there.
    pub(super) fn of(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join(FILE),
            lock: state_dir.join(LOCK),
        }
    }

    /// Returns where the tokens lie.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the token that a gateway gave for a role. It blocks.
    pub(super) fn find(&self, gateway: &str, role: &str) -> Result<Option<Stored>, TokensFault> {
        let (_, gateways) = self.read()?;
        Ok(stored(&gateways, gateway, role))
    }

    /// Stores what a gateway gave for a role, if that is news. It blocks.
    pub(super) fn put(&self, gateway: &str, role: &str, new: Stored) -> Result<(), TokensFault> {
        if new.token.is_empty() || new.token.len() > LONGEST {
            return Ok(());
        }
        self.change(|gateways| {
            let mut new = new.clone();
            if let Some(old) = stored(gateways, gateway, role).filter(|old| old.token == new.token)
            {
                // Hello says what was asked for, and not all that the token opens.
                new.scopes.retain(|scope| !old.scopes.contains(scope));
                if old.device_id == new.device_id && new.scopes.is_empty() {
                    return false;
                }
                new.scopes.splice(0..0, old.scopes);
            }
            new.scopes.truncate(MOST_SCOPES);
            let Ok(new) = serde_json::to_value(&new) else {
                return false;
            };
            let roles = gateways.entry(gateway.to_owned()).or_default();
            roles.insert(role.to_owned(), new);
            make_room(gateways, gateway);
            true
        })
    }

    /// Forgets a token, unless another one has taken its place. It blocks.
    pub(super) fn drop(&self, gateway: &str, role: &str, token: &str) -> Result<(), TokensFault> {
        self.change(|gateways| {
            if stored(gateways, gateway, role).is_none_or(|stored| stored.token != token) {
                return false;
            }
            if let Some(roles) = gateways.get_mut(gateway) {
                roles.remove(role);
            }
            gateways.retain(|_, roles| !roles.is_empty());
            true
        })
    }

    /// Changes what is there; `change` says whether it did.
    fn change(&self, change: impl Fn(&mut Gateways) -> bool) -> Result<(), TokensFault> {
        // Few commands have news, and those without need not be allowed to write.
        if !change(&mut self.read()?.1) {
            return Ok(());
        }
        let _locked = self
            .lock()
            .map_err(|error| self.fault(Kind::Unwritable(error)))?;
        let (file, mut gateways) = self.read()?;
        if change(&mut gateways) {
            self.write(file, &gateways)
        } else {
            Ok(())
        }
    }

    /// Waits until nobody else changes the file, and keeps others from it for as long as the result is there.
    fn lock(&self) -> io::Result<File> {
        if let Some(dir) = self.lock.parent() {
            create_private_dir(dir)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(&self.lock)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                // A file system without locks.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(file);
                }
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("another command has {} locked", self.lock.display()),
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Reads the tokens, and what else is in the file.
    fn read(&self) -> Result<(Map<String, Value>, Gateways), TokensFault> {
        let file = match fs::metadata(&self.path) {
            // Opening a pipe would wait for somebody to write into it.
            Ok(metadata) if !metadata.is_file() || metadata.len() > LIMIT => {
                return Err(self.fault(Kind::NotTokens));
            }
            Ok(_) => File::open(&self.path),
            Err(error) => Err(error),
        };
        let mut bytes = Vec::new();
        match file.and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Map::new(), Gateways::new()));
            }
            Err(error) => return Err(self.fault(Kind::Unreadable(error))),
        }
        let mut file: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|_| self.fault(Kind::NotTokens))?;
        let gateways = match file.remove(MEMBER) {
            None | Some(Value::Null) => Gateways::new(),
            Some(theirs) => {
                serde_json::from_value(theirs).map_err(|_| self.fault(Kind::OtherForm))?
            }
        };
        Ok((file, gateways))
    }

    fn fault(&self, kind: Kind) -> TokensFault {
        TokensFault {
            path: self.path.clone(),
            kind,
        }
    }

    fn write(&self, mut file: Map<String, Value>, gateways: &Gateways) -> Result<(), TokensFault> {
        file.entry("version").or_insert_with(|| 1.into());
        let written = serde_json::to_value(gateways)
            .and_then(|gateways| {
                file.insert(MEMBER.to_owned(), gateways);
                serde_json::to_vec_pretty(&file)
            })
            .map_err(io::Error::other)
            .and_then(|mut content| {
                content.push(b'\n');
                if content.len() as u64 > LIMIT {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                }
                replace(&self.path, &content)
            });
        written.map_err(|error| self.fault(Kind::Unwritable(error)))
    }
}

/// Why tokens cannot be read or kept.
#[derive(Debug)]
pub(super) struct TokensFault {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Unreadable(io::Error),
    NotTokens,
    OtherForm,
    Unwritable(io::Error),
}

impl fmt::Display for TokensFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            Kind::Unreadable(error) => write!(
                f,
                "cannot read the device tokens in {path}: {error}; check its owner and permissions"
            ),
            Kind::NotTokens => write!(
                f,
                "{path} does not hold device tokens; move it away, and connect with the gateway's secret once"
            ),
            Kind::OtherForm => write!(
                f,
                "\"{MEMBER}\" in {path} does not hold device tokens as this release keeps them; move the file away, and connect with the gateway's secret once"
            ),
            Kind::Unwritable(error) => write!(
                f,
                "cannot keep the device token in {path}: {error}; check the state directory's owner and permissions"
            ),
        }
    }
}

fn stored(gateways: &Gateways, gateway: &str, role: &str) -> Option<Stored> {
    Stored::deserialize(gateways.get(gateway)?.get(role)?).ok()
}

fn make_room(gateways: &mut Gateways, newest: &str) {
    let age = |roles: &BTreeMap<String, Value>| {
        let times = roles.values();
        times
            .filter_map(|stored| stored["storedAtMs"].as_u64())
            .max()
    };
    while gateways.len() > MOST {
        let oldest = gateways
            .iter()
            .filter(|(gateway, _)| *gateway != newest)
            .min_by_key(|(_, roles)| age(roles))
            .map(|(gateway, _)| gateway.clone());
        let Some(oldest) = oldest else { return };
        gateways.remove(&oldest);
    }
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// Replaces a file that only its owner may read, whole or not at all.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let Some(dir) = path.parent() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let temporary = dir.join(format!(
        ".device-auth-{}-{:x}",
        std::process::id(),
        now.map_or(0, |now| now.as_nanos())
    ));
    let done = write_private(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done?;
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    Ok(())
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
