//! Judges a gateway or a client of the OpenClaw Gateway protocol over real sockets.
//!
//! The judge shares no code with the gateway and the client of this repository: it has its own JSON and its own
//! WebSocket framing, so that one mistake cannot hide in both.

pub mod baseline;
pub mod bench;
pub mod clause;
pub mod client;
pub mod conn;
pub mod device;
pub mod json;
pub mod judge;
pub mod redact;
pub mod report;
pub mod scenarios;
pub mod verdict;
pub mod watch;
pub mod wire;
