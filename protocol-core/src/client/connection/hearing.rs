//! What the gateway says.

use alloc::boxed::Box;
use alloc::string::String;

use serde::Deserialize;

use super::{Connection, Event, Phase};
use crate::client::hello::Hello;
use crate::client::request::{Expect, RequestId};
use crate::client::watcher::Watcher;
use crate::error_shape::ErrorShape;
use crate::frame::from_gateway::{FromGateway, Push};
use crate::frame::outgoing::Outcome;
use crate::frame::{Close, close_code};
use crate::hello::{CHALLENGE, CONNECT};
use crate::json::Json;
use crate::time::Now;

impl Connection {
    /// The gateway sent a message.
    pub fn handle_frame(&mut self, inbound: FromGateway, now: Now) {
        self.heard = now.at;
        match (inbound, self.phase) {
            (_, Phase::Closing { .. } | Phase::Closed) => {}
            (FromGateway::Push(push), _) => self.handle_push(push, now),
            (FromGateway::Response { id, outcome }, Phase::Connecting { .. })
                if &*id == CONNECT =>
            {
                self.handle_hello(outcome, now);
            }
            (FromGateway::Response { id, outcome }, Phase::Ready { .. }) => {
                self.handle_response(&id, outcome);
            }
            (
                FromGateway::Response { .. } | FromGateway::Unknown | FromGateway::Malformed,
                Phase::Greeting { .. }
                | Phase::Challenged { .. }
                | Phase::Connecting { .. }
                | Phase::Ready { .. },
            ) => {}
        }
    }

    fn handle_push(&mut self, push: Push, now: Now) {
        if &*push.event == CHALLENGE {
            if matches!(self.phase, Phase::Greeting { .. }) {
                self.handle_challenge(&push, now);
            }
            return;
        }
        if !self.is_ready() {
            return;
        }
        if let Some(gap) = push.seq.and_then(|seq| self.watcher.follow(seq)) {
            self.suspect = true;
            self.events.push_back(Event::Gap(gap));
        }
        self.events.push_back(Event::Push(push));
    }

    fn handle_challenge(&mut self, push: &Push, now: Now) {
        #[derive(Deserialize)]
        struct Challenge {
            nonce: String,
            #[serde(default)]
            ts: u64,
        }
        match push.payload.read::<Challenge>() {
            Ok(challenge) if !challenge.nonce.trim().is_empty() => {
                self.phase = Phase::Challenged {
                    until: now.at + self.timeouts.handshake,
                };
                self.events.push_back(Event::Challenge {
                    nonce: challenge.nonce.into(),
                    ts: challenge.ts,
                });
            }
            Ok(_) | Err(_) => self.close(
                Close::new(close_code::POLICY, "connect challenge missing nonce"),
                now,
            ),
        }
    }

    fn handle_hello(&mut self, outcome: Outcome, now: Now) {
        if !outcome.ok {
            let error = outcome
                .error
                .unwrap_or_else(|| ErrorShape::unavailable("refused without a reason"));
            self.events.push_back(Event::Refused(Box::new(error)));
            return self.close(Close::new(close_code::POLICY, "connect failed"), now);
        }
        let hello = outcome
            .payload
            .and_then(|payload| Hello::read(payload).ok());
        let Some(hello) = hello else {
            let error = ErrorShape::unavailable("the gateway's hello-ok has an unknown shape");
            self.events.push_back(Event::Refused(Box::new(error)));
            return self.close(Close::new(close_code::POLICY, "invalid hello-ok"), now);
        };
        self.watcher = Watcher::new(hello.protocol);
        self.phase = Phase::Ready {
            patience: hello.tick_interval * 2,
        };
        self.events.push_back(Event::Ready(Box::new(hello)));
    }

    fn handle_response(&mut self, id: &str, outcome: Outcome) {
        let Ok(number) = id.parse::<u64>() else {
            return;
        };
        let waiting = self.requests.get_mut(&number);
        let Some(waiting) = waiting.filter(|waiting| waiting.sent) else {
            return;
        };
        let request = RequestId(number);
        if waiting.expect == Expect::Final
            && let Some(payload) = accepted(&outcome)
        {
            if waiting.until.take().is_some() {
                self.events.push_back(Event::Accepted { request, payload });
            }
            return;
        }
        self.requests.remove(&number);
        self.events.push_back(Event::Finished { request, outcome });
    }
}

/// The payload of a first answer that announces a second one.
fn accepted(outcome: &Outcome) -> Option<Json> {
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    let payload = outcome.payload.as_ref().filter(|_| outcome.ok)?;
    let status: Status = payload.read().ok()?;
    (status.status == "accepted").then(|| payload.clone())
}
