//! Many worlds, each from a seed: `SIM_SEEDS` says how many, `SIM_SEED` names one.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use openclaw_testkit::sim;
use openclaw_testkit::sim::coverage::{Coverage, Trial};

/// How many seeds the ordinary test tries.
const SEEDS: u64 = 2_000;
/// How often so many seeds go through everything at least.
const LEAST: u64 = 50;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn try_seed(seed: u64) -> Coverage {
    sim::check(seed).unwrap_or_else(|found| {
        let (broken, history) = *found;
        panic!(
            "{}\nseed {seed}: {broken}\nSIM_SEED={seed} cargo test -p openclaw-testkit --test sim",
            history.transcript()
        )
    })
}

/// Tries seeds from 0 on, on two threads, and says what they went through together.
fn try_seeds(seeds: u64) -> Coverage {
    let next = AtomicU64::new(0);
    let work = || {
        let mut coverage = Coverage::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return coverage;
            }
            coverage.add(&try_seed(seed));
        }
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        let mut all = Coverage::default();
        let mut failed = None;
        for thread in threads {
            match thread.join() {
                Ok(coverage) => all.add(&coverage),
                Err(panic) => failed = Some(panic),
            }
        }
        if let Some(panic) = failed {
            std::panic::resume_unwind(panic);
        }
        all
    })
}

#[test]
fn every_world_keeps_its_promises_and_nothing_stays_untried() {
    if let Some(seed) = number("SIM_SEED") {
        try_seed(seed);
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let coverage = try_seeds(seeds);
    println!("{seeds} worlds went through\n{coverage}");
    if seeds < SEEDS {
        return;
    }
    for trial in Trial::ALL {
        let count = coverage.of(trial);
        assert!(
            count >= LEAST,
            "{trial:?} happens {count} times in {seeds} seeds"
        );
    }
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

#[test]
fn a_world_of_any_bytes_is_bounded() {
    for byte in (0..=255).step_by(15) {
        let plan = sim::Plan::from_bytes(&[byte; 70_000]);
        assert!(plan.clients <= 5 && plan.steps.len() <= 120);
        let history = plan.play();
        let last = history.entries.last().map_or(0, |entry| entry.at);
        assert!(last < 1_300_000_000, "byte {byte}: {last} µs");
        let count = history.entries.len();
        assert!(count < 100_000, "byte {byte}: {count} entries");
    }
}

/// A line of a transcript is a comment, or a moment in seconds, who, and what.
#[test]
fn a_history_is_told_in_the_golden_format() {
    for seed in 0..20 {
        for line in sim::history(seed).transcript().lines() {
            if line.starts_with("# ") {
                continue;
            }
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap_or_default();
            let (moment, who, what, rest) = (word(), word(), word(), word());
            let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            let has_form = moment
                .split_once('.')
                .is_some_and(|(s, ms)| is_number(s) && is_number(ms) && ms.len() == 3);
            let says = match what {
                "open" | "ping" | "pong" | "gone" => rest.is_empty(),
                "<-" | "->" | "close" | "event" => !rest.is_empty(),
                _ => false,
            };
            assert!(has_form && says && who.starts_with('b'), "{line}");
        }
    }
}
