//! A WebSocket between a client and the gateway, with a network under it that may fail.
//!
//! What was sent first arrives first, or does not arrive at all and nothing after it does: a
//! network that reorders inside a live WebSocket cannot exist.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::Value;

use super::coverage::Trial;
use super::log::Log;

/// A text message: its bytes, and what they say.
#[derive(Clone, Debug)]
pub struct Message {
    /// The text.
    pub text: Bytes,
    /// What a reader that is not the core's makes of it; `null` where it is no JSON.
    pub value: Value,
}

impl Message {
    /// A message of this text.
    #[must_use]
    pub fn new(text: Bytes) -> Rc<Self> {
        let value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        Rc::new(Self { text, value })
    }
}

/// What travels.
#[derive(Clone, Debug)]
pub enum Item {
    /// A text message.
    Text(Rc<Message>),
    /// A ping, or the pong that answers it.
    Ping,
    /// A WebSocket close.
    Close(u16, String),
    /// The end of the stream.
    End,
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Self::Text(message) => message.text.len() + 8,
            Self::Ping | Self::Close(..) | Self::End => 8,
        }
    }
}

/// One direction of a link.
#[derive(Debug)]
pub struct Pipe {
    queue: VecDeque<(u64, Item)>,
    latency: u64,
    /// Microseconds for each kilobyte.
    pace: u64,
    window: usize,
    under_way: usize,
    free_at: u64,
    is_stalled: bool,
    is_dead: bool,
    is_ended: bool,
}

impl Pipe {
    /// A pipe that carries after `latency` microseconds, a kilobyte in `pace` of them, and takes
    /// at most about `window` bytes that have not arrived.
    #[must_use]
    pub const fn new(latency: u64, pace: u64, window: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            latency,
            pace,
            window,
            under_way: 0,
            free_at: 0,
            is_stalled: false,
            is_dead: false,
            is_ended: false,
        }
    }

    /// Whether the sender may write.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.under_way < self.window && !self.is_ended
    }

    /// Sends something.
    pub fn send(&mut self, item: Item, now: u64) {
        if self.is_ended {
            return;
        }
        let size = item.size();
        self.under_way += size;
        self.is_ended = matches!(item, Item::End);
        self.free_at = self.free_at.max(now) + self.pace * size as u64 / 1024;
        self.queue.push_back((self.free_at + self.latency, item));
    }

    /// When the next thing arrives.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        if self.is_stalled || self.is_dead {
            return None;
        }
        self.queue.front().map(|(at, _)| *at)
    }

    /// What is next to arrive.
    #[must_use]
    pub fn next(&self) -> Option<&Item> {
        self.queue.front().map(|(_, item)| item)
    }

    /// What arrives now.
    pub fn take(&mut self, now: u64) -> Option<Item> {
        if self.due()? > now {
            return None;
        }
        let (_, item) = self.queue.pop_front()?;
        self.under_way -= item.size();
        Some(item)
    }

    /// Counts what it took to carry something.
    pub(super) fn carried(&self, log: &mut Log) {
        if self.latency > 0 {
            log.tried(Trial::Latency);
        }
        if self.pace > 0 {
            log.tried(Trial::Bandwidth);
        }
    }

    /// How much is under way and would arrive.
    #[must_use]
    pub fn under_way(&self) -> usize {
        if self.is_dead { 0 } else { self.queue.len() }
    }

    /// Whether it carries nothing for now.
    #[must_use]
    pub const fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Carries nothing until it is told otherwise; what is under way waits.
    pub const fn stall(&mut self, stalled: bool) {
        self.is_stalled = stalled;
    }

    /// Carries nothing any more, and tells nobody.
    pub const fn die(&mut self) {
        self.is_dead = true;
    }

    /// Breaks: what was sent first still arrives, up to `keep` things, and then the end.
    pub fn cut(&mut self, keep: usize, now: u64) {
        self.is_dead = false;
        self.is_stalled = false;
        self.queue.truncate(keep);
        self.is_ended = true;
        let last = self.queue.back().map_or(now, |(at, _)| *at);
        self.queue.push_back((last.max(now), Item::End));
        self.under_way = self.queue.iter().map(|(_, item)| item.size()).sum();
    }
}

/// Both directions between a client and the gateway.
#[derive(Debug)]
pub struct Link {
    /// Towards the gateway.
    pub up: Pipe,
    /// Towards the client.
    pub down: Pipe,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pipe: &mut Pipe, text: &'static str, now: u64) {
        pipe.send(
            Item::Text(Message::new(Bytes::from_static(text.as_bytes()))),
            now,
        );
    }

    fn arrived(pipe: &mut Pipe, now: u64) -> Vec<String> {
        std::iter::from_fn(|| pipe.take(now))
            .map(|item| match item {
                Item::Text(message) => String::from_utf8_lossy(&message.text).into_owned(),
                Item::Ping => "ping".into(),
                Item::Close(code, _) => code.to_string(),
                Item::End => "end".into(),
            })
            .collect()
    }

    #[test]
    fn what_was_sent_first_arrives_first() {
        let mut pipe = Pipe::new(10, 2_048, 1_000);
        text(&mut pipe, "1111111111111111111111111111111111111111", 0);
        text(&mut pipe, "2", 0);
        assert!(arrived(&mut pipe, 100).is_empty());
        assert_eq!(arrived(&mut pipe, 10_000).len(), 2);
    }

    #[test]
    fn a_cut_loses_the_end_of_what_was_under_way() {
        let mut pipe = Pipe::new(10, 0, 1_000);
        for word in ["1", "2", "3"] {
            text(&mut pipe, word, 0);
        }
        pipe.cut(2, 5);
        text(&mut pipe, "4", 5);
        assert_eq!(arrived(&mut pipe, 10_000), ["1", "2", "end"]);
    }

    #[test]
    fn a_stalled_pipe_fills_and_keeps_its_order() {
        let mut pipe = Pipe::new(1, 0, 20);
        pipe.stall(true);
        assert!(pipe.has_room());
        text(&mut pipe, "12345678901234567890", 0);
        assert!(!pipe.has_room());
        assert_eq!(pipe.due(), None);
        pipe.stall(false);
        assert_eq!(arrived(&mut pipe, 9), ["12345678901234567890"]);
    }
}
