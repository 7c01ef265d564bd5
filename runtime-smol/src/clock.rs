//! The clock that the core does not have.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use openclaw_protocol_core::time::{Instant as Moment, Now};

/// Tells the time in the core's terms: monotonic, from the moment at which it was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            at: Moment::after_origin(self.origin.elapsed()),
            unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
        }
    }

    /// The moment at which a timer for `at` must fire.
    #[must_use]
    pub fn instant(&self, at: Moment) -> Instant {
        self.origin + at.since_origin()
    }
}
