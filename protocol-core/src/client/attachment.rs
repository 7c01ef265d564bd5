//! How a run outlives the connection that began it.

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use serde::Deserialize;

use super::hello::Hello;
use super::request::{Failure, Outgoing};
use crate::frame::outgoing::Outcome;
use crate::time::{Instant, Now};

/// How long after a loss a key may be repeated: gateways keep keys for 10 min, and a key that was
/// forgotten would do the work again.
const WINDOW: Duration = Duration::from_secs(300);
/// What lies at least between two questions after the end, and between two repeats on one
/// connection; for those it doubles. A gateway that answers *in flight* to the one and *ended* to
/// the other is not hammered.
const PAUSE: Duration = Duration::from_secs(1);
/// Where the doubling ends, and the longest that a gateway may put a repeat off.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A run as seen from one client, over as many connections as it takes.
///
/// After a loss the run is joined again by repeating its request under the same idempotency key:
/// the gateway answers *accepted* and later the final, or the stored final at once. Gateways that
/// answer a repeat without ever sending it a final (protocol 3, and those that say `in_flight`)
/// are asked with `agent.wait` for the end, and then once more for the stored final.
///
/// A request without a key is never repeated once it was sent, and none is after a restart of the
/// gateway or more than 5 min after the loss: the key may be forgotten, and the work done twice.
#[derive(Clone, Debug)]
pub struct Attachment {
    key: Option<Box<str>>,
    protocol: u32,
    boot: Option<String>,
    /// Since when it is in doubt whether the gateway still knows a request that was sent.
    in_doubt: Option<Instant>,
    /// Whether the request that was sent last repeats one.
    repeats: bool,
    /// How often it was repeated on this connection.
    rounds: u32,
}

/// What to do about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the request, the first time or again, after a pause.
    Send {
        /// How long to wait before.
        after: Duration,
    },
    /// Wait for the final answer: it will come to the request that was sent last.
    Listen,
    /// Ask `agent.wait` when the run ends, after a pause.
    Wait {
        /// How long to wait before.
        after: Duration,
    },
    /// That was the final answer.
    Finish,
    /// What became of the run is unknown, and a repeat is not safe.
    GiveUp,
}

impl Attachment {
    /// A run whose request was not sent yet.
    #[must_use]
    pub fn new(outgoing: &Outgoing) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Keyed {
            idempotency_key: Box<str>,
        }
        let params = outgoing.params.as_ref();
        let keyed: Option<Keyed> = params.and_then(|params| params.read().ok());
        Self {
            key: keyed.map(|keyed| keyed.idempotency_key),
            protocol: 0,
            boot: None,
            in_doubt: None,
            repeats: false,
            rounds: 0,
        }
    }

    /// The idempotency key, which names the run before its ack does.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Until when the run may be joined again; `None` while it is not in doubt.
    #[must_use]
    pub fn joins_until(&self) -> Option<Instant> {
        self.in_doubt.map(|since| since + WINDOW)
    }

    /// There is a connection: to begin with, or again.
    pub fn greeted(&mut self, hello: &Hello, now: Now) -> Step {
        if let Some(since) = self.in_doubt {
            let restarted = match (&self.boot, &hello.boot_id) {
                (Some(then), Some(now)) => then != now,
                (None, _) | (_, None) => false,
            };
            if self.key.is_none() || restarted || now.at.since(since) > WINDOW {
                return Step::GiveUp;
            }
            self.repeats = true;
        }
        self.rounds = 0;
        self.protocol = hello.protocol;
        self.boot.clone_from(&hello.boot_id);
        Step::Send {
            after: Duration::ZERO,
        }
    }

    /// The request has no answer: the connection ended, or the gateway did not answer in time.
    ///
    /// [`Step::Listen`] means to wait for [`Self::greeted`].
    pub fn lost(&mut self, failure: Failure, now: Now) -> Step {
        match failure {
            Failure::NotSent => Step::Listen,
            Failure::TimedOut => Step::GiveUp,
            Failure::Unknown => {
                self.in_doubt.get_or_insert(now.at);
                if self.key.is_some() {
                    Step::Listen
                } else {
                    Step::GiveUp
                }
            }
        }
    }

    /// The request was acknowledged.
    pub const fn accepted(&mut self) -> Step {
        self.in_doubt = None;
        if self.protocol < 4 && self.repeats {
            AT_ONCE
        } else {
            Step::Listen
        }
    }

    /// The request was answered with something else than an ack.
    ///
    /// A repeat that cannot be taken now says nothing of the run, and is sent again later.
    #[must_use]
    pub fn finished(&self, outcome: &Outcome) -> Step {
        let busy = outcome.error.as_ref().filter(|error| {
            let is_final = outcome.ok || outcome.payload.is_some();
            self.repeats && !is_final && error.retryable == Some(true)
        });
        if let Some(busy) = busy {
            let asked = busy.retry_after_ms.map(Duration::from_millis);
            let after = asked.unwrap_or_default().clamp(PAUSE, LONGEST_PAUSE);
            return Step::Send { after };
        }
        if outcome.ok && status(outcome).is_some_and(|status| status == "in_flight") {
            AT_ONCE
        } else {
            Step::Finish
        }
    }

    /// `agent.wait` was answered, or (`None`) was not while the connection lives.
    pub fn waited(&mut self, outcome: Option<&Outcome>) -> Step {
        let goes_on = outcome.is_some_and(|outcome| {
            outcome.ok && status(outcome).is_some_and(|status| status == "timeout")
        });
        if goes_on {
            return Step::Wait { after: PAUSE };
        }
        self.repeats = true;
        let doubled = 1u32.checked_shl(self.rounds).unwrap_or(u32::MAX);
        self.rounds = self.rounds.saturating_add(1);
        let after = PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        Step::Send { after }
    }
}

const AT_ONCE: Step = Step::Wait {
    after: Duration::ZERO,
};

fn status(outcome: &Outcome) -> Option<String> {
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    let payload = outcome.payload.as_ref()?;
    payload.read::<Status>().ok().map(|status| status.status)
}
