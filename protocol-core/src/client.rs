//! The client's end of a connection.

mod attachment;
mod connection;
mod mirror;
mod reconnect;
mod recovery;
mod refusal;
mod watcher;

pub use attachment::{Attachment, Step};
pub use connection::{Connection, Event, Expect, Failure, Hello, Outgoing, RequestId, Timeouts};
pub use mirror::Mirror;
pub use reconnect::{Ending, Next, Patience, Presents, Reconnect, Why};
pub use recovery::{Answer, Fetch, Recovery};
pub use watcher::{Gap, Watcher};
