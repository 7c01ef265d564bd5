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
use peak_alloc::PeakAlloc;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use wire::{Client, UPGRADE};

/// All of them, where so many files may be open.
const CONNECTIONS: usize = 2_000;
const DEAF: usize = 190;
/// Those that do not read for a while.
const LATE: usize = 10;
const EVENT: usize = 16 << 10;
/// What may wait for one connection.
const OUTBOX: usize = 128 << 10;
/// How often somebody asks for something small.
const RHYTHM: Duration = Duration::from_millis(2);
/// How many events the late ones miss: fewer than may wait for them.
const MISSED: usize = 5;
const EVENTS: usize = 32;
/// What may be allocated beyond what was: for each peer that does not read a batch of 64 KiB on its
/// way to the socket; and what all of them wait for, once: were it held for each, it would be twice
/// as much.
const GROWTH: usize = (DEAF + LATE) * (64 << 10) + EVENTS * EVENT;

/// What they do wrong.
const FAULT: &str = "the peer reads too slowly";
/// Why they are closed, in the log.
const REASON: &str = r#" closed code=1008 reason="slow consumer""#;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static CLOSES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what an operator finds in the log about slow consumers.
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

/// How many connections this process may hold both ends of, up to [`CONNECTIONS`].
fn connections() -> usize {
    const OTHER_FILES: u64 = 200;
    let limit = getrlimit(Resource::Nofile);
    let wanted = 2 * CONNECTIONS as u64 + OTHER_FILES;
    let files = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let raised = Rlimit {
        current: Some(limit.current.map_or(files, |current| current.max(files))),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap()
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
    /// The longest that a thread which has nothing to do with the gateway was kept from running.
    stall: Duration,
}

/// Measures small requests of somebody else while something goes on.
fn round_trips_during(gateway: &Gateway, work: impl FnOnce()) -> RoundTrips {
    let mut client = gateway.client();
    let going_on = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&going_on);
    let machine = thread::spawn(move || {
        let mut stall = Duration::ZERO;
        while seen.load(Ordering::Acquire) {
            let start = Instant::now();
            thread::sleep(RHYTHM);
            stall = stall.max(start.elapsed().saturating_sub(RHYTHM));
        }
        stall
    });
    let seen = Arc::clone(&going_on);
    let measuring = thread::spawn(move || {
        let mut times = Vec::new();
        while seen.load(Ordering::Acquire) || times.is_empty() {
            let start = Instant::now();
            client.ask("health", "{}");
            let took = start.elapsed();
            // One that comes late stands for all that would have been asked for meanwhile.
            let others = (1..).map_while(|asks| took.checked_sub(RHYTHM * asks));
            times.extend(others.chain([took]));
            thread::sleep(RHYTHM);
        }
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    });
    work();
    going_on.store(false, Ordering::Release);
    let (median, p99) = measuring.join().unwrap();
    let stall = machine.join().unwrap();
    RoundTrips { median, p99, stall }
}

/// Every one of them hears an event.
fn all_hear(clients: &mut [Client]) {
    let share = clients.len().div_ceil(4).max(1);
    thread::scope(|scope| {
        for part in clients.chunks_mut(share) {
            scope.spawn(move || {
                for client in part {
                    let mut text = client.text();
                    while text.starts_with(r#"{"type":"event","event":"presence""#) {
                        text = client.text();
                    }
                    let is_news = text.starts_with(r#"{"type":"event","event":"news""#);
                    assert!(is_news, "{text:.200}");
                }
            });
        }
    });
}

#[test]
fn peers_that_do_not_read_cost_the_others_nothing() {
    let connections = connections();
    assert!(
        connections >= 2 * (DEAF + LATE),
        "this test needs more open files: raise the hard limit (ulimit -Hn)"
    );
    let readers = connections - DEAF - LATE;
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let gateway = Gateway::with(Limits {
        outbox: OUTBOX,
        close: Duration::from_millis(50),
        ..calm()
    });
    let mut healthy: Vec<Client> = (0..readers).map(|_| gateway.client()).collect();
    let alone = |healthy: &mut [Client], late: &mut [Client]| {
        round_trips_during(&gateway, || {
            for _ in 0..EVENTS / 2 {
                gateway.publish(EVENT, Class::Ordinary);
                all_hear(healthy);
                all_hear(late);
            }
        })
    };
    let first = alone(&mut healthy, &mut []);

    let _deaf: Vec<Client> = (0..DEAF).map(|_| deaf(&gateway)).collect();
    let mut late: Vec<Client> = (0..LATE).map(|_| deaf(&gateway)).collect();
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
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
        }
    });
    let growth = HEAP.peak_usage() - before;
    let stall = beside.stall;
    gateway.until(move |_, hub| hub.connections() == readers + LATE);
    // What else the machine has to do comes and goes: it is compared with before and after.
    let last = alone(&mut healthy, &mut late);
    let (median, p99) = (first.median.max(last.median), first.p99.max(last.p99));
    println!(
        "median and p99 alone {median:?} {p99:?}, beside {:?} {:?}, the machine stalled for {:?}; {growth} bytes more at the most",
        beside.median, beside.p99, beside.stall,
    );
    for (beside, alone, most) in [(beside.median, median, 2), (beside.p99, p99, 3)] {
        let bound = alone * most + Duration::from_millis(100) + stall;
        assert!(beside < bound, "{beside:?} after {alone:?}");
    }
    assert!(growth < GROWTH, "{growth} of {GROWTH} bytes");

    let faults = gateway.ask(|desk, _, _| desk.faults.clone());
    assert_eq!(Vec::from_iter(faults), [(FAULT.to_owned(), DEAF)]);
    let logged = CLOSES.lock().unwrap();
    assert_eq!(logged.len(), DEAF, "{logged:?}");
    assert!(logged.iter().all(|line| line.starts_with("conn=")));
    for client in healthy.iter_mut().take(10).chain(&mut late) {
        client.ask("health", "{}");
    }
}
