//! How many `health` requests a server answers in a second.

use std::io;
use std::time::{Duration, Instant};

use crate::load::{Load, PATIENCE};
use crate::target::Target;
use crate::wire::{Heard, text};

/// The size of an ordinary request.
pub(crate) const SMALL: usize = 200;

/// A `health` request of so many bytes.
pub(crate) fn sized(bytes: usize) -> String {
    let start = r#"{"type":"req","id":"123e4567-e89b-42d3-a456-426614174000","method":"health","params":{"filler":""#;
    let end = r#""}}"#;
    let filler = "x".repeat(bytes - start.len() - end.len());
    format!("{start}{filler}{end}")
}

/// Keeps `in_flight` requests on each of so many connections, and counts the answers.
pub(crate) fn per_second(
    target: &Target,
    connections: usize,
    in_flight: usize,
    time: Duration,
) -> io::Result<f64> {
    let mut load = Load::new(target, &["operator.read"])?;
    load.open(connections)?;
    let one = text(&sized(SMALL));
    let all: Vec<u8> = one.repeat(in_flight);
    for peer in &mut load.peers {
        peer.send(&all)?;
    }
    // What comes in the first tenth warms up.
    let warm = Instant::now() + time / 10;
    while Instant::now() < warm {
        answer(&mut load, &all, one.len())?;
    }
    let start = Instant::now();
    let mut answers = 0;
    while start.elapsed() < time {
        answers += answer(&mut load, &all, one.len())?;
    }
    Ok(answers as f64 / start.elapsed().as_secs_f64())
}

/// Takes what answers there are and asks as many times again.
fn answer(load: &mut Load, requests: &[u8], size: usize) -> io::Result<usize> {
    let mut answered: Vec<(usize, usize)> = Vec::new();
    let count = load.turn(Instant::now() + PATIENCE, |index, _, heard| {
        if !matches!(heard, Heard::Answer { .. }) {
            return Ok(0);
        }
        match answered.last_mut() {
            Some((last, count)) if *last == index => *count += 1,
            _ => answered.push((index, 1)),
        }
        Ok(1)
    })?;
    for (index, count) in answered {
        load.peers[index].send(&requests[..count * size])?;
    }
    Ok(count)
}

/// How many bytes an answer to `health` has.
pub(crate) fn answer_bytes(target: &Target) -> io::Result<usize> {
    let mut load = Load::new(target, &["operator.read"])?;
    load.open(1)?;
    load.peers[0].send(&text(&sized(SMALL)))?;
    let mut size = 0;
    while size == 0 {
        load.turn(Instant::now() + PATIENCE, |_, _, heard| {
            if let Heard::Answer { bytes } = heard {
                size = bytes;
            }
            Ok(0)
        })?;
    }
    Ok(size)
}
