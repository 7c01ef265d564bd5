//! Sockets, tasks and clock around the pure state machines of `openclaw-protocol-core`, on smol.

pub mod client;
pub mod clock;
