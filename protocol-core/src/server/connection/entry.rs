//! From the first message to the decision about who sent it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;

use super::{Connection, Event, Phase, misuse};
use crate::error_shape::ErrorShape;
use crate::fault::PeerFault;
use crate::frame::inbound::{Inbound, Request};
use crate::frame::outgoing::Outcome;
use crate::frame::{Close, close_code};
use crate::hello::CONNECT;
use crate::hello::connect::ConnectParams;
use crate::hello::ok::Grant;
use crate::json::Json;
use crate::server::outbox;
use crate::server::session::Session;
use crate::server::token::{Applicant, Misuse, Wrong};
use crate::time::{Instant, Now};

#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) until: Instant,
    pub(super) request: Box<str>,
    pub(super) protocol: u32,
    pub(super) caps: Box<[String]>,
    pub(super) held: VecDeque<Inbound>,
    pub(super) held_bytes: usize,
}

impl Connection {
    /// Lets the applicant in: `hello` becomes the answer to its `connect`.
    ///
    /// # Errors
    /// [`Misuse`] when the token is another connection's. An applicant that has gone in the
    /// meantime is no error: `Ok(false)`.
    pub fn admit(
        &mut self,
        applicant: Applicant,
        grant: &Grant,
        hello: impl FnOnce(u32) -> Json,
        now: Now,
    ) -> Result<bool, Misuse<Applicant>> {
        if applicant.conn != self.id {
            return Err(misuse(applicant, Wrong::Elsewhere));
        }
        let Phase::Deciding(deciding) = &mut self.phase else {
            return Ok(false);
        };
        let protocol = deciding.protocol;
        let request = core::mem::take(&mut deciding.request);
        let held = core::mem::take(&mut deciding.held);
        let caps = core::mem::take(&mut deciding.caps);
        let hello = Outcome::success(hello(protocol));
        if !outbox::fits(&request, &hello, &self.limits) {
            let error = ErrorShape::unavailable("hello-ok is larger than a frame may be");
            let close = Close::new(close_code::TRY_LATER, error.message.clone());
            self.outbox
                .reply(request, Outcome::failure(error), &self.limits);
            self.close(close, now);
            return Ok(false);
        }
        self.outbox.reply(request, hello, &self.limits);
        self.phase = Phase::Open(Session {
            protocol,
            role: grant.role,
            scopes: grant.scopes.clone(),
            principal: Arc::clone(&grant.principal),
            caps,
        });
        for inbound in held {
            if self.session().is_none() {
                break;
            }
            self.handle_open(inbound, now);
        }
        Ok(true)
    }

    /// Turns the applicant away: its `connect` is answered with `error`, and the connection closes
    /// with `code` and the words of `reason`.
    ///
    /// # Errors
    /// [`Misuse`] when the token is another connection's.
    pub fn refuse(
        &mut self,
        applicant: Applicant,
        error: ErrorShape,
        close: Close,
        now: Now,
    ) -> Result<(), Misuse<Applicant>> {
        if applicant.conn != self.id {
            return Err(misuse(applicant, Wrong::Elsewhere));
        }
        if let Phase::Deciding(deciding) = &mut self.phase {
            let request = core::mem::take(&mut deciding.request);
            self.outbox
                .reply(request, Outcome::failure(error), &self.limits);
            self.close(close, now);
        }
        Ok(())
    }

    pub(super) fn handle_first(&mut self, inbound: Inbound, now: Now) {
        let request = match inbound {
            Inbound::Malformed => return self.fault(PeerFault::FirstMessageNotJson, None, now),
            Inbound::Invalid(_) => return self.fault(PeerFault::FirstMessageNoRequest, None, now),
            Inbound::Request(request) => request,
        };
        match self.applicant(&request) {
            Err(fault) => self.fault(fault, Some(request.id), now),
            Ok((params, protocol)) => {
                let until = match self.phase {
                    Phase::Connecting { until } => until,
                    Phase::Deciding(_) | Phase::Open(_) | Phase::Closing { .. } | Phase::Closed => {
                        return;
                    }
                };
                self.phase = Phase::Deciding(Box::new(Deciding {
                    until,
                    request: request.id,
                    protocol,
                    caps: params.caps.clone().into(),
                    held: VecDeque::new(),
                    held_bytes: 0,
                }));
                self.events.push_back(Event::Connect {
                    applicant: Applicant { conn: self.id },
                    params,
                });
            }
        }
    }

    fn applicant(&self, request: &Request) -> Result<(Box<ConnectParams>, u32), PeerFault> {
        if &*request.method != CONNECT {
            return Err(PeerFault::FirstRequestNotConnect);
        }
        let params =
            ConnectParams::read(request.params.as_ref()).map_err(PeerFault::ConnectParams)?;
        let protocol = params
            .versions
            .newest_common()
            .ok_or(PeerFault::Versions(params.versions))?;
        match params.role.as_str() {
            "operator" | "node" => Ok((Box::new(params), protocol)),
            "worker" => Err(PeerFault::WorkerRole),
            _ => Err(PeerFault::Role),
        }
    }
}
