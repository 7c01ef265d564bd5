//! Time as the core sees it: a distance from an origin that the runtime chose.

use core::ops::Add;
use core::time::Duration;

/// A moment, measured from an origin of the runtime's choice.
///
/// Unlike `std::time::Instant` it can be built from a number, so that recorded conversations and
/// fuzz inputs can hold one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The runtime's origin.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// The moment that lies `distance` after the origin.
    #[must_use]
    pub const fn after_origin(distance: Duration) -> Self {
        Self(distance)
    }

    /// How far this moment lies from the origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time instead of overflowing.
    fn add(self, distance: Duration) -> Self {
        Self(self.0.saturating_add(distance))
    }
}

/// The present, passed into every call that depends on time.
///
/// `at` decides; `unix_ms` is only copied into payloads, so a wall clock that jumps changes no
/// decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic moment that every deadline is compared with.
    pub at: Instant,
    /// Milliseconds since 1970-01-01T00:00:00Z, as payloads carry them.
    pub unix_ms: u64,
}

/// The earliest moment at which a machine wants `handle_timeout` to be called, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// What is waiting for that moment.
    pub timer: Timer,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// The peer must have finished its handshake.
    Handshake,
    /// A ping is due.
    Ping,
    /// The peer has been silent for too long.
    Silence,
    /// A close was sent and the peer has had its time to answer it.
    Close,
    /// A request must have been answered.
    Request,
    /// The keepalive `tick` push is due.
    Tick,
    /// The `health` push is due.
    Health,
    /// The collected presence changes are to be pushed.
    Presence,
}
