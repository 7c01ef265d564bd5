//! A gateway of our own behind real sockets, judged by the bytes that come back.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect may end it"
)]

mod desk;
mod wire;

mod closing;
mod fairness;
mod frames;
mod handshake;
mod leaving;
mod liveness;
mod room;
mod stopping;
mod violations;
