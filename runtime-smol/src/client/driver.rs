//! The task that owns a connection: it moves bytes, commands and time into the core, and what the
//! core says to those who wait for it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::{Stream, ready};
use openclaw_protocol_core::client::{
    Connection, Event as CoreEvent, Failure, Hello, Outgoing, Timeouts,
};
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::outgoing::{Frame, Transmit};
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::time::Timer;

use super::callers::{Callers, Reply, RunFeed, result};
use super::device::Device;
use super::error::{ConnectError, RequestError, Stage};
use super::events::{Event, Feed};
use super::wire::{self, Heard, Wire};
use crate::clock::Clock;

/// The most rounds before other tasks have their turn.
const ROUNDS: usize = 16;
/// The most requests that wait for a gateway that does not read.
const MOST_UNSENT: usize = 1_024;
/// The furthest that a timer is set ahead, whatever a gateway says of its ticks.
const FURTHEST: Duration = Duration::from_secs(3_600);

/// A request on its way to the task.
pub(super) struct Ask {
    pub(super) serial: u64,
    pub(super) outgoing: Outgoing,
    pub(super) replies: Sender<Reply>,
    /// Where the pushes of its run go, if it is one.
    pub(super) run: Option<RunFeed>,
}

/// What is not a request.
pub(super) enum Control {
    Subscribe(Feed),
    Forget(u64),
    Resynced,
    Close,
}

/// What the task says of us when it is asked.
pub(super) struct Introduction {
    pub(super) params: ConnectParams,
    pub(super) device: Option<Device>,
}

/// What connects the task with its handles.
pub(super) struct Ends {
    pub(super) asks: Receiver<Ask>,
    pub(super) control: Receiver<Control>,
    pub(super) hello: Sender<Result<Hello, ConnectError>>,
    pub(super) over: Arc<OnceLock<Close>>,
}

pub(super) struct Driver {
    wire: Wire,
    core: Connection,
    clock: Clock,
    timeouts: Timeouts,
    timer: smol::Timer,
    timer_at: Option<Instant>,
    asks: Pin<Box<Receiver<Ask>>>,
    control: Pin<Box<Receiver<Control>>>,
    hello: Option<Sender<Result<Hello, ConnectError>>>,
    over: Arc<OnceLock<Close>>,
    introduction: Option<Introduction>,
    callers: Callers,
    feeds: Vec<Feed>,
    unsent: usize,
    abandoned: bool,
    /// Why the connection ends, first cause first.
    cause: Option<Close>,
    write_failure: Option<Close>,
    /// What to say before the socket is dropped; `Some(None)` to flush what is queued.
    farewell: Option<Option<Close>>,
}

impl Driver {
    pub(super) fn new(
        wire: Wire,
        introduction: Introduction,
        timeouts: Timeouts,
        feeds: Vec<Feed>,
        ends: Ends,
    ) -> Self {
        let clock = Clock::start();
        Self {
            wire,
            core: Connection::new(timeouts, clock.now()),
            clock,
            timeouts,
            timer: smol::Timer::never(),
            timer_at: None,
            asks: Box::pin(ends.asks),
            control: Box::pin(ends.control),
            hello: Some(ends.hello),
            over: ends.over,
            introduction: Some(introduction),
            callers: Callers::default(),
            feeds,
            unsent: 0,
            abandoned: false,
            cause: None,
            write_failure: None,
            farewell: None,
        }
    }

    /// Runs the connection to its end.
    pub(super) async fn drive(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.announce_end();
        if let Some(goodbye) = self.farewell {
            self.wire.end(goodbye, self.timeouts.close).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let idle = [
                self.poll_time(cx).is_pending(),
                self.poll_control(cx).is_pending(),
                self.poll_asks(cx).is_pending(),
                self.poll_write(cx).is_pending(),
                self.poll_read(cx).is_pending(),
            ];
            if self.pass_events_on() {
                return Poll::Ready(());
            }
            if idle.into_iter().all(|idle| idle) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.core.poll_timeout();
        let now = self.clock.now();
        if let Some(deadline) = deadline.filter(|deadline| deadline.at <= now.at) {
            let was_ready = self.core.is_ready();
            self.core.handle_timeout(now);
            if deadline.timer == Timer::Handshake {
                self.answer_connect(Err(ConnectError::Timeout {
                    waiting_for: Stage::Hello,
                }));
            }
            if was_ready && !self.core.is_ready() {
                self.ends_because(Close::new(close_code::SILENT_GATEWAY, "tick timeout"));
            }
            return Poll::Ready(());
        }
        // The deadline moves with every message, almost always away: a timer that fires too early
        // is cheaper than one that is set again each time.
        let furthest = Instant::now() + FURTHEST;
        let wanted = deadline.map(|deadline| {
            let at = self.clock.at(deadline.at).unwrap_or(furthest);
            at.min(furthest)
        });
        if let Some(wanted) = wanted.filter(|at| self.timer_at.is_none_or(|set| *at < set)) {
            self.timer.set_at(wanted);
            self.timer_at = Some(wanted);
        }
        if self.timer_at.is_none() {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.timer).poll(cx));
        self.timer_at = None;
        Poll::Ready(())
    }

    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.abandoned {
            return Poll::Pending;
        }
        match ready!(self.control.as_mut().poll_next(cx)) {
            Some(Control::Subscribe(feed)) => self.feeds.push(feed),
            Some(Control::Forget(serial)) => {
                if let Some(request) = self.callers.remove(serial) {
                    self.core.forget(request);
                }
            }
            Some(Control::Resynced) => self.core.resynced(),
            Some(Control::Close) => self.close(),
            None => {
                self.abandoned = true;
                self.close();
            }
        }
        Poll::Ready(())
    }

    fn poll_asks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.abandoned {
            return Poll::Pending;
        }
        if let Some(ask) = ready!(self.asks.as_mut().poll_next(cx)) {
            self.ask(ask);
            return Poll::Ready(());
        }
        // The control queue ends with it and closes the connection.
        Poll::Pending
    }

    fn ask(&mut self, ask: Ask) {
        if ask.replies.is_closed() {
            return;
        }
        if !self.core.is_ready() || self.unsent >= MOST_UNSENT {
            let reply = Reply::Done(Err(RequestError::NotSent));
            drop(ask.replies.try_send(reply));
            return;
        }
        self.unsent += 1;
        let request = self.core.request(ask.outgoing, self.clock.now());
        self.callers.add(request, ask.serial, ask.replies, ask.run);
    }

    fn close(&mut self) {
        let close = Close::new(close_code::NORMAL, "closed by the client");
        self.ends_because(close.clone());
        self.core.close(close, self.clock.now());
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.write_failure.is_some() {
            return Poll::Pending;
        }
        let (core, unsent, cause) = (&mut self.core, &mut self.unsent, &mut self.cause);
        let next = || {
            let transmit = core.poll_transmit();
            if let Some(Transmit::Close(close)) = &transmit {
                cause.get_or_insert_with(|| close.clone());
            } else if let Some(Transmit::Frame(Frame::Request { .. })) = &transmit {
                *unsent = unsent.saturating_sub(1);
            }
            transmit
        };
        match ready!(self.wire.poll_write(cx, next)) {
            Ok(true) => Poll::Ready(()),
            Ok(false) => Poll::Pending,
            Err(error) => {
                let (Heard::Closed(close) | Heard::Broken(close)) = wire::broken(&error) else {
                    return Poll::Pending;
                };
                self.write_failure = Some(close);
                Poll::Ready(())
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let heard = self.wire.poll_read(cx);
        let now = self.clock.now();
        if self.wire.has_stirred() {
            self.core.handle_activity(now);
        }
        match heard {
            Poll::Ready(Heard::Message(text)) => {
                self.core.handle_frame(FromGateway::decode(&text), now);
            }
            Poll::Ready(Heard::Control) => {}
            Poll::Ready(Heard::Closed(close)) => {
                let ours = self.cause.is_some();
                self.ends_because(close);
                self.farewell = (!ours).then_some(None);
                self.core.handle_disconnect();
            }
            Poll::Ready(Heard::Broken(close)) => {
                self.ends_because(close.clone());
                self.farewell = Some(Some(close));
                self.core.handle_disconnect();
            }
            // What the gateway said before it hung up counts more than that writing failed.
            Poll::Pending => match self.write_failure.take() {
                Some(close) => {
                    self.ends_because(close);
                    self.core.handle_disconnect();
                }
                None => return Poll::Pending,
            },
        }
        Poll::Ready(())
    }

    fn ends_because(&mut self, close: Close) {
        self.cause.get_or_insert(close);
    }

    /// Passes on what the core has to say; `true` when the connection is over.
    fn pass_events_on(&mut self) -> bool {
        while let Some(event) = self.core.poll_event() {
            match event {
                CoreEvent::Challenge { nonce, .. } => self.introduce(&nonce),
                CoreEvent::Ready(hello) => self.answer_connect(Ok(*hello)),
                CoreEvent::Refused(error) => {
                    self.answer_connect(Err(ConnectError::Refused(error)));
                }
                CoreEvent::Accepted { request, payload } => self.callers.accepted(request, payload),
                CoreEvent::Finished { request, outcome } => {
                    self.callers.done(request, result(outcome));
                }
                CoreEvent::Failed { request, failure } => {
                    let error = self.unanswered(failure);
                    self.callers.done(request, Err(error));
                }
                CoreEvent::Push(push) => {
                    self.callers.pushed(&push);
                    self.feeds
                        .retain_mut(|feed| feed.offer(Event::Push(push.clone())));
                }
                CoreEvent::Gap(gap) => {
                    self.feeds.retain_mut(|feed| feed.offer(Event::Gap(gap)));
                }
                CoreEvent::Closed => return true,
            }
        }
        false
    }

    fn introduce(&mut self, nonce: &str) {
        let Some(Introduction { mut params, device }) = self.introduction.take() else {
            return;
        };
        let now = self.clock.now();
        if let Some(device) = device {
            params.device = Some(device.prove(&params, nonce, now.unix_ms));
        }
        self.core.connect(&params, now);
        self.unsent += 1;
    }

    fn answer_connect(&mut self, answer: Result<Hello, ConnectError>) {
        if let Some(hello) = self.hello.take() {
            drop(hello.try_send(answer));
        }
    }

    fn unanswered(&mut self, failure: Failure) -> RequestError {
        match failure {
            Failure::NotSent => {
                self.unsent = self.unsent.saturating_sub(1);
                RequestError::NotSent
            }
            Failure::TimedOut => RequestError::TimedOut,
            Failure::Unknown | _ => RequestError::Unknown,
        }
    }

    fn announce_end(&mut self) {
        let nobody_said = || Close::new(1006, "the connection was lost");
        let close = self.cause.take().unwrap_or_else(nobody_said);
        drop(self.over.set(close.clone()));
        self.control.close();
        while let Ok(control) = self.control.try_recv() {
            if let Control::Subscribe(feed) = control {
                self.feeds.push(feed);
            }
        }
        for feed in self.feeds.drain(..) {
            feed.end(&close);
        }
        self.asks.close();
        while let Ok(ask) = self.asks.try_recv() {
            drop(
                ask.replies
                    .try_send(Reply::Done(Err(RequestError::NotSent))),
            );
        }
        self.answer_connect(Err(ConnectError::closed(&close)));
    }
}
