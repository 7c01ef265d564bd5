//! What a gateway's process holds once the work is done; a program of its own, so that nothing else
//! is counted.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "server/desk.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod desk;
#[path = "server/wire.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod wire;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use desk::{Gateway, calm};
use openclaw_protocol_core::frame::outgoing::Class;
use openclaw_protocol_core::limits::Limits;
use wire::{Client, sized, text};

static ALONE: Mutex<()> = Mutex::new(());

/// Resident memory in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn connections_do_not_keep_the_room_of_their_biggest_message() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gateway = Gateway::calm();
    let mut clients: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    let bytes = text(sized(8 << 20, "measure"));
    let before = resident();
    for client in &mut clients {
        client.send(&bytes);
        client.answer("s");
    }
    // The allocator keeps some of it, the connections none.
    let kept = resident().saturating_sub(before);
    assert!(kept < 80, "{kept} MiB");
}

#[test]
fn twenty_megabytes_leave_nothing_behind_whichever_way_they_went() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let bytes = text(sized(20 << 20, "measure"));
    // The application keeps what it answers with, so it has that before.
    client.ask("big", "20000000");
    let before = resident();
    for _ in 0..3 {
        client.send(&bytes);
        client.answer("s");
        drop(client.ask("big", "20000000"));
    }
    // Sixty there and sixty back. The allocator may keep one of them; a connection that kept the
    // room of what it read and of what it wrote would be at two.
    let late = Instant::now() + wire::PATIENCE;
    while resident().saturating_sub(before) >= 36 {
        assert!(Instant::now() < late, "{} MiB", resident() - before);
        client.ask("health", "{}");
    }
}

#[test]
fn a_peer_that_does_not_read_holds_no_more_than_its_limit() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gateway = Gateway::with(Limits {
        outbox: 4 << 20,
        ..calm()
    });
    let before = resident();
    let _deaf = gateway.client();
    for _ in 0..2_000 {
        gateway.publish(64 << 10, Class::Ordinary);
    }
    gateway.until_empty();
    let kept = resident().saturating_sub(before);
    assert!(kept < 40, "{kept} MiB");
}
