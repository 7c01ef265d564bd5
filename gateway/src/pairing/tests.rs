use openclaw_protocol_core::scope::Role;

use super::*;

fn device(number: usize, via: ApprovedVia) -> Device {
    Device {
        id: format!("device {number}"),
        public_key: String::new(),
        face: Face::default(),
        label: None,
        remote_ip: None,
        approved_via: via,
        granted: vec![Granted {
            role: Role::Operator,
            scopes: Vec::new(),
            token: None,
        }],
        created_ms: 1,
        approved_ms: 1,
        seen_ms: Some(1_000 + number as u64),
    }
}

fn full(via: impl Fn(usize) -> ApprovedVia) -> Pairings {
    let contents = Contents {
        devices: (0..MAX_DEVICES)
            .map(|number| device(number, via(number)))
            .collect(),
        ..Contents::default()
    };
    Pairings::new(contents, TokenKey::new(&[1; 32]))
}

#[test]
fn where_there_is_no_room_the_silent_device_makes_it_that_was_seen_longest_ago() {
    let pairings = full(|number| match number {
        0..5 => ApprovedVia::Owner,
        _ => ApprovedVia::Silent,
    });
    let mut decision = Decision::of(());
    assert!(pairings.make_room_for_device("new", &mut decision));
    assert_eq!(
        decision.changes,
        [Change::DropDevice("device 5".to_owned())]
    );
    assert!(
        matches!(&decision.notices[..], [Notice::Ended { device_id, .. }] if device_id == "device 5")
    );
    let mut decision = Decision::of(());
    assert!(pairings.make_room_for_device("device 7", &mut decision));
    assert_eq!(decision, Decision::of(()), "it has its room");
}

#[test]
fn a_device_that_somebody_approved_makes_room_for_nobody() {
    let pairings = full(|_| ApprovedVia::Owner);
    let mut decision = Decision::of(());
    assert!(!pairings.make_room_for_device("new", &mut decision));
    assert_eq!(decision, Decision::of(()));
}

#[test]
fn a_node_that_somebody_approved_makes_room_for_nobody_either() {
    let mut pairings = full(|_| ApprovedVia::Silent);
    let node = crate::nodes::Node {
        id: "device 0".to_owned(),
        face: crate::nodes::NodeFace::default(),
        surface: crate::nodes::Surface::default(),
        label: None,
        remote_ip: None,
        created_ms: 1,
        approved_ms: 1,
        alive: None,
    };
    pairings.apply(NodeChange::Put(Box::new(node)).into());
    let mut decision = Decision::of(());
    assert!(pairings.make_room_for_device("new", &mut decision));
    assert_eq!(
        decision.changes,
        [Change::DropDevice("device 1".to_owned())]
    );
}
