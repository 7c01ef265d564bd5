//! Many clients, links that fail, a hub that is restarted, and a judge of what they heard.
//!
//! A seed makes a [`plan::Plan`]: who is there, what they ask, what breaks and when. The plan is
//! carried out with a clock that only the world moves, between the real [`Hub`] with a small
//! application behind it and the real machines of clients: connection, reconnect policy, mirror
//! and attachment. Everything that crosses an edge is noted in a [`history::History`], and a judge
//! that reads nothing else says afterwards whether the promises were kept.
//!
//! `SIM_SEEDS=20000 cargo test -p openclaw-testkit --test sim` tries more seeds than usual,
//! `SIM_SEED=7` tries one. `testkit/README.md` says more, and lists defects that only this finds.
//!
//! [`Hub`]: openclaw_protocol_core::hub::Hub

pub mod coverage;
mod draw;
mod faults;
mod gateway;
pub mod history;
pub mod judge;
pub mod link;
mod log;
mod peer;
pub mod plan;
mod profile;
mod task;
mod work;
mod world;

pub use plan::Plan;

use coverage::Coverage;
use history::History;
use judge::{Broken, judge};

/// The history of a seed.
#[must_use]
pub fn history(seed: u64) -> History {
    Plan::drawn(seed).play()
}

/// Carries out the plan of a seed, judges what happened, and says what was gone through.
///
/// # Errors
/// The promise that was broken, and the history.
pub fn check(seed: u64) -> Result<Coverage, Box<(Broken, History)>> {
    let history = history(seed);
    match judge(&history) {
        Ok(()) => Ok(history.coverage),
        Err(broken) => Err(Box::new((broken, history))),
    }
}

/// Carries out the plan that any bytes are, and judges what happened: the body of the fuzz target
/// `world`. It is bounded as [`Plan::from_bytes`] says.
///
/// # Panics
/// Where a promise is broken.
pub fn world(data: &[u8]) {
    let history = Plan::from_bytes(data).play();
    if let Err(broken) = judge(&history) {
        panic!("{broken}\n{}", history.transcript());
    }
}
