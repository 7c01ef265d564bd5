//! Sockets, tasks and a clock around the OpenClaw Gateway protocol core, on smol.
//!
//! [`server`] drives a [`Hub`](openclaw_protocol_core::hub::Hub) for a gateway; [`http`] reads the
//! head of every socket before it becomes a WebSocket. [`client`] is the other end. [`tls`] is what
//! either end may have around its sockets.

mod boundaries;
pub mod client;
pub mod clock;
pub mod http;
mod meter;
pub mod random;
pub mod server;
pub mod threads;
pub mod tls;
mod websocket;

/// The code in the README is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
