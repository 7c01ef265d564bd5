//! Any changes, with restarts in between, against three plain maps and against what decides over devices.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::*;
use crate::pairing::Pairings;
use crate::pairing::token::TokenKey;

#[derive(Debug, Default)]
struct Model {
    devices: BTreeMap<String, Device>,
    requests: BTreeMap<String, Request>,
    setups: BTreeMap<[u8; 32], Setup>,
    nodes: nodes::Model,
}

impl Model {
    fn apply(&mut self, change: Change) {
        match change {
            Change::PutDevice(device) => drop(self.devices.insert(device.id.clone(), *device)),
            Change::DropDevice(id) => drop(self.devices.remove(&id)),
            Change::PutRequest(request) => drop(self.requests.insert(request.id.clone(), *request)),
            Change::DropRequest(id) => drop(self.requests.remove(&id)),
            Change::PutSetup(setup) => drop(self.setups.insert(setup.digest, setup)),
            Change::DropSetup(digest) => drop(self.setups.remove(&digest)),
            Change::Node(change) => self.nodes.apply(change),
        }
    }

    fn contents(&self) -> Contents {
        Contents {
            devices: self.devices.values().cloned().collect(),
            requests: self.requests.values().cloned().collect(),
            setups: self.setups.values().cloned().collect(),
            nodes: self.nodes.contents(),
        }
    }
}

/// One of a few, so that the same ones come again.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("é"), Just("")].prop_map(str::to_owned)
}

fn digest() -> impl Strategy<Value = [u8; 32]> {
    (0..4_u8).prop_map(|number| [number; 32])
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("a\0b".to_owned()),
        "\\PC{0,12}",
        any::<String>(),
    ]
}

fn list() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(text(), 0..4)
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..=i64::MAX as u64, Just(i64::MAX as u64)]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Operator), Just(Role::Node)]
}

fn maybe<T: fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(of)
}

prop_compose! {
    fn face()(
        display_name in maybe(text()), platform in text(), device_family in maybe(text()),
        client_id in text(), client_mode in text(),
    ) -> Face {
        Face { display_name, platform, device_family, client_id, client_mode }
    }
}

prop_compose! {
    fn token()(
        digest: [u8; 32], salt: [u8; 16], scopes in list(),
        created_ms in time(), rotated_ms in maybe(time()), revoked_ms in maybe(time()),
    ) -> Token {
        Token { digest, salt, scopes, created_ms, rotated_ms, revoked_ms }
    }
}

prop_compose! {
    fn granted()(
        roles in prop_oneof![
            Just(vec![]),
            role().prop_map(|role| vec![role]),
            Just(vec![Role::Operator, Role::Node]),
            Just(vec![Role::Node, Role::Operator]),
        ],
    )(
        rest in proptest::collection::vec((list(), maybe(token())), roles.len()), roles in Just(roles),
    ) -> Vec<Granted> {
        let grant = |(role, (scopes, token))| Granted { role, scopes, token };
        roles.into_iter().zip(rest).map(grant).collect()
    }
}

prop_compose! {
    fn device()(
        id in id(), public_key in text(), face in face(), label in maybe(text()), remote_ip in maybe(text()),
        via in prop_oneof![Just(ApprovedVia::Silent), Just(ApprovedVia::Owner), Just(ApprovedVia::Bootstrap)],
        granted in granted(), times in (time(), time(), maybe(time())),
    ) -> Device {
        let (created_ms, approved_ms, seen_ms) = times;
        Device {
            id, public_key, face, label, remote_ip, approved_via: via, granted, created_ms, approved_ms, seen_ms,
        }
    }
}

prop_compose! {
    fn request()(
        id in id(), device_id in id(), public_key in text(), face in face(), role in role(),
        roles in proptest::collection::vec(role(), 0..3), scopes in list(), remote_ip in maybe(text()),
        is_repair: bool, created_ms in time(), asked_ms in time(),
    ) -> Request {
        Request {
            id, device_id, public_key, face, role, roles, scopes, remote_ip, is_repair, created_ms, asked_ms,
        }
    }
}

prop_compose! {
    fn setup()(
        digest in digest(), id in text(), full: bool, device_id in maybe(text()), created_ms in time(), expires_ms in time(),
    ) -> Setup {
        let access = if full { Access::Full } else { Access::Limited };
        Setup { digest, id, access, device_id, created_ms, expires_ms }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => device().prop_map(|device| Change::PutDevice(Box::new(device))),
        1 => id().prop_map(Change::DropDevice),
        3 => request().prop_map(|request| Change::PutRequest(Box::new(request))),
        1 => id().prop_map(Change::DropRequest),
        2 => setup().prop_map(Change::PutSetup),
        1 => digest().prop_map(Change::DropSetup),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Change>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => proptest::collection::vec(change(), 0..6).prop_map(Step::Write),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..8)
}

fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES");
    let asked = asked.ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_changes_are_there_after_any_restart(steps in steps()) {
        let home = Home::new();
        let mut store = Some(home.open().0);
        let mut model = Model::default();
        let mut pairings = Pairings::new(Contents::default(), TokenKey::new(&[7; 32]));
        for step in steps.into_iter().chain([Step::Reopen]) {
            match step {
                Step::Write(changes) => {
                    store.as_ref().unwrap().write(&changes).unwrap();
                    for change in changes {
                        model.apply(change.clone());
                        pairings.apply(change);
                    }
                }
                Step::Reopen => {
                    drop(store.take());
                    let (opened, found) = home.open();
                    store = Some(opened);
                    prop_assert_eq!(&found, &model.contents());
                    let devices: Vec<Device> = pairings.devices().cloned().collect();
                    prop_assert_eq!(&found.devices, &devices);
                    let mut requests: Vec<Request> = pairings.requests(0).into_iter().cloned().collect();
                    requests.sort_by(|one, other| one.id.cmp(&other.id));
                    prop_assert_eq!(&found.requests, &requests);
                }
            }
        }
    }
}
