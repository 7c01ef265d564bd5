//! What worlds went through, and how often.

use std::collections::BTreeMap;
use std::fmt;

/// What a world may go through: each of its operations and faults, and the moments that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trial {
    /// A client asked `health`.
    Health,
    /// A client asked `system-presence`.
    Presence,
    /// A client asked for a text.
    Text,
    /// A client asked for a text that is answered later.
    TextLater,
    /// A client asked for a text that no frame holds.
    TextTooLarge,
    /// A client asked for something that nobody knows.
    Unknown,
    /// A client announced itself with `system-event`.
    Announcement,
    /// A client asked for a run and does not care for it.
    LooseRun,
    /// A client cares for a run over as many connections as it takes.
    Run,
    /// A run was joined by somebody else, or again.
    Join,
    /// A client asked with `agent.wait` when a run ends.
    Wait,
    /// A client forgot a request.
    Forgotten,
    /// A client left.
    Leave,
    /// A client that had left came back.
    Return,
    /// The application pushed something that may be dropped.
    Delta,
    /// The application pushed something that may not be dropped.
    Ordinary,
    /// Health changed.
    HealthChange,
    /// The gateway closed a connection.
    Close,
    /// A stranger connected.
    Stranger,
    /// Somebody was let in late.
    LateDecision,
    /// A link with latency carried something.
    Latency,
    /// A link with little bandwidth carried something.
    Bandwidth,
    /// A link had no room for what waited.
    FullLink,
    /// A live link was stalled.
    Stall,
    /// A stalled link carries again, with something under way.
    Flow,
    /// A live link died, and nobody was told.
    HalfOpen,
    /// A link was cut with messages under way, some of which were lost.
    CutWithLoss,
    /// A link was cut with nothing under way.
    CutIdle,
    /// The gateway stopped with a farewell.
    Farewell,
    /// The gateway stopped without a farewell.
    Crash,
    /// The gateway restarted and still knew its runs, some of which went on.
    RestartWithRuns,
    /// The gateway restarted and had forgotten everything.
    RestartWithout,
    /// A client found nothing that listens.
    Unreachable,
    /// A client that came too early was told to come back.
    Starting,
    /// A gap was told to a client.
    Gap,
    /// A connection was closed because too much waited for it.
    SlowConsumer,
    /// A connection was closed because its peer had fallen silent.
    Silence,
}

impl Trial {
    /// All of them.
    pub const ALL: [Self; 37] = [
        Self::Health,
        Self::Presence,
        Self::Text,
        Self::TextLater,
        Self::TextTooLarge,
        Self::Unknown,
        Self::Announcement,
        Self::LooseRun,
        Self::Run,
        Self::Join,
        Self::Wait,
        Self::Forgotten,
        Self::Leave,
        Self::Return,
        Self::Delta,
        Self::Ordinary,
        Self::HealthChange,
        Self::Close,
        Self::Stranger,
        Self::LateDecision,
        Self::Latency,
        Self::Bandwidth,
        Self::FullLink,
        Self::Stall,
        Self::Flow,
        Self::HalfOpen,
        Self::CutWithLoss,
        Self::CutIdle,
        Self::Farewell,
        Self::Crash,
        Self::RestartWithRuns,
        Self::RestartWithout,
        Self::Unreachable,
        Self::Starting,
        Self::Gap,
        Self::SlowConsumer,
        Self::Silence,
    ];
}

/// How often worlds went through what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<Trial, u64>);

impl Coverage {
    pub(super) fn count(&mut self, trial: Trial) {
        *self.0.entry(trial).or_default() += 1;
    }

    /// How often it was one of them.
    #[must_use]
    pub fn of(&self, trial: Trial) -> u64 {
        self.0.get(&trial).copied().unwrap_or_default()
    }

    /// Takes over what other worlds went through.
    pub fn add(&mut self, other: &Self) {
        for (trial, count) in &other.0 {
            *self.0.entry(*trial).or_default() += count;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for trial in Trial::ALL {
            writeln!(f, "{:>9} {trial:?}", self.of(trial))?;
        }
        Ok(())
    }
}
