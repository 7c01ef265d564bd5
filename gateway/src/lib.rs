//! The OpenClaw Gateway as an operator runs it.
//!
//! [`startup`] decides whether a gateway may start and as what, [`service`] runs it, [`app`] is
//! what it does with what its connections say.

pub mod admission;
pub mod agents;
pub mod app;
pub mod config;
pub mod device;
mod digest;
pub mod environment;
mod files;
pub mod identity;
pub mod methods;
pub mod nodes;
mod open_files;
pub mod pairing;
pub mod params;
pub mod paths;
pub mod port;
pub mod probes;
pub mod proxies;
pub mod secret;
pub mod service;
pub mod startup;
pub mod store;
pub mod tailscale;
pub mod throttle;
pub mod tls;
