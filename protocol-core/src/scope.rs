//! Who a connection is, and what it may do and hear.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// The part that a connection plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Controls the gateway within its scopes.
    Operator,
    /// Offers commands to the gateway; has no scopes.
    Node,
}

impl Role {
    /// The role's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }

    /// Reads the role's name on the wire.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Operator, Self::Node]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// A scope that methods, broadcast families and devices are guarded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// Look, but change nothing.
    Read,
    /// Run agents, send messages; implies reading, and talking.
    Write,
    /// Everything; implies every scope.
    Admin,
    /// Decide over execution approvals.
    Approvals,
    /// Pair and remove devices and nodes.
    Pairing,
    /// Look at sessions.
    SessionsRead,
    /// Change sessions.
    SessionsWrite,
    /// Answer the questions of agents.
    Questions,
    /// Talk with agents.
    Talk,
    /// See what talking needs of secrets.
    TalkSecrets,
}

impl Scope {
    const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Admin,
        Self::Approvals,
        Self::Pairing,
        Self::SessionsRead,
        Self::SessionsWrite,
        Self::Questions,
        Self::Talk,
        Self::TalkSecrets,
    ];

    /// The scope's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "operator.read",
            Self::Write => "operator.write",
            Self::Admin => "operator.admin",
            Self::Approvals => "operator.approvals",
            Self::Pairing => "operator.pairing",
            Self::SessionsRead => "operator.sessions.read",
            Self::SessionsWrite => "operator.sessions.write",
            Self::Questions => "operator.questions",
            Self::Talk => "operator.talk",
            Self::TalkSecrets => "operator.talk.secrets",
        }
    }

    /// Reads the scope's name on the wire.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// Whether who holds this one holds `other` as well.
    #[must_use]
    pub const fn implies(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Write => matches!(
                other,
                Self::Write | Self::Read | Self::Talk | Self::SessionsRead | Self::SessionsWrite
            ),
            Self::Read => matches!(other, Self::Read | Self::SessionsRead),
            Self::SessionsWrite => matches!(other, Self::SessionsWrite | Self::SessionsRead),
            Self::Approvals
            | Self::Pairing
            | Self::SessionsRead
            | Self::Questions
            | Self::Talk
            | Self::TalkSecrets => other as u8 == self as u8,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// The scopes that were granted to a connection, in the order in which they were asked for.
///
/// Names that this crate does not know are kept and echoed, and open nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    names: Box<[String]>,
    /// A bit for each scope that they imply: every push asks, for every connection.
    allowed: u16,
}

impl Scopes {
    /// No scopes at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether `scope` was granted, itself or by implication.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.allowed & scope.bit() != 0
    }

    /// The names as they were granted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl From<Vec<String>> for Scopes {
    fn from(names: Vec<String>) -> Self {
        let held = || names.iter().filter_map(|name| Scope::from_name(name));
        let allowed = Scope::ALL
            .into_iter()
            .filter(|scope| held().any(|held| held.implies(*scope)))
            .fold(0, |bits, scope| bits | scope.bit());
        Self {
            names: names.into(),
            allowed,
        }
    }
}

/// Who hears a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// Every connection after its hello, nodes included.
    Everyone,
    /// Operators that hold a scope.
    Operators(Scope),
    /// Operators that hold a scope and say that they understand a feature.
    Understanding(Scope, &'static str),
    /// Everyone but the operators that hold a scope: nodes, and operators without it.
    Others(Scope),
}

impl Audience {
    /// Whether a connection of `role` with `scopes` and `caps` belongs to it.
    #[must_use]
    pub fn includes(self, role: Role, scopes: &Scopes, caps: &[String]) -> bool {
        match self {
            Self::Everyone => true,
            Self::Operators(scope) => role == Role::Operator && scopes.allow(scope),
            Self::Understanding(scope, cap) => {
                Self::Operators(scope).includes(role, scopes, caps)
                    && caps.iter().any(|known| known == cap)
            }
            Self::Others(scope) => role != Role::Operator || !scopes.allow(scope),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn granted(name: &str) -> Scopes {
        vec![name.to_string()].into()
    }

    #[test]
    fn write_implies_read_and_admin_implies_all() {
        assert!(granted("operator.write").allow(Scope::Read));
        assert!(!granted("operator.read").allow(Scope::Write));
        assert!(!granted("operator.write").allow(Scope::Pairing));
        assert!(granted("operator.write").allow(Scope::Talk));
        assert!(!granted("operator.write").allow(Scope::TalkSecrets));
        assert!(granted("operator.sessions.write").allow(Scope::SessionsRead));
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
            assert!(granted("operator.admin").allow(scope));
            assert!(granted(scope.as_str()).allow(scope));
        }
    }

    #[test]
    fn an_unknown_scope_opens_nothing() {
        let scopes = granted("operator.everything");
        assert!(!scopes.allow(Scope::Read));
        assert_eq!(scopes.names().collect::<Vec<_>>(), ["operator.everything"]);
    }

    #[test]
    fn a_feature_must_be_understood_and_allowed() {
        let tools = Audience::Understanding(Scope::Read, "tool-events");
        let caps = ["tool-events".to_string()];
        let operator = Role::Operator;
        assert!(tools.includes(operator, &granted("operator.read"), &caps));
        assert!(!tools.includes(operator, &granted("operator.read"), &[]));
        assert!(!tools.includes(operator, &granted("operator.pairing"), &caps));
    }

    #[test]
    fn a_node_never_hears_what_operators_hear() {
        let all = granted("operator.admin");
        assert!(Audience::Operators(Scope::Read).includes(Role::Operator, &all, &[]));
        assert!(!Audience::Operators(Scope::Read).includes(Role::Node, &all, &[]));
        assert!(Audience::Others(Scope::Read).includes(Role::Node, &all, &[]));
        assert!(!Audience::Others(Scope::Read).includes(Role::Operator, &all, &[]));
    }
}
