//! Who may connect, and as what.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::hello::connect::{ConnectParams, Credentials};
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::hub::{Peer, Who};
use openclaw_protocol_core::json::Object;
use openclaw_protocol_core::scope::{Role, Scopes};

use crate::device::DeviceFault;
use crate::pairing::{Chance, Decision, Knock, Pairings, Presented, refusal};
use crate::secret::SharedSecret;
use crate::secret::resolve::SecretKind;
use crate::throttle::RateLimit;

mod hint;
pub mod origin;
pub mod users;

use hint::hint;
use origin::Origins;
use users::{Users, unidentified, unvouched};

const LOCKED_OUT: &str = "unauthorized: too many failed authentication attempts (retry later)";
const UI_NEEDS_DEVICE: &str =
    "control ui requires device identity (use HTTPS or localhost secure context)";
/// The programs that need a device to be let in at all.
const UI_CLIENTS: [&str; 2] = [CONTROL_UI, "openclaw-tui"];
const CONTROL_UI: &str = "openclaw-control-ui";

/// The most scopes that a connection asks for.
const MAX_SCOPES: usize = 32;
/// The longest name of a scope, in bytes.
const MAX_SCOPE: usize = 64;

/// What connections are judged by.
#[derive(Debug)]
pub struct Admission {
    /// The shared secret; `None` lets everybody in, which only loopback listeners may do, or nobody where a proxy has to
    /// vouch for them.
    pub secret: Option<(SecretKind, SharedSecret)>,
    /// The pages that may connect.
    pub origins: Origins,
    /// When who presents wrong secrets is not heard any more.
    pub rate_limit: RateLimit,
    /// The users who need no secret.
    pub users: Users,
}

/// What a connection presents of the gateway's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// It is right, or none is asked for, of anybody or of this user.
    Right,
    /// It is wrong, which counts whatever else is presented.
    Wrong,
    /// There is none, or it is not looked at.
    Absent,
}

/// What follows from a connection's credentials, before a device proof was looked at.
#[derive(Debug)]
pub enum Verdict {
    /// It may come in as it is.
    Admit(Grant),
    /// It may come in if its device proof holds.
    Prove(Shared),
    /// A directory has to be asked first whether the user is who is claimed.
    Identify,
    /// It may not come in.
    Refuse(ErrorShape),
    /// It presented a wrong secret: it may not come in, and learns so late.
    WrongSecret(ErrorShape),
}

impl Admission {
    /// Judges everything but the device proof; the gateway's secret is not looked at for as long as a `lockout` has left.
    #[must_use]
    pub fn judge(
        &self,
        params: &ConnectParams,
        peer: &Peer,
        lockout: Option<Duration>,
        pairings: &Pairings,
        now_ms: u64,
    ) -> Verdict {
        if let Some(error) = self.origins.judge(params, peer) {
            return Verdict::Refuse(error);
        }
        if params.scopes.len() > MAX_SCOPES || params.scopes.iter().any(|s| s.len() > MAX_SCOPE) {
            return Verdict::Refuse(ErrorShape::invalid_request(format!(
                "invalid connect params: at /scopes: must not have more than {MAX_SCOPES} items of {MAX_SCOPE} bytes"
            )));
        }
        let own = self.of_device(params, pairings, now_ms);
        let user = self.users.of(peer);
        if user.is_none()
            && own.is_none()
            && let Some(verdict) = self.of_nobody(params, peer)
        {
            return verdict;
        }
        let shared = match user {
            Some(_) => Shared::Right,
            None => self.shared(params, peer, own, lockout.is_some()),
        };
        if let (Some((kind, _)), None, None) = (&self.secret, own, user) {
            match (shared, lockout) {
                (_, Some(left)) => return Verdict::Refuse(locked_out(left)),
                (Shared::Wrong, None) => {
                    return Verdict::WrongSecret(wrong(*kind, params, peer));
                }
                (Shared::Absent, None) => return Verdict::Refuse(absent(*kind, params, peer)),
                (Shared::Right, None) => {}
            }
        }
        if params.device.is_some() {
            return Verdict::Prove(shared);
        }
        if role(params) == Role::Node {
            return Verdict::Refuse(needs_device());
        }
        if is_interface(params) && user.is_none() {
            return Verdict::Refuse(interface_needs_device());
        }
        let scopes = if keeps_scopes_without_device(params, peer) {
            params.scopes.clone()
        } else {
            Vec::new()
        };
        Verdict::Admit(Grant {
            role: Role::Operator,
            scopes: self.users.scopes(scopes, peer),
            principal: user.map_or_else(
                || "secret".into(),
                |user| Users::principal(user, None).into(),
            ),
            user: user.map(Into::into),
            device_id: None,
            device_token: None,
        })
    }

    /// Judges who has neither a user's name nor a credential of a device, as far as the secret does not matter.
    fn of_nobody(&self, params: &ConnectParams, peer: &Peer) -> Option<Verdict> {
        let auth = &params.auth;
        let presents_secret = is_given(&auth.token) || is_given(&auth.password);
        let presents_own = is_given(&auth.device_token) || is_given(&auth.bootstrap_token);
        let refuse = |error| Some(Verdict::Refuse(error));
        if self.users.by_proxy {
            let is_fallback = peer.direct_loopback && is_given(&auth.password);
            return if is_fallback && self.secret.is_some() {
                None
            } else if params.device.is_some() && is_given(&auth.device_token) {
                refuse(refusal::device_token_mismatch())
            } else if params.device.is_some() && is_given(&auth.bootstrap_token) {
                refuse(refusal::setup_invalid())
            } else if params.device.is_some() || presents_secret {
                refuse(unvouched(params, peer))
            } else if is_interface(params) {
                refuse(interface_needs_device())
            } else {
                refuse(needs_device())
            };
        }
        self.secret.as_ref()?;
        match &peer.claims.as_ref()?.who {
            _ if presents_secret => None,
            Who::Claimed(_) if params.device.is_some() => Some(Verdict::Identify),
            Who::Claimed(_) if is_interface(params) => refuse(interface_needs_device()),
            Who::Nobody(reason) if params.device.is_some() && !presents_own => {
                unidentified(reason).map(Verdict::Refuse)
            }
            Who::Claimed(_) | Who::Nobody(_) | Who::Vouched(_) | Who::Verified(_) => None,
        }
    }

    /// What a device is granted that needs no pairing: a program of this very host that has the secret, or the Control UI of
    /// a user of the tailnet.
    #[must_use]
    pub fn trusts(&self, params: &ConnectParams, peer: &Peer, shared: Shared) -> Option<Grant> {
        let device = params.device.as_ref()?;
        let client = &params.client;
        let is_program = client.id == "gateway-client" && client.mode == "backend";
        let is_operator = role(params) == Role::Operator;
        let is_here = peer.direct_loopback && peer.origin.is_none() && shared == Shared::Right;
        let user = self.users.of(peer);
        let is_of_tailnet = user.is_some() && !self.users.by_proxy && client.id == CONTROL_UI;
        // Where names open scopes, a device that nobody has approved has those of its user and no others.
        let asked = match is_of_tailnet && !self.users.scopes.is_empty() {
            true => Vec::new(),
            false => params.scopes.clone(),
        };
        (is_operator && (is_here && is_program || is_of_tailnet)).then(|| Grant {
            role: Role::Operator,
            scopes: self.users.scopes(asked, peer),
            principal: principal(user, &device.id),
            user: user.map(Into::into),
            device_id: Some(device.id.as_str().into()),
            device_token: None,
        })
    }

    /// Decides over a device that proved its key, with what is known of it.
    #[must_use]
    pub fn knock(
        &self,
        params: &ConnectParams,
        peer: &Peer,
        shared: Shared,
        pairings: &Pairings,
        chance: &Chance,
        now_ms: u64,
    ) -> Decision<Result<Grant, ErrorShape>> {
        let Some(device) = &params.device else {
            return Decision::of(Err(refused_device(DeviceFault::IdMismatch)));
        };
        let role = role(params);
        // What a node may do is decided by what it offers; it has no scopes.
        let scopes: &[String] = match role {
            Role::Node => &[],
            Role::Operator | _ => &params.scopes,
        };
        let is_page = peer.origin.is_some() && !origin::is_browser_client(&params.client.id);
        let user = self.users.of(peer);
        // The secret counts for more than a token, because who has it may have more approved.
        let presented = match shared {
            Shared::Right => Presented::Secret,
            // What was right a moment ago may be taken back by now; whoever decides then says so.
            Shared::Wrong | Shared::Absent => self
                .of_device(params, pairings, now_ms)
                .unwrap_or_else(|| Presented::DeviceToken(params.auth.signed())),
        };
        let knock = Knock {
            device,
            client: &params.client,
            role,
            scopes,
            presented,
            setup: params.auth.bootstrap_token.as_deref(),
            address: peer.address,
            direct: peer.direct_loopback && !is_page,
        };
        pairings.knock(&knock, chance, now_ms).map(|outcome| {
            outcome.map(|admitted| Grant {
                role,
                scopes: match role {
                    Role::Node => Scopes::none(),
                    Role::Operator | _ => self.users.scopes(params.scopes.clone(), peer),
                },
                principal: principal(user, &device.id),
                user: user.map(Into::into),
                device_id: Some(device.id.as_str().into()),
                // The page of a user whom the proxy names comes in by that name alone.
                device_token: (user.is_none() || params.client.id != CONTROL_UI)
                    .then_some((admitted.token, admitted.issued_ms)),
            })
        })
    }

    /// What is presented of the secret, beside a credential of the device's own; while locked out it is not looked at.
    fn shared(
        &self,
        params: &ConnectParams,
        peer: &Peer,
        own: Option<Presented<'_>>,
        locked: bool,
    ) -> Shared {
        let by_proxy = self.users.by_proxy;
        let Some((_, secret)) = &self.secret else {
            return if by_proxy {
                Shared::Absent
            } else {
                Shared::Right
            };
        };
        if locked || (by_proxy && !peer.direct_loopback) {
            return Shared::Absent;
        }
        if by_proxy {
            return match &params.auth.password {
                Some(password) if secret.matches(password) => Shared::Right,
                Some(password) if !password.is_empty() => Shared::Wrong,
                Some(_) | None => Shared::Absent,
            };
        }
        if presents(&params.auth, secret) {
            return Shared::Right;
        }
        let is_own = |text: &str| matches!(own, Some(Presented::DeviceToken(own)) if own == text);
        let guesses = [&params.auth.token, &params.auth.password];
        let mut guesses = guesses.into_iter().filter_map(|guess| guess.as_deref());
        match guesses.any(|guess| !guess.is_empty() && !is_own(guess)) {
            true => Shared::Wrong,
            false => Shared::Absent,
        }
    }

    /// The credential of its own that a device presents, if it is right.
    fn of_device<'a>(
        &self,
        params: &'a ConnectParams,
        pairings: &Pairings,
        now_ms: u64,
    ) -> Option<Presented<'a>> {
        let device = params.device.as_ref()?;
        let auth = &params.auth;
        let token = [&auth.device_token, &auth.token]
            .into_iter()
            .filter_map(|text| text.as_deref())
            .find(|text| pairings.is_token(&device.id, role(params), text));
        if let Some(text) = token {
            return Some(Presented::DeviceToken(text));
        }
        let setup = auth.bootstrap_token.as_deref()?;
        pairings
            .is_setup(setup, &device.id, now_ms)
            .then_some(Presented::Setup(setup))
    }
}

/// The name under which the requests of a device are known across its connections.
fn principal(user: Option<&str>, device_id: &str) -> Arc<str> {
    match user {
        Some(user) => Users::principal(user, Some(device_id)).into(),
        None => format!("device:{device_id}").into(),
    }
}

fn is_interface(params: &ConnectParams) -> bool {
    UI_CLIENTS.contains(&params.client.id.as_str())
}

fn interface_needs_device() -> ErrorShape {
    ErrorShape::invalid_request(UI_NEEDS_DEVICE)
        .with_details(Object::new().text("code", "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"))
}

fn needs_device() -> ErrorShape {
    ErrorShape::new(code::NOT_PAIRED, "device identity required")
        .with_details(Object::new().text("code", "DEVICE_IDENTITY_REQUIRED"))
}

/// The refusal of who presents a wrong secret.
fn wrong(kind: SecretKind, params: &ConnectParams, peer: &Peer) -> ErrorShape {
    if params.device.is_some() && is_given(&params.auth.device_token) {
        refusal::device_token_mismatch()
    } else {
        mismatch(kind, params, peer)
    }
}

/// The refusal of who presents no secret, and nothing of a device's own that is right.
fn absent(kind: SecretKind, params: &ConnectParams, peer: &Peer) -> ErrorShape {
    if params.device.is_some() && is_given(&params.auth.device_token) {
        refusal::device_token_mismatch()
    } else if is_given(&params.auth.bootstrap_token) {
        refusal::setup_invalid()
    } else {
        missing(kind, params, peer)
    }
}

fn is_given(secret: &Option<String>) -> bool {
    secret.as_deref().is_some_and(|text| !text.is_empty())
}

/// Whether the secret is among what is presented, in whichever field.
fn presents(auth: &Credentials, secret: &SharedSecret) -> bool {
    let tried = [&auth.token, &auth.password].map(|presented| {
        presented
            .as_deref()
            .is_some_and(|presented| secret.matches(presented))
    });
    tried.contains(&true)
}

/// Without a device, scopes survive only for programs on this very host that are no browsers.
fn keeps_scopes_without_device(params: &ConnectParams, peer: &Peer) -> bool {
    let program = (params.client.id.as_str(), params.client.mode.as_str());
    peer.direct_loopback
        && peer.origin.is_none()
        && matches!(program, ("gateway-client", "backend") | ("cli", "cli"))
}

fn missing(kind: SecretKind, params: &ConnectParams, peer: &Peer) -> ErrorShape {
    if params.device.is_none() {
        return needs_device();
    }
    let word = kind.word();
    ErrorShape::invalid_request(format!(
        "unauthorized: gateway {word} missing ({})",
        hint(kind, params, peer, true)
    ))
    .with_details(
        Object::new()
            .text(
                "code",
                &format!("AUTH_{}_MISSING", word.to_ascii_uppercase()),
            )
            .text("authReason", &format!("{word}_missing"))
            .boolean("canRetryWithDeviceToken", false)
            .text("recommendedNextStep", "update_auth_configuration"),
    )
}

/// The role that a connection asks for; which names there are was checked before.
fn role(params: &ConnectParams) -> Role {
    Role::from_name(&params.role).unwrap_or(Role::Operator)
}

fn mismatch(kind: SecretKind, params: &ConnectParams, peer: &Peer) -> ErrorShape {
    let word = kind.word();
    let auth = &params.auth;
    let may_retry = params.device.is_some() && is_given(&auth.token) && !is_given(&auth.password);
    ErrorShape::invalid_request(format!(
        "unauthorized: gateway {word} mismatch ({})",
        hint(kind, params, peer, false)
    ))
    .with_details(
        Object::new()
            .text(
                "code",
                &format!("AUTH_{}_MISMATCH", word.to_ascii_uppercase()),
            )
            .text("authReason", &format!("{word}_mismatch"))
            .boolean("canRetryWithDeviceToken", may_retry)
            .text(
                "recommendedNextStep",
                if may_retry {
                    "retry_with_device_token"
                } else {
                    "update_auth_credentials"
                },
            ),
    )
}

fn locked_out(left: Duration) -> ErrorShape {
    let left = u64::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    ErrorShape::invalid_request(LOCKED_OUT)
        .retryable_after(Some(left))
        .with_details(
            Object::new()
                .text("code", "AUTH_RATE_LIMITED")
                .text("authReason", "rate_limited")
                .boolean("canRetryWithDeviceToken", false)
                .text("recommendedNextStep", "wait_then_retry"),
        )
}

/// The refusal of a device that is not believed.
#[must_use]
pub fn refused_device(fault: DeviceFault) -> ErrorShape {
    ErrorShape::invalid_request(fault.message()).with_details(
        Object::new()
            .text("code", fault.code())
            .text("reason", fault.reason()),
    )
}
