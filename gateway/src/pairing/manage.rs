//! What operators, and devices themselves, change about those that are paired.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::scope::{Role, Scopes};

use super::approve::{may_all, may_grant};
use super::record::{Device, Granted, Token};
use super::{Chance, Change, Decision, Notice, Pairings, scopes, token};

/// The longest name that an operator may give a device, in characters.
pub const MAX_LABEL: usize = 64;

/// Who changes something.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// What they may do.
    pub scopes: &'a Scopes,
    /// Their device, if its token is all that let them in: without `operator.admin` it is all that they may change.
    pub token_of: Option<&'a str>,
}

impl<'a> Manager<'a> {
    /// The only device that they may see and change, if there is but one.
    #[must_use]
    pub fn own_only(&self) -> Option<&'a str> {
        self.token_of.filter(|_| !may_all(self.scopes))
    }
}

/// A token that took the place of another.
#[derive(Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Its device.
    pub device_id: String,
    /// Its role.
    pub role: Role,
    /// The token, for the device itself and nobody else.
    pub token: Option<String>,
    /// What it opens.
    pub scopes: Vec<String>,
    /// When it was issued, in milliseconds since 1970.
    pub rotated_ms: u64,
}

impl std::fmt::Debug for Rotated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotated")
            .field("device_id", &self.device_id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Pairings {
    /// Forgets a device: what it holds opens nothing any more, and its sockets end.
    ///
    /// # Errors
    /// There is no such device, or it is not the manager's to remove.
    pub fn remove(
        &self,
        device_id: &str,
        manager: Manager<'_>,
        now_ms: u64,
    ) -> Result<Decision<()>, ErrorShape> {
        own_or_all(manager, device_id, "device pairing removal denied")?;
        let device = self
            .devices
            .get(device_id.trim())
            .ok_or_else(|| ErrorShape::invalid_request("unknown deviceId"))?;
        let mut decision = Decision::of(());
        decision.changes.push(Change::DropDevice(device.id.clone()));
        if let Some(request) = self.request_of(&device.id, now_ms) {
            decision
                .changes
                .push(Change::DropRequest(request.id.clone()));
            decision.notices.push(request.resolved("rejected"));
        }
        self.forget_node(&device.id, &mut decision);
        decision.notices.push(device.ended(None));
        Ok(decision)
    }

    /// Gives a device a name of the operator's own.
    ///
    /// # Errors
    /// There is no such device, it is not the manager's to name, or the name is blank.
    pub fn rename(
        &self,
        device_id: &str,
        label: &str,
        manager: Manager<'_>,
    ) -> Result<Decision<String>, ErrorShape> {
        own_or_all(manager, device_id, "device pairing rename denied")?;
        let label = label.trim();
        if label.is_empty() {
            return Err(ErrorShape::invalid_request("label required"));
        }
        let mut device = self
            .devices
            .get(device_id.trim())
            .ok_or_else(|| ErrorShape::invalid_request("unknown deviceId"))?
            .clone();
        device.label = Some(label.to_owned());
        let mut decision = Decision::of(label.to_owned());
        decision.changes.push(Change::PutDevice(Box::new(device)));
        decision.notices.push(Notice::Renamed);
        Ok(decision)
    }

    /// Makes a new token for a role that a device was approved for; the one before opens nothing any more.
    ///
    /// # Errors
    /// The manager may not, the role was not approved, or more scopes are asked for than were approved.
    pub fn rotate(
        &self,
        device_id: &str,
        role_name: &str,
        wanted: Option<&[String]>,
        manager: Manager<'_>,
        chance: &Chance,
        now_ms: u64,
    ) -> Result<Decision<Rotated>, ErrorShape> {
        const DENIED: &str = "device token rotation denied";
        let (device, granted) = self.token_of(device_id, role_name, manager, DENIED)?;
        let held = granted.token.as_ref().map(|token| &token.scopes);
        let opened = scopes::expanded(
            wanted
                .or(held.map(Vec::as_slice))
                .unwrap_or(&granted.scopes),
        );
        let denied = |_| ErrorShape::invalid_request(DENIED);
        if scopes::missing(&granted.scopes, &opened).is_some() {
            return Err(denied(()));
        }
        may_grant(manager.scopes, &opened).map_err(|_| denied(()))?;
        let text = self.key.text(&device.id, granted.role, &chance.salt);
        let rotated = Rotated {
            device_id: device.id.clone(),
            role: granted.role,
            token: (manager.token_of == Some(&*device.id)).then(|| text.clone()),
            scopes: opened.clone(),
            rotated_ms: now_ms,
        };
        let new = Token {
            digest: token::digest(&text),
            salt: chance.salt,
            scopes: opened,
            created_ms: granted
                .token
                .as_ref()
                .map_or(now_ms, |token| token.created_ms),
            rotated_ms: Some(now_ms),
            revoked_ms: None,
        };
        let mut decision = with_token(device, granted.role, new, rotated);
        decision.notices.push(device.ended(Some(granted.role)));
        Ok(decision)
    }

    /// Takes a token back: it opens nothing any more, and what it opened ends.
    ///
    /// # Errors
    /// The manager may not, or there is no such token.
    pub fn revoke(
        &self,
        device_id: &str,
        role_name: &str,
        manager: Manager<'_>,
        now_ms: u64,
    ) -> Result<Decision<Role>, ErrorShape> {
        const DENIED: &str = "device token revocation denied";
        let (device, granted) = self.token_of(device_id, role_name, manager, DENIED)?;
        let Some(token) = &granted.token else {
            return Err(ErrorShape::invalid_request(DENIED));
        };
        may_grant(manager.scopes, &token.scopes)
            .map_err(|_| ErrorShape::invalid_request(DENIED))?;
        let revoked = Token {
            revoked_ms: Some(now_ms),
            ..token.clone()
        };
        let mut decision = with_token(device, granted.role, revoked, granted.role);
        decision.notices.push(device.ended(Some(granted.role)));
        Ok(decision)
    }

    /// The device and the role whose token a manager may change.
    fn token_of(
        &self,
        device_id: &str,
        role_name: &str,
        manager: Manager<'_>,
        denied: &'static str,
    ) -> Result<(&Device, &Granted), ErrorShape> {
        own_or_all(manager, device_id, denied)?;
        let role = Role::from_name(role_name).ok_or_else(|| ErrorShape::invalid_request(denied))?;
        if role != Role::Operator && !may_all(manager.scopes) {
            return Err(ErrorShape::invalid_request(denied));
        }
        let device = self.devices.get(device_id.trim());
        device
            .and_then(|device| Some((device, device.granted(role)?)))
            .ok_or_else(|| ErrorShape::invalid_request(denied))
    }
}

fn with_token<T>(device: &Device, role: Role, token: Token, outcome: T) -> Decision<T> {
    let mut device = device.clone();
    if let Some(granted) = device.granted_mut(role) {
        granted.token = Some(token);
    }
    let mut decision = Decision::of(outcome);
    decision.changes.push(Change::PutDevice(Box::new(device)));
    decision
}

/// Without `operator.admin` a device's token changes that device alone.
pub(super) fn own_or_all(
    manager: Manager<'_>,
    device_id: &str,
    denied: &'static str,
) -> Result<(), ErrorShape> {
    match manager.own_only() {
        Some(own) if own != device_id.trim() => Err(ErrorShape::invalid_request(denied)),
        _ => Ok(()),
    }
}
