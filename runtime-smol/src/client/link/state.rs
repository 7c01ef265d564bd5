//! How a link is, and how it changes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use async_channel::{Receiver, Sender};
use futures_lite::{Stream, StreamExt};
use openclaw_protocol_core::client::{Hello, Why};

use crate::client::error::{ConnectError, RequestError};

/// The most states that wait for one who follows them; the oldest are dropped then.
const MOST_STATES: usize = 64;

/// How a link is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// It is connecting, or the resubscribe hook runs.
    Connecting,
    /// Requests flow, and what is known of the gateway's state is current.
    Ready {
        /// What the gateway said when it let us in.
        hello: Arc<Hello>,
        /// What became of the resubscribe hook on this connection; `Ok` if there is none.
        resubscribed: Result<(), RequestError>,
    },
    /// Requests flow, but pushes were lost, and health and presence are being fetched again.
    Recovering {
        /// What the gateway said when it let us in.
        hello: Arc<Hello>,
    },
    /// It is not connected, and will connect again by itself.
    Waiting {
        /// When.
        until: Instant,
        /// Why it is not connected.
        why: Why,
        /// What went wrong, if it went wrong before hello.
        error: Option<Arc<ConnectError>>,
    },
    /// It is not connected, and the owner must do something before it can be: see
    /// [`Link::resume`](super::Link::resume).
    Paused {
        /// What keeps it.
        why: Why,
        /// What the gateway said, such as which request to approve.
        error: Option<Arc<ConnectError>>,
    },
    /// It takes no new requests, and waits for those that are open.
    Draining,
    /// It has ended: this client and this gateway do not go together.
    Stopped {
        /// What keeps them apart.
        why: Why,
        /// What the gateway said.
        error: Option<Arc<ConnectError>>,
    },
    /// It was closed.
    Closed,
}

impl State {
    /// Whether no other state follows.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Stopped { .. } | Self::Closed)
    }

    /// Whether only the owner, or nobody, can get it connected.
    pub(super) const fn is_at_rest(&self) -> bool {
        matches!(self, Self::Paused { .. }) || self.is_final()
    }
}

/// The states of a link: a stream that begins with the present one and ends after a final one.
///
/// At most 64 wait in it; who falls further behind misses the oldest.
pub struct States {
    queue: Pin<Box<Receiver<State>>>,
}

impl States {
    /// Waits for the next state; `None` after a final one.
    pub async fn next(&mut self) -> Option<State> {
        StreamExt::next(self).await
    }
}

impl Stream for States {
    type Item = State;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<State>> {
        self.queue.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({} waiting)", self.queue.len())
    }
}

pub(super) fn following() -> (Sender<State>, States) {
    let (sender, queue) = async_channel::bounded(MOST_STATES);
    let queue = Box::pin(queue);
    (sender, States { queue })
}
