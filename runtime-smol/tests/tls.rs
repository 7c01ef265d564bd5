//! TLS at both ends, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect may end it"
)]

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "server/desk.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod desk;
#[path = "tls/secured.rs"]
mod secured;
#[path = "server/wire.rs"]
#[allow(dead_code, reason = "the other tests of a server need more of it")]
mod wire;

#[path = "tls/listening.rs"]
mod listening;
#[path = "tls/traffic.rs"]
mod traffic;
#[path = "tls/trusting.rs"]
mod trusting;
