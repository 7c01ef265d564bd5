//! Lets connections in, or tells them why not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol_core::device::DevicePayload;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::hub::{Hub, Peer, Who};
use openclaw_protocol_core::json::Object;
use openclaw_protocol_core::server::{Applicant, ConnId};
use openclaw_protocol_core::time::{Instant, Now};
use openclaw_runtime_smol::server::Handle;
use smol::Executor;

use super::Command;
use super::desk::{Desk, Spoken, refuse};
use super::nodes::Newcomer;
use crate::admission::{Admission, Shared, Verdict, refused_device};
use crate::device::{self, DeviceFault};
use crate::nodes::Declared;
use crate::nodes::policy::Policy;
use crate::pairing::{ApprovedVia, Chance, Decision, Pairings};
use crate::tailscale::{self, Directory};
use crate::throttle::{Subject, Throttle};

/// How long a client is asked to wait before it tries a gateway again that is stopping.
const STOPPING_RETRY_MS: u64 = 1_000;

/// What a device proof was part of.
#[derive(Debug)]
pub struct Proven {
    params: Box<ConnectParams>,
    peer: Peer,
    shared: Shared,
}

/// A client that wants to be let in.
#[derive(Debug)]
pub struct Visitor {
    pub(super) applicant: Applicant,
    pub(super) params: Box<ConnectParams>,
    pub(super) peer: Peer,
    pub(super) nonce: Box<str>,
}

pub(super) struct Door {
    admission: Arc<Admission>,
    /// Which commands nodes may offer.
    commands: Policy,
    throttle: Throttle,
    /// Refusals that are spoken late, by when. Each holds a connection that has had no hello, so
    /// there are never more than those.
    late: BTreeMap<(Instant, u64), (Applicant, ErrorShape)>,
    last: u64,
    shut: bool,
    directory: Arc<dyn Directory>,
    executor: Arc<Executor<'static>>,
    handle: Handle<Command>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    pub(super) fn new(
        admission: Admission,
        commands: Policy,
        directory: Arc<dyn Directory>,
        executor: Arc<Executor<'static>>,
        handle: Handle<Command>,
    ) -> Self {
        Self {
            throttle: Throttle::new(admission.rate_limit.clone()),
            admission: Arc::new(admission),
            commands,
            late: BTreeMap::new(),
            last: 0,
            shut: false,
            directory,
            executor,
            handle,
        }
    }

    /// Lets nobody in any more.
    pub(super) fn shut(&mut self) {
        self.shut = true;
    }

    /// A client wants to be let in.
    pub(super) fn knock(&mut self, hub: &mut Hub, desk: &Desk, visitor: Visitor, now: Now) {
        let Visitor {
            applicant,
            params,
            peer,
            nonce,
        } = visitor;
        if self.shut {
            return refuse_stopping(hub, applicant, now);
        }
        let subject = Subject::of(&peer);
        let lockout = self.throttle.lockout(&subject, now.at.since_origin());
        let verdict = self
            .admission
            .judge(&params, &peer, lockout, desk.pairings(), now.unix_ms);
        match verdict {
            Verdict::Admit(grant) => {
                self.throttle.succeeded(&subject);
                log::info!(
                    "conn={} admitted client={} mode={} scopes={}",
                    applicant.conn(),
                    params.client.id,
                    params.client.mode,
                    grant.scopes.names().count()
                );
                let _ = hub.admit(applicant, &grant, now);
            }
            Verdict::Prove(shared) => {
                if shared == Shared::Wrong {
                    self.failed(subject, &peer, now);
                }
                let proven = Proven {
                    params,
                    peer,
                    shared,
                };
                self.check_proof(applicant, proven, nonce, now);
            }
            Verdict::Identify => self.identify(Visitor {
                applicant,
                params,
                peer,
                nonce,
            }),
            Verdict::Refuse(error) => refuse(hub, applicant, error, now),
            Verdict::WrongSecret(error) => {
                let wait = self.failed(subject, &peer, now);
                self.last += 1;
                self.late
                    .insert((now.at + wait, self.last), (applicant, error));
            }
        }
    }

    /// A device proof was checked.
    pub(super) fn proven(
        &mut self,
        hub: &mut Hub,
        desk: &mut Desk,
        applicant: Applicant,
        proven: Box<Proven>,
        proof: Result<(), DeviceFault>,
        now: Now,
    ) {
        if self.shut {
            return refuse_stopping(hub, applicant, now);
        }
        if let Err(fault) = proof {
            return refuse(hub, applicant, refused_device(fault), now);
        }
        let Proven {
            params,
            peer,
            shared,
        } = &*proven;
        if *shared == Shared::Right {
            self.throttle.succeeded(&Subject::of(peer));
        }
        log::info!(
            "conn={} proved its device client={} mode={}",
            applicant.conn(),
            params.client.id,
            params.client.mode
        );
        if let Some(grant) = self.admission.trusts(params, peer, *shared) {
            return desk.enter(hub, applicant, Box::new(grant), false, None, now);
        }
        let node = match Newcomer::read(params, peer, &self.commands) {
            Ok(node) => node.map(Box::new),
            Err(error) => return refuse(hub, applicant, error, now),
        };
        let by_token = *shared != Shared::Right;
        // Who comes in as it is waits for nobody's writing.
        let none = Chance::none();
        let at_once = knock(&self.admission, &proven, &node, desk.pairings(), &none, now);
        if let (Ok(grant), [], []) = (at_once.outcome, &at_once.changes[..], &at_once.notices[..]) {
            return desk.enter(hub, applicant, Box::new(grant), by_token, node, now);
        }
        if desk.is_full() {
            let error = ErrorShape::unavailable("too many devices connect at once; retry shortly")
                .retryable_after(Some(STOPPING_RETRY_MS));
            return refuse(hub, applicant, error, now);
        }
        let admission = Arc::clone(&self.admission);
        let errand = move |pairings: &Pairings, chance: &Chance, now: Now| {
            knock(&admission, &proven, &node, pairings, chance, now).spoken(|outcome| match outcome
            {
                Err(error) => Spoken::Refuse { applicant, error },
                Ok(grant) => Spoken::Admit {
                    applicant,
                    grant: Box::new(grant),
                    by_token,
                    node,
                },
            })
        };
        desk.decide(hub, None, Box::new(errand), now);
    }

    /// A connection is over, and with it what it had yet to be told.
    pub(super) fn forget_connection(&mut self, conn: ConnId) {
        self.late
            .retain(|_, (applicant, _)| applicant.conn() != conn);
    }

    pub(super) fn handle_timeout(&mut self, hub: &mut Hub, now: Now) {
        while let Some(entry) = self.late.first_entry() {
            if entry.key().0 > now.at {
                break;
            }
            let (applicant, error) = entry.remove();
            refuse(hub, applicant, error, now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.late.keys().next().map(|(at, _)| *at)
    }

    /// A wrong secret was presented; its answer is kept back for so long.
    fn failed(&mut self, subject: Subject, peer: &Peer, now: Now) -> Duration {
        let at = now.at.since_origin();
        let wait = self.throttle.failed(subject.clone(), at);
        if let Some(left) = self.throttle.lockout(&subject, at) {
            log::warn!(
                "address={} locked out for {} s after too many wrong secrets",
                peer.address,
                left.as_secs()
            );
        }
        wait
    }

    /// Asks the directory who it is, away from the owner's task; then it knocks again.
    fn identify(&self, mut visitor: Visitor) {
        let handle = self.handle.clone();
        let directory = Arc::clone(&self.directory);
        let asking = async move {
            let address = visitor.peer.address;
            if let Some(claims) = &mut visitor.peer.claims {
                let claimed = match &claims.who {
                    Who::Claimed(login) => login,
                    Who::Nobody(_) | Who::Vouched(_) | Who::Verified(_) => return,
                };
                claims.who = tailscale::verify(&*directory, address, claimed).await;
            }
            let _ = handle.send(Command::Identified(Box::new(visitor))).await;
        };
        self.executor.spawn(asking).detach();
    }

    /// Checks a signature away from the owner's task.
    fn check_proof(&self, applicant: Applicant, proven: Proven, nonce: Box<str>, now: Now) {
        let handle = self.handle.clone();
        let checking = async move {
            let proof = verify(&proven.params, &nonce, now.unix_ms);
            let command = Command::Proven {
                applicant,
                proven: Box::new(proven),
                proof,
            };
            let _ = handle.send(command).await;
        };
        self.executor.spawn(checking).detach();
    }
}

/// Decides over a device that proved its key; a node's declaration is noted with it.
fn knock(
    admission: &Admission,
    proven: &Proven,
    node: &Option<Box<Newcomer>>,
    pairings: &Pairings,
    chance: &Chance,
    now: Now,
) -> Decision<Result<Grant, ErrorShape>> {
    let Proven {
        params,
        peer,
        shared,
    } = proven;
    let mut decision = admission.knock(params, peer, *shared, pairings, chance, now.unix_ms);
    let (Ok(grant), Some(node)) = (&decision.outcome, node) else {
        return decision;
    };
    let Some(node_id) = &grant.device_id else {
        return decision;
    };
    let nodes = pairings.nodes();
    if node.is_legacy && !nodes.is_bound(node_id) {
        return decision;
    }
    // A device that is known only from now on was let in by itself: somebody's approval would be there already.
    let known = pairings.device(node_id);
    let is_silent = known.is_none_or(|device| device.approved_via == ApprovedVia::Silent);
    let declared = Declared {
        node_id,
        face: node.face.clone(),
        surface: &node.surface,
        remote_ip: node.remote_ip.clone(),
        is_silent,
    };
    let noted = pairings.declare(declared, chance, now.unix_ms);
    decision.changes.extend(noted.changes);
    decision.notices.extend(noted.notices);
    decision
}

fn verify(params: &ConnectParams, challenge: &str, now_ms: u64) -> Result<(), DeviceFault> {
    let Some(proof) = &params.device else {
        return Err(DeviceFault::IdMismatch);
    };
    device::verify(&device::DeviceClaim {
        payload: DevicePayload {
            device_id: &proof.id,
            client_id: &params.client.id,
            client_mode: &params.client.mode,
            role: &params.role,
            scopes: &params.scopes,
            signed_at_ms: proof.signed_at_ms,
            token: params.auth.signed(),
            nonce: &proof.nonce,
            platform: Some(&params.client.platform),
            device_family: params.client.device_family.as_deref(),
        },
        public_key: &proof.public_key,
        signature: &proof.signature,
        challenge,
        now_ms,
    })
}

fn refuse_stopping(hub: &mut Hub, applicant: Applicant, now: Now) {
    let error = ErrorShape::unavailable("gateway stopping; retry shortly")
        .retryable_after(Some(STOPPING_RETRY_MS))
        .with_details(Object::new().text("reason", "shutdown"));
    let close = Close::new(close_code::TRY_LATER, "gateway stopping");
    let _ = hub.refuse_with(applicant, error, close, now);
}
