//! What a gateway pushes, and the queues that it waits in.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender};
use futures_lite::{Stream, StreamExt, ready};
use openclaw_protocol_core::client::Gap;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::from_gateway::Push;

/// The most events that wait for one subscriber.
const MOST_EVENTS: usize = 1_024;
/// The most bytes that wait for one subscriber; one event always passes.
const MOST_BYTES: usize = 16 << 20;

/// What a subscriber hears.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The gateway pushed something.
    Push(Push),
    /// Pushes were lost on the way; what was known of the gateway's state is suspect. Comes before
    /// the push that revealed it.
    Gap(Gap),
    /// This subscriber was too slow: so many events were dropped at this place.
    Lagged(u64),
    /// The connection of a [`Link`](super::Link) ended: what is pushed until the next one is missed.
    Interrupted {
        /// The close code, as in [`Self::Closed`].
        code: u16,
        /// The reason, for people.
        reason: String,
    },
    /// The connection is over, or the link; nothing follows.
    Closed {
        /// The close code, the gateway's or ours; 1006 when there was no close, 1005 when it had
        /// no code.
        code: u16,
        /// The reason, for people.
        reason: String,
    },
}

/// A subscription: a stream of [`Event`]s that ends after [`Event::Closed`].
///
/// At most 1,024 events and 16 MiB wait in it. A subscriber that falls further behind finds an
/// [`Event::Lagged`] at the place of those that were dropped; it never slows the connection or
/// other subscribers. It does not keep the connection open.
pub struct Events {
    queue: Pin<Box<Receiver<Entry>>>,
    held: Arc<AtomicUsize>,
}

impl Events {
    /// Waits for the next event; `None` after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        StreamExt::next(self).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let entry = ready!(self.queue.as_mut().poll_next(cx));
        Poll::Ready(entry.map(|entry| match entry {
            Entry::Event(event) => {
                self.held.fetch_sub(weight(&event), Ordering::Relaxed);
                event
            }
            Entry::Missed(count) => Event::Lagged(count.swap(TAKEN, Ordering::Relaxed)),
        }))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} waiting)", self.queue.len())
    }
}

/// The end of a subscription that the connection's task holds.
pub(super) struct Feed {
    queue: Sender<Entry>,
    held: Arc<AtomicUsize>,
    /// The count at the end of the queue, as long as nothing was queued after it.
    missed: Option<Arc<AtomicU64>>,
}

enum Entry {
    Event(Event),
    Missed(Arc<AtomicU64>),
}

/// A count that was read: nothing may be added to it.
const TAKEN: u64 = 0;

pub(super) fn subscription() -> (Feed, Events) {
    let (sender, receiver) = async_channel::unbounded();
    let held = Arc::new(AtomicUsize::new(0));
    let feed = Feed {
        queue: sender,
        held: held.clone(),
        missed: None,
    };
    let events = Events {
        queue: Box::pin(receiver),
        held,
    };
    (feed, events)
}

impl Feed {
    /// Queues an event or counts it as missed; `false` when nobody listens any more.
    pub(super) fn offer(&mut self, event: Event) -> bool {
        let weight = weight(&event);
        let held = self.held.load(Ordering::Relaxed);
        let full = self.queue.len() >= MOST_EVENTS || (held > 0 && held + weight > MOST_BYTES);
        if full { self.miss() } else { self.push(event) }
    }

    /// Whether nobody listens any more.
    pub(super) fn is_left(&self) -> bool {
        self.queue.is_closed()
    }

    /// Queues the last event, for which there is always room.
    pub(super) fn end(mut self, close: &Close) {
        self.push(Event::Closed {
            code: close.code,
            reason: close.reason().to_owned(),
        });
    }

    fn push(&mut self, event: Event) -> bool {
        self.missed = None;
        self.held.fetch_add(weight(&event), Ordering::Relaxed);
        self.queue.try_send(Entry::Event(event)).is_ok()
    }

    fn miss(&mut self) -> bool {
        let one_more = |count: u64| (count != TAKEN).then_some(count + 1);
        let counted = self.missed.as_ref().is_some_and(|missed| {
            missed
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .is_ok()
        });
        if counted {
            return !self.queue.is_closed();
        }
        let missed = Arc::new(AtomicU64::new(1));
        self.missed = Some(missed.clone());
        self.queue.try_send(Entry::Missed(missed)).is_ok()
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Push(push) => push.payload.len() + push.event.len() + 64,
        Event::Gap(_) | Event::Lagged(_) | Event::Interrupted { .. } | Event::Closed { .. } => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_protocol_core::json::Json;
    use smol::future::block_on;

    fn push(seq: u64, payload: Json) -> Event {
        Event::Push(Push {
            event: "tick".into(),
            payload,
            seq: Some(seq),
            state_version: None,
        })
    }

    fn take(events: &mut Events) -> String {
        match block_on(events.next()) {
            Some(Event::Push(push)) => format!("push {}", push.seq.unwrap()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_a_slow_subscriber_misses_is_counted_at_its_place() {
        let (mut feed, mut events) = subscription();
        let most = u64::try_from(MOST_EVENTS).unwrap();
        for seq in 0..most + 5 {
            assert!(feed.offer(push(seq, Json::null())));
        }
        for seq in 0..most {
            assert_eq!(take(&mut events), format!("push {seq}"));
        }
        assert!(feed.offer(push(2_000, Json::null())));
        assert_eq!(take(&mut events), "Some(Lagged(5))");
        assert_eq!(take(&mut events), "push 2000");
        feed.end(&Close::new(1012, "restart"));
        assert!(take(&mut events).contains("1012"));
        assert_eq!(take(&mut events), "None");
        assert_eq!(events.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_count_that_was_read_is_not_added_to() {
        let (mut feed, mut events) = subscription();
        let big = Json::parse(format!("\"{}\"", "x".repeat(MOST_BYTES))).unwrap();
        assert!(feed.offer(push(1, big.clone())));
        assert!(feed.offer(push(2, big.clone())));
        assert_eq!(take(&mut events), "push 1");
        assert_eq!(take(&mut events), "Some(Lagged(1))");
        assert!(feed.offer(push(3, big.clone())));
        assert!(feed.offer(push(4, big)));
        assert_eq!(take(&mut events), "push 3");
        assert_eq!(take(&mut events), "Some(Lagged(1))");
    }

    #[test]
    fn a_subscriber_that_left_is_noticed() {
        let (mut feed, events) = subscription();
        drop(events);
        assert!(!feed.offer(push(1, Json::null())));
    }
}
