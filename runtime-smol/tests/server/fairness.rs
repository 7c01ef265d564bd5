//! Many peers at once, some of them greedy.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::desk::Gateway;
use crate::wire::{Client, request, sized, text};

/// How often somebody asks.
const RHYTHM: Duration = Duration::from_millis(2);
/// What 99 of 100 answers take at the most beside messages of 20 MB.
const BESIDE_BIG: Duration = Duration::from_millis(20);
/// What they take at the most beside those who ask without end.
const BESIDE_FLOODS: Duration = Duration::from_millis(100);
/// How often it is tried: what the gateway delays is late each time, what the machine does is not.
const ROUNDS: usize = 5;
/// How much later than on a busy machine an answer may come.
const BUSIER: u32 = 5;

/// How long answers take to somebody who asks in a rhythm. One answer that comes late stands for all
/// those that would have been asked for meanwhile.
struct Delays {
    count: usize,
    median: Duration,
    p99: Duration,
    worst: Duration,
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            median,
            p99,
            worst,
        } = self;
        write!(
            f,
            "{median:?}, {p99:?}, {worst:?} (median, p99, worst of {count})"
        )
    }
}

fn delays(client: &mut Client, going_on: &AtomicBool) -> Delays {
    let mut times = Vec::new();
    while going_on.load(Ordering::Acquire) || times.len() < 100 {
        thread::sleep(RHYTHM);
        let start = Instant::now();
        client.ask("health", "{}");
        let took = start.elapsed();
        let others = (1..).map_while(|asks| took.checked_sub(RHYTHM * asks));
        times.extend(others.chain([took]));
    }
    times.sort_unstable();
    Delays {
        count: times.len(),
        median: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
        worst: times[times.len() - 1],
    }
}

/// Measures while every core has something else to do.
fn delays_on_a_busy_machine(gateway: &Gateway) -> Delays {
    let mut client = gateway.client();
    let busy = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while busy.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let delays = delays(&mut client, &AtomicBool::new(false));
        busy.store(false, Ordering::Relaxed);
        delays
    })
}

/// Somebody else's answers come soon while something goes on; where the machine itself is busy, not
/// much later than they come without it.
fn while_going_on(gateway: &Gateway, soon: Duration, mut work: impl FnMut()) {
    for round in 1..=ROUNDS {
        let busy = delays_on_a_busy_machine(gateway);
        let going_on = Arc::new(AtomicBool::new(true));
        let mut other = gateway.client();
        let seen = Arc::clone(&going_on);
        let measuring = thread::spawn(move || delays(&mut other, &seen));
        work();
        going_on.store(false, Ordering::Release);
        let beside = measuring.join().unwrap();
        println!("on a busy machine {busy}, beside it {beside}");
        if beside.p99 < soon.max(busy.p99 * BUSIER) {
            return;
        }
        assert!(
            round < ROUNDS,
            "on a busy machine {busy}, beside it {beside}"
        );
    }
}

#[test]
fn a_big_answer_delays_nobody_else() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.ask("big", "20000000");
    while_going_on(&gateway, BESIDE_BIG, || {
        for _ in 0..10 {
            client.ask("big", "20000000");
        }
    });
}

#[test]
fn a_big_request_delays_nobody_else() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let bytes = text(sized(20 << 20, "measure"));
    while_going_on(&gateway, BESIDE_BIG, || {
        for _ in 0..3 {
            client.send(&bytes);
            client.answer("s");
        }
    });
}

#[test]
fn a_flood_of_requests_starves_nobody() {
    let gateway = Gateway::calm();
    let flood = |mut client: Client| {
        let mut sender = Client::over(client.stream.try_clone().unwrap());
        let sending = thread::spawn(move || {
            let bytes: Vec<u8> = (0..100)
                .flat_map(|id| request(id, "health", "{}"))
                .collect();
            for _ in 0..200 {
                sender.send(&bytes);
            }
        });
        for id in 0..20_000 {
            client.answer(id % 100);
        }
        sending.join().unwrap();
    };
    while_going_on(&gateway, BESIDE_FLOODS, || {
        thread::scope(|scope| {
            for _ in 0..4 {
                let client = gateway.client();
                scope.spawn(move || flood(client));
            }
        });
    });
}

#[test]
fn requests_of_a_peer_that_does_not_read_wait_and_are_answered_in_order() {
    let gateway = Gateway::calm();
    while_going_on(&gateway, BESIDE_FLOODS, || {
        let mut client = gateway.client();
        let mut sender = Client::over(client.stream.try_clone().unwrap());
        let params = format!(r#""{}""#, "x".repeat(1_000));
        let sending = thread::spawn(move || {
            for id in 0..10_000 {
                sender.send(request(id, "echo", &params));
            }
        });
        for id in 0..10_000 {
            client.answer(id);
        }
        sending.join().unwrap();
    });
}

#[test]
fn a_flood_of_pings_without_reading_harms_nobody() {
    let gateway = Gateway::calm();
    let pings: Vec<u8> = (0..200)
        .flat_map(|_| crate::wire::frame(true, crate::wire::PING, &[7; 125]))
        .collect();
    while_going_on(&gateway, BESIDE_FLOODS, || {
        let mut client = gateway.client();
        for _ in 0..400 {
            client.send(&pings);
        }
        client.send(request("after", "health", "{}"));
        client.answer("after");
    });
}

#[test]
fn a_hundred_clients_at_once_are_all_served() {
    let gateway = Gateway::calm();
    let mut clients: Vec<Client> = (0..100).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(request("a", "health", "{}"));
    }
    for client in &mut clients {
        client.answer("a");
    }
    assert_eq!(gateway.connections(), 100);
    drop(clients);
    gateway.until_empty();
}
