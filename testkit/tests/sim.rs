//! Many worlds, each from a seed: `SIM_SEEDS` says how many, `SIM_SEED` names one.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use openclaw_testkit::sim;

/// How many seeds the ordinary test tries.
const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn try_seed(seed: u64) {
    if let Err(found) = sim::check(seed) {
        let (broken, history) = *found;
        panic!(
            "{}\nseed {seed}: {broken}\nSIM_SEED={seed} cargo test -p openclaw-testkit --test sim",
            history.transcript()
        );
    }
}

#[test]
fn every_world_keeps_its_promises() {
    if let Some(seed) = number("SIM_SEED") {
        return try_seed(seed);
    }
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            try_seed(seed);
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in [1, 2, 3] {
        assert_eq!(
            sim::history(seed).transcript(),
            sim::history(seed).transcript()
        );
    }
}

#[test]
fn any_bytes_are_a_world() {
    sim::world(&[]);
    sim::world(b"any bytes are a world, if only a small one; these stall, cut and ask");
}
