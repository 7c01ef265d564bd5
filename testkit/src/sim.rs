//! Many clients, links that fail, a hub that is restarted, and a judge of what they heard.
//!
//! A seed makes a [`plan::Plan`]: who is there, what they ask, what breaks and when. The plan is
//! carried out with a clock that only the world moves, between the real [`Hub`] with a small
//! application behind it and the real machines of clients: connection, reconnect policy, mirror
//! and attachment. Everything that crosses an edge is noted in a [`history::History`], and a judge
//! that reads nothing else says afterwards whether the promises were kept.
//!
//! `SIM_SEEDS=20000 cargo test -p openclaw-testkit --test sim` tries more seeds than usual,
//! `SIM_SEED=7` tries one. `testkit/MUTANTS.md` lists defects that only this finds.
//!
//! [`Hub`]: openclaw_protocol_core::hub::Hub

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

use history::History;
use judge::{Broken, judge};
use plan::Plan;

/// The history of a seed.
#[must_use]
pub fn history(seed: u64) -> History {
    world::play(&Plan::drawn(seed))
}

/// Carries out the plan of a seed, and judges what happened.
///
/// # Errors
/// The promise that was broken, and the history.
pub fn check(seed: u64) -> Result<(), Box<(Broken, History)>> {
    let history = history(seed);
    judge(&history).map_err(|broken| Box::new((broken, history)))
}

/// Carries out the plan that any bytes are.
///
/// # Panics
/// Where a promise is broken.
pub fn world(data: &[u8]) {
    let history = world::play(&Plan::read(data));
    if let Err(broken) = judge(&history) {
        panic!("{broken}\n{}", history.transcript());
    }
}
