//! How a gateway stops.

use std::thread;
use std::time::{Duration, Instant};

use openclaw_protocol_core::limits::Limits;
use openclaw_runtime_smol::server::ServerLimits;

use crate::desk::{Gateway, calm};
use crate::wire::{Client, request};

const RESTART: (u16, &str) = (1012, "service restart");

fn told(client: &mut Client) -> String {
    let (code, reason) = client.closed();
    assert_eq!((code, &*reason), RESTART);
    client.close(code);
    reason
}

#[test]
fn everybody_is_told_and_those_without_hello_too() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let mut stranger = gateway.stranger();
    gateway.stopper.stop();
    assert!(client.text().contains(r#""event":"shutdown""#));
    told(&mut client);
    told(&mut stranger);
    client.gone();
    stranger.gone();
    gateway.ended();
}

#[test]
fn an_idle_gateway_stops_at_once() {
    let gateway = Gateway::calm();
    gateway.client().ask("health", "{}");
    gateway.until_empty();
    let start = Instant::now();
    gateway.stopper.stop();
    gateway.ended();
    assert!(
        start.elapsed() < Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_drain_ends_at_its_limit() {
    let limits = ServerLimits {
        drain: Duration::from_millis(100),
        ..ServerLimits::default()
    };
    let gateway = Gateway::with_both(calm(), limits);
    gateway.ask(|desk, _, _| desk.busy = true);
    let start = Instant::now();
    gateway.stopper.stop();
    gateway.ended();
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_second_stop_ends_the_drain() {
    let gateway = Gateway::calm();
    gateway.ask(|desk, _, _| desk.busy = true);
    let mut client = gateway.client();
    gateway.stopper.stop();
    client.ask("health", "{}");
    gateway.stopper.stop();
    told(&mut client);
    gateway.ended();
}

#[test]
fn work_that_ends_ends_the_drain() {
    let gateway = Gateway::calm();
    gateway.ask(|desk, _, _| desk.busy = true);
    gateway.stopper.stop();
    gateway.ask(|desk, _, _| {
        assert!(!desk.finished);
        desk.busy = false;
    });
    gateway.ended();
}

#[test]
fn a_peer_that_never_reads_cannot_hold_the_stop() {
    let gateway = Gateway::with(Limits {
        close: Duration::from_millis(100),
        ..calm()
    });
    let mut client = gateway.client();
    client.send(request("q", "big", "20000000"));
    gateway.until(|desk, _| desk.requests == 1);
    let start = Instant::now();
    gateway.stopper.stop();
    gateway.ended();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    client.gone();
}

#[test]
fn a_peer_that_does_not_answer_the_close_cannot_hold_the_stop() {
    let gateway = Gateway::with(Limits {
        close: Duration::from_millis(100),
        ..calm()
    });
    let mut client = gateway.client();
    gateway.stopper.stop();
    gateway.ended();
    assert_eq!(client.closed().0, RESTART.0);
    client.gone();
}

#[test]
fn sockets_that_speak_http_end_with_the_gateway() {
    let gateway = Gateway::calm();
    let mut silent = Client::tcp(gateway.address);
    let mut halfway = Client::tcp(gateway.address);
    halfway.send("GET / HT");
    gateway.client();
    gateway.stopper.stop();
    gateway.ended();
    silent.gone();
    halfway.gone();
}

#[test]
fn whoever_comes_while_sockets_close_is_told_too_and_does_not_delay_the_end() {
    let gateway = Gateway::with(Limits {
        close: Duration::from_secs(5),
        ..calm()
    });
    let mut client = gateway.client();
    gateway.stopper.stop();
    assert_eq!(client.closed().0, RESTART.0);
    // The first has not answered its close, so the gateway waits for it and still listens.
    let mut late = Client::upgrade(gateway.address);
    told(&mut late);
    late.gone();
    let start = Instant::now();
    client.close(1012);
    gateway.ended();
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn the_addresses_are_free_again_when_it_has_stopped() {
    let gateway = Gateway::calm();
    let address = gateway.address;
    gateway.client();
    gateway.stopper.stop();
    gateway.ended();
    let endpoint = openclaw_runtime_smol::server::Endpoint {
        address,
        required: true,
    };
    assert!(openclaw_runtime_smol::server::Server::bind(&[endpoint]).is_ok());
}

#[test]
fn nothing_hangs_when_many_come_and_go_during_the_stop() {
    let gateway = Gateway::with(Limits {
        close: Duration::from_millis(200),
        ..calm()
    });
    gateway.ask(|desk, _, _| desk.busy = true);
    let address = gateway.address;
    let comers: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                while let Ok(stream) = std::net::TcpStream::connect(address) {
                    let _ =
                        std::io::Write::write_all(&mut &stream, crate::wire::UPGRADE.as_bytes());
                }
            })
        })
        .collect();
    gateway.stopper.stop();
    gateway.stopper.stop();
    gateway.ended();
    for comer in comers {
        comer.join().unwrap();
    }
}
