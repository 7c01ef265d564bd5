//! Whole gateways, whatever is done to them.

use openclaw_protocol_core::frame::outgoing::Class;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Scope};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::arbitrary::{cases, message};
use super::support::{Joiner, millis};
use super::world::{Drain, World};

/// Something that is done to a hub, or that its peers do; numbers choose among what there is.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Opens, asks to be let in, and is.
    Join(u8),
    Open(bool),
    Knock(u8, u8),
    Say(u8, Vec<u8>),
    Ask(u8),
    /// Asks who is there.
    Look(u8),
    Admit(u8),
    Refuse(u8),
    Reply(u8, usize),
    Accept(u8, u8),
    Complete(u8),
    Publish(u8, usize),
    Health(u8),
    Announce(u8),
    Pull(u8, u8),
    Sent(u8),
    Pass(u64),
    Disconnect(u8),
    Close(u8),
    Fault(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let byte = any::<u8>;
    let size = || prop_oneof![8 => 0..100_usize, 1 => 0..20_000_usize];
    prop_oneof![
        10 => byte().prop_map(Op::Join),
        2 => any::<bool>().prop_map(Op::Open),
        4 => (byte(), byte()).prop_map(|(peer, joiner)| Op::Knock(peer, joiner)),
        2 => (byte(), message()).prop_map(|(peer, message)| Op::Say(peer, message)),
        12 => byte().prop_map(Op::Ask),
        2 => byte().prop_map(Op::Look),
        5 => byte().prop_map(Op::Admit),
        1 => byte().prop_map(Op::Refuse),
        4 => (byte(), size()).prop_map(|(which, size)| Op::Reply(which, size)),
        6 => (byte(), byte()).prop_map(|(which, run)| Op::Accept(which, run)),
        3 => byte().prop_map(Op::Complete),
        12 => (byte(), size()).prop_map(|(family, size)| Op::Publish(family, size)),
        3 => (0..3_u8).prop_map(Op::Health),
        2 => (0..4_u8).prop_map(Op::Announce),
        10 => (byte(), 1..8_u8).prop_map(|(peer, count)| Op::Pull(peer, count)),
        5 => byte().prop_map(Op::Sent),
        5 => prop_oneof![0..2_000_u64, 0..70_000_u64].prop_map(Op::Pass),
        2 => byte().prop_map(Op::Disconnect),
        1 => byte().prop_map(Op::Close),
        1 => byte().prop_map(Op::Fault),
    ]
}

pub(crate) const JOINERS: [Knocker; 8] = [
    Knocker("operator", &["operator.read"], &["tool-events"]),
    Knocker("operator", &["operator.write"], &[]),
    Knocker("operator", &["operator.admin"], &["tool-events"]),
    Knocker("operator", &["operator.approvals"], &["tool-events"]),
    Knocker("operator", &["operator.pairing", "bogus"], &[]),
    Knocker("operator", &[], &[]),
    Knocker("node", &["operator.admin"], &["tool-events"]),
    Knocker("worker", &[], &[]),
];

/// The role, the scopes and the features of a newcomer.
pub(crate) struct Knocker(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

impl Knocker {
    /// What it says; `manner` chooses how it is used and under which name.
    pub(crate) fn params(&self, manner: u8) -> Value {
        const NAMES: [(Option<&str>, Option<&str>); 4] = [
            (None, None),
            (Some("d0"), None),
            (None, Some("h0")),
            (Some("d1"), Some("h1")),
        ];
        let Self(role, scopes, caps) = *self;
        let (device, instance) = NAMES[usize::from(manner / 4) % NAMES.len()];
        let mut params = Joiner {
            role,
            scopes,
            mode: ["ui", "cli", "backend", "probe"][usize::from(manner) % 4],
            device,
            instance,
            ..Joiner::default()
        }
        .params();
        params["caps"] = json!(caps);
        params
    }
}

/// What is broadcast: its name, for whom, and how it behaves in a queue.
pub(crate) const FAMILIES: [(&str, Audience, Class); 8] = [
    ("chat", Audience::Operators(Scope::Read), Class::Delta),
    ("chat", Audience::Operators(Scope::Write), Class::Ordinary),
    (
        "tools",
        Audience::Understanding(Scope::Read, "tool-events"),
        Class::Ordinary,
    ),
    (
        "approval",
        Audience::Operators(Scope::Approvals),
        Class::Ordinary,
    ),
    (
        "pairing",
        Audience::Operators(Scope::Pairing),
        Class::Ordinary,
    ),
    ("config", Audience::Operators(Scope::Admin), Class::Ordinary),
    ("brief", Audience::Others(Scope::Read), Class::Delta),
    ("shutdown", Audience::Everyone, Class::Ordinary),
];

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 0..most)
}

/// Limits that are met; with them pushes may be dropped.
fn tight() -> impl Strategy<Value = Limits> {
    (
        1..5_usize,
        1_000..60_000_usize,
        10_000..100_000_usize,
        1..6_usize,
        0..2_500_u64,
    )
        .prop_map(|(few, outbox, in_all, rows, presence)| Limits {
            frame: 16_384,
            outbox_soft_pushes: few,
            outbox,
            outbox_in_all: in_all,
            open_calls: few,
            open_call_bytes: 2_000,
            open_call_bytes_in_all: 3_000,
            held_before_hello: 1_000,
            strangers: few + 1,
            strangers_per_address: few,
            presence: millis(presence),
            presence_rows: rows,
            ..Limits::default()
        })
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn every_peer_is_told_the_truth_in_order(limits in tight(), ops in ops(100)) {
        let mut world = World::new(limits, Drain::AsTold);
        for op in &ops {
            world.act(op);
        }
        world.rest();
        world.peers.iter().for_each(|peer| peer.judge(true));
    }

    #[test]
    fn where_nothing_is_dropped_no_number_is_left_out(ops in ops(100)) {
        let mut world = World::new(Limits::default(), Drain::AsTold);
        for op in &ops {
            world.act(op);
        }
        world.rest();
        world.peers.iter().for_each(|peer| peer.judge(false));
    }

    #[test]
    fn the_order_in_which_outputs_are_taken_changes_none_of_them(limits in tight(), ops in ops(100)) {
        let [mut one, mut two, mut three] = [Drain::EventsFirst, Drain::OutputFirst, Drain::InTurns]
            .map(|drain| World::new(limits, drain));
        for op in &ops {
            for world in [&mut one, &mut two, &mut three] {
                world.act(op);
            }
            prop_assert_eq!(one.heard(), two.heard());
            prop_assert_eq!(one.heard(), three.heard());
        }
        for world in [&mut one, &mut two, &mut three] {
            world.rest();
        }
        prop_assert_eq!(one.heard(), two.heard());
        prop_assert_eq!(one.heard(), three.heard());
        one.peers.iter().for_each(|peer| peer.judge(true));
    }
}
