//! How many connections a server takes on in a second: TCP, upgrade, challenge, `connect`, hello.

use std::io;
use std::time::Instant;

use crate::load::{Load, PATIENCE};
use crate::target::Target;
use crate::wire::Heard;

/// Makes `count` connections, `at_once` at a time, each closed after its hello.
pub(crate) fn per_second(target: &Target, count: usize, at_once: usize) -> io::Result<f64> {
    let mut load = Load::new(target, &[])?;
    let start = Instant::now();
    let (mut begun, mut done) = (0, 0);
    while begun < at_once.min(count) {
        load.begin()?;
        begun += 1;
    }
    let mut finished = Vec::new();
    while done < count {
        done += load.turn(Instant::now() + PATIENCE, |index, _, heard| {
            if heard == Heard::Hello {
                finished.push(index);
                return Ok(1);
            }
            Ok(0)
        })?;
        for index in finished.drain(..) {
            if begun < count {
                load.replace(index)?;
                begun += 1;
            }
        }
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
