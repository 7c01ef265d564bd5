//! Peers that go without a word, at every moment at which they can.

use std::net::Shutdown;

use crate::desk::Gateway;
use crate::wire::{Client, TEXT, UPGRADE, header, request, text};

#[test]
fn a_peer_that_goes_right_after_connecting_leaves_nothing() {
    let gateway = Gateway::calm();
    for _ in 0..50 {
        drop(Client::tcp(gateway.address));
    }
    for cut in [1, 20, UPGRADE.len() - 1] {
        let mut client = Client::tcp(gateway.address);
        client.send(&UPGRADE[..cut]);
    }
    gateway.client().ask("health", "{}");
    gateway.until_empty();
}

#[test]
fn a_peer_that_goes_right_after_the_upgrade_leaves_nothing() {
    let gateway = Gateway::calm();
    for _ in 0..50 {
        let mut client = Client::tcp(gateway.address);
        client.send(UPGRADE);
    }
    for _ in 0..50 {
        drop(Client::upgrade(gateway.address));
    }
    // Whoever comes now was accepted behind them all.
    drop(gateway.client());
    gateway.until_empty();
}

#[test]
fn a_peer_that_goes_in_the_middle_of_a_frame_leaves_nothing() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.send(header(true, TEXT, 1_000));
    client.send(b"some");
    drop(client);
    gateway.until_empty();
}

#[test]
fn a_peer_that_goes_while_it_is_being_decided_on_leaves_nothing() {
    let gateway = Gateway::calm();
    gateway.ask(|desk, _, _| desk.undecided = true);
    let mut client = gateway.stranger();
    client.send(text(crate::wire::CONNECT));
    gateway.until(|desk, _| !desk.applicants.is_empty());
    drop(client);
    gateway.ask(|desk, hub, now| {
        let applicant = desk.applicants.pop().unwrap();
        hub.admit(applicant, &crate::desk::grant(), now).unwrap();
    });
    gateway.until_empty();
}

#[test]
fn a_peer_that_goes_with_requests_unanswered_leaves_nothing() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.send(request("h", "hold", "{}"));
    gateway.until(|desk, _| !desk.held.is_empty());
    drop(client);
    gateway.until_empty();
    assert!(gateway.ask(|desk, _, _| desk.held.is_empty()));
}

#[test]
fn a_peer_that_goes_while_a_big_answer_is_on_its_way_leaves_nothing() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.send(request("q", "big", "20000000"));
    client.frame();
    drop(client);
    gateway.until_empty();
}

#[test]
fn a_peer_that_only_ends_its_own_side_is_let_go() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.gone();
    gateway.until_empty();
}
