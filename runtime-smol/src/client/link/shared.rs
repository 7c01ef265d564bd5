//! What a link's handles and its task share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_channel::Sender;
use event_listener::Event as Signal;
use futures_lite::FutureExt;
use openclaw_protocol_core::client::Mirror;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::json::Json;

use super::state::{State, States, following};
use crate::client::Gateway;
use crate::client::error::RequestError;
use crate::client::events::{Event, Feed};

/// The most requests and runs that are open, those that wait for a connection included.
const MOST_OPEN: usize = 4_096;

pub(super) struct Shared {
    inner: Mutex<Inner>,
    changed: Signal,
}

struct Inner {
    state: State,
    /// The connection that requests may use.
    gateway: Option<Gateway>,
    mirror: Option<Mirror>,
    followers: Vec<Sender<State>>,
    feeds: Vec<Feed>,
    /// How the link ended.
    over: Option<Close>,
    refuses: bool,
    draining: bool,
    open: usize,
}

/// One open request or run.
pub(super) struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
        self.0.changed.notify(usize::MAX);
    }
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                state: State::Connecting,
                gateway: None,
                mirror: None,
                followers: Vec::new(),
                feeds: Vec::new(),
                over: None,
                refuses: false,
                draining: false,
                open: 0,
            }),
            changed: Signal::new(),
        }
    }

    pub(super) fn state(&self) -> State {
        self.lock().shown()
    }

    pub(super) fn states(&self) -> States {
        let (sender, states) = following();
        let mut inner = self.lock();
        drop(sender.try_send(inner.shown()));
        if !inner.state.is_final() {
            inner.followers.retain(|follower| !follower.is_closed());
            inner.followers.push(sender);
        }
        states
    }

    pub(super) fn subscribe(&self, feed: Feed) {
        let mut inner = self.lock();
        match &inner.over {
            Some(close) => feed.end(close),
            None => {
                inner.feeds.retain(|feed| !feed.is_left());
                inner.feeds.push(feed);
            }
        }
    }

    pub(super) fn mirrored(&self, part: impl Fn(&Mirror) -> Option<&Json>) -> Option<Json> {
        self.lock().mirror.as_ref().and_then(part).cloned()
    }

    /// Takes a request in, unless the link drains or has ended.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Open, RequestError> {
        let mut inner = self.lock();
        let refuses = inner.refuses || inner.draining || inner.state.is_final();
        if refuses || inner.open >= MOST_OPEN {
            return Err(RequestError::NotSent);
        }
        inner.open += 1;
        Ok(Open(self.clone()))
    }

    /// Waits for a connection that requests may use, as long as there may be one by itself, or,
    /// if `patient`, after the owner did something.
    pub(super) async fn serving(
        &self,
        until: Option<Instant>,
        patient: bool,
    ) -> Result<Gateway, RequestError> {
        let serving = async {
            loop {
                let changed = self.changed.listen();
                {
                    let inner = self.lock();
                    let at_rest = inner.state.is_at_rest() && !patient;
                    if inner.refuses || inner.state.is_final() || at_rest {
                        return Err(RequestError::NotSent);
                    }
                    if let Some(gateway) = inner.gateway.as_ref().filter(|it| it.is_open()) {
                        return Ok(gateway.clone());
                    }
                }
                changed.await;
            }
        };
        serving.or(late(until)).await
    }

    /// Refuses new requests and waits until none is open.
    pub(super) async fn drain(&self) {
        {
            let mut inner = self.lock();
            if inner.state.is_final() {
                return;
            }
            if !inner.draining {
                inner.draining = true;
                inner.announce(&State::Draining);
            }
        }
        loop {
            let changed = self.changed.listen();
            {
                let inner = self.lock();
                if inner.open == 0 || inner.refuses || inner.state.is_at_rest() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Refuses requests that are not on their way yet.
    pub(super) fn refuse(&self) {
        self.lock().refuses = true;
        self.changed.notify(usize::MAX);
    }

    pub(super) fn publish(&self, state: State, gateway: Option<&Gateway>) {
        let mut inner = self.lock();
        inner.gateway = gateway.cloned();
        let anew = !matches!(
            (&inner.state, &state),
            (State::Connecting, State::Connecting)
        );
        if state.is_final() || (anew && !inner.draining) {
            inner.announce(&state);
        }
        if state.is_final() {
            inner.followers.clear();
        }
        inner.state = state;
        drop(inner);
        self.changed.notify(usize::MAX);
    }

    /// Changes the mirror of the present connection, if there is one.
    pub(super) fn mirror<T>(&self, change: impl FnOnce(&mut Mirror) -> T) -> Option<T> {
        self.lock().mirror.as_mut().map(change)
    }

    pub(super) fn greeted(&self, mirror: Mirror) {
        self.lock().mirror = Some(mirror);
    }

    pub(super) fn tell(&self, event: &Event) {
        let feeds = &mut self.lock().feeds;
        feeds.retain_mut(|feed| feed.offer(event.clone()));
    }

    pub(super) fn end(&self, close: &Close, state: State) {
        self.publish(state, None);
        let mut inner = self.lock();
        inner.over = Some(close.clone());
        for feed in inner.feeds.drain(..) {
            feed.end(close);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn shown(&self) -> State {
        if self.draining && !self.state.is_final() {
            State::Draining
        } else {
            self.state.clone()
        }
    }

    fn announce(&mut self, state: &State) {
        self.followers
            .retain(|follower| follower.force_send(state.clone()).is_ok());
    }
}

/// Waits until a connection that did not send a request is over; `NotSent` when it is not in time.
pub(super) async fn ended(gateway: &Gateway, until: Option<Instant>) -> Result<(), RequestError> {
    let ended = async {
        gateway.ended().await;
        Ok(())
    };
    ended.or(late(until)).await
}

async fn late<T>(until: Option<Instant>) -> Result<T, RequestError> {
    match until {
        Some(until) => {
            smol::Timer::at(until).await;
            Err(RequestError::NotSent)
        }
        None => std::future::pending().await,
    }
}
