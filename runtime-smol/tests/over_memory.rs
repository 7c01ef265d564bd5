//! Two thousand connections of which two hundred do not read while events flow; a program of its
//! own, so that nothing else is counted.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "server/desk.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod desk;
#[path = "server/wire.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod wire;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use desk::{Gateway, calm};
use openclaw_protocol_core::frame::outgoing::Class;
use openclaw_protocol_core::limits::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use wire::{Client, UPGRADE};

const HEALTHY: usize = 1_800;
const DEAF: usize = 190;
/// Those that do not read for a while.
const LATE: usize = 10;
const EVENT: usize = 16 << 10;
/// What may wait for one connection.
const OUTBOX: usize = 128 << 10;
/// How many events the late ones miss: fewer than may wait for them.
const MISSED: usize = 5;
const EVENTS: usize = 32;
/// What the process may grow by, in MiB: for each peer that does not read a batch of 64 KiB on its
/// way to the socket, twice (as text and in the WebSocket's buffer), and what all of them wait for,
/// once; doubled, for the allocator.
const GROWTH: u64 = (2 * ((DEAF + LATE) as u64 * (128 << 10) + (EVENTS * EVENT) as u64)) >> 20;

/// Why they are closed, in the log.
const REASON: &str = "the peer reads too slowly";

static CLOSES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is logged about slow consumers.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if line.contains(REASON) {
            CLOSES.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() >> 10
}

/// Whether so many descriptors may be open.
fn descriptors(count: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.is_none_or(|most| most >= count);
    enough
        && setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(limit.current.map_or(count, |current| current.max(count))),
                maximum: limit.maximum,
            },
        )
        .is_ok()
}

/// A client whose socket takes in next to nothing by itself.
fn deaf(gateway: &Gateway) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    // The system keeps what waits to be sent in proportion to this.
    socket.set_tcp_mss(536).unwrap();
    socket.connect(&gateway.address.into()).unwrap();
    let mut client = Client::over(socket.into());
    client.send(UPGRADE);
    client.upgraded();
    assert!(client.text().contains("connect.challenge"));
    client.connect();
    client
}

/// How long small requests took.
struct RoundTrips {
    median: Duration,
    p99: Duration,
}

/// Measures small requests of somebody else while something goes on.
fn round_trips_during(gateway: &Gateway, work: impl FnOnce()) -> RoundTrips {
    let mut client = gateway.client();
    let going_on = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&going_on);
    let measuring = thread::spawn(move || {
        let mut times = Vec::new();
        while seen.load(Ordering::Acquire) || times.is_empty() {
            let start = Instant::now();
            client.ask("health", "{}");
            times.push(start.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        times.sort_unstable();
        RoundTrips {
            median: times[times.len() / 2],
            p99: times[times.len() * 99 / 100],
        }
    });
    work();
    going_on.store(false, Ordering::Release);
    measuring.join().unwrap()
}

/// Every one of them hears an event.
fn all_hear(clients: &mut [Client]) {
    let share = clients.len().div_ceil(4);
    thread::scope(|scope| {
        for part in clients.chunks_mut(share) {
            scope.spawn(move || {
                for client in part {
                    assert!(
                        client
                            .text()
                            .starts_with(r#"{"type":"event","event":"news""#)
                    );
                }
            });
        }
    });
}

#[test]
fn peers_that_do_not_read_cost_the_others_nothing() {
    if !descriptors(2 * 2_000 + 200) {
        println!("skipped: too few files may be open");
        return;
    }
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let gateway = Gateway::with(Limits {
        outbox: OUTBOX,
        close: Duration::from_millis(50),
        ..calm()
    });
    let mut healthy: Vec<Client> = (0..HEALTHY).map(|_| gateway.client()).collect();
    let mut hear_alone = |_| {
        gateway.publish(EVENT, Class::Ordinary);
        all_hear(&mut healthy);
    };
    let alone = round_trips_during(&gateway, || (0..EVENTS / 2).for_each(&mut hear_alone));

    let _deaf: Vec<Client> = (0..DEAF).map(|_| deaf(&gateway)).collect();
    let mut late: Vec<Client> = (0..LATE).map(|_| deaf(&gateway)).collect();
    let before = resident();
    let mut peak = before;
    let beside = round_trips_during(&gateway, || {
        for event in 0..EVENTS {
            gateway.publish(EVENT, Class::Ordinary);
            all_hear(&mut healthy);
            // Once they read again, the late ones have everything that they missed.
            let hear = match event.cmp(&MISSED) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => MISSED + 1,
                std::cmp::Ordering::Greater => 1,
            };
            (0..hear).for_each(|_| all_hear(&mut late));
            peak = peak.max(resident());
        }
    });
    println!(
        "median and p99 alone {:?} {:?}, beside {:?} {:?}; {} MiB more at the most",
        alone.median,
        alone.p99,
        beside.median,
        beside.p99,
        peak - before
    );
    for (beside, alone) in [(beside.median, alone.median), (beside.p99, alone.p99)] {
        let bound = alone * 3 + Duration::from_millis(100);
        assert!(beside < bound, "{beside:?} after {alone:?}");
    }
    assert!(peak - before < GROWTH, "{} MiB", peak - before);

    gateway.until(|_, hub| hub.connections() == HEALTHY + LATE);
    let faults = gateway.ask(|desk, _, _| desk.faults.clone());
    assert_eq!(Vec::from_iter(faults), [(REASON.to_owned(), DEAF)]);
    let logged = CLOSES.lock().unwrap();
    assert_eq!(logged.len(), DEAF, "{logged:?}");
    assert!(logged.iter().all(|line| line.starts_with("conn=")));
    for client in healthy.iter_mut().take(10).chain(&mut late) {
        client.ask("health", "{}");
    }
}
