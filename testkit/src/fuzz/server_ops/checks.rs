//! What holds after every step, and at the end.

use super::{SLACK, Server};

impl Server {
    /// What the connection says of itself fits what must still come.
    pub(super) fn agrees(&self) {
        let connection = &self.connection;
        let queued = connection.queued_bytes();
        assert_eq!(connection.is_ending(), self.model.is_ending());
        assert_eq!(connection.is_closed(), self.model.over);
        assert_eq!(connection.poll_timeout().is_none(), self.model.over);
        assert!(queued >= self.model.least(), "{queued} bytes are too few");
        if self.model.over {
            assert!(
                !connection.has_output() && queued == 0,
                "nothing of the dead"
            );
        }
        if self.model.owes() {
            assert!(connection.has_output(), "{:?}", self.model.waiting);
        }
        if self.model.is_ending() {
            assert_eq!((connection.open_calls(), connection.held_bytes()), (0, 0));
        } else {
            assert!(queued <= self.limits.outbox + SLACK, "{queued} bytes wait");
            assert_eq!(connection.open_calls(), self.calls.len());
            assert!(self.calls.len() <= self.limits.open_calls);
            let held: usize = self.calls.iter().map(|held| held.size).sum();
            assert_eq!(connection.held_bytes(), held);
            assert!(held <= self.limits.open_call_bytes);
        }
        let idle = self.model.waiting.is_empty() && !self.in_flight && !self.ping_may_come;
        assert!(!idle || queued == 0, "{queued} bytes of nothing");
    }

    /// Everything is answered and written; then the socket ends.
    pub(super) fn ends(mut self) {
        let now = self.clock.now();
        let open: Vec<u64> = self.calls.iter().map(|held| held.tag).collect();
        while !self.calls.is_empty() {
            self.finish(0, 1, true, now);
            self.take_events();
            self.agrees();
        }
        while self.connection.has_output() {
            self.pull();
        }
        self.pull();
        self.connection.sent();
        self.in_flight = false;
        self.agrees();
        assert_eq!(self.connection.queued_bytes(), 0);
        if !self.model.is_ending() {
            let all = |tag: &u64| self.model.answered.get(tag).is_some_and(|told| told.1 == 1);
            assert!(open.iter().all(all), "a request has no end");
            let told = self.model.answered.values().filter(|told| told.1 == 1);
            assert_eq!(told.count() as u64, self.asked);
        }
        self.connection.handle_disconnect();
        self.take_events();
        self.agrees();
        assert!(self.model.over && self.connection.poll_transmit(self.version).is_none());
    }
}
