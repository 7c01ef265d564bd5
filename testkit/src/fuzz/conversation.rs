//! Who connects in a script, and what they may hear.

use openclaw_protocol_core::frame::outgoing::{Class, State};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::scope::{Audience, Role, Scope};
use serde_json::{Value, json};

/// A newcomer: its role, its scopes, and whether it understands tool events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joiner {
    role: &'static str,
    scopes: &'static [&'static str],
    caps: &'static [&'static str],
    /// Which of [`FAMILIES`] are for it: written from the protocol's rules, not from the code.
    pub(super) hears: [bool; 6],
}

pub(super) const FAMILIES: [Audience; 6] = [
    Audience::Everyone,
    Audience::Operators(Scope::Read),
    Audience::Operators(Scope::Admin),
    Audience::Operators(Scope::Pairing),
    Audience::Understanding(Scope::Read, "tool-events"),
    Audience::Others(Scope::Read),
];

pub(super) const JOINERS: [Joiner; 7] = [
    Joiner {
        role: "operator",
        scopes: &["operator.read"],
        caps: &[],
        hears: [true, true, false, false, false, false],
    },
    Joiner {
        role: "operator",
        scopes: &["operator.write"],
        caps: &["tool-events"],
        hears: [true, true, false, false, true, false],
    },
    Joiner {
        role: "operator",
        scopes: &["operator.admin"],
        caps: &["tool-events"],
        hears: [true, true, true, true, true, false],
    },
    Joiner {
        role: "operator",
        scopes: &["operator.pairing", "x"],
        caps: &["tool-events"],
        hears: [true, false, false, true, false, true],
    },
    Joiner {
        role: "operator",
        scopes: &[],
        caps: &[],
        hears: [true, false, false, false, false, true],
    },
    Joiner {
        role: "node",
        scopes: &["operator.admin"],
        caps: &["tool-events"],
        hears: [true, false, false, false, false, true],
    },
    Joiner {
        role: "worker",
        scopes: &[],
        caps: &[],
        hears: [false; 6],
    },
];

pub(super) const CLASSES: [(&str, Class); 5] = [
    ("presence", Class::State(State::Presence)),
    ("health", Class::State(State::Health)),
    ("tick", Class::State(State::Tick)),
    ("chat", Class::Delta),
    ("agent", Class::Ordinary),
];

impl Joiner {
    /// The parameters of its `connect`.
    pub(super) fn params(self) -> Value {
        json!({
            "minProtocol": 3,
            "maxProtocol": 4,
            "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
            "role": self.role,
            "scopes": self.scopes,
            "caps": self.caps,
            "auth": {"token": "test-token"},
        })
    }
}

/// What it asks for, granted.
pub(super) fn granted(params: &ConnectParams) -> Grant {
    Grant {
        role: if params.role == "node" {
            Role::Node
        } else {
            Role::Operator
        },
        scopes: params.scopes.clone().into(),
        principal: "secret".into(),
        device_id: None,
        device_token: None,
        user: None,
    }
}
