//! Requests that are on their way, and runs.

use async_channel::Receiver;
use openclaw_protocol_core::frame::from_gateway::Push;
use openclaw_protocol_core::json::Json;

use super::Gateway;
use super::callers::{Reply, run_id};
use super::driver::Control;
use super::error::RequestError;
use super::events::{Event, Events};

/// A request whose answer is awaited; dropping it forgets the request.
#[derive(Debug)]
pub(super) struct Pending {
    source: Source,
    replies: Receiver<Reply>,
    done: bool,
}

/// Who answers; dropping a task cancels it.
#[derive(Debug)]
pub(super) enum Source {
    Connection { gateway: Gateway, serial: u64 },
    Task(#[allow(dead_code, reason = "held for its drop")] smol::Task<()>),
}

impl Pending {
    pub(super) const fn new(source: Source, replies: Receiver<Reply>) -> Self {
        Self {
            source,
            replies,
            done: false,
        }
    }

    /// The next reply; when the task is gone without one, what became of the request is unknown.
    pub(super) async fn reply(&mut self) -> Reply {
        let gone = |_| Reply::Done(Err(RequestError::Unknown));
        let reply = self.replies.recv().await.unwrap_or_else(gone);
        self.done |= matches!(reply, Reply::Done(_));
        reply
    }

    /// The final answer, past an ack.
    pub(super) async fn outcome(&mut self) -> Result<Json, RequestError> {
        loop {
            if let Reply::Done(result) = self.reply().await {
                return result;
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // Closed first: a request that the task has not taken yet is then not sent at all.
            self.replies.close();
            if let Source::Connection { gateway, serial } = &self.source {
                drop(gateway.control(Control::Forget(*serial)));
            }
        }
    }
}

/// Work that the gateway acknowledged, its pushes and its final answer.
///
/// It keeps the connection open. Dropping it stops listening; the work itself goes on, and
/// `agent.wait` can tell how it ended.
#[derive(Debug)]
pub struct Run {
    pending: Pending,
    events: Events,
    accepted: Option<Json>,
    id: Option<Box<str>>,
    finished: Option<Result<Json, RequestError>>,
    missed: u64,
    interruptions: u64,
}

impl Run {
    pub(super) async fn start(mut pending: Pending, events: Events) -> Result<Self, RequestError> {
        let (accepted, finished) = match pending.reply().await {
            Reply::Accepted(payload) => (Some(payload), None),
            Reply::Done(result) => (None, Some(Ok(result?))),
        };
        let answer = match (&accepted, &finished) {
            (Some(payload), _) | (None, Some(Ok(payload))) => Some(payload),
            _ => None,
        };
        Ok(Self {
            id: answer.and_then(run_id),
            pending,
            events,
            accepted,
            finished,
            missed: 0,
            interruptions: 0,
        })
    }

    /// The gateway's acknowledgement; `None` when the final answer came at once.
    #[must_use]
    pub const fn accepted(&self) -> Option<&Json> {
        self.accepted.as_ref()
    }

    /// The run's id, `runId` of the first answer; `None` when that has none, and then no pushes
    /// are told apart as this run's.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How many pushes of this run were dropped because [`Self::next`] was called too seldom, or
    /// were not heard because the connection had ended.
    ///
    /// At most 1,024 of them and 16 MiB wait. After an interruption they are counted by the numbers
    /// that the run gives its pushes, which is the most that can have been missed.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// How often the run's connection ended while it was followed; more than 0 only on a
    /// [`Link`](super::Link).
    #[must_use]
    pub const fn interruptions(&self) -> u64 {
        self.interruptions
    }

    /// Waits for the run's next push, an `agent` or `chat` event; `None` after the final answer.
    pub async fn next(&mut self) -> Option<Push> {
        loop {
            match self.events.next().await? {
                Event::Push(push) => return Some(push),
                Event::Lagged(count) => self.missed += count,
                Event::Interrupted { .. } => self.interruptions += 1,
                Event::Gap(_) | Event::Closed { .. } => {}
            }
        }
    }

    /// Waits for the final answer; pushes that were not taken are dropped.
    ///
    /// It waits as long as the run takes. If you stop waiting, the run goes on.
    ///
    /// # Errors
    /// The run failed ([`RequestError::Answered`], whose payload says more), or the connection
    /// ended before the answer ([`RequestError::Unknown`]).
    pub async fn finish(self) -> Result<Json, RequestError> {
        let Self {
            mut pending,
            events,
            finished,
            ..
        } = self;
        drop(events);
        match finished {
            Some(result) => result,
            None => pending.outcome().await,
        }
    }
}
