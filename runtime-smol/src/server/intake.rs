//! What all sockets together have read and the owner has not dealt with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A budget of memory that all sockets share.
#[derive(Debug)]
pub(crate) struct Intake {
    limit: usize,
    total: AtomicUsize,
}

impl Intake {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            total: AtomicUsize::new(0),
        }
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.total.load(Ordering::Acquire) > self.limit
    }
}

/// One socket's part of it.
#[derive(Debug)]
pub(crate) struct Portion {
    intake: Arc<Intake>,
    /// Whole messages that wait for the owner.
    messages: AtomicUsize,
    /// The part of a message that has come so far.
    partial: AtomicUsize,
    forfeited: AtomicBool,
}

impl Portion {
    pub(crate) const fn new(intake: Arc<Intake>) -> Self {
        Self {
            intake,
            messages: AtomicUsize::new(0),
            partial: AtomicUsize::new(0),
            forfeited: AtomicBool::new(false),
        }
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Ordering::Acquire)
    }

    pub(crate) fn held(&self) -> usize {
        self.messages() + self.partial.load(Ordering::Acquire)
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.messages.fetch_add(bytes, Ordering::AcqRel);
        self.count(bytes, 0);
    }

    /// Says how much of whole messages waited before.
    pub(crate) fn give_back(&self, bytes: usize) -> usize {
        let before = self.messages.fetch_sub(bytes, Ordering::AcqRel);
        self.count(0, bytes);
        before
    }

    /// So much of a message has come; says whether all sockets now hold too much.
    pub(crate) fn set_partial(&self, bytes: usize) -> bool {
        let before = self.partial.swap(bytes, Ordering::AcqRel);
        self.count(bytes, before);
        bytes > before && self.intake.is_exceeded()
    }

    /// Gives the whole portion up: its socket is about to be closed, and nothing of it counts any
    /// more.
    pub(crate) fn forfeit(&self) {
        if !self.forfeited.swap(true, Ordering::AcqRel) {
            self.intake.total.fetch_sub(self.held(), Ordering::AcqRel);
        }
    }

    pub(crate) fn is_forfeited(&self) -> bool {
        self.forfeited.load(Ordering::Acquire)
    }

    fn count(&self, more: usize, less: usize) {
        if !self.is_forfeited() {
            self.intake.total.fetch_add(more, Ordering::AcqRel);
            self.intake.total.fetch_sub(less, Ordering::AcqRel);
        }
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.forfeit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_whole_messages_of_all_sockets_count() {
        let intake = Arc::new(Intake::new(100));
        let (one, other) = (
            Portion::new(Arc::clone(&intake)),
            Portion::new(Arc::clone(&intake)),
        );
        assert!(!one.set_partial(60));
        assert!(!other.set_partial(40));
        assert!(other.set_partial(41));
        one.set_partial(0);
        assert!(!intake.is_exceeded());
        one.take(60);
        assert!(intake.is_exceeded());
        one.give_back(60);
        assert!(!intake.is_exceeded());
    }

    #[test]
    fn what_is_given_up_or_dropped_counts_no_more() {
        let intake = Arc::new(Intake::new(100));
        let greedy = Portion::new(Arc::clone(&intake));
        greedy.take(80);
        greedy.set_partial(80);
        assert!(intake.is_exceeded());
        greedy.forfeit();
        greedy.give_back(80);
        greedy.set_partial(900);
        assert!(!intake.is_exceeded());
        let gone = Portion::new(Arc::clone(&intake));
        gone.take(101);
        drop(gone);
        assert_eq!(intake.total.load(Ordering::Acquire), 0);
    }
}
