//! How much a peer may send, hold and delay, and how long it may be silent.

use core::time::Duration;

/// The largest frame after hello, in bytes, where nothing else is said (`maxPayload`).
pub const MAX_PAYLOAD: usize = 26_214_400;

/// The limits of one gateway; the defaults are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a frame before hello; a larger one closes with 1009. Default 65,536.
    pub frame_before_hello: usize,
    /// Bytes of a frame after hello, either way (`maxPayload`); a larger one that comes in closes
    /// with 1009, a larger answer becomes an error, a larger push is dropped with its number.
    /// Default 26,214,400.
    pub frame: usize,
    /// Bytes that may wait for one connection (`maxBufferedBytes`); past it the connection is
    /// closed with 1008 `slow consumer`. Default 52,428,800.
    pub outbox: usize,
    /// Bytes that wait for one connection from which on deltas are dropped. Default 1 MiB.
    pub outbox_soft: usize,
    /// Pushes that wait for one connection from which on deltas are dropped. Default 1,000.
    pub outbox_soft_pushes: usize,
    /// Bytes of frames that may wait while a `connect` is being decided. Default 65,536.
    pub held_before_hello: usize,
    /// Unanswered requests of one connection; one more is refused as retryable. Default 256.
    pub open_calls: usize,
    /// Bytes of the unanswered requests of one connection; one more is refused as retryable.
    /// Default 64 MiB.
    pub open_call_bytes: usize,
    /// Bytes of the unanswered requests of all connections; one more is refused as retryable.
    /// Default 256 MiB.
    pub open_call_bytes_in_all: usize,
    /// Bytes that may wait for all connections together, what they share counted once; past it the
    /// connection with the largest backlog is closed with 1008 `slow consumer`. Default 256 MiB.
    pub outbox_in_all: usize,
    /// Malformed messages in a row after hello that close the connection with 1008. Default 5.
    pub malformed_in_row: u32,
    /// Sockets without hello, in all; one more closes the oldest of them. Default 1,024.
    pub strangers: usize,
    /// Sockets without hello per address that is not loopback. Default 256.
    pub strangers_per_address: usize,
    /// How long a handshake may take before it is closed with 1008. Default 15 s.
    pub handshake: Duration,
    /// How often a connection is pinged, less up to a fifth as jitter. Default 25 s.
    pub ping: Duration,
    /// How long a peer may send nothing at all before it is dropped. Default 60 s.
    pub silence: Duration,
    /// How long a peer may take to answer a close. Default 1 s.
    pub close: Duration,
    /// How often a `tick` is pushed (`tickIntervalMs`). Default 30 s.
    pub tick: Duration,
    /// How often `health` is pushed even if nothing changed. Default 60 s.
    pub health: Duration,
    /// The shortest time between two `presence` pushes for joins and leaves. Default 1 s.
    pub presence: Duration,
    /// Rows of the presence list. Default 500.
    pub presence_rows: usize,
    /// How long a row stays after its connection left. Default 5 min.
    pub presence_kept: Duration,
    /// Agent runs at once, those that wait for their session included. Default 64.
    pub runs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_before_hello: 65_536,
            frame: MAX_PAYLOAD,
            outbox: 52_428_800,
            outbox_soft: 1 << 20,
            outbox_soft_pushes: 1_000,
            held_before_hello: 65_536,
            open_calls: 256,
            open_call_bytes: 64 << 20,
            open_call_bytes_in_all: 256 << 20,
            outbox_in_all: 256 << 20,
            malformed_in_row: 5,
            strangers: 1_024,
            strangers_per_address: 256,
            handshake: Duration::from_secs(15),
            ping: Duration::from_secs(25),
            silence: Duration::from_secs(60),
            close: Duration::from_secs(1),
            tick: Duration::from_secs(30),
            health: Duration::from_secs(60),
            presence: Duration::from_secs(1),
            presence_rows: 500,
            presence_kept: Duration::from_secs(300),
            runs: 64,
        }
    }
}
