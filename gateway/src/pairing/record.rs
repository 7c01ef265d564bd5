//! What is kept of a device, and of one that waits.

use openclaw_protocol_core::hello::connect::Client;
use openclaw_protocol_core::json::cut;
use openclaw_protocol_core::scope::Role;

use super::{Notice, REQUEST_LIFE};

/// What a device says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Face {
    /// A name for people.
    pub display_name: Option<String>,
    /// The operating system it runs on.
    pub platform: String,
    /// The family of the device.
    pub device_family: Option<String>,
    /// The program.
    pub client_id: String,
    /// How the program is used.
    pub client_mode: String,
}

/// The longest text that is kept of what a device says of itself, in bytes.
const MAX_TEXT: usize = 128;

impl From<&Client> for Face {
    fn from(client: &Client) -> Self {
        let kept = |text: &String| cut(text, MAX_TEXT).to_owned();
        let is_there = |text: &&String| !text.trim().is_empty();
        Self {
            display_name: client.display_name.as_ref().filter(is_there).map(kept),
            platform: kept(&client.platform),
            device_family: client.device_family.as_ref().filter(is_there).map(kept),
            client_id: client.id.clone(),
            client_mode: client.mode.clone(),
        }
    }
}

impl Face {
    /// Whether a machine that was approved with this face may still be the one that shows `other`.
    ///
    /// Only platform and family count, and only where they were known; which program runs there does not matter. The apps of
    /// phones and desktops name the version of their system, which may change.
    #[must_use]
    pub fn is_same_machine(&self, other: &Self) -> bool {
        let is_app = NATIVE_APPS.contains(&other.client_id.as_str());
        let platform = |face: &Self| {
            let whole = face.platform.trim().to_ascii_lowercase();
            match whole.split_whitespace().next() {
                Some("ipados") if is_app => "ios".to_owned(),
                Some(first) if is_app => first.to_owned(),
                _ => whole,
            }
        };
        let family = |face: &Self| {
            let family = face.device_family.as_deref().unwrap_or_default();
            family.trim().to_ascii_lowercase()
        };
        let same = |known: String, shown: String| known.is_empty() || known == shown;
        same(platform(self), platform(other)) && same(family(self), family(other))
    }
}

/// The programs whose platform names the version of the system.
const NATIVE_APPS: [&str; 4] = [
    "openclaw-ios",
    "openclaw-android",
    "openclaw-watchos",
    "openclaw-macos",
];

/// How a device came to be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovedVia {
    /// It connected from this very host with the gateway's secret.
    Silent,
    /// Somebody approved it.
    Owner,
    /// It had a setup code.
    Bootstrap,
}

impl ApprovedVia {
    const ALL: [Self; 3] = [Self::Silent, Self::Owner, Self::Bootstrap];

    /// The word on the wire and in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Owner => "owner",
            Self::Bootstrap => "bootstrap",
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.word() == word)
    }
}

/// A paired device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The hex SHA-256 of its raw public key.
    pub id: String,
    /// Its public key in unpadded base64url.
    pub public_key: String,
    /// What it said of itself when it was approved.
    pub face: Face,
    /// The name that an operator gave it.
    pub label: Option<String>,
    /// Where it connected from when it was approved, unless from this host.
    pub remote_ip: Option<String>,
    /// How it was approved.
    pub approved_via: ApprovedVia,
    /// What it may be.
    pub granted: Vec<Granted>,
    /// When it was first approved, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last approved, in milliseconds since 1970.
    pub approved_ms: u64,
    /// When it last connected, in milliseconds since 1970; not noted more often than every few minutes.
    pub seen_ms: Option<u64>,
}

/// A role that a device may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The role.
    pub role: Role,
    /// The scopes that were approved with it, as they were asked for, in the order of approval.
    pub scopes: Vec<String>,
    /// The token of this role; none before the first, `revoked_ms` set after a revocation.
    pub token: Option<Token>,
}

/// What is kept of a device token: enough to recognise it, not to know it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The SHA-256 of its text.
    pub digest: [u8; 32],
    /// What made it unlike any other.
    pub salt: [u8; 16],
    /// The scopes that it opens, sorted; never more than were approved.
    pub scopes: Vec<String>,
    /// When the role got its first token, in milliseconds since 1970.
    pub created_ms: u64,
    /// When this one took the place of another, in milliseconds since 1970.
    pub rotated_ms: Option<u64>,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_ms: Option<u64>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("scopes", &self.scopes)
            .field("revoked_ms", &self.revoked_ms)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// Whether it lets anybody in.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.revoked_ms.is_none()
    }

    /// When it was issued, in milliseconds since 1970.
    #[must_use]
    pub fn issued_ms(&self) -> u64 {
        self.rotated_ms.unwrap_or(self.created_ms)
    }
}

impl Device {
    /// What it may be in a role.
    #[must_use]
    pub fn granted(&self, role: Role) -> Option<&Granted> {
        self.granted.iter().find(|granted| granted.role == role)
    }

    pub(super) fn granted_mut(&mut self, role: Role) -> Option<&mut Granted> {
        self.granted.iter_mut().find(|granted| granted.role == role)
    }

    /// What it may be in a role, if it has a token for that which was not taken back.
    #[must_use]
    pub fn in_force(&self, role: Role) -> Option<&Granted> {
        let is_live = |granted: &&Granted| granted.token.as_ref().is_some_and(Token::is_live);
        self.granted(role).filter(is_live)
    }

    /// All scopes that were approved, in the order of approval.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        let all = self.granted.iter().flat_map(|granted| &granted.scopes);
        super::scopes::union(all)
    }

    /// What tells its sockets that they end.
    pub(crate) fn ended(&self, role: Option<Role>) -> Notice {
        Notice::Ended {
            device_id: self.id.clone(),
            role,
            // The same words whatever was taken from it: clients know them.
            reason: "device removed",
        }
    }

    /// The name for people: the operator's, or its own, or the program's.
    #[must_use]
    pub fn name(&self) -> &str {
        let own = self.face.display_name.as_deref();
        self.label
            .as_deref()
            .or(own)
            .unwrap_or(&self.face.client_id)
    }
}

/// A device that waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name: a UUID.
    pub id: String,
    /// The device.
    pub device_id: String,
    /// Its public key in unpadded base64url.
    pub public_key: String,
    /// What it says of itself.
    pub face: Face,
    /// The role that it asked for last.
    pub role: Role,
    /// Every role that it asks for, in the order in which it did.
    pub roles: Vec<Role>,
    /// The scopes that it asks for.
    pub scopes: Vec<String>,
    /// Where it connected from, unless from this host.
    pub remote_ip: Option<String>,
    /// Whether the device is paired already, and asks for more or for something else.
    pub is_repair: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When its device last asked, in milliseconds since 1970; not noted more often than every minute.
    pub asked_ms: u64,
}

impl Request {
    /// Whether it still waits. A clock that was set back does not end it.
    #[must_use]
    pub fn waits(&self, now_ms: u64) -> bool {
        u128::from(now_ms.saturating_sub(self.asked_ms)) < REQUEST_LIFE.as_millis()
    }

    pub(super) fn resolved(&self, decision: &'static str) -> Notice {
        Notice::Resolved {
            request_id: self.id.clone(),
            device_id: self.device_id.clone(),
            decision,
        }
    }
}
