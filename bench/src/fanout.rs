//! How long it takes until everybody has heard a message of 1 KB.
//!
//! The message is the final `chat` push of an agent run: what operators watch all day, sent to
//! everybody who may read, and numbered for each of them. The built-in agent is told to say one
//! word of 1,000 bytes without a pause. A push's latency counts from the moment at which the first
//! of its receivers has it; the time from the request on, which is the whole run with its
//! acknowledgement and all of its pushes to everybody, is a figure of its own. The floor writes one
//! push of the same size.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::load::{Load, PATIENCE};
use crate::target::Target;
use crate::wire::{Heard, text};

/// The size of the message.
pub(crate) const MESSAGE: usize = 1_000;

/// When everybody has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// From the first receipt to each.
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    /// From the request to each receipt.
    pub(crate) run_p99: Duration,
}

/// Sends `rounds` messages to `receivers` connections.
pub(crate) fn latency(target: &Target, receivers: usize, rounds: usize) -> io::Result<Latency> {
    let mut load = Load::new(target, &["operator.read", "operator.write"])?;
    load.open(receivers)?;
    load.rest(Duration::from_millis(1_500))?;
    // A key that was used before would be answered with what came of it then.
    static RUN: AtomicUsize = AtomicUsize::new(0);
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    let mut from_request = Vec::with_capacity(receivers * rounds);
    let mut from_first = Vec::with_capacity(receivers * rounds);
    for round in 0..=rounds {
        let request = serde_json::json!({
            "type": "req", "id": format!("m{round}"), "method": "agent", "params": {
                "message": format!("/slow 0ms {}", "x".repeat(MESSAGE)),
                "idempotencyKey": format!("fan-out-{}-{run}-{round}", std::process::id()),
                "sessionKey": "agent:main:fan-out",
            }
        });
        let start = Instant::now();
        load.peers[0].send(&text(&request.to_string()))?;
        let mut heard_by = 0;
        let mut first = None;
        while heard_by < receivers {
            heard_by += load.turn(start + PATIENCE, |_, at, heard| {
                if heard != Heard::Message {
                    return Ok(0);
                }
                // The first round warms up.
                if round > 0 {
                    from_request.push(at - start);
                    from_first.push(at - *first.get_or_insert(at));
                }
                Ok(1)
            })?;
        }
        load.rest(Duration::from_millis(20))?;
    }
    from_request.sort_unstable();
    from_first.sort_unstable();
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    Ok(Latency {
        median: from_first[from_first.len() / 2],
        p99: p99(&from_first),
        run_p99: p99(&from_request),
    })
}
