//! What holds for devices whatever they, their operators and the clock do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use openclaw_gateway_service::identity::Identity;
use openclaw_gateway_service::pairing::{
    Chance, Change, Contents, Decision, Knock, MAX_REQUESTS, Manager, Notice, Pairings, Presented,
    scopes,
};
use openclaw_protocol_core::hello::connect::{Client, DeviceProof};
use openclaw_protocol_core::scope::{Role, Scopes};
use proptest::prelude::*;

const SCOPES: [&str; 5] = [
    "operator.read",
    "operator.write",
    "operator.pairing",
    "operator.approvals",
    "operator.admin",
];
const DEVICES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A device connects: with the secret, or with one of the tokens it ever got.
    Knock {
        device: usize,
        scopes: Vec<String>,
        token: Option<usize>,
        here: bool,
        platform: bool,
    },
    Approve {
        device: usize,
        by: Vec<String>,
    },
    Reject(usize),
    Rotate {
        device: usize,
        scopes: Option<Vec<String>>,
        by: Vec<String>,
    },
    Revoke(usize),
    Remove(usize),
    Pass(u64),
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::sample::subsequence(&SCOPES[..], 0..3)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..DEVICES;
    let token = proptest::option::of(0..6usize);
    prop_oneof![
        8 => (device.clone(), names(), token, any::<bool>(), proptest::bool::weighted(0.9))
            .prop_map(|(device, scopes, token, here, platform)| Step::Knock {
                device, scopes, token, here, platform,
            }),
        4 => (device.clone(), names()).prop_map(|(device, by)| Step::Approve { device, by }),
        1 => device.clone().prop_map(Step::Reject),
        2 => (device.clone(), proptest::option::of(names()), names())
            .prop_map(|(device, scopes, by)| Step::Rotate { device, scopes, by }),
        1 => device.clone().prop_map(Step::Revoke),
        1 => device.prop_map(Step::Remove),
        1 => (0..400_000u64).prop_map(Step::Pass),
    ]
}

/// The gateway, and what somebody who watches everything knows of it.
struct World {
    pairings: Pairings,
    now_ms: u64,
    chance: u8,
    /// Every token that a device ever got.
    tokens: BTreeMap<usize, BTreeSet<String>>,
    /// Tokens that must not open anything.
    dead: BTreeSet<String>,
    /// What was approved for each device, as its approvers said it.
    approved: BTreeMap<usize, Vec<String>>,
    /// The devices that do not know the token that was made for them.
    untold: BTreeSet<usize>,
    /// The devices whose token was not taken back.
    live: BTreeSet<usize>,
    /// What the token that a device has now opens, as whoever made it said.
    opens: BTreeMap<usize, Vec<String>>,
}

fn client(platform: bool) -> Client {
    Client {
        id: "cli".to_owned(),
        display_name: None,
        version: "1".to_owned(),
        build_id: None,
        platform: if platform { "linux" } else { "darwin" }.to_owned(),
        device_family: None,
        model_identifier: None,
        time_zone: None,
        mode: "cli".to_owned(),
        instance_id: None,
    }
}

fn proof(device: usize) -> DeviceProof {
    let identity = Identity::from_seed(&[device as u8 + 1; 32]);
    DeviceProof {
        id: identity.device_id().to_owned(),
        public_key: identity.public_key().to_owned(),
        signature: String::new(),
        signed_at_ms: 0,
        nonce: String::new(),
    }
}

impl World {
    fn new() -> Self {
        let key = Identity::from_seed(&[9; 32]).token_key();
        Self {
            pairings: Pairings::new(Contents::default(), key),
            now_ms: 1_700_000_000_000,
            chance: 0,
            tokens: BTreeMap::new(),
            dead: BTreeSet::new(),
            approved: BTreeMap::new(),
            untold: BTreeSet::new(),
            live: BTreeSet::new(),
            opens: BTreeMap::new(),
        }
    }

    fn chance(&mut self) -> Chance {
        self.chance = self.chance.wrapping_add(1);
        Chance {
            request_id: format!("request-{}", self.chance),
            surface_id: format!("surface-{}", self.chance),
            salt: [self.chance; 16],
        }
    }

    fn make<T>(&mut self, decision: Decision<T>) -> T {
        for change in decision.changes {
            self.pairings.apply(change.clone());
            // Whatever is stored is the same when it is stored twice.
            self.pairings.apply(change);
        }
        decision.outcome
    }

    fn waiting(&self, device: usize) -> Option<(String, Vec<String>)> {
        let id = proof(device).id;
        let requests = self.pairings.requests(self.now_ms);
        let found = requests.into_iter().find(|request| request.device_id == id);
        found.map(|request| (request.id.clone(), request.scopes.clone()))
    }

    /// Every token that a device got so far opens nothing from now on.
    fn bury(&mut self, device: usize) {
        let own = self.tokens.get(&device).cloned();
        self.dead.extend(own.unwrap_or_default());
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Knock {
                device,
                scopes,
                token,
                here,
                platform,
            } => {
                self.knock(*device, scopes, *token, *here, *platform);
            }
            Step::Approve { device, by } => {
                let Some((request, wanted)) = self.waiting(*device) else {
                    return;
                };
                let approver: Scopes = by.clone().into();
                let manager = Manager {
                    scopes: &approver,
                    token_of: None,
                };
                let chance = self.chance();
                let decided = self
                    .pairings
                    .approve(&request, manager, &chance, self.now_ms);
                let approved = self.approved.get(device).cloned().unwrap_or_default();
                let live = self.live.contains(device);
                let before = if live { approved } else { Vec::new() };
                let all: Vec<String> = before.into_iter().chain(wanted).collect();
                let lacks = scopes::missing(by, &all).is_some();
                assert_eq!(
                    decided.is_err(),
                    lacks,
                    "nobody gives what they do not have"
                );
                if let Ok(decision) = decided {
                    self.make(decision);
                    self.approved.insert(*device, all.clone());
                    self.opens.insert(*device, all);
                    self.live.insert(*device);
                    self.untold.insert(*device);
                    self.bury(*device);
                }
            }
            Step::Reject(device) => {
                let Some((request, _)) = self.waiting(*device) else {
                    return;
                };
                let all: Scopes = vec!["operator.admin".to_owned()].into();
                let manager = Manager {
                    scopes: &all,
                    token_of: None,
                };
                let decision = self
                    .pairings
                    .reject(&request, manager, self.now_ms)
                    .expect("it waits");
                self.make(decision);
                assert!(self.waiting(*device).is_none());
            }
            Step::Rotate {
                device,
                scopes: wanted,
                by,
            } => {
                let rotator: Scopes = by.clone().into();
                let manager = Manager {
                    scopes: &rotator,
                    token_of: None,
                };
                let chance = self.chance();
                let id = proof(*device).id;
                let rotated = self.pairings.rotate(
                    &id,
                    "operator",
                    wanted.as_deref(),
                    manager,
                    &chance,
                    self.now_ms,
                );
                if let Ok(decision) = rotated {
                    assert!(scopes::missing(by, &decision.outcome.scopes).is_none());
                    assert!(
                        decision.outcome.token.is_none(),
                        "it is for the device alone"
                    );
                    let rotated = self.make(decision);
                    self.opens.insert(*device, rotated.scopes);
                    self.live.insert(*device);
                    self.untold.insert(*device);
                    self.bury(*device);
                }
            }
            Step::Revoke(device) => {
                let all: Scopes = vec!["operator.admin".to_owned()].into();
                let manager = Manager {
                    scopes: &all,
                    token_of: None,
                };
                let id = proof(*device).id;
                if let Ok(decision) = self.pairings.revoke(&id, "operator", manager, self.now_ms) {
                    assert!(
                        decision
                            .notices
                            .iter()
                            .any(|notice| matches!(notice, Notice::Ended { .. }))
                    );
                    self.make(decision);
                    self.live.remove(device);
                    self.bury(*device);
                }
            }
            Step::Remove(device) => {
                let all: Scopes = vec!["operator.admin".to_owned()].into();
                let manager = Manager {
                    scopes: &all,
                    token_of: None,
                };
                let id = proof(*device).id;
                if let Ok(decision) = self.pairings.remove(&id, manager, self.now_ms) {
                    self.make(decision);
                    self.approved.remove(device);
                    self.live.remove(device);
                    self.opens.remove(device);
                    self.bury(*device);
                    assert!(self.waiting(*device).is_none(), "its request goes with it");
                }
            }
            Step::Pass(ms) => self.now_ms += ms,
        }
    }

    fn knock(
        &mut self,
        device: usize,
        wanted: &[String],
        token: Option<usize>,
        here: bool,
        platform: bool,
    ) {
        let own = self.tokens.entry(device).or_default();
        let text = token.and_then(|which| own.iter().nth(which).cloned());
        if token.is_some() && text.is_none() {
            return;
        }
        let presented = match &text {
            Some(text) => Presented::DeviceToken(text),
            None => Presented::Secret,
        };
        let address: IpAddr = if here {
            [127, 0, 0, 1]
        } else {
            [192, 0, 2, device as u8 / 8]
        }
        .into();
        let (proof, client) = (proof(device), client(platform));
        let knock = Knock {
            device: &proof,
            client: &client,
            role: Role::Operator,
            scopes: wanted,
            presented,
            setup: None,
            address,
            direct: here,
        };
        let chance = self.chance();
        let decision = self.pairings.knock(&knock, &chance, self.now_ms);
        let drops = decision
            .changes
            .iter()
            .any(|change| matches!(change, Change::DropDevice(_)));
        assert!(!drops, "nobody loses a device by connecting");
        let outcome = self.make(decision);
        let Ok(admitted) = outcome else {
            return;
        };
        let own = self.tokens.entry(device).or_default();
        let is_new = !own.contains(&admitted.token);
        let opens = self.opens.get(&device).map_or(&[][..], Vec::as_slice);
        if let Some(text) = &text {
            assert!(!self.dead.contains(text), "a token that was taken back");
            assert_eq!(&admitted.token, text, "a token is kept by using it");
            assert_eq!(
                scopes::missing(opens, wanted),
                None,
                "more than its token opens"
            );
            return;
        }
        let approved = self.approved.entry(device).or_default();
        let beyond = !self.live.contains(&device) || scopes::missing(approved, wanted).is_some();
        if beyond {
            assert!(here, "nobody approved that");
            // With the secret, on this host, asking is being approved; what was taken back is not given again.
            if !self.live.contains(&device) {
                approved.clear();
            }
            approved.extend(wanted.iter().cloned());
        }
        let narrowed = scopes::missing(opens, wanted).is_some();
        let untold = self.untold.remove(&device);
        assert_eq!(
            is_new,
            beyond || narrowed || untold,
            "another token where it opens something else, and only there"
        );
        if beyond {
            self.opens.insert(device, approved.clone());
        } else if narrowed {
            self.opens.insert(device, wanted.to_vec());
        }
        if is_new {
            self.bury(device);
        }
        assert!(
            !self.dead.contains(&admitted.token),
            "an old one is told again"
        );
        self.live.insert(device);
        self.tokens
            .entry(device)
            .or_default()
            .insert(admitted.token);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// No sequence of requests opens more than was approved, and what was taken back opens nothing.
    #[test]
    fn nothing_opens_more_than_was_approved(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            let requests = world.pairings.requests(world.now_ms).len();
            prop_assert!(requests <= MAX_REQUESTS.min(DEVICES), "one for each device");
        }
    }

    /// However many devices ask, so many wait and no more.
    #[test]
    fn requests_are_bounded(seeds in proptest::collection::vec((0..200usize, 0..20_000u64), 1..300)) {
        let mut world = World::new();
        for (device, pause) in seeds {
            world.now_ms += pause;
            world.knock(device, &["operator.read".to_owned()], None, false, true);
            prop_assert!(world.pairings.requests(world.now_ms).len() <= MAX_REQUESTS);
            prop_assert!(world.waiting(device).is_some(), "whoever asks now waits");
        }
    }
}
