//! Whether a device that proved its key may come in.

use std::net::IpAddr;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::hello::connect::{Client, DeviceProof};
use openclaw_protocol_core::scope::Role;

use super::record::{ApprovedVia, Device, Face, Granted, Request, Token};
use super::refusal::{self, Reason};
use super::{Chance, Change, Decision, Notice, Pairings, scopes, token};

/// How much later a device must be seen again for that to be noted, in milliseconds.
const SEEN_STEP_MS: u64 = 300_000;
/// How much later a device must ask again for that to be noted, in milliseconds.
const ASKED_STEP_MS: u64 = 60_000;
/// How long a request stands before its device may ask for something else instead, in milliseconds.
const ANEW_STEP_MS: u64 = 1_000;

/// A device that proved its key.
#[derive(Clone, Copy)]
pub struct Knock<'a> {
    /// Its proof.
    pub device: &'a DeviceProof,
    /// The program.
    pub client: &'a Client,
    /// The role that it asks for.
    pub role: Role,
    /// The scopes that it asks for.
    pub scopes: &'a [String],
    /// What it presented.
    pub presented: Presented<'a>,
    /// The token of a setup code that it sent along, right or not.
    pub setup: Option<&'a str>,
    /// Where it connects from.
    pub address: IpAddr,
    /// Whether it connects from this very host, with nobody in between.
    pub direct: bool,
}

impl std::fmt::Debug for Knock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Knock")
            .field("device", &self.device.id)
            .field("role", &self.role)
            .field("presented", &self.presented)
            .field("direct", &self.direct)
            .finish_non_exhaustive()
    }
}

/// The credential that let a device come as far as this.
#[derive(Clone, Copy)]
pub enum Presented<'a> {
    /// The gateway's secret, or none where none is needed.
    Secret,
    /// A token that was issued to the device.
    DeviceToken(&'a str),
    /// The token of a setup code.
    Setup(&'a str),
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::DeviceToken(_) => "DeviceToken(..)",
            Self::Setup(_) => "Setup(..)",
        })
    }
}

/// A device that may come in.
#[derive(Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its token.
    pub token: String,
    /// When that was issued, in milliseconds since 1970.
    pub issued_ms: u64,
}

impl std::fmt::Debug for Admitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admitted")
            .field("issued_ms", &self.issued_ms)
            .finish_non_exhaustive()
    }
}

/// What is done with a device.
pub(super) enum Course {
    /// It comes in as it is.
    Enter,
    /// It is approved without anybody being asked.
    Approve(ApprovedVia),
    /// It waits.
    Wait(Reason),
}

type Verdict = Decision<Result<Admitted, ErrorShape>>;

impl Pairings {
    /// Whether a text is the live token of a device in a role.
    #[must_use]
    pub fn is_token(&self, device_id: &str, role: Role, text: &str) -> bool {
        self.token(device_id, role)
            .is_some_and(|token| token.is(text))
    }

    fn token(&self, device_id: &str, role: Role) -> Option<&Token> {
        let granted = self.devices.get(device_id)?.granted(role)?;
        granted.token.as_ref().filter(|token| token.is_live())
    }

    /// Decides over a device whose proof holds and whose credential was right when it was looked at.
    ///
    /// The credential is looked at once more: it may have been revoked since. `chance` is used up where something is made.
    #[must_use]
    pub fn knock(&self, knock: &Knock<'_>, chance: &Chance, now_ms: u64) -> Verdict {
        let known = self.devices.get(&knock.device.id);
        match knock.presented {
            Presented::Setup(text) => {
                return match self.setup(text, &knock.device.id, now_ms) {
                    Some(setup) => self.redeem(knock, setup, chance, now_ms),
                    None => Decision::of(Err(refusal::setup_invalid())),
                };
            }
            Presented::DeviceToken(text) => match self.token(&knock.device.id, knock.role) {
                Some(token) if token.is(text) => {
                    if scopes::missing(&token.scopes, knock.scopes).is_some() {
                        return Decision::of(Err(refusal::scope_mismatch()));
                    }
                }
                _ => return Decision::of(Err(refusal::device_token_mismatch())),
            },
            Presented::Secret => {}
        }
        let course = self.course(knock, known);
        // Where the secret alone would wait, a setup code helps.
        let setup = knock
            .setup
            .filter(|_| matches!(course, Course::Wait(_)))
            .and_then(|text| self.setup(text, &knock.device.id, now_ms));
        if let Some(setup) = setup {
            return self.redeem(knock, setup, chance, now_ms);
        }
        match (course, known) {
            (Course::Enter, Some(device)) => self.enter(device, knock, chance, now_ms),
            (Course::Approve(via), _) => self.let_in(knock, via, knock.scopes, chance, now_ms),
            (Course::Wait(reason), _) => self.wait(knock, reason, chance, now_ms),
            (Course::Enter, None) => self.wait(knock, Reason::NotPaired, chance, now_ms),
        }
    }

    pub(super) fn course(&self, knock: &Knock<'_>, known: Option<&Device>) -> Course {
        let silent = knock.direct && matches!(knock.presented, Presented::Secret);
        let or_silent = |reason| match silent {
            true => Course::Approve(ApprovedVia::Silent),
            false => Course::Wait(reason),
        };
        let Some(device) = known else {
            return or_silent(Reason::NotPaired);
        };
        if !device.face.is_same_machine(&knock.client.into()) {
            return Course::Wait(Reason::MetadataUpgrade);
        }
        let Some(granted) = device.in_force(knock.role) else {
            return if knock.role == Role::Operator {
                or_silent(Reason::RoleUpgrade)
            } else {
                Course::Wait(Reason::RoleUpgrade)
            };
        };
        match scopes::missing(&granted.scopes, knock.scopes) {
            Some(_) => or_silent(Reason::ScopeUpgrade),
            None => Course::Enter,
        }
    }

    /// A device that may come in as it is.
    pub(super) fn enter(
        &self,
        device: &Device,
        knock: &Knock<'_>,
        chance: &Chance,
        now_ms: u64,
    ) -> Verdict {
        let mut device = device.clone();
        let is_new = |seen: u64| now_ms.saturating_sub(seen) >= SEEN_STEP_MS;
        let unseen = device.seen_ms.is_none_or(is_new);
        if unseen {
            let face = Face::from(knock.client);
            device.seen_ms = Some(now_ms);
            device.face.platform = face.platform;
            device.face.display_name = face.display_name.or(device.face.display_name.take());
        }
        // The secret opens all that was approved; a token that was narrowed since then makes way.
        let token = device
            .granted(knock.role)
            .and_then(|granted| granted.token.as_ref());
        let narrowed =
            token.is_some_and(|token| scopes::missing(&token.scopes, knock.scopes).is_some());
        let opens = narrowed.then_some(knock.scopes);
        let (admitted, issued) = self.issue(&mut device, knock.role, opens, chance, now_ms);
        let mut decision = Decision::of(Ok(admitted));
        if issued || unseen {
            decision.changes.push(Change::PutDevice(Box::new(device)));
        }
        decision
    }

    /// Approves a device and lets it in.
    pub(super) fn let_in(
        &self,
        knock: &Knock<'_>,
        via: ApprovedVia,
        approved: &[String],
        chance: &Chance,
        now_ms: u64,
    ) -> Verdict {
        let id = &knock.device.id;
        if let Some(scope) = scopes::unknown(approved) {
            return Decision::of(Err(refusal::unknown_scope(scope)));
        }
        let mut decision = Decision::of(());
        if !self.make_room_for_device(id, &mut decision) {
            return Decision::of(Err(refusal::too_many_devices()));
        }
        let mut request = Request {
            scopes: scopes::union(approved),
            ..self.request(knock, chance, now_ms)
        };
        // What waits for more goes on waiting.
        if let Some(waiting) = self.request_of(id, now_ms)
            && request.covers(waiting)
        {
            request.id.clone_from(&waiting.id);
            decision
                .changes
                .push(Change::DropRequest(waiting.id.clone()));
        }
        let mut device = self.approved(&request, via, now_ms);
        device.seen_ms = Some(now_ms);
        let opens = match via {
            ApprovedVia::Bootstrap => Some(request.scopes.clone()),
            ApprovedVia::Silent | ApprovedVia::Owner => {
                device.granted(knock.role).map(|g| g.scopes.clone())
            }
        };
        let (admitted, _) = self.issue(&mut device, knock.role, opens.as_deref(), chance, now_ms);
        decision.changes.push(Change::PutDevice(Box::new(device)));
        decision.notices.push(request.resolved("approved"));
        decision.map(|()| Ok(admitted))
    }

    /// Has a device wait for a decision; the same request again keeps its name.
    pub(super) fn wait(
        &self,
        knock: &Knock<'_>,
        reason: Reason,
        chance: &Chance,
        now_ms: u64,
    ) -> Verdict {
        let approved = self.devices.get(&knock.device.id);
        let refused =
            |request: &Request| refusal::pairing_required(reason, request, knock, approved);
        if let Some(scope) = scopes::unknown(knock.scopes) {
            return Decision::of(Err(refusal::unknown_scope(scope)));
        }
        let mut request = self.request(knock, chance, now_ms);
        let mut decision = match self.request_of(&knock.device.id, now_ms) {
            Some(before) if before.covers(&request) => {
                let mut decision = Decision::of(Err(refused(before)));
                if now_ms.saturating_sub(before.asked_ms) >= ASKED_STEP_MS {
                    let again = Request {
                        asked_ms: now_ms,
                        face: request.face,
                        remote_ip: request.remote_ip,
                        ..before.clone()
                    };
                    decision.changes.push(Change::PutRequest(Box::new(again)));
                }
                return decision;
            }
            Some(before) if now_ms.saturating_sub(before.created_ms) < ANEW_STEP_MS => {
                return Decision::of(Err(refusal::too_fast()));
            }
            Some(before) => {
                request.take_over(before);
                let mut decision = Decision::of(Err(refused(&request)));
                decision
                    .changes
                    .push(Change::DropRequest(before.id.clone()));
                decision.notices.push(before.resolved("rejected"));
                decision
            }
            None if self.is_crowded(request.remote_ip.as_deref(), now_ms) => {
                return Decision::of(Err(refusal::too_many_requests()));
            }
            None => {
                let mut decision = Decision::of(Err(refused(&request)));
                decision.notices = self.make_room_for_request(now_ms, &mut decision.changes);
                decision
            }
        };
        decision
            .changes
            .push(Change::PutRequest(Box::new(request.clone())));
        decision.notices.push(Notice::Requested(Box::new(request)));
        decision
    }

    fn request(&self, knock: &Knock<'_>, chance: &Chance, now_ms: u64) -> Request {
        Request {
            id: chance.request_id.clone(),
            device_id: knock.device.id.clone(),
            public_key: knock.device.public_key.clone(),
            face: Face::from(knock.client),
            role: knock.role,
            roles: vec![knock.role],
            scopes: scopes::union(knock.scopes),
            remote_ip: (!knock.direct).then(|| knock.address.to_canonical().to_string()),
            is_repair: self.devices.contains_key(&knock.device.id),
            created_ms: now_ms,
            asked_ms: now_ms,
        }
    }

    /// Gives a role its token: the one that it has, or a new one that opens `opens` where it must not keep that.
    pub(super) fn issue(
        &self,
        device: &mut Device,
        role: Role,
        opens: Option<&[String]>,
        chance: &Chance,
        now_ms: u64,
    ) -> (Admitted, bool) {
        let id = device.id.clone();
        let text = |token: &Token| self.key.text(&id, role, &token.salt);
        let before = device
            .granted(role)
            .and_then(|granted| granted.token.clone());
        let kept = before
            .as_ref()
            // With another key than the one that made it, a token cannot be told again.
            .filter(|token| opens.is_none() && token.is_live() && token.is(&text(token)));
        if let Some(token) = kept {
            let admitted = Admitted {
                token: text(token),
                issued_ms: token.issued_ms(),
            };
            return (admitted, false);
        }
        let new = self.key.text(&id, role, &chance.salt);
        if let Some(granted) = device.granted_mut(role) {
            // Made anew only because the old text cannot be told again, it opens what that did.
            let old = before.as_ref().filter(|before| before.is_live());
            let old = old.map(|old| old.scopes.as_slice());
            let opens = opens.or(old).unwrap_or(&granted.scopes);
            granted.token = Some(Token {
                digest: token::digest(&new),
                salt: chance.salt,
                scopes: scopes::expanded(opens),
                created_ms: before.as_ref().map_or(now_ms, |before| before.created_ms),
                rotated_ms: before.map(|_| now_ms),
                revoked_ms: None,
            });
        }
        let admitted = Admitted {
            token: new,
            issued_ms: now_ms,
        };
        (admitted, true)
    }

    /// The device as it is once a request is approved, but for its tokens.
    pub(super) fn approved(&self, request: &Request, via: ApprovedVia, now_ms: u64) -> Device {
        let known = self.devices.get(&request.device_id);
        let mut device = Device {
            id: request.device_id.clone(),
            public_key: request.public_key.clone(),
            face: request.face.clone(),
            label: known.and_then(|known| known.label.clone()),
            remote_ip: request.remote_ip.clone(),
            approved_via: via,
            granted: known.map_or_else(Vec::new, |known| known.granted.clone()),
            created_ms: known.map_or(now_ms, |known| known.created_ms),
            approved_ms: now_ms,
            seen_ms: known.and_then(|known| known.seen_ms),
        };
        for role in &request.roles {
            // What was taken back is not given again unasked.
            let in_force = known.is_some_and(|known| known.in_force(*role).is_some());
            let wanted: &[String] = if *role == Role::Operator {
                &request.scopes
            } else {
                &[]
            };
            match device.granted_mut(*role) {
                Some(granted) if in_force => {
                    granted.scopes = scopes::union(granted.scopes.iter().chain(wanted));
                }
                Some(granted) => granted.scopes = scopes::union(wanted),
                None => device.granted.push(Granted {
                    role: *role,
                    scopes: scopes::union(wanted),
                    token: None,
                }),
            }
        }
        device
    }
}

impl Request {
    /// Whether approving this one would do all that `other` asks for.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.roles.iter().all(|role| self.roles.contains(role))
            && scopes::missing(&self.scopes, &other.scopes).is_none()
            && self.face.is_same_machine(&other.face)
    }

    /// Adds what an older request of the same device asked for: a device that is to be two things at once would otherwise
    /// take its own requests back, one after the other.
    fn take_over(&mut self, before: &Self) {
        let mut roles = before.roles.clone();
        roles.extend(
            self.roles
                .iter()
                .filter(|role| !before.roles.contains(role)),
        );
        self.roles = roles;
        self.scopes = scopes::union(before.scopes.iter().chain(&self.scopes));
    }
}
