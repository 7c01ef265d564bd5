//! What is said of one check.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use crate::clause::{self, Level};
use crate::redact::redact;

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The clause was kept.
    Pass,
    /// It does not concern this peer.
    NotApplicable(String),
    /// A SHOULD was not kept.
    Warn(String),
    /// The clause was broken.
    Fail(String),
    /// It could not be judged, which counts as broken.
    Untestable(String),
}

impl Verdict {
    /// What follows from a check's outcome at a level.
    #[must_use]
    pub fn of(level: Level, kept: Result<(), String>) -> Self {
        match (kept, level) {
            (Ok(()), _) => Self::Pass,
            (Err(why), Level::Must) => Self::Fail(why),
            (Err(why), Level::Should) => Self::Warn(why),
            (Err(why), Level::May) => Self::NotApplicable(why),
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotApplicable(_) => "not applicable",
            Self::Warn(_) => "warn",
            Self::Fail(_) => "fail",
            Self::Untestable(_) => "untestable",
        }
    }

    /// Why, where there is something to say.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Pass => None,
            Self::NotApplicable(why)
            | Self::Warn(why)
            | Self::Fail(why)
            | Self::Untestable(why) => Some(why),
        }
    }

    /// The same without a secret in its reason.
    #[must_use]
    pub fn without(mut self, secret: &str) -> Self {
        match &mut self {
            Self::Pass => {}
            Self::NotApplicable(why)
            | Self::Warn(why)
            | Self::Fail(why)
            | Self::Untestable(why) => *why = redact(why, secret),
        }
        self
    }

    /// Whether it counts against the peer.
    #[must_use]
    pub const fn counts(&self, strict: bool) -> bool {
        match self {
            Self::Pass | Self::NotApplicable(_) => false,
            Self::Warn(_) => strict,
            Self::Fail(_) | Self::Untestable(_) => true,
        }
    }

    const fn weight(&self) -> u8 {
        match self {
            Self::NotApplicable(_) => 0,
            Self::Pass => 1,
            Self::Warn(_) => 2,
            Self::Untestable(_) => 3,
            Self::Fail(_) => 4,
        }
    }

    /// The graver of two verdicts on the same check; the earlier where they are alike.
    #[must_use]
    pub fn graver(self, other: Self) -> Self {
        if other.weight() > self.weight() {
            other
        } else {
            self
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.why() {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

/// The verdicts so far; a check that is judged more often keeps the gravest.
#[derive(Debug, Default)]
pub struct Verdicts(RefCell<BTreeMap<&'static str, Verdict>>);

impl Verdicts {
    /// Judges a check by what was found.
    pub fn judge(&self, id: &'static str, kept: Result<(), String>) {
        let level = clause::of(id).map_or(Level::Must, |clause| clause.level);
        self.put(id, Verdict::of(level, kept));
    }

    /// Keeps the graver of a verdict and an earlier one.
    pub fn put(&self, id: &'static str, verdict: Verdict) {
        let mut verdicts = self.0.borrow_mut();
        let graver = match verdicts.remove(id) {
            Some(earlier) => earlier.graver(verdict),
            None => verdict,
        };
        verdicts.insert(id, graver);
    }

    /// Says of a check that nothing has judged that it cannot be judged.
    pub fn leave(&self, id: &'static str, why: &str) {
        let mut verdicts = self.0.borrow_mut();
        verdicts
            .entry(id)
            .or_insert_with(|| Verdict::Untestable(why.to_owned()));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, Verdict> {
        self.0.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graver_of_two_verdicts_stays() {
        let fail = Verdict::Fail("a".into());
        let warn = Verdict::Warn("b".into());
        assert_eq!(Verdict::Pass.graver(fail.clone()), fail);
        assert_eq!(fail.clone().graver(warn.clone()), fail);
        assert_eq!(warn.clone().graver(Verdict::Pass), warn);
        let nothing = Verdict::NotApplicable("c".into());
        assert_eq!(nothing.graver(Verdict::Pass), Verdict::Pass);
    }

    #[test]
    fn the_level_decides_what_a_broken_clause_is() {
        let broken = |level| Verdict::of(level, Err("x".into()));
        assert!(broken(Level::Must).counts(false));
        assert!(!broken(Level::Should).counts(false));
        assert!(broken(Level::Should).counts(true));
        assert!(!broken(Level::May).counts(true));
        assert!(Verdict::Untestable("x".into()).counts(false));
    }
}
