//! The state machine of a client.

mod hearing;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::hello::Hello;
use super::request::{Expect, Failure, Outgoing, RequestId};
use super::watcher::{Gap, Watcher};
use crate::error_shape::ErrorShape;
use crate::frame::from_gateway::Push;
use crate::frame::outgoing::{Frame, Outcome, Transmit};
use crate::frame::{Close, close_code};
use crate::hello::CONNECT;
use crate::hello::connect::ConnectParams;
use crate::json::Json;
use crate::time::{Deadline, Instant, Now, Timer};

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the challenge and then for hello. Default 15 s.
    pub handshake: Duration,
    /// For the first answer to a request. Default 30 s.
    pub request: Duration,
    /// For the gateway to answer a close. Default 1 s.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(15),
            request: Duration::from_secs(30),
            close: Duration::from_secs(1),
        }
    }
}

/// What a client connection tells its owner.
#[derive(Clone, Debug)]
pub enum Event {
    /// The gateway greeted: call [`Connection::connect`].
    Challenge {
        /// What a device signature must cover.
        nonce: Box<str>,
        /// The gateway's clock, in milliseconds since 1970.
        ts: u64,
    },
    /// The gateway let us in.
    Ready(Box<Hello>),
    /// The gateway turned us away; the connection ends.
    Refused(Box<ErrorShape>),
    /// A request of [`Expect::Final`] was acknowledged.
    Accepted {
        /// Which.
        request: RequestId,
        /// With what.
        payload: Json,
    },
    /// A request was answered.
    Finished {
        /// Which.
        request: RequestId,
        /// With what.
        outcome: Outcome,
    },
    /// A request has no answer and will not get one.
    Failed {
        /// Which.
        request: RequestId,
        /// Why.
        failure: Failure,
    },
    /// The gateway pushed something.
    Push(Push),
    /// Pushes were lost; what was known of the gateway's state is suspect. Comes before the push
    /// that revealed it.
    Gap(Gap),
    /// The connection is over.
    Closed,
}

/// One socket of a client.
#[derive(Debug)]
pub struct Connection {
    timeouts: Timeouts,
    phase: Phase,
    out: VecDeque<Queued>,
    events: VecDeque<Event>,
    requests: BTreeMap<u64, Waiting>,
    last_request: u64,
    heard: Instant,
    watcher: Watcher,
    suspect: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Greeting { until: Instant },
    Challenged { until: Instant },
    Connecting { until: Instant },
    Ready { patience: Duration },
    Closing { until: Instant },
    Closed,
}

#[derive(Debug)]
enum Queued {
    Request { number: u64, frame: Frame },
    Close(Close),
}

#[derive(Debug)]
struct Waiting {
    expect: Expect,
    sent: bool,
    until: Option<Instant>,
}

impl Connection {
    /// A connection whose socket has just been opened.
    #[must_use]
    pub fn new(timeouts: Timeouts, now: Now) -> Self {
        Self {
            timeouts,
            phase: Phase::Greeting {
                until: now.at + timeouts.handshake,
            },
            out: VecDeque::new(),
            events: VecDeque::new(),
            requests: BTreeMap::new(),
            last_request: 0,
            heard: now.at,
            watcher: Watcher::new(crate::hello::LATEST),
            suspect: false,
        }
    }

    /// Introduces us. Legal once, after [`Event::Challenge`]; otherwise it does nothing and says
    /// `false`.
    pub fn connect(&mut self, params: &ConnectParams, now: Now) -> bool {
        if !matches!(self.phase, Phase::Challenged { .. }) {
            return false;
        }
        self.phase = Phase::Connecting {
            until: now.at + self.timeouts.handshake,
        };
        self.out.push_back(Queued::Request {
            number: 0,
            frame: Frame::Request {
                id: "connect".into(),
                method: CONNECT.into(),
                params: Some(params.write()),
            },
        });
        true
    }

    /// Sends a request. Legal after [`Event::Ready`]; otherwise it fails at once as *not sent*.
    pub fn request(&mut self, outgoing: Outgoing, now: Now) -> RequestId {
        self.last_request += 1;
        let number = self.last_request;
        let request = RequestId(number);
        if !matches!(self.phase, Phase::Ready { .. }) {
            self.fail(request, Failure::NotSent);
            return request;
        }
        let within = outgoing.within.unwrap_or(self.timeouts.request);
        self.requests.insert(
            number,
            Waiting {
                expect: outgoing.expect,
                sent: false,
                until: Some(now.at + within),
            },
        );
        self.out.push_back(Queued::Request {
            number,
            frame: Frame::Request {
                id: number.to_string().into(),
                method: outgoing.method,
                params: outgoing.params,
            },
        });
        request
    }

    /// Forgets a request: one that still waits to be sent is withdrawn, and the answer to one that
    /// was sent is ignored.
    pub fn forget(&mut self, request: RequestId) {
        if self
            .requests
            .remove(&request.0)
            .is_some_and(|waiting| !waiting.sent)
        {
            self.withdraw(request.0);
        }
    }

    /// Says that what was lost in a gap was fetched again.
    pub fn resynced(&mut self) {
        self.suspect = false;
    }

    /// Whether pushes were lost and not fetched again since.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Whether requests can be sent.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Ends the connection; what waits to be sent still is.
    pub fn close(&mut self, close: Close, now: Now) {
        if !matches!(self.phase, Phase::Closing { .. } | Phase::Closed) {
            self.out.push_back(Queued::Close(close));
            self.phase = Phase::Closing {
                until: now.at + self.timeouts.close,
            };
        }
    }

    /// Bytes arrived that are no message yet: a ping, a part of a frame.
    pub fn handle_activity(&mut self, now: Now) {
        self.heard = now.at;
    }

    /// The socket is gone.
    pub fn handle_disconnect(&mut self) {
        if !matches!(self.phase, Phase::Closed) {
            self.end();
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.phase {
            Phase::Greeting { until } | Phase::Challenged { until } if until <= now.at => {
                self.close(
                    Close::new(close_code::POLICY, "connect challenge timeout"),
                    now,
                );
            }
            Phase::Connecting { until } if until <= now.at => {
                self.close(
                    Close::new(close_code::SILENT_GATEWAY, "connect timeout"),
                    now,
                );
            }
            Phase::Ready { patience } if self.heard + patience <= now.at => {
                self.close(Close::new(close_code::SILENT_GATEWAY, "tick timeout"), now);
            }
            Phase::Closing { until } if until <= now.at => return self.end(),
            Phase::Greeting { .. }
            | Phase::Challenged { .. }
            | Phase::Connecting { .. }
            | Phase::Ready { .. }
            | Phase::Closing { .. }
            | Phase::Closed => {}
        }
        let late: Vec<u64> = self
            .requests
            .iter()
            .filter(|(_, waiting)| waiting.until.is_some_and(|until| until <= now.at))
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            let sent = self
                .requests
                .remove(&number)
                .is_some_and(|waiting| waiting.sent);
            if !sent {
                self.withdraw(number);
            }
            let failure = if sent {
                Failure::TimedOut
            } else {
                Failure::NotSent
            };
            self.fail(RequestId(number), failure);
        }
    }

    /// The next thing to do to the socket.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if matches!(self.phase, Phase::Closed) {
            return None;
        }
        match self.out.pop_front()? {
            Queued::Close(close) => Some(Transmit::Close(close)),
            Queued::Request { number, frame } => {
                if let Some(waiting) = self.requests.get_mut(&number) {
                    waiting.sent = true;
                }
                Some(Transmit::Frame(frame))
            }
        }
    }

    /// The next thing the owner must know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is due, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let own = match self.phase {
            Phase::Greeting { until }
            | Phase::Challenged { until }
            | Phase::Connecting { until } => Deadline {
                at: until,
                timer: Timer::Handshake,
            },
            Phase::Ready { patience } => Deadline {
                at: self.heard + patience,
                timer: Timer::Silence,
            },
            Phase::Closing { until } => Deadline {
                at: until,
                timer: Timer::Close,
            },
            Phase::Closed => return None,
        };
        let request = self
            .requests
            .values()
            .filter_map(|waiting| waiting.until)
            .min()
            .map(|at| Deadline {
                at,
                timer: Timer::Request,
            });
        Some(request.map_or(own, |request| request.min(own)))
    }

    fn withdraw(&mut self, number: u64) {
        self.out
            .retain(|queued| !matches!(queued, Queued::Request { number: n, .. } if *n == number));
    }

    fn fail(&mut self, request: RequestId, failure: Failure) {
        self.events.push_back(Event::Failed { request, failure });
    }

    fn end(&mut self) {
        self.phase = Phase::Closed;
        self.out.clear();
        for (number, waiting) in core::mem::take(&mut self.requests) {
            let failure = if waiting.sent {
                Failure::Unknown
            } else {
                Failure::NotSent
            };
            self.fail(RequestId(number), failure);
        }
        self.events.push_back(Event::Closed);
    }
}
