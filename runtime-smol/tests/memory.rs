//! What a gateway's process holds once the work is done; a program of its own, so that nothing else
//! is counted. Counted is what was allocated and not given back, not what the system's allocator
//! makes of it.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "server/desk.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod desk;
#[path = "server/wire.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod wire;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use desk::{Gateway, calm};
use openclaw_protocol_core::frame::outgoing::Class;
use openclaw_protocol_core::limits::Limits;
use peak_alloc::PeakAlloc;
use wire::{Client, sized, text};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no more than `bytes` are held beyond what was held `before`.
fn gives_back_all_but(bytes: usize, before: usize) {
    let late = Instant::now() + wire::PATIENCE;
    loop {
        let kept = HEAP.current_usage().saturating_sub(before);
        if kept < bytes {
            return;
        }
        assert!(Instant::now() < late, "{kept} bytes are kept");
        thread::yield_now();
    }
}

#[test]
fn connections_do_not_keep_the_room_of_their_biggest_message() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gateway = Gateway::calm();
    let mut clients: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    let bytes = text(sized(8 << 20, "measure"));
    let before = HEAP.current_usage();
    for client in &mut clients {
        client.send(&bytes);
        client.answer("s");
    }
    gives_back_all_but(1 << 20, before);
}

#[test]
fn twenty_megabytes_leave_nothing_behind_whichever_way_they_went() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let bytes = text(sized(20 << 20, "measure"));
    // The application keeps what it answers with, so it has that before.
    client.ask("big", "20000000");
    let before = HEAP.current_usage();
    for _ in 0..3 {
        client.send(&bytes);
        client.answer("s");
        drop(client.ask("big", "20000000"));
    }
    gives_back_all_but(1 << 20, before);
}

#[test]
fn a_peer_that_does_not_read_holds_no_more_than_its_limit() {
    const OUTBOX: usize = 4 << 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gateway = Gateway::with(Limits {
        outbox: OUTBOX,
        ..calm()
    });
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let _deaf = gateway.client();
    for _ in 0..2_000 {
        gateway.publish(64 << 10, Class::Ordinary);
    }
    gateway.until_empty();
    // What waits, and what is on its way to the socket: as text and in the WebSocket's buffer.
    let most = HEAP.peak_usage() - before;
    assert!(most < OUTBOX + (1 << 20), "{most} bytes");
    gives_back_all_but(1 << 20, before);
}
