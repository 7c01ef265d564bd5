//! The scenarios for clients: each starts the client once, and makes a few checks.

mod coming_back;
mod handshake;
mod hostile;
mod pushes;
mod requests;
mod runs;
mod tolerance;

use super::Job;
use super::stage::Stage;
use super::watch::THROUGHOUT;
use crate::bench::Trouble;

/// A conversation and the checks that it makes.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What the client is started to do.
    pub job: Job,
    /// Whether anybody listens where the client is sent.
    pub listens: bool,
    /// Whether it takes a minute.
    pub slow: bool,
    /// The ids of its checks.
    pub checks: &'static [&'static str],
    /// What it does; a check that it leaves unjudged is untestable.
    pub run: fn(&Stage<'_>) -> Result<(), Trouble>,
}

const fn scenario(
    name: &'static str,
    job: Job,
    checks: &'static [&'static str],
    run: fn(&Stage<'_>) -> Result<(), Trouble>,
) -> Scenario {
    Scenario {
        name,
        job,
        listens: true,
        slow: false,
        checks,
        run,
    }
}

/// All scenarios in the order in which they begin: those that watch for a while come first.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [
        coming_back::SCENARIOS,
        pushes::SCENARIOS,
        handshake::SCENARIOS,
        runs::SCENARIOS,
        requests::SCENARIOS,
        tolerance::SCENARIOS,
        hostile::SCENARIOS,
    ]
    .concat()
}

/// The ids of all checks.
#[must_use]
pub fn checks() -> Vec<&'static str> {
    let scenarios = all();
    let own = scenarios.iter().flat_map(|scenario| scenario.checks);
    let mut checks: Vec<&str> = own.copied().chain(THROUGHOUT).collect();
    checks.sort_unstable();
    checks
}
