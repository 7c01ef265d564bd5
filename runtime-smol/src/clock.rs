//! The clock that the core does not have.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use openclaw_protocol_core::time::{self, Now};

/// Reads the time as the core wants it: a distance from the moment at which this clock was
/// started, and the wall clock for payloads.
///
/// Copies share the origin, so moments of one copy mean the same to another.
///
/// ```
/// use openclaw_runtime_smol::clock::Clock;
/// let clock = Clock::start();
/// let (earlier, later) = (clock.now(), clock.now());
/// assert!(earlier.at <= later.at);
/// assert!(clock.at(later.at).is_some_and(|at| at <= std::time::Instant::now()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts a clock whose origin is now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Reads the present; `unix_ms` is 0 on a machine whose wall clock lies before 1970.
    #[must_use]
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            at: time::Instant::after_origin(self.origin.elapsed()),
            unix_ms: unix.map_or(0, |unix| {
                u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
            }),
        }
    }

    /// Converts a moment of the machine's for the core; one before the origin is the origin.
    #[must_use]
    pub fn moment(&self, at: Instant) -> time::Instant {
        time::Instant::after_origin(at.saturating_duration_since(self.origin))
    }

    /// Converts a moment of the core for timers; `None` when it lies beyond what the machine can
    /// express, which means never.
    #[must_use]
    pub fn at(&self, moment: time::Instant) -> Option<Instant> {
        self.origin.checked_add(moment.since_origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_moment_survives_the_way_there_and_back() {
        let clock = Clock::start();
        let moment = time::Instant::after_origin(Duration::from_millis(1_500));
        let at = clock.at(moment).unwrap();
        assert_eq!(at - clock.origin, Duration::from_millis(1_500));
    }

    #[test]
    fn the_end_of_time_is_never() {
        let end = time::Instant::after_origin(Duration::MAX);
        assert_eq!(Clock::start().at(end), None);
    }
}
