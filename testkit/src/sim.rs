//! Many clients, links that fail, a hub that is restarted, and a judge of what they heard.

mod draw;
mod faults;
mod gateway;
pub mod history;
pub mod link;
mod log;
mod peer;
pub mod plan;
mod profile;
mod task;
mod work;
mod world;

/// X
pub fn try_it(seed: u64) -> history::History { world::play(&plan::Plan::drawn(seed)) }
