//! Many peers at once, some of them greedy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::desk::Gateway;
use crate::wire::{Client, request, sized, text};

/// Measures round trips of small requests while something else goes on.
fn round_trips(client: &mut Client, going_on: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    while going_on.load(Ordering::Acquire) || times.len() < 100 {
        let start = Instant::now();
        client.ask("health", "{}");
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times
}

fn judge(what: &str, times: &[Duration]) {
    let p99 = times[times.len() * 99 / 100];
    println!(
        "{what}: {} round trips, p50 {:?}, p99 {p99:?}, worst {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
    assert!(p99 < Duration::from_millis(500), "{p99:?}");
}

fn while_going_on(gateway: &Gateway, what: &str, work: impl FnOnce()) {
    let going_on = Arc::new(AtomicBool::new(true));
    let mut other = gateway.client();
    let seen = Arc::clone(&going_on);
    let measuring = thread::spawn(move || round_trips(&mut other, &seen));
    work();
    going_on.store(false, Ordering::Release);
    judge(what, &measuring.join().unwrap());
}

#[test]
fn a_big_answer_delays_nobody_else() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.ask("big", "20000000");
    while_going_on(&gateway, "big answers", || {
        for _ in 0..3 {
            client.ask("big", "20000000");
        }
    });
}

#[test]
fn a_big_request_delays_nobody_else() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let bytes = text(sized(20 << 20, "measure"));
    while_going_on(&gateway, "big requests", || {
        for _ in 0..3 {
            client.send(&bytes);
            client.answer("s");
        }
    });
}

#[test]
fn a_flood_of_requests_starves_nobody() {
    let gateway = Gateway::calm();
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let mut client = gateway.client();
            let mut sender = Client::over(client.stream.try_clone().unwrap());
            let sending = thread::spawn(move || {
                let bytes: Vec<u8> = (0..100)
                    .flat_map(|id| request(id, "health", "{}"))
                    .collect();
                for _ in 0..200 {
                    sender.send(&bytes);
                }
            });
            thread::spawn(move || {
                for id in 0..20_000 {
                    client.answer(id % 100);
                }
                sending.join().unwrap();
            })
        })
        .collect();
    while_going_on(&gateway, "floods", || {
        for flood in floods {
            flood.join().unwrap();
        }
    });
}

#[test]
fn requests_of_a_peer_that_does_not_read_wait_and_are_answered_in_order() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let mut sender = Client::over(client.stream.try_clone().unwrap());
    let params = format!(r#""{}""#, "x".repeat(1_000));
    let sending = thread::spawn(move || {
        for id in 0..10_000 {
            sender.send(request(id, "echo", &params));
        }
    });
    while_going_on(&gateway, "a peer that does not read", || {
        for id in 0..10_000 {
            client.answer(id);
        }
    });
    sending.join().unwrap();
}

#[test]
fn a_flood_of_pings_without_reading_harms_nobody() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let mut sender = Client::over(client.stream.try_clone().unwrap());
    let pings: Vec<u8> = (0..200)
        .flat_map(|_| crate::wire::frame(true, crate::wire::PING, &[7; 125]))
        .collect();
    let sending = thread::spawn(move || {
        for _ in 0..400 {
            sender.send(&pings);
        }
        sender.send(request("after", "health", "{}"));
    });
    while_going_on(&gateway, "pings", || {
        sending.join().unwrap();
    });
    client.answer("after");
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
