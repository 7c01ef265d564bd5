//! What devices ask for and are approved for.

use openclaw_gateway_service::pairing::scopes;
use openclaw_protocol_core::json::Object;

use crate::output;

/// What a request is to somebody who decides over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The device is not known.
    New,
    /// It asks for another role.
    Role,
    /// It asks for more scopes.
    Scope,
    /// It asks for nothing new.
    Again,
}

/// Roles, and the scopes with them.
pub(super) struct Access<'a> {
    /// Roles.
    pub(super) roles: Vec<&'a str>,
    /// Scopes.
    pub(super) scopes: &'a [String],
}

impl Kind {
    /// Returns the word for scripts.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::New => "new-pairing",
            Self::Role => "role-upgrade",
            Self::Scope => "scope-upgrade",
            Self::Again => "re-approval",
        }
    }

    /// Returns the words for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::New => "new pairing",
            Self::Role => "role upgrade",
            Self::Scope => "scope upgrade",
            Self::Again => "re-approval",
        }
    }

    /// Says what approving it means.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::New => "First-time device pairing request.",
            Self::Role => "The device is paired already, and asks for another role.",
            Self::Scope => "The device is paired already, and asks for more scopes.",
            Self::Again => "The device is paired already, and has to be approved again.",
        }
    }
}

impl Access<'_> {
    /// Returns it for people.
    pub(super) fn words(&self) -> String {
        let mut parts = Vec::new();
        if !self.roles.is_empty() {
            parts.push(format!("roles: {}", self.roles.join(", ")));
        }
        if !self.scopes.is_empty() {
            parts.push(format!("scopes: {}", self.scope_words()));
        }
        if parts.is_empty() {
            "none".to_owned()
        } else {
            output::line(&parts.join("; "))
        }
    }

    /// Returns the roles for people.
    pub(super) fn role_words(&self) -> String {
        or_none(&self.roles.join(", "))
    }

    /// Returns the scopes for people, with those that greater ones imply.
    pub(super) fn scope_words(&self) -> String {
        or_none(&scopes::expanded(self.scopes).join(", "))
    }

    /// Returns it for scripts.
    pub(super) fn object(&self) -> Object {
        Object::new()
            .texts("roles", &self.roles)
            .texts("scopes", self.scopes)
    }

    /// Tells whether there is a role that only administrators may give.
    pub(super) fn is_for_admins(&self) -> bool {
        self.roles.iter().any(|role| *role != "operator")
    }

    /// Returns the scopes that a gateway may know.
    pub(super) fn known_scopes(&self) -> impl Iterator<Item = &str> {
        let known = |scope: &&String| scopes::unknown(std::slice::from_ref(*scope)).is_none();
        self.scopes.iter().filter(known).map(String::as_str)
    }
}

/// Returns words for a list that may be empty.
pub(super) fn or_none(words: &str) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        output::line(words)
    }
}
