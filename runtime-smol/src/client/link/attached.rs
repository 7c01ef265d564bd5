//! A run that follows its link from one connection to the next.

use std::time::Duration;

use async_channel::Sender;
use futures_lite::FutureExt;
use openclaw_protocol_core::client::{Attachment, Failure, Outgoing, Step};
use openclaw_protocol_core::frame::from_gateway::Push;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::time::Instant;

use super::Link;
use super::shared::Open;
use crate::client::Gateway;
use crate::client::callers::{Reply, run_id};
use crate::client::error::RequestError;
use crate::client::events::{Event, Events, Feed};
use crate::client::params::Params;
use crate::clock::Clock;

/// How long one `agent.wait` lasts, in milliseconds.
const WAIT_MS: u64 = 20_000;
/// How long its answer may take.
const WAIT: Duration = Duration::from_secs(30);
/// How long after the last request has failed a connection that ended may not be known to have.
const END: Duration = Duration::from_secs(5);

pub(super) struct Attached {
    link: Link,
    open: Open,
    outgoing: Outgoing,
    attachment: Attachment,
    clock: Clock,
    replies: Sender<Reply>,
    feed: Feed,
    acknowledged: bool,
    id: Option<Box<str>>,
    /// The number of the run's last push, and whether pushes may have been missed since.
    last: u64,
    interrupted: bool,
    /// Everything that is pushed, while the request that was sent last is not the one that is
    /// acknowledged.
    watching: Option<Events>,
    /// The last answer that may be the final one.
    answer: Result<Json, RequestError>,
}

impl Attached {
    pub(super) fn new(
        link: Link,
        open: Open,
        outgoing: Outgoing,
        replies: Sender<Reply>,
        feed: Feed,
    ) -> Self {
        Self {
            attachment: Attachment::new(&outgoing),
            link,
            open,
            outgoing,
            clock: Clock::start(),
            replies,
            feed,
            acknowledged: false,
            id: None,
            last: 0,
            interrupted: false,
            watching: None,
            answer: Err(RequestError::NotSent),
        }
    }

    /// Follows the run to its end.
    pub(super) async fn follow(mut self) {
        loop {
            let Ok(gateway) = self.connected().await else {
                break;
            };
            let mut step = self.attachment.greeted(gateway.hello(), self.clock.now());
            loop {
                step = match step {
                    Step::Send { after } => self.send(&gateway, after).await,
                    Step::Wait { after } => self.wait(&gateway, after).await,
                    Step::Listen | Step::Finish | Step::GiveUp => break,
                };
            }
            if step != Step::Listen || !self.interrupted(&gateway).await {
                break;
            }
        }
        let Self {
            replies,
            answer,
            open,
            feed,
            ..
        } = self;
        drop((feed, open));
        drop(replies.try_send(Reply::Done(answer)));
    }

    /// Waits for a connection: for the ack's time at first, later as long as joining is safe.
    async fn connected(&self) -> Result<Gateway, RequestError> {
        let ack_until = Instant::ORIGIN + self.link.handle.request_timeout;
        let ack_until = (!self.acknowledged).then_some(ack_until);
        let until = [self.attachment.joins_until(), ack_until];
        let until = until.into_iter().flatten().min();
        self.link
            .serving(until.and_then(|until| self.clock.at(until)))
            .await
    }

    async fn send(&mut self, gateway: &Gateway, after: Duration) -> Step {
        if !after.is_zero() {
            let pause = async {
                smol::Timer::after(after).await;
                true
            };
            let ended = async {
                gateway.ended().await;
                false
            };
            if !ended.or(pause).await {
                return self.lost(RequestError::Unknown);
            }
        }
        let params = Params::from(self.outgoing.params.clone());
        let mut run = match gateway.run(&self.outgoing.method, params).await {
            Ok(run) => run,
            Err(error) => return self.answered(Err(error)),
        };
        if let Some(ack) = run.accepted() {
            self.acknowledge(ack.clone());
            let step = self.attachment.accepted();
            if step != Step::Listen {
                return step;
            }
            self.watching = None;
            while let Some(push) = run.next().await {
                self.pass_on(push);
            }
            let missed = run.missed();
            if missed > 0 {
                self.feed.offer(Event::Lagged(missed));
            }
        }
        let answer = run.finish().await;
        self.answered(answer)
    }

    /// Asks for the end of a run whose final will not come by itself, and passes its pushes on
    /// meanwhile.
    async fn wait(&mut self, gateway: &Gateway, after: Duration) -> Step {
        let id = self.id.as_deref().or(self.attachment.key());
        let Some(id) = id.map(Box::<str>::from) else {
            self.answer = Err(RequestError::Unknown);
            return Step::GiveUp;
        };
        let params = Object::new()
            .text("runId", &id)
            .number("timeoutMs", WAIT_MS);
        let asked = async {
            if !after.is_zero() {
                smol::Timer::after(after).await;
            }
            Some(gateway.request_within("agent.wait", params, WAIT).await)
        };
        let mut events = match self.watching.take() {
            Some(events) => events,
            None => gateway.events(),
        };
        let pushes = async {
            while let Some(event) = events.next().await {
                match event {
                    Event::Push(push) if is_about(&push, &id) => self.pass_on(push),
                    Event::Push(_) | Event::Gap(_) | Event::Interrupted { .. } => {}
                    Event::Lagged(count) => {
                        self.feed.offer(Event::Lagged(count));
                    }
                    Event::Closed { .. } => break,
                }
            }
            None
        };
        let asked = pushes.or(asked).await;
        self.watching = Some(events);
        match asked {
            Some(Ok(payload)) => self.attachment.waited(Some(&outcome(Ok(payload)))),
            Some(Err(error @ RequestError::Answered { .. })) => {
                self.attachment.waited(Some(&outcome(Err(&error))))
            }
            Some(Err(RequestError::TimedOut)) => self.attachment.waited(None),
            Some(Err(_)) | None => self.lost(RequestError::Unknown),
        }
    }

    fn answered(&mut self, answer: Result<Json, RequestError>) -> Step {
        let answered = match answer {
            Ok(payload) => outcome(Ok(payload)),
            Err(error @ RequestError::Answered { .. }) => {
                let answered = outcome(Err(&error));
                self.answer = Err(error);
                return self.attachment.finished(&answered);
            }
            Err(error @ RequestError::TooLarge { .. }) => {
                self.answer = Err(error);
                return Step::GiveUp;
            }
            Err(error) => return self.lost(error),
        };
        let step = self.attachment.finished(&answered);
        let payload = answered.payload.unwrap_or(Json::null());
        if step == Step::Finish {
            self.answer = Ok(payload);
        } else {
            self.acknowledge(payload);
        }
        step
    }

    fn lost(&mut self, error: RequestError) -> Step {
        let failure = if error == RequestError::NotSent {
            Failure::NotSent
        } else if error == RequestError::TimedOut {
            Failure::TimedOut
        } else {
            Failure::Unknown
        };
        let step = self.attachment.lost(failure, self.clock.now());
        // What was sent once stays in doubt, whatever became of its repeats.
        let in_doubt = self.attachment.joins_until().is_some();
        self.answer = Err(if in_doubt {
            RequestError::Unknown
        } else {
            error
        });
        step
    }

    /// The request has no answer, because the connection ended: waits until it is known to have, and
    /// marks the place. Returns whether it has: one that the request could not be sent over in time
    /// may live on.
    async fn interrupted(&mut self, gateway: &Gateway) -> bool {
        let ended = async {
            gateway.ended().await;
            true
        };
        let lives = async {
            smol::Timer::after(END).await;
            false
        };
        if !ended.or(lives).await {
            return false;
        }
        self.interrupted = true;
        self.watching = None;
        let close = gateway.over();
        self.feed.offer(Event::Interrupted {
            code: close.code,
            reason: close.reason().to_owned(),
        });
        true
    }

    fn acknowledge(&mut self, ack: Json) {
        self.id = run_id(&ack).or(self.id.take());
        if !self.acknowledged {
            self.acknowledged = true;
            drop(self.replies.try_send(Reply::Accepted(ack)));
        }
    }

    fn pass_on(&mut self, push: Push) {
        #[derive(serde::Deserialize)]
        struct Numbered {
            seq: u64,
        }
        if let Ok(Numbered { seq }) = push.payload.read() {
            let skipped = seq.saturating_sub(self.last.saturating_add(1));
            if core::mem::take(&mut self.interrupted) && skipped > 0 {
                self.feed.offer(Event::Lagged(skipped));
            }
            self.last = self.last.max(seq);
        }
        self.feed.offer(Event::Push(push));
    }
}

fn is_about(push: &Push, id: &str) -> bool {
    matches!(&*push.event, "agent" | "chat") && run_id(&push.payload).as_deref() == Some(id)
}

fn outcome(answer: Result<Json, &RequestError>) -> Outcome {
    let (payload, error) = match answer {
        Ok(payload) => (Some(payload), None),
        Err(RequestError::Answered { error, payload }) => {
            (payload.clone(), Some((**error).clone()))
        }
        Err(_) => (None, None),
    };
    Outcome {
        ok: error.is_none(),
        payload,
        error,
    }
}
