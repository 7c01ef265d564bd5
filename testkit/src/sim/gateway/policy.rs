//! What a gateway of a world allows, and to whom.

use std::time::Duration;

use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Role, Scope};

use crate::sim::history::{Family, Guest};

/// What a gateway allows: little of everything, and even less where it is tight.
pub(super) fn limits(is_tight: bool) -> Limits {
    let second = Duration::from_secs;
    let limits = Limits {
        frame: 16_384,
        outbox: 160_000,
        outbox_soft: 60_000,
        strangers: 5,
        handshake: second(5),
        ping: second(4),
        silence: second(10),
        tick: second(5),
        health: second(15),
        presence_kept: second(20),
        ..Limits::default()
    };
    if !is_tight {
        return limits;
    }
    Limits {
        outbox: 40_000,
        outbox_soft: 4_000,
        outbox_soft_pushes: 6,
        outbox_in_all: 90_000,
        open_calls: 6,
        ..limits
    }
}

/// What everybody is granted: what they ask for.
pub(super) fn granted(params: &ConnectParams) -> (Grant, Guest) {
    let is_node = params.role == "node";
    let device = params.device.as_ref().map(|device| device.id.clone());
    let instance = params.client.instance_id.clone();
    let host = params.client.display_name.clone().unwrap_or_default();
    let row = (params.client.mode != "probe")
        .then(|| device.clone().or(instance).unwrap_or_else(|| host.clone()));
    let known = [
        ("operator.read", "operator.read"),
        ("operator.write", "operator.write"),
        ("operator.approvals", "operator.approvals"),
        ("operator.pairing", "operator.pairing"),
    ];
    let asked = |name: &str| params.scopes.iter().any(|scope| scope == name);
    let scopes = known
        .into_iter()
        .filter(|(name, _)| {
            asked(name)
                || asked("operator.admin")
                || *name == "operator.read" && asked("operator.write")
        })
        .map(|(_, name)| name)
        .collect();
    let caps = params.caps.iter().any(|cap| cap == "tool-events");
    let guest = Guest {
        row,
        is_node,
        scopes,
        caps: if caps {
            vec!["tool-events"]
        } else {
            Vec::new()
        },
    };
    let grant = Grant {
        role: if is_node { Role::Node } else { Role::Operator },
        scopes: params.scopes.clone().into(),
        principal: device.clone().unwrap_or(host).into(),
        device_id: device.map(String::into_boxed_str),
        device_token: None,
        user: None,
    };
    (grant, guest)
}

/// Who hears what is meant for a family.
pub(super) fn audience(family: Family) -> Audience {
    let scope = |name: &str| match name {
        "operator.read" => Scope::Read,
        "operator.write" => Scope::Write,
        "operator.approvals" => Scope::Approvals,
        _ => Scope::Pairing,
    };
    match family {
        Family::All => Audience::Everyone,
        Family::Scope(name) => Audience::Operators(scope(name)),
        Family::Cap(name, cap) => Audience::Understanding(scope(name), cap),
        Family::Without(name) => Audience::Others(scope(name)),
    }
}
