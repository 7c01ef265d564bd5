//! What waits to be sent on one connection.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::session::Session;
use crate::error_shape::ErrorShape;
use crate::frame::Close;
use crate::frame::outgoing::{Class, Frame, Outcome, Publication, StateVersion, Transmit};
use crate::json::{Object, text_len};
use crate::limits::Limits;

/// The most bytes of a reply that is still sent once the connection is closing.
const SMALL_REPLY: usize = 65_536;
/// What an envelope takes beside its payload, in bytes, about.
const ENVELOPE: usize = 64;

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It waits to be sent.
    Queued,
    /// The connection does not belong to its audience, or is not open.
    NotForThem,
    /// It was dropped because too much waits already, or because no frame may hold it; its number
    /// is spent.
    Dropped,
    /// More waits than may: the connection must be closed.
    Overflow,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    close: Option<Close>,
    waiting: usize,
    in_flight: usize,
    /// What of both is for this connection alone: answers and direct pushes.
    replies: usize,
    replies_in_flight: usize,
    pushes: usize,
    last_seq: u64,
    state_waits: [bool; 3],
    ping_waits: bool,
}

#[derive(Debug)]
enum Entry {
    Reply {
        id: Box<str>,
        outcome: Outcome,
    },
    Push(Arc<Publication>),
    /// Has no number; goes out before anything else.
    Challenge(Arc<Publication>),
    /// Has no number and is for this connection alone.
    Direct(Arc<Publication>),
    Hole(u64),
    Ping,
}

impl Entry {
    fn weight(&self) -> usize {
        match self {
            Self::Reply { id, outcome } => id.len() + outcome.weight() + ENVELOPE,
            Self::Push(publication) | Self::Challenge(publication) | Self::Direct(publication) => {
                publication.event.len() + publication.payload.len() + ENVELOPE
            }
            Self::Hole(_) => 0,
            Self::Ping => 2,
        }
    }
}

impl Outbox {
    /// Queues an answer; one that no frame may hold becomes an error at once, so that it never
    /// counts as backlog.
    pub(crate) fn reply(&mut self, id: Box<str>, outcome: Outcome, limits: &Limits) {
        if self.close.is_none() {
            let outcome = if fits(&id, &outcome, limits) {
                outcome
            } else {
                too_large(&outcome, limits)
            };
            let entry = Entry::Reply { id, outcome };
            self.replies += entry.weight();
            self.push_back(entry);
        }
    }

    /// Queues a ping, unless one waits already: a peer that does not read is not asked again.
    pub(crate) fn ping(&mut self) {
        if !core::mem::replace(&mut self.ping_waits, true) {
            self.push_back(Entry::Ping);
        }
    }

    /// Takes a ping that waits out of its turn.
    pub(crate) fn take_ping(&mut self) -> bool {
        let waited = core::mem::take(&mut self.ping_waits);
        if waited {
            self.waiting -= Entry::Ping.weight();
            self.entries.retain(|entry| !matches!(entry, Entry::Ping));
        }
        waited
    }

    /// Queues the challenge.
    pub(crate) fn challenge(&mut self, publication: Arc<Publication>) {
        self.push_back(Entry::Challenge(publication));
    }

    /// Queues a push that has no number and is for this connection alone.
    pub(crate) fn direct(&mut self, publication: Arc<Publication>, limits: &Limits) -> Delivery {
        if self.close.is_some() {
            return Delivery::NotForThem;
        }
        if publication.size_hint() > limits.frame {
            return Delivery::Dropped;
        }
        let entry = Entry::Direct(publication);
        self.replies += entry.weight();
        self.push_back(entry);
        if self.backlog() > limits.outbox {
            Delivery::Overflow
        } else {
            Delivery::Queued
        }
    }

    pub(crate) fn publish(&mut self, publication: &Arc<Publication>, limits: &Limits) -> Delivery {
        if publication.size_hint() > limits.frame {
            self.hole();
            return Delivery::Dropped;
        }
        match publication.class {
            Class::State(state) => {
                if core::mem::replace(&mut self.state_waits[state as usize], true) {
                    self.remove_older(publication.class);
                }
            }
            Class::Delta => {
                let slow =
                    self.backlog() > limits.outbox_soft || self.pushes >= limits.outbox_soft_pushes;
                if slow {
                    self.hole();
                    return Delivery::Dropped;
                }
            }
            Class::Ordinary => {}
        }
        self.pushes += 1;
        self.push_back(Entry::Push(Arc::clone(publication)));
        if self.backlog() > limits.outbox {
            Delivery::Overflow
        } else {
            Delivery::Queued
        }
    }

    /// Says how the connection ends: pushes are discarded, the challenge and small replies still go
    /// out before the close. Only the first close counts.
    pub(crate) fn close(&mut self, close: Close) {
        if self.close.is_some() {
            return;
        }
        self.entries.retain(|entry| match entry {
            Entry::Challenge(_) => true,
            Entry::Reply { .. } => entry.weight() <= SMALL_REPLY,
            Entry::Push(_) | Entry::Direct(_) | Entry::Hole(_) | Entry::Ping => false,
        });
        self.waiting = self.entries.iter().map(Entry::weight).sum();
        self.replies = self.waiting;
        self.pushes = 0;
        self.ping_waits = false;
        self.close = Some(close);
    }

    /// Forgets everything: nothing can be sent any more.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            last_seq: self.last_seq,
            ..Self::default()
        };
    }

    /// The next thing to do to the socket.
    pub(crate) fn pull(
        &mut self,
        session: Option<&Session>,
        version: StateVersion,
    ) -> Option<Transmit> {
        while let Some(entry) = self.entries.pop_front() {
            let weight = entry.weight();
            self.waiting -= weight;
            let transmit = match entry {
                Entry::Reply { id, outcome } => {
                    self.replies = self.replies.saturating_sub(weight);
                    self.replies_in_flight += weight;
                    Transmit::Frame(Frame::Response { id, outcome })
                }
                Entry::Push(publication) => {
                    self.pushes -= 1;
                    match self.number(publication, session, version) {
                        Some(frame) => Transmit::Frame(frame),
                        None => continue,
                    }
                }
                Entry::Challenge(publication) => Transmit::Frame(unnumbered(publication)),
                Entry::Direct(publication) => {
                    self.replies = self.replies.saturating_sub(weight);
                    self.replies_in_flight += weight;
                    Transmit::Frame(unnumbered(publication))
                }
                Entry::Hole(count) => {
                    self.last_seq += count;
                    continue;
                }
                Entry::Ping => {
                    self.ping_waits = false;
                    Transmit::Ping
                }
            };
            self.in_flight += weight;
            return Some(transmit);
        }
        self.close.take().map(Transmit::Close)
    }

    /// What was pulled and is not yet written counts as waiting until the writer says so.
    pub(crate) fn sent(&mut self) {
        self.in_flight = 0;
        self.replies_in_flight = 0;
    }

    /// Whether [`Self::pull`] has something to give.
    pub(crate) fn is_empty(&self) -> bool {
        let is_hole = |entry: &Entry| matches!(entry, Entry::Hole(_));
        self.close.is_none() && self.entries.iter().all(is_hole)
    }

    /// The bytes that wait, those included that were pulled and are not yet written.
    pub(crate) const fn backlog(&self) -> usize {
        self.waiting + self.in_flight
    }

    /// The bytes that wait for this connection alone. A push that is being written is not among
    /// them: what it holds is shared with everybody else who is sent it.
    pub(crate) const fn private(&self) -> usize {
        self.replies + self.replies_in_flight
    }

    fn push_back(&mut self, entry: Entry) {
        if self.close.is_none() {
            self.waiting += entry.weight();
            self.entries.push_back(entry);
        }
    }

    fn hole(&mut self) {
        if let Some(Entry::Hole(count)) = self.entries.back_mut() {
            *count += 1;
        } else {
            self.push_back(Entry::Hole(1));
        }
    }

    fn remove_older(&mut self, class: Class) {
        let older = self
            .entries
            .iter()
            .position(|entry| matches!(entry, Entry::Push(waiting) if waiting.class == class));
        if let Some(entry) = older.and_then(|index| self.entries.remove(index)) {
            self.waiting -= entry.weight();
            self.pushes -= 1;
        }
    }

    fn number(
        &mut self,
        publication: Arc<Publication>,
        session: Option<&Session>,
        version: StateVersion,
    ) -> Option<Frame> {
        let mut state_version = None;
        if let Class::State(state) = publication.class {
            self.state_waits[state as usize] = false;
            state_version = state.is_versioned().then_some(version);
        }
        if !session.is_some_and(|session| session.hears(&publication)) {
            return None;
        }
        self.last_seq += 1;
        Some(Frame::Event {
            publication,
            seq: Some(self.last_seq),
            state_version,
        })
    }
}

fn unnumbered(publication: Arc<Publication>) -> Frame {
    Frame::Event {
        publication,
        seq: None,
        state_version: None,
    }
}

/// Whether a frame may hold an answer.
pub(super) fn fits(id: &str, outcome: &Outcome, limits: &Limits) -> bool {
    text_len(id) + outcome.weight() + ENVELOPE <= limits.frame
}

/// What an answer is replaced with that no frame may hold.
fn too_large(outcome: &Outcome, limits: &Limits) -> Outcome {
    Outcome::failure(
        ErrorShape::unavailable("the answer is larger than a frame may be").with_details(
            Object::new()
                .text("code", "PAYLOAD_TOO_LARGE")
                .number("bytes", outcome.weight() as u64)
                .number("limit", limits.frame as u64),
        ),
    )
}
