//! What must still come out of a connection, and in which order.

use std::collections::{BTreeMap, VecDeque};

use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::outgoing::{Class, StateVersion};
use serde_json::Value;

/// A reply that weighs more than this is not sent any more once the connection closes.
const SMALL_REPLY: usize = 65_536;
/// The most that a reply weighs beside its text.
const BESIDE: usize = 3_000;

/// Something that was queued.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Challenge,
    Hello(Box<str>),
    Push { serial: u64, class: Class },
    Hole,
    Reply(Reply),
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) id: Box<str>,
    /// Of which call, and whether it is the last; `None` for the answer to a fault.
    pub(super) of: Option<(u64, bool)>,
    pub(super) size: usize,
}

impl Reply {
    /// Whether a frame may hold it, where that is beyond doubt.
    fn fits(&self, frame: usize) -> Option<bool> {
        if self.size >= frame {
            Some(false)
        } else {
            (self.size + BESIDE < frame).then_some(true)
        }
    }

    /// Whether it outlasts a close, where that is beyond doubt.
    fn outlasts(&self, frame: usize) -> Option<bool> {
        match self.fits(frame) {
            Some(false) => Some(true),
            Some(true) if self.size > SMALL_REPLY => Some(false),
            _ => (self.size + BESIDE < SMALL_REPLY).then_some(true),
        }
    }
}

/// The queue of one connection as its clauses have it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) frame: usize,
    pub(super) waiting: VecDeque<Entry>,
    pub(super) numbered: u64,
    /// How it may end; the first that came counts, and two may come at once.
    pub(super) closes: Vec<Close>,
    pub(super) close_said: bool,
    pub(super) open: bool,
    pub(super) over: bool,
    /// Of each call, how often its first and its last answer was said.
    pub(super) answered: BTreeMap<u64, (u32, u32)>,
}

impl Model {
    pub(super) fn is_ending(&self) -> bool {
        self.over || !self.closes.is_empty()
    }

    pub(super) fn queue(&mut self, entry: Entry) {
        if !self.is_ending() {
            self.waiting.push_back(entry);
        }
    }

    /// A newer state takes the place of an older one.
    pub(super) fn push(&mut self, serial: u64, class: Class) {
        if matches!(class, Class::State(_)) {
            self.waiting.retain(
                |entry| !matches!(entry, Entry::Push { class: other, .. } if *other == class),
            );
        }
        self.queue(Entry::Push { serial, class });
    }

    pub(super) fn close(&mut self, close: Close) {
        let frame = self.frame;
        self.waiting.retain(|entry| match entry {
            Entry::Challenge | Entry::Hello(_) => true,
            Entry::Reply(reply) => reply.outlasts(frame) != Some(false),
            Entry::Push { .. } | Entry::Hole => false,
        });
        self.closes.push(close);
    }

    pub(super) fn end(&mut self) {
        self.waiting.clear();
        self.over = true;
    }

    /// Whether something must come.
    pub(super) fn owes(&self) -> bool {
        let close = !self.closes.is_empty() && !self.close_said && !self.over;
        close || self.waiting.iter().any(|entry| self.is_owed(entry))
    }

    fn is_owed(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Hole => false,
            Entry::Reply(reply) if self.is_ending() => reply.outlasts(self.frame) == Some(true),
            Entry::Challenge | Entry::Hello(_) | Entry::Push { .. } | Entry::Reply(_) => true,
        }
    }

    /// How many bytes of payloads wait at least.
    pub(super) fn least(&self) -> usize {
        let size = |entry: &Entry| match entry {
            Entry::Reply(reply) if self.is_owed(entry) && reply.fits(self.frame) == Some(true) => {
                reply.size
            }
            Entry::Challenge
            | Entry::Hello(_)
            | Entry::Push { .. }
            | Entry::Hole
            | Entry::Reply(_) => 0,
        };
        self.waiting.iter().map(size).sum()
    }

    /// The writer found nothing more.
    pub(super) fn is_dry(&mut self) {
        assert!(!self.owes(), "{:?} does not come", self.waiting);
        while matches!(self.waiting.front(), Some(Entry::Hole)) {
            self.waiting.pop_front();
            self.numbered += 1;
        }
    }

    /// A close came.
    pub(super) fn closed(&mut self, close: &Close) {
        assert!(self.closes.contains(close), "{close:?}, which nobody said");
        assert!(!self.close_said && !self.over, "a second close");
        assert!(
            !self.waiting.iter().any(|entry| self.is_owed(entry)),
            "{:?} was to come first",
            self.waiting
        );
        self.close_said = true;
    }

    /// A frame came: it must be the next.
    pub(super) fn heard(&mut self, frame: &Value, version: StateVersion) {
        assert!(!self.close_said && !self.over, "{frame} after the close");
        loop {
            let entry = self.waiting.pop_front();
            match entry {
                Some(Entry::Hole) => self.numbered += 1,
                Some(Entry::Reply(reply)) if !self.is(&reply, frame) => {
                    let reply = Entry::Reply(reply);
                    assert!(!self.is_owed(&reply), "{frame} in the place of {reply:?}");
                }
                Some(Entry::Reply(reply)) => return self.counts(&reply, frame),
                Some(Entry::Challenge) => {
                    assert_eq!(frame["event"], "connect.challenge");
                    assert!(frame.get("seq").is_none(), "a challenge has no number");
                    return;
                }
                Some(Entry::Hello(id)) => {
                    assert_eq!(
                        (&frame["id"], &frame["ok"]),
                        (&Value::from(&*id), &true.into())
                    );
                    self.open = true;
                    return;
                }
                Some(Entry::Push { serial, class }) => {
                    assert!(self.open, "{frame} before hello");
                    self.numbered += 1;
                    assert_eq!(frame["seq"], self.numbered, "numbers rise by one");
                    assert_eq!(frame["payload"]["serial"], serial);
                    return carries(frame, class, version);
                }
                None => panic!("{frame}, which nobody queued"),
            }
        }
    }

    fn is(&self, reply: &Reply, frame: &Value) -> bool {
        let too_large = frame["error"]["details"]["code"] == "PAYLOAD_TOO_LARGE";
        let content = match (reply.of, reply.fits(self.frame)) {
            (None, _) => frame["ok"] == false && !too_large,
            (Some(_), Some(false)) => too_large,
            (Some((tag, last)), fits) => {
                let its_own = frame["payload"]["tag"] == tag && frame["payload"]["last"] == last;
                its_own || (too_large && fits.is_none())
            }
        };
        frame["type"] == "res" && frame["id"] == *reply.id && content
    }

    fn counts(&mut self, reply: &Reply, frame: &Value) {
        let Some((tag, last)) = reply.of else { return };
        let (firsts, lasts) = self.answered.entry(tag).or_default();
        *(if last { &mut *lasts } else { &mut *firsts }) += 1;
        assert!(*firsts <= 1 && *lasts <= 1, "{frame} is said twice");
        assert!(last || *lasts == 0, "{frame} after the last answer");
    }
}

/// Pushes of versioned states carry the versions of the moment, and no others do.
fn carries(frame: &Value, class: Class, version: StateVersion) {
    let versioned = matches!(class, Class::State(state) if state.is_versioned());
    let expected = versioned.then_some((version.presence, version.health));
    let carried = frame.get("stateVersion").map(|carried| {
        let number = |name: &str| carried[name].as_u64().expect("a version is a number");
        (number("presence"), number("health"))
    });
    assert_eq!(carried, expected, "{frame}");
}
