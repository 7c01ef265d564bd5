//! The OpenClaw Gateway protocol as pure state machines.
//!
//! Nothing in here opens a socket, reads a clock or draws a random number: text, time and chance
//! come in as arguments, frames and deadlines go out as values. A runtime such as
//! `openclaw-runtime-smol` moves them.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod client;
pub mod device;
pub mod error_shape;
pub mod fault;
pub mod frame;
pub mod hello;
pub mod hub;
pub mod idempotency;
pub mod json;
pub mod limits;
pub mod scope;
pub mod server;
pub mod shape;
pub mod time;
