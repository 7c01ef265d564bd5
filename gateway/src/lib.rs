//! The OpenClaw Gateway as an operator runs it.

pub mod config;
pub mod device;
pub mod environment;
pub mod paths;
pub mod port;
pub mod secret;
pub mod startup;
pub mod throttle;
