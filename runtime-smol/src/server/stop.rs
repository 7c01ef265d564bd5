//! How a gateway stops: no new work, the rest ends, everybody is told, sockets close.

use std::time::Duration;

use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::server::ConnId;
use openclaw_protocol_core::time::{Instant, Now};

use super::owner::Application;

/// How long what was said last may take to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// Where the stop has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody asked for it.
    Not,
    /// Work that has begun may end by itself until then.
    Draining { until: Instant },
    /// Everything was said; it may be written until then.
    Flushing { until: Instant },
    /// Closes were sent; peers may answer them until then.
    Closing { until: Instant },
    /// Every socket is gone, or had its time.
    Over,
}

impl Stop {
    /// The first signal begins to drain; a second one ends the draining.
    pub(crate) fn signal<A: Application>(
        &mut self,
        hub: &mut Hub,
        app: &mut A,
        drain: Duration,
        now: Now,
    ) {
        match self {
            Self::Not => {
                hub.drain();
                app.drain(hub, now);
                *self = Self::Draining {
                    until: now.at + drain,
                };
            }
            Self::Draining { until } => *until = now.at,
            Self::Flushing { .. } | Self::Closing { .. } | Self::Over => {}
        }
    }

    /// Goes on as far as it can. `flushed` says whether everything that waits is written.
    pub(crate) fn advance<A: Application>(
        &mut self,
        hub: &mut Hub,
        app: &mut A,
        flushed: bool,
        now: Now,
    ) {
        match *self {
            Self::Draining { until } if app.is_drained() || until <= now.at => {
                app.finish(hub, now);
                hub.announce_shutdown("gateway stopping", None, now);
                *self = Self::Flushing {
                    until: now.at + FLUSH,
                };
            }
            Self::Flushing { until } if flushed || until <= now.at => {
                hub.close_all(&farewell(), now);
                *self = Self::Closing {
                    until: now.at + hub.limits().close,
                };
            }
            Self::Closing { until } if hub.connections() == 0 || until <= now.at => {
                *self = Self::Over;
            }
            Self::Not
            | Self::Draining { .. }
            | Self::Flushing { .. }
            | Self::Closing { .. }
            | Self::Over => {}
        }
    }

    /// A socket that comes when the others were told already is told too.
    pub(crate) fn greet(self, hub: &mut Hub, conn: ConnId, now: Now) {
        if matches!(self, Self::Closing { .. }) {
            hub.close(conn, farewell(), now);
        }
    }

    /// Whether it waits for everything to be written.
    pub(crate) const fn is_flushing(self) -> bool {
        matches!(self, Self::Flushing { .. })
    }

    /// When it must be advanced again even if nothing happens.
    pub(crate) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Draining { until } | Self::Flushing { until } | Self::Closing { until } => {
                Some(until)
            }
            Self::Not | Self::Over => None,
        }
    }
}

fn farewell() -> Close {
    Close::new(close_code::RESTART, "service restart")
}
