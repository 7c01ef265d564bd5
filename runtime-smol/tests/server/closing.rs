//! The closing handshake, from either side.

use std::time::{Duration, Instant};

use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;

use crate::desk::{Gateway, calm};
use crate::wire::{CLOSE, frame, request};

fn close_all(gateway: &Gateway) {
    gateway.ask(|_, hub, now| hub.close_all(&Close::new(4000, "go away"), now));
}

#[test]
fn a_close_of_the_client_is_echoed() {
    let gateway = Gateway::calm();
    for code in [1000u16, 1001, 3000, 4001] {
        let mut client = gateway.client();
        let payload = [&code.to_be_bytes()[..], b"bye"].concat();
        client.send(frame(true, CLOSE, &payload));
        assert_eq!(client.closed(), (code, "bye".to_owned()));
        client.gone();
    }
    let mut client = gateway.client();
    client.send(frame(true, CLOSE, b""));
    let close = client.frame();
    assert_eq!((close.opcode, close.payload.len()), (CLOSE, 0));
    client.gone();
    gateway.until_empty();
}

#[test]
fn a_close_before_hello_is_echoed() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    client.close(1000);
    assert_eq!(client.closed().0, 1000);
    client.gone();
    gateway.until_empty();
}

#[test]
fn a_close_behind_requests_is_echoed_too() {
    let gateway = Gateway::calm();
    for requests in 1..40 {
        let mut client = gateway.client();
        let mut bytes: Vec<u8> = (0..requests)
            .flat_map(|id| request(id, "health", "{}"))
            .collect();
        bytes.extend(frame(true, CLOSE, &1000u16.to_be_bytes()));
        client.send(bytes);
        assert_eq!(client.closed().0, 1000, "behind {requests} requests");
        client.gone();
    }
    gateway.until_empty();
}

#[test]
fn a_close_amid_a_big_answer_is_echoed() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.send(request("q", "big", "20000000"));
    client.frame();
    client.close(1000);
    assert_eq!(client.closed().0, 1000);
    client.gone();
    gateway.until_empty();
}

#[test]
fn a_close_of_the_gateway_ends_when_the_client_answers_it() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let start = Instant::now();
    close_all(&gateway);
    assert_eq!(client.closed(), (4000, "go away".to_owned()));
    client.close(4000);
    client.gone();
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    gateway.until_empty();
}

#[test]
fn a_client_that_does_not_answer_a_close_is_dropped() {
    let gateway = Gateway::with(Limits {
        close: Duration::from_millis(100),
        ..calm()
    });
    let mut client = gateway.client();
    let start = Instant::now();
    close_all(&gateway);
    assert_eq!(client.closed().0, 4000);
    client.gone();
    assert!(start.elapsed() >= Duration::from_millis(100));
    gateway.until_empty();
}

#[test]
fn requests_behind_a_close_are_not_read() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    close_all(&gateway);
    client.send(request(1, "health", "{}"));
    client.close(1000);
    assert_eq!(client.frame().opcode, CLOSE);
    client.gone();
    assert_eq!(gateway.ask(|desk, _, _| desk.requests), 0);
}

#[test]
fn one_connection_is_closed_and_the_others_are_not() {
    let gateway = Gateway::calm();
    let mut first = gateway.client();
    let mut second = gateway.client();
    gateway.ask(|_, hub, now| hub.close(ConnId(1), Close::new(4000, "you"), now));
    assert_eq!(first.closed().0, 4000);
    second.ask("health", "{}");
}
