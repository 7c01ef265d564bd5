//! What messages of 20 MB cost everybody else.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::load::{Load, PATIENCE};
use crate::requests;
use crate::target::Target;
use crate::wire::{Heard, text};

const BIG: usize = 20_000_000;
/// How often somebody else asks.
const RHYTHM: Duration = Duration::from_millis(2);

/// The 99th percentile of what a `health` request takes, in seconds, while another connection sends
/// one of 20 MB after the other. One answer that comes late stands for all those that would have
/// been asked for meanwhile.
pub(crate) fn health_beside(target: &Target, time: Duration) -> io::Result<f64> {
    let going_on = AtomicBool::new(true);
    let mut took = thread::scope(|scope| {
        let sending = scope.spawn(|| send(target, &going_on));
        let took = ask(target, time);
        going_on.store(false, Ordering::Relaxed);
        sending
            .join()
            .map_err(|_| io::Error::other("the sender panicked"))??;
        took
    })?;
    took.sort_unstable();
    Ok(took[took.len() * 99 / 100].as_secs_f64())
}

fn send(target: &Target, going_on: &AtomicBool) -> io::Result<()> {
    let mut load = Load::new(target, &["operator.read"])?;
    load.open(1)?;
    let request = text(&requests::sized(BIG));
    while going_on.load(Ordering::Relaxed) {
        answered(&mut load, &request)?;
    }
    Ok(())
}

fn ask(target: &Target, time: Duration) -> io::Result<Vec<Duration>> {
    let mut load = Load::new(target, &["operator.read"])?;
    load.open(1)?;
    let request = text(&requests::sized(requests::SMALL));
    let mut all = Vec::new();
    let until = Instant::now() + time;
    while Instant::now() < until {
        thread::sleep(RHYTHM);
        let start = Instant::now();
        answered(&mut load, &request)?;
        let took = start.elapsed();
        let others = (1..).map_while(|asks| took.checked_sub(RHYTHM * asks));
        all.extend(others.chain([took]));
    }
    Ok(all)
}

fn answered(load: &mut Load, request: &[u8]) -> io::Result<()> {
    load.peers[0].send(request)?;
    let late = Instant::now() + PATIENCE;
    while load.turn(late, |_, _, heard| {
        Ok(usize::from(matches!(heard, Heard::Answer { .. })))
    })? == 0
    {}
    Ok(())
}
