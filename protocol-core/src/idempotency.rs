//! Remembers what was asked for under a key, so that a repeat is not done twice.
//!
//! A row is reserved, then accepted, then done. Whoever repeats a request in flight waits for the
//! same work; whoever repeats it afterwards gets the stored result; whoever asks for something
//! else under the same key is refused.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::time::Duration;

use crate::error_shape::ErrorShape;
use crate::frame::outgoing::Outcome;
use crate::json::{Json, Object};
use crate::time::Instant;

/// What a row is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Who asks: a device or the holder of a secret, not a socket.
    pub principal: Arc<str>,
    /// The method.
    pub method: &'static str,
    /// The idempotency key.
    pub key: Box<str>,
}

/// A hash over what is asked for, the key left out.
pub type Digest = [u8; 32];

/// What is known under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: a row is reserved, and must be accepted or released.
    New,
    /// The same is in flight; its first answer, if that was given already.
    InFlight(Option<Accepted>),
    /// The same was done before.
    Done(Outcome),
    /// Something else was asked for under this key.
    Conflict,
}

/// The first answer to what is in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The run that does it.
    pub run_id: Box<str>,
    /// The payload of the first answer.
    pub payload: Json,
}

/// The refusal of a request whose key was used for something else.
#[must_use]
pub fn conflict() -> ErrorShape {
    ErrorShape::invalid_request("idempotency key was used before with other parameters")
        .with_details(Object::new().text("code", "IDEMPOTENCY_CONFLICT"))
}

/// How much is remembered, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a result is kept. Default 10 min.
    pub kept: Duration,
    /// Rows; past it the oldest result goes, never what is in flight. Default 4,096.
    pub rows: usize,
    /// Bytes of results; past it the oldest goes, never the only one. Default 64 MiB.
    pub bytes: usize,
}

impl Bounds {
    /// The protocol's bounds.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            kept: Duration::from_secs(600),
            rows: 4_096,
            bytes: 64 << 20,
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::standard()
    }
}

/// All rows of one gateway. They do not survive a restart.
#[derive(Debug)]
pub struct Table {
    bounds: Bounds,
    rows: BTreeMap<Key, Row>,
    done: BTreeSet<(Instant, Key)>,
    bytes: usize,
}

#[derive(Debug)]
struct Row {
    digest: Digest,
    state: State,
}

#[derive(Debug)]
enum State {
    Reserved,
    Accepted(Accepted),
    Done(Outcome),
}

impl Table {
    /// An empty table.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            rows: BTreeMap::new(),
            done: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Looks a key up, and reserves it if it is free.
    pub fn claim(&mut self, key: &Key, digest: &Digest, now: Instant) -> Claim {
        self.forget_old(now);
        match self.rows.get(key) {
            None => {
                let row = Row {
                    digest: *digest,
                    state: State::Reserved,
                };
                self.rows.insert(key.clone(), row);
                self.make_room();
                Claim::New
            }
            Some(row) if row.digest != *digest => Claim::Conflict,
            Some(row) => match &row.state {
                State::Reserved => Claim::InFlight(None),
                State::Accepted(accepted) => Claim::InFlight(Some(accepted.clone())),
                State::Done(outcome) => Claim::Done(outcome.clone()),
            },
        }
    }

    /// Gives a reserved key free again: nothing was done.
    pub fn release(&mut self, key: &Key) {
        if matches!(
            self.rows.get(key),
            Some(Row {
                state: State::Reserved,
                ..
            })
        ) {
            self.rows.remove(key);
        }
    }

    /// Notes the first answer under a reserved key.
    pub fn accept(&mut self, key: &Key, accepted: Accepted) {
        if let Some(row) = self.rows.get_mut(key)
            && matches!(row.state, State::Reserved)
        {
            row.state = State::Accepted(accepted);
        }
    }

    /// Notes the result under a key.
    pub fn finish(&mut self, key: &Key, outcome: Outcome, now: Instant) {
        let Some(row) = self.rows.get_mut(key) else {
            return;
        };
        if matches!(row.state, State::Done(_)) {
            return;
        }
        self.bytes += outcome.weight();
        row.state = State::Done(outcome);
        self.done.insert((now, key.clone()));
        self.make_room();
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.done.first()
            && *at + self.bounds.kept <= now
        {
            self.forget_oldest();
        }
    }

    fn make_room(&mut self) {
        // A result larger than all results may be is kept until the next one: its repeat must not
        // be done again at once.
        while self.rows.len() > self.bounds.rows && !self.done.is_empty()
            || self.bytes > self.bounds.bytes && self.done.len() > 1
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.done.pop_first()
            && let Some(Row {
                state: State::Done(outcome),
                ..
            }) = self.rows.remove(&key)
        {
            self.bytes -= outcome.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn key(name: &str) -> Key {
        Key {
            principal: "p".into(),
            method: "agent",
            key: name.into(),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::after_origin(Duration::from_secs(seconds))
    }

    fn outcome() -> Outcome {
        Outcome::success(Json::empty_object())
    }

    fn accepted() -> Accepted {
        Accepted {
            run_id: "r".into(),
            payload: Json::null(),
        }
    }

    #[test]
    fn a_repeat_in_flight_learns_of_the_first_answer() {
        let mut table = Table::new(Bounds::default());
        assert_eq!(table.claim(&key("a"), &[1; 32], at(0)), Claim::New);
        assert_eq!(
            table.claim(&key("a"), &[1; 32], at(0)),
            Claim::InFlight(None)
        );
        table.accept(&key("a"), accepted());
        assert_eq!(
            table.claim(&key("a"), &[1; 32], at(900)),
            Claim::InFlight(Some(accepted()))
        );
        table.finish(&key("a"), outcome(), at(900));
        assert_eq!(
            table.claim(&key("a"), &[1; 32], at(901)),
            Claim::Done(outcome())
        );
    }

    #[test]
    fn another_body_or_another_principal_is_something_else() {
        let mut table = Table::new(Bounds::default());
        assert_eq!(table.claim(&key("a"), &[1; 32], at(0)), Claim::New);
        assert_eq!(table.claim(&key("a"), &[2; 32], at(0)), Claim::Conflict);
        let other = Key {
            principal: "q".into(),
            ..key("a")
        };
        assert_eq!(table.claim(&other, &[2; 32], at(0)), Claim::New);
    }

    #[test]
    fn a_result_is_forgotten_after_its_time_and_not_before() {
        let mut table = Table::new(Bounds::default());
        let _ = table.claim(&key("a"), &[1; 32], at(0));
        table.finish(&key("a"), outcome(), at(0));
        assert_eq!(
            table.claim(&key("a"), &[1; 32], at(599)),
            Claim::Done(outcome())
        );
        assert_eq!(table.claim(&key("a"), &[1; 32], at(600)), Claim::New);
    }

    #[test]
    fn the_oldest_result_makes_room_and_what_is_in_flight_stays() {
        let mut table = Table::new(Bounds {
            rows: 2,
            ..Bounds::default()
        });
        for name in ["old", "flying"] {
            let _ = table.claim(&key(name), &[1; 32], at(0));
        }
        table.finish(&key("old"), outcome(), at(1));
        let _ = table.claim(&key("new"), &[1; 32], at(2));
        assert_eq!(
            table.claim(&key("flying"), &[1; 32], at(2)),
            Claim::InFlight(None)
        );
        for number in 0..9 {
            let _ = table.claim(&key(&number.to_string()), &[1; 32], at(3));
        }
        assert_eq!(table.len(), 11, "nothing that is in flight was dropped");
        assert_eq!(table.bytes, 0);
    }

    #[test]
    fn results_are_kept_up_to_their_bytes_and_the_newest_whatever_its_size() {
        let large = || Outcome::success(Object::new().text("x", &"x".repeat(60)));
        let mut table = Table::new(Bounds {
            bytes: large().weight() * 2,
            ..Bounds::default()
        });
        for (second, name) in (0..).zip(["first", "second", "third"]) {
            let _ = table.claim(&key(name), &[1; 32], at(second));
            table.finish(&key(name), large(), at(second));
        }
        assert_eq!(table.len(), 2, "the first made room");
        let huge = Outcome::success(Object::new().text("x", &"x".repeat(600)));
        let _ = table.claim(&key("huge"), &[1; 32], at(4));
        table.finish(&key("huge"), huge.clone(), at(4));
        assert_eq!(table.len(), 1);
        assert_eq!(
            table.claim(&key("huge"), &[1; 32], at(5)),
            Claim::Done(huge)
        );
        let _ = table.claim(&key("next"), &[1; 32], at(5));
        table.finish(&key("next"), outcome(), at(5));
        assert_eq!(table.len(), 1, "the huge one made room");
    }

    #[test]
    fn a_released_key_is_free_again() {
        let mut table = Table::new(Bounds::default());
        let _ = table.claim(&key("a"), &[1; 32], at(0));
        table.release(&key("a"));
        assert_eq!(table.claim(&key("a"), &[2; 32], at(0)), Claim::New);
    }
}
