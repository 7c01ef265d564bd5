//! Setup codes: an approval that is given before the device is known.

use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::scope::Role;

use super::knock::{Admitted, Course, Knock};
use super::record::ApprovedVia;
use super::{Chance, Change, Decision, MAX_SETUPS, Pairings, scopes, token};

/// How long a setup code is open.
const SETUP_LIFE: Duration = Duration::from_secs(600);

/// What a setup code lets its device do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything but pairing.
    Full,
    /// Everything but pairing and administration.
    Limited,
}

impl Access {
    const ALL: [Self; 2] = [Self::Full, Self::Limited];

    /// The word on the wire and in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Limited => "limited",
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.word() == word)
    }

    /// The operator scopes that it opens.
    #[must_use]
    pub fn scopes(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Full => &[
                "operator.admin",
                "operator.approvals",
                "operator.questions",
                "operator.read",
                "operator.talk.secrets",
                "operator.write",
            ],
            Self::Limited => &[
                "operator.approvals",
                "operator.questions",
                "operator.read",
                "operator.talk.secrets",
                "operator.write",
            ],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// What is kept of a setup code: enough to recognise it, not to know it.
#[derive(Clone, PartialEq, Eq)]
pub struct Setup {
    /// The SHA-256 of its token's text.
    pub digest: [u8; 32],
    /// A name for it that opens nothing: a UUID.
    pub id: String,
    /// What it lets its device do.
    pub access: Access,
    /// The device that presented it first: it is for no other.
    pub device_id: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it is over, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("id", &self.id)
            .field("access", &self.access)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// A setup code that was made; its token is told once.
#[derive(Clone, PartialEq, Eq)]
pub struct SetupCode {
    /// The token.
    pub token: String,
    /// What is kept of it.
    pub setup: Setup,
}

impl std::fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.setup.fmt(f)
    }
}

impl Setup {
    fn is_open(&self, now_ms: u64) -> bool {
        // A clock that was set far back would keep it open for ever.
        (self.created_ms..self.expires_ms).contains(&now_ms)
    }

    fn is_for(&self, device_id: &str) -> bool {
        let first = self.device_id.as_deref();
        first.is_none_or(|first| first == device_id)
    }
}

impl Pairings {
    /// Opens a setup code whose token is `text`; the oldest one closes where there are too many.
    #[must_use]
    pub fn open_setup(
        &self,
        access: Access,
        text: String,
        chance: &Chance,
        now_ms: u64,
    ) -> Decision<SetupCode> {
        let setup = Setup {
            digest: token::digest(&text),
            id: chance.request_id.clone(),
            access,
            device_id: None,
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(SETUP_LIFE.as_millis() as u64),
        };
        let mut open: Vec<&Setup> = self.setups.values().collect();
        open.sort_by_key(|setup| (setup.is_open(now_ms), setup.created_ms));
        let over = open.iter().filter(|setup| !setup.is_open(now_ms)).count();
        let excess = over.max((open.len() + 1).saturating_sub(MAX_SETUPS));
        let mut decision = Decision::of(SetupCode {
            token: text,
            setup: setup.clone(),
        });
        let closed = open.into_iter().take(excess);
        decision.changes = closed
            .map(|setup| Change::DropSetup(setup.digest))
            .chain([Change::PutSetup(setup)])
            .collect();
        decision
    }

    /// Whether a text is the token of a setup code that is open to a device.
    #[must_use]
    pub fn is_setup(&self, text: &str, device_id: &str, now_ms: u64) -> bool {
        self.setup(text, device_id, now_ms).is_some()
    }

    pub(super) fn setup(&self, text: &str, device_id: &str, now_ms: u64) -> Option<&Setup> {
        // What is looked up is a digest: how long that takes says nothing of the text.
        self.setups
            .get(&token::digest(text))
            .filter(|setup| setup.is_open(now_ms) && setup.is_for(device_id))
    }

    /// Lets a device in for its setup code, which is used up by that.
    ///
    /// A device that asks for more than the code opens waits for an approval, and the code stays open for it alone.
    pub(super) fn redeem(
        &self,
        knock: &Knock<'_>,
        setup: &Setup,
        chance: &Chance,
        now_ms: u64,
    ) -> Decision<Result<Admitted, ErrorShape>> {
        let known = self.device(&knock.device.id);
        let opened = if knock.role == Role::Operator {
            setup.access.scopes()
        } else {
            Vec::new()
        };
        let mut decision = match (self.course(knock, known), known) {
            (Course::Enter, Some(device)) => self.enter(device, knock, chance, now_ms),
            (Course::Wait(reason), _) if scopes::missing(&opened, knock.scopes).is_some() => {
                self.wait(knock, reason, chance, now_ms)
            }
            _ => self.let_in(knock, ApprovedVia::Bootstrap, &opened, chance, now_ms),
        };
        if decision.outcome.is_ok() {
            decision.changes.push(Change::DropSetup(setup.digest));
        } else if setup.device_id.is_none() {
            let mut bound = setup.clone();
            bound.device_id = Some(knock.device.id.clone());
            decision.changes.push(Change::PutSetup(bound));
        }
        decision
    }
}
