//! What becomes of the log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use support::Home;

/// Longer than anything takes that is answered at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Many times as many as fit into a pipe and the queue.
const STRANGERS: usize = 3_000;

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let mut home = Home::new();
    let gateway = home.gateway(&["--allow-unconfigured", "--verbose"]);
    let unread = gateway.leave_log();
    for _ in 0..STRANGERS {
        let mut socket = TcpStream::connect(("127.0.0.1", home.port)).unwrap();
        socket
            .write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x80\0\0\0\0\x88\x80\0\0\0\0")
            .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
    }
    home.run_line("health").exits(0);
    drop(unread);
    gateway.signal(Signal::TERM);
    let (code, said) = gateway.end();
    assert_eq!(code, Some(0));
    assert!(said.contains("lines of the log were dropped: nobody read it"));
    assert!(said.ends_with("[cli] stopped"), "{said:.2000}");
}
