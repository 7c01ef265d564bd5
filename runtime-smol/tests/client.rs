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
#[path = "client/link.rs"]
mod link;
#[path = "client/link_ends.rs"]
mod link_ends;
#[path = "client/link_runs.rs"]
mod link_runs;
#[path = "client/requests.rs"]
mod requests;
