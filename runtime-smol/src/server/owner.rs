//! The one task that holds the hub and the application.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::stream::Stream;
use futures_lite::{FutureExt, future};
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::close_code;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hub::{Event, Hub};
use openclaw_protocol_core::server::ConnId;
use openclaw_protocol_core::time::{Instant, Now};
use smol::Timer;

use super::handle::Handle;
use super::intake::Intake;
use super::link::{Batch, FromSocket, Link};
use super::stop::Stop;
use crate::clock::Clock;
use crate::websocket::FRAGMENT;

/// The most messages of each kind that one turn takes.
const PER_TURN: usize = 64;

/// What a gateway does with what its connections say.
///
/// Every call runs on the owner's task and must return at once: slow work goes into tasks of its
/// own, which come back with a [`Handle`].
pub trait Application: Send + 'static {
    /// What its tasks come back with.
    type Command: Send + 'static;

    /// A connection said something.
    fn handle_event(&mut self, hub: &mut Hub, event: Event, now: Now);

    /// A task came back.
    fn handle_command(&mut self, hub: &mut Hub, command: Self::Command, now: Now);

    /// Time passed.
    fn handle_timeout(&mut self, hub: &mut Hub, now: Now);

    /// When [`Self::handle_timeout`] is due.
    fn poll_timeout(&self) -> Option<Instant>;

    /// The gateway is about to stop: no new work is taken on from now.
    fn drain(&mut self, hub: &mut Hub, now: Now);

    /// Whether all work that had begun is done.
    fn is_drained(&self) -> bool;

    /// The time to drain is over: what still runs is ended, and everybody who waits is told.
    fn finish(&mut self, hub: &mut Hub, now: Now);
}

/// The ends of the queues that lead to the owner.
pub(crate) struct Inlets<C> {
    pub(crate) from_sockets: Receiver<FromSocket>,
    pub(crate) commands: Receiver<C>,
    pub(crate) last_words: Receiver<C>,
    pub(crate) signals: Receiver<()>,
}

impl<C> Inlets<C> {
    pub(crate) fn new(signals: Receiver<()>) -> (Self, Sender<FromSocket>, Handle<C>) {
        let (to_owner, from_sockets) = async_channel::unbounded();
        let (handle, detached) = Handle::detached();
        let inlets = Self {
            from_sockets,
            commands: detached.commands,
            last_words: detached.last_words,
            signals,
        };
        (inlets, to_owner, handle)
    }
}

/// Something that came in.
enum Input<C> {
    Socket(FromSocket),
    Command(C),
    Signal,
}

pub(crate) struct Owner<A: Application> {
    hub: Hub,
    app: A,
    clock: Clock,
    links: HashMap<ConnId, Link>,
    intake: Arc<Intake>,
    stop: Stop,
    drain: Duration,
}

impl<A: Application> Owner<A> {
    pub(crate) fn new(
        hub: Hub,
        app: A,
        clock: Clock,
        intake: Arc<Intake>,
        drain: Duration,
    ) -> Self {
        Self {
            hub,
            app,
            clock,
            links: HashMap::new(),
            intake,
            stop: Stop::Not,
            drain,
        }
    }

    /// Serves until the gateway has stopped, and returns the application.
    pub(crate) async fn run(mut self, inlets: Inlets<A::Command>) -> A {
        let mut inlets = PinnedInlets::new(inlets);
        let mut first = None;
        loop {
            let mut inputs: Vec<_> = first.take().into_iter().collect();
            inlets.take_ready(&mut inputs);
            let busy = !inputs.is_empty();
            self.turn(inputs, self.clock.now());
            if self.stop == Stop::Over {
                return self.app;
            }
            if busy {
                future::yield_now().await;
            } else {
                first = wait(&mut inlets, self.next_timer()).await;
            }
        }
    }

    /// One turn: takes in what came, lets time pass, and hands out what follows.
    fn turn(&mut self, inputs: Vec<Input<A::Command>>, now: Now) {
        for input in inputs {
            match input {
                Input::Socket(message) => self.handle_socket(message, now),
                Input::Command(command) => {
                    self.app.handle_command(&mut self.hub, command, now);
                }
                Input::Signal => {
                    self.stop
                        .signal(&mut self.hub, &mut self.app, self.drain, now);
                }
            }
            self.pass_events_on(now);
        }
        if self.hub.poll_timeout().is_some_and(|due| due.at <= now.at) {
            self.hub.handle_timeout(now);
        }
        if self.app.poll_timeout().is_some_and(|due| due <= now.at) {
            self.app.handle_timeout(&mut self.hub, now);
        }
        self.pass_events_on(now);
        self.hand_out();
        self.go_on_stopping(now);
    }

    fn go_on_stopping(&mut self, now: Now) {
        loop {
            let before = self.stop;
            let flushed = self.stop.is_flushing() && self.is_flushed();
            self.stop
                .advance(&mut self.hub, &mut self.app, flushed, now);
            if self.stop == before {
                return;
            }
            self.pass_events_on(now);
            self.hand_out();
        }
    }

    fn handle_socket(&mut self, message: FromSocket, now: Now) {
        match message {
            FromSocket::Open { peer, link } => self.open(peer, link, now),
            FromSocket::Frame { conn, inbound } => {
                let size = inbound.size();
                self.hub.handle_frame(conn, inbound, now);
                if let Some(link) = self.links.get(&conn) {
                    link.gate.give_back(size);
                    if self.hub.wants_input(conn) {
                        link.gate.open();
                    }
                }
            }
            FromSocket::Fault { conn, fault } => self.hub.handle_fault(conn, fault, now),
            FromSocket::Pressed => self.relieve(now),
            FromSocket::Activity { conn, at } => {
                let at = self.clock.moment(at);
                self.hub.handle_activity(conn, Now { at, ..now });
            }
            FromSocket::Sent { conn } => {
                self.hub.sent(conn);
                if let Some(link) = self.links.get_mut(&conn) {
                    link.writing = false;
                }
                self.deliver(conn);
            }
            FromSocket::Gone { conn } => self.hub.handle_disconnect(conn, now),
        }
    }

    fn open(&mut self, peer: openclaw_protocol_core::hub::Peer, link: Link, now: Now) {
        let (Ok(nonce), Ok(jitter)) = (crate::random::uuid(), crate::random::jitter()) else {
            log::error!("no random numbers to be had: a connection is dropped");
            return;
        };
        let conn = self.hub.open(peer, &nonce, jitter, now);
        self.links.insert(conn, link);
        self.stop.greet(&mut self.hub, conn, now);
    }

    /// Closes the sockets that hold most of what is not dealt with yet, until all hold little
    /// enough.
    fn relieve(&mut self, now: Now) {
        while self.intake.is_exceeded() {
            let most = self
                .links
                .iter()
                .filter(|(_, link)| !link.gate.portion.is_forfeited())
                .max_by_key(|(_, link)| link.gate.portion.held());
            let Some((conn, link)) = most else {
                return;
            };
            let conn = *conn;
            link.gate.portion.forfeit();
            link.gate.open();
            self.hub.handle_fault(conn, PeerFault::TooMuchInput, now);
        }
    }

    /// Lets the application see what connections say, until they have nothing more to say.
    fn pass_events_on(&mut self, now: Now) {
        while let Some(event) = self.hub.poll_event() {
            match &event {
                Event::Closed { conn, close } => {
                    self.links.remove(conn);
                    match close {
                        Some(close) if close.code != close_code::RESTART => {
                            log::info!(
                                "conn={conn} closed code={} reason={:?}",
                                close.code,
                                close.reason()
                            );
                        }
                        Some(_) | None => log::debug!("conn={conn} closed"),
                    }
                }
                Event::Fault { conn, fault } => {
                    log::debug!("conn={conn} clause={} {fault}", fault.clause());
                }
                Event::Connect { .. } | Event::Request { .. } => {}
            }
            self.app.handle_event(&mut self.hub, event, now);
        }
    }

    fn hand_out(&mut self) {
        while let Some(conn) = self.hub.poll_ready() {
            self.deliver(conn);
        }
    }

    /// Gives a socket its next batch, unless it still writes the last one.
    fn deliver(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else {
            return;
        };
        if self.hub.wants_input(conn) {
            link.gate.open();
        }
        if link.writing {
            if self.hub.poll_ping(conn) {
                link.gate.ask_for_ping();
            }
            return;
        }
        let mut transmits = Vec::new();
        let mut bytes = 0;
        while bytes < FRAGMENT {
            let Some(transmit) = self.hub.poll_transmit(conn) else {
                break;
            };
            if let Transmit::Frame(frame) = &transmit {
                bytes += frame.size_hint();
            }
            transmits.push(transmit);
        }
        if transmits.is_empty() {
            return;
        }
        let batch = Batch {
            conn,
            admitted: self.hub.session(conn).is_some(),
            transmits,
        };
        link.writing = link.batches.try_send(batch).is_ok();
    }

    fn is_flushed(&self) -> bool {
        !matches!(self.stop, Stop::Flushing { .. })
            || self
                .links
                .iter()
                .all(|(conn, link)| !link.writing && !self.hub.has_output(*conn))
    }

    /// Fires when something is due even if nothing comes in.
    fn next_timer(&self) -> Timer {
        let due = [
            self.hub.poll_timeout().map(|due| due.at),
            self.app.poll_timeout(),
            self.stop.deadline(),
        ];
        match due.into_iter().flatten().min() {
            Some(at) => self.clock.at(at).map_or_else(Timer::never, Timer::at),
            None => Timer::never(),
        }
    }
}

/// Waits until something comes in or the timer fires.
async fn wait<C>(inlets: &mut PinnedInlets<C>, timer: Timer) -> Option<Input<C>> {
    let timeout = async {
        timer.await;
        None
    };
    future::poll_fn(|cx| inlets.poll_next(cx)).or(timeout).await
}

/// The inlets, pinned once so that waiting for them costs no set-up each time.
struct PinnedInlets<C> {
    from_sockets: Pin<Box<Receiver<FromSocket>>>,
    commands: Pin<Box<Receiver<C>>>,
    last_words: Pin<Box<Receiver<C>>>,
    signals: Pin<Box<Receiver<()>>>,
}

/// What still waits must not outlive the owner: a socket's own end of the queue would keep it, and
/// with it the link whose end that socket waits for.
impl<C> Drop for PinnedInlets<C> {
    fn drop(&mut self) {
        self.from_sockets.close();
        while self.from_sockets.try_recv().is_ok() {}
        for queue in [&self.commands, &self.last_words] {
            queue.close();
            while queue.try_recv().is_ok() {}
        }
    }
}

impl<C> PinnedInlets<C> {
    fn new(inlets: Inlets<C>) -> Self {
        Self {
            from_sockets: Box::pin(inlets.from_sockets),
            commands: Box::pin(inlets.commands),
            last_words: Box::pin(inlets.last_words),
            signals: Box::pin(inlets.signals),
        }
    }

    /// Takes what is there, a bounded number of each kind.
    fn take_ready(&mut self, inputs: &mut Vec<Input<C>>) {
        if self.signals.try_recv().is_ok() {
            inputs.push(Input::Signal);
        }
        for queue in [&self.commands, &self.last_words] {
            for _ in 0..PER_TURN {
                let Ok(command) = queue.try_recv() else {
                    break;
                };
                inputs.push(Input::Command(command));
            }
        }
        for _ in 0..PER_TURN {
            let Ok(message) = self.from_sockets.try_recv() else {
                break;
            };
            inputs.push(Input::Socket(message));
        }
    }

    /// The next of them; `None` never means the end, since the owner holds what keeps them open.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Input<C>>> {
        if let Poll::Ready(Some(())) = self.signals.as_mut().poll_next(cx) {
            return Poll::Ready(Some(Input::Signal));
        }
        if let Poll::Ready(Some(command)) = self.last_words.as_mut().poll_next(cx) {
            return Poll::Ready(Some(Input::Command(command)));
        }
        if let Poll::Ready(Some(command)) = self.commands.as_mut().poll_next(cx) {
            return Poll::Ready(Some(Input::Command(command)));
        }
        if let Poll::Ready(Some(message)) = self.from_sockets.as_mut().poll_next(cx) {
            return Poll::Ready(Some(Input::Socket(message)));
        }
        Poll::Pending
    }
}
