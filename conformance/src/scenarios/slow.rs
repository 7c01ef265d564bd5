//! What takes up to a minute: timeouts and ticks, all waited for at once.

use std::time::{Duration, Instant};

use super::nodes::Guest;
use super::{READ, Scenario};
use crate::bench::{Bench, Ending, May, Trouble, UPGRADE};
use crate::conn::{Conn, is_push};
use crate::wire::{Stop, Wire};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "waiting",
    checks: &[
        "HSK-001/ends",
        "HSK-001/others",
        "TRN-010/ends",
        "EVT-004/tick",
        "LIV-003/ping",
        "STA-006/pushed",
    ],
    slow: true,
    run: waiting,
}];

/// How long bytes of an endless head are apart.
const PACE: Duration = Duration::from_millis(200);

/// The longest that a handshake may take.
fn handshake(bench: &Bench) -> Duration {
    bench.options.minute / 3
}

/// The longest that the head of a request may take.
fn head_time(bench: &Bench) -> Duration {
    bench.options.minute * 5 / 3
}

/// The longest time between two refreshes of health, with time to spare.
fn health(bench: &Bench) -> Duration {
    bench.options.minute * 7 / 6
}

/// The longest silence before a ping, with time to spare.
fn silence(bench: &Bench) -> Duration {
    bench.options.minute * 7 / 12
}

fn waiting(bench: &Bench) -> Result<(), Trouble> {
    let mut guest = Guest::come(bench)?;
    let waited = waited(bench, &mut guest);
    if let Some(guest) = guest {
        guest.leave()?;
    }
    waited
}

fn waited<'a>(bench: &'a Bench, guest: &mut Option<Guest<'a>>) -> Result<(), Trouble> {
    let began = Instant::now();
    let mut drip = bench.wire()?;
    let host = &bench.options.target.authority;
    let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}X-Slow: ");
    drip.send(head.as_bytes(), bench.patience())?;
    let mut silent = bench.open()?;
    let mut reader = bench.operator(READ)?;
    let mut stranger = bench.operator(&[])?;
    let tick = reader
        .hello
        .as_ref()
        .and_then(|hello| hello.integer("policy.tickIntervalMs"));
    let tick = Duration::from_millis(tick.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(30_000));
    let tick = tick.min(bench.options.minute * 3 / 2) + Duration::from_secs(3);

    let mut drip = Some(drip);
    let handshake = handshake(bench);
    while began.elapsed() < handshake && silent.ending_within(PACE)? == Ending::Open {
        drip = drip.and_then(more);
    }
    let ending = silent.ending_within(PACE)?;
    let allowed = [1000, 1008].map(May::Close);
    bench.ends(
        "HSK-001/ends",
        &format!("{handshake:?} of silence"),
        &ending,
        &allowed,
    );
    let lives = reader.lives()?;
    bench.check("HSK-001/others", lives, || {
        "others are not answered".to_owned()
    });

    // A node's numbers have no gap either, whatever was said to it alone.
    let node = guest.as_mut().map(|guest| &mut guest.conn);
    for conn in [&mut reader, &mut stranger].into_iter().chain(node) {
        let within = tick
            .saturating_sub(began.elapsed())
            .max(Duration::from_secs(1));
        let push = conn.take(within, |frame| is_push(frame, "tick"))?;
        let kept = push.is_some_and(|push| push.integer("payload.ts").is_some());
        bench.check("EVT-004/tick", kept, || format!("none within {tick:?}"));
    }
    pinged(bench, &mut stranger, began)?;
    refreshed(bench, &mut reader, began)?;
    let head_time = head_time(bench);
    while drip.is_some() && began.elapsed() < head_time {
        drip = drip.and_then(more);
    }
    bench.check("TRN-010/ends", drip.is_none(), || {
        format!("a head that never ends is read for {head_time:?}")
    });
    Ok(())
}

/// Sends one more byte of a head; nothing is left where it is not taken.
fn more(mut wire: Wire) -> Option<Wire> {
    wire.send(b"x", PACE).ok()?;
    let waits = matches!(wire.head(Instant::now() + PACE), Err(Stop::Late));
    waits.then_some(wire)
}

fn pinged(bench: &Bench, conn: &mut Conn<'_>, began: Instant) -> Result<(), Trouble> {
    let silence = silence(bench);
    while conn.pings == 0 && began.elapsed() < silence {
        conn.ending_within(Duration::from_millis(200))?;
    }
    bench.check("LIV-003/ping", conn.pings > 0, || {
        format!("none in {silence:?}")
    });
    Ok(())
}

fn refreshed(bench: &Bench, conn: &mut Conn<'_>, began: Instant) -> Result<(), Trouble> {
    let health = health(bench);
    let within = health.saturating_sub(began.elapsed());
    let shown = conn.hello("snapshot.health.ts").cloned();
    let push = conn.take(within, |frame| {
        is_push(frame, "health") && frame.at("payload.ts") != shown.as_ref()
    })?;
    bench.check("STA-006/pushed", push.is_some(), || {
        format!("health is not pushed within {health:?}")
    });
    Ok(())
}
