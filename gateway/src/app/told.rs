//! How much of a run's text has been told, and when more may be.

use std::time::Duration;

use openclaw_protocol_core::time::{Instant, Now};

/// The shortest time between two `agent` deltas of one run. Each carries the whole text so far, so
/// an agent that bursts would otherwise flood its listeners.
pub(super) const AGENT_RHYTHM: Duration = Duration::from_millis(10);
/// The shortest time between two `chat` deltas of one run.
pub(super) const CHAT_RHYTHM: Duration = Duration::from_millis(75);

/// How many bytes of text stretch both by a millisecond, so that a long answer costs its listeners
/// no more a second than a short one.
const STRETCH: usize = 16 << 10;

/// What of the text one family of events has been told.
#[derive(Debug, Default)]
pub(super) struct Told {
    bytes: usize,
    last: Option<Instant>,
    pub(super) due: Option<Instant>,
}

impl Told {
    /// Whether it is time to tell more; if not, notes when it will be.
    pub(super) fn is_time(&mut self, rhythm: Duration, text: &str, now: Now) -> bool {
        let rhythm = rhythm.max(Duration::from_millis((text.len() / STRETCH) as u64));
        match self.last {
            Some(last) if now.at < last + rhythm => {
                self.due = Some(last + rhythm);
                false
            }
            _ => true,
        }
    }

    /// Takes what was not told yet; `None` when everything was.
    pub(super) fn take<'a>(&mut self, text: &'a str, now: Now) -> Option<&'a str> {
        self.due = None;
        let rest = &text[self.bytes..];
        if rest.is_empty() {
            return None;
        }
        self.bytes = text.len();
        self.last = Some(now.at);
        Some(rest)
    }
}
