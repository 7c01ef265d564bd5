//! The scenarios: each is one conversation, or a few, with many checks.

mod closing;
mod devices;
mod frames;
mod handshake;
mod hostile;
mod http;
mod limits;
mod nodes;
mod pairing;
mod presence;
mod refusals;
mod repeats;
mod requests;
mod runs;
mod scopes;
mod slow;
mod transport;

use crate::bench::{Bench, Trouble};
use crate::watch::THROUGHOUT;

/// A conversation and the checks that it makes.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The ids of its checks: a clause's, a slash, and a word.
    pub checks: &'static [&'static str],
    /// Whether it takes a minute.
    pub slow: bool,
    /// What it does; a check that it leaves unjudged is untestable.
    pub run: fn(&Bench) -> Result<(), Trouble>,
}

const fn scenario(
    name: &'static str,
    checks: &'static [&'static str],
    run: fn(&Bench) -> Result<(), Trouble>,
) -> Scenario {
    Scenario {
        name,
        checks,
        slow: false,
        run,
    }
}

/// All scenarios in the order in which they are played.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [
        http::SCENARIOS,
        transport::SCENARIOS,
        handshake::SCENARIOS,
        refusals::SCENARIOS,
        devices::SCENARIOS,
        pairing::SCENARIOS,
        &nodes::scenarios(),
        frames::SCENARIOS,
        requests::SCENARIOS,
        scopes::SCENARIOS,
        presence::SCENARIOS,
        runs::SCENARIOS,
        repeats::SCENARIOS,
        limits::SCENARIOS,
        hostile::SCENARIOS,
        closing::SCENARIOS,
        slow::SCENARIOS,
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

/// All scopes of an operator.
const ADMIN: &[&str] = &["operator.admin"];
/// May read.
const READ: &[&str] = &["operator.read"];
/// May act.
const WRITE: &[&str] = &["operator.write"];
