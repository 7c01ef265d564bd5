//! The client's end of a connection.

mod connection;
mod watcher;

pub use connection::{Connection, Event, Expect, Failure, Hello, Outgoing, RequestId, Timeouts};
pub use watcher::{Gap, Watcher};
