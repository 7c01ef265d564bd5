//! Takes agent turns on, or says why not.

use std::sync::Arc;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::idempotency::{self, Accepted, Claim};
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::server::Call;
use openclaw_protocol_core::time::Now;
use openclaw_runtime_smol::random;

use super::{New, Runs};
use crate::app::run::Origin;
use crate::app::wanted::Wanted;

const DRAINING: &str = "Gateway is draining; new tasks are not accepted";
const JUST_CHANGING: &str = "the run is just beginning or ending; ask again";
const TOO_MANY: &str = "too many agent runs at once; wait for one to end";

impl Runs {
    /// Somebody asks for an agent turn.
    pub(in crate::app) fn request(
        &mut self,
        hub: &mut Hub,
        call: Call,
        principal: &Arc<str>,
        params: Option<&Json>,
        now: Now,
    ) {
        match Wanted::read(principal, params) {
            Ok(wanted) => self.claim(hub, call, wanted, now),
            Err(error) => hub.reply(call, Outcome::failure(error), now),
        }
    }

    fn claim(&mut self, hub: &mut Hub, call: Call, wanted: Wanted, now: Now) {
        let refusal = match self.keys.claim(&wanted.key, &wanted.digest, now.at) {
            Claim::New if self.draining => ErrorShape::unavailable(DRAINING).retryable_after(None),
            Claim::New if self.active.len() >= hub.limits().runs => {
                ErrorShape::unavailable(TOO_MANY).retryable_after(None)
            }
            Claim::New => return self.accept(hub, call, wanted, now),
            Claim::Done(outcome) => return hub.reply(call, outcome, now),
            Claim::Conflict => {
                return hub.reply(call, Outcome::failure(idempotency::conflict()), now);
            }
            Claim::InFlight(accepted) => {
                let unjoined = match accepted {
                    Some(accepted) => {
                        let payload = self.with_place(&accepted);
                        hub.join(call, &accepted.run_id, payload, now).err()
                    }
                    None => Some(call),
                };
                if let Some(call) = unjoined {
                    let error = ErrorShape::unavailable(JUST_CHANGING).retryable_after(None);
                    hub.reply(call, Outcome::failure(error), now);
                }
                return;
            }
        };
        self.keys.release(&wanted.key);
        hub.reply(call, Outcome::failure(refusal), now);
    }

    fn accept(&mut self, hub: &mut Hub, call: Call, wanted: Wanted, now: Now) {
        let Wanted {
            key, turn, timeout, ..
        } = wanted;
        let names = random::uuid().and_then(|run| Ok((run, random::uuid()?)));
        let Ok((fresh_run, fresh_session)) = names else {
            self.keys.release(&key);
            let error = ErrorShape::unavailable("no random numbers to be had");
            return hub.reply(call, Outcome::failure(error), now);
        };
        let run_id: Box<str> = if self.is_taken(&key.key, now) {
            fresh_run.into()
        } else {
            key.key.clone()
        };
        let payload = Object::new()
            .text("runId", &run_id)
            .text("sessionKey", &turn.session_key)
            .text("agentId", &turn.agent_id)
            .text("status", "accepted")
            .number("acceptedAt", now.unix_ms)
            .finish();
        let ahead = self.sessions.ahead(&turn.session_key);
        let token = hub.accept(call, &run_id, place(&payload, ahead), now);
        let accepted = Accepted {
            run_id: run_id.clone(),
            payload,
        };
        self.keys.accept(&key, accepted);
        let new = New {
            run_id,
            session_id: fresh_session.into(),
            turn,
            timeout,
            origin: Origin::Request { key, token },
        };
        self.enter(hub, new, now);
    }

    /// What a run was acknowledged with, and that it still waits if it does.
    fn with_place(&self, accepted: &Accepted) -> Json {
        let ahead = self
            .active
            .iter()
            .find(|(_, run)| run.run_id == accepted.run_id)
            .and_then(|(serial, run)| self.sessions.ahead_of(&run.session_key, *serial));
        place(&accepted.payload, ahead.unwrap_or(0))
    }

    fn is_taken(&mut self, run_id: &str, now: Now) -> bool {
        self.waits.knows(run_id, now) || self.active.values().any(|run| &*run.run_id == run_id)
    }
}

/// Says in an acknowledgement how many runs come first, if any do.
fn place(accepted: &Json, ahead: usize) -> Json {
    if ahead == 0 {
        return accepted.clone();
    }
    Object::new()
        .members_of(accepted)
        .boolean("queued", true)
        .number("position", ahead as u64)
        .finish()
}
