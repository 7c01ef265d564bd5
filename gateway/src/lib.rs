//! The OpenClaw Gateway as an operator runs it.

pub mod device;
pub mod environment;
pub mod paths;
pub mod throttle;
