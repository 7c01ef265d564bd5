//! What operators decide over those who wait.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::scope::{Role, Scope, Scopes};

use super::manage::{Manager, own_or_all};
use super::record::{ApprovedVia, Device, Request};
use super::{Chance, Change, Decision, Pairings, refusal, scopes};

/// A request that was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The request.
    pub request_id: String,
    /// The device as it is now.
    pub device: Device,
}

impl Pairings {
    /// Approves a request.
    ///
    /// # Errors
    /// The request does not wait, or asks for a scope that its approver does not have.
    pub fn approve(
        &self,
        request_id: &str,
        approver: Manager<'_>,
        chance: &Chance,
        now_ms: u64,
    ) -> Result<Decision<Approved>, ErrorShape> {
        const DENIED: &str = "device pairing approval denied";
        let all = may_all(approver.scopes);
        let denied = || ErrorShape::invalid_request(DENIED);
        // Who may not decide over everything does not learn either which requests there are.
        let request = self
            .waiting(request_id, now_ms)
            .map_err(|unknown| if all { unknown } else { denied() })?;
        own_or_all(approver, &request.device_id, DENIED)?;
        if request.roles.iter().any(|role| *role != Role::Operator) && !all {
            return Err(denied());
        }
        may_grant(approver.scopes, &request.scopes)?;
        let mut device = self.approved(request, ApprovedVia::Owner, now_ms);
        for role in &request.roles {
            let opens = device.granted(*role).map(|granted| granted.scopes.clone());
            // What was approved before comes back with it.
            may_grant(approver.scopes, opens.as_deref().unwrap_or_default())?;
            self.issue(&mut device, *role, opens.as_deref(), chance, now_ms);
        }
        let mut decision = Decision::of(Approved {
            request_id: request.id.clone(),
            device: device.clone(),
        });
        if !self.make_room_for_device(&device.id, &mut decision) {
            return Err(refusal::too_many_devices());
        }
        decision.changes.extend([
            Change::PutDevice(Box::new(device)),
            Change::DropRequest(request.id.clone()),
        ]);
        decision.notices.push(request.resolved("approved"));
        Ok(decision)
    }

    /// Rejects a request, and tells whose it was.
    ///
    /// # Errors
    /// The request does not wait.
    pub fn reject(
        &self,
        request_id: &str,
        manager: Manager<'_>,
        now_ms: u64,
    ) -> Result<Decision<String>, ErrorShape> {
        const DENIED: &str = "device pairing rejection denied";
        let own_only = manager.token_of.is_some() && !may_all(manager.scopes);
        let request = self.waiting(request_id, now_ms).map_err(|unknown| {
            if own_only {
                ErrorShape::invalid_request(DENIED)
            } else {
                unknown
            }
        })?;
        own_or_all(manager, &request.device_id, DENIED)?;
        let mut decision = Decision::of(request.device_id.clone());
        decision
            .changes
            .push(Change::DropRequest(request.id.clone()));
        decision.notices.push(request.resolved("rejected"));
        Ok(decision)
    }

    fn waiting(&self, request_id: &str, now_ms: u64) -> Result<&Request, ErrorShape> {
        self.requests
            .get(request_id.trim())
            .filter(|request| request.waits(now_ms))
            .ok_or_else(|| ErrorShape::invalid_request("unknown requestId"))
    }
}

/// Nobody gives what they do not have.
pub(super) fn may_grant(giver: &Scopes, wanted: &[String]) -> Result<(), ErrorShape> {
    let held: Vec<&str> = giver.names().collect();
    match scopes::missing(&held, wanted) {
        Some(scope) => Err(ErrorShape::invalid_request(format!(
            "missing scope: {scope}"
        ))),
        None => Ok(()),
    }
}

/// Whether somebody may decide over any device, not only over their own.
pub(super) fn may_all(scopes: &Scopes) -> bool {
    scopes.allow(Scope::Admin)
}
