//! The bodies of the fuzz targets: each takes any bytes, and panics where a promise is broken.
//!
//! The targets under `fuzz/` only call them; `cargo test` runs them over the seeds that are kept there.

mod client_ops;
mod connect_params;
mod conversation;
mod door;
mod first_frame;
mod frame;
mod judge;
mod server_ops;
mod tape;
mod transcript;

#[cfg(feature = "application")]
mod config;
#[cfg(feature = "application")]
mod device_auth;
#[cfg(feature = "application")]
mod http_request;

pub use client_ops::client_ops;
pub use connect_params::connect_params;
pub use first_frame::first_frame;
pub use frame::frame;
pub use server_ops::server_ops;
pub use transcript::transcript;

pub use crate::sim::world;

#[cfg(feature = "application")]
pub use config::config;
#[cfg(feature = "application")]
pub use device_auth::device_auth;
#[cfg(feature = "application")]
pub use http_request::http_request;

/// A fuzz target: its name, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, by their names.
pub const TARGETS: &[Target] = &[
    ("first_frame", first_frame),
    ("frame", frame),
    ("server_ops", server_ops),
    ("client_ops", client_ops),
    ("connect_params", connect_params),
    ("transcript", transcript),
    ("world", world),
    #[cfg(feature = "application")]
    ("device_auth", device_auth),
    #[cfg(feature = "application")]
    ("config", config),
    #[cfg(feature = "application")]
    ("http_request", http_request),
];
