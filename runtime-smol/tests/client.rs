//! A client and a scripted gateway over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect may end it"
)]

#[path = "client/scripted.rs"]
mod scripted;

#[path = "client/connecting.rs"]
mod connecting;
#[path = "client/ending.rs"]
mod ending;
#[path = "client/events.rs"]
mod events;
#[path = "client/requests.rs"]
mod requests;
