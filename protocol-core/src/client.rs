//! The client's end of a connection.

mod attachment;
mod connection;
mod hello;
mod mirror;
mod reconnect;
mod recovery;
mod refusal;
mod request;
mod watcher;

pub use attachment::{Attachment, Step};
pub use connection::{Connection, Event, Timeouts};
pub use hello::Hello;
pub use mirror::Mirror;
pub use reconnect::{Ending, Next, Patience, Presents, Reconnect, Why};
pub use recovery::{Answer, Fetch, Recovery};
pub use request::{Expect, Failure, Outgoing, RequestId};
pub use watcher::{Gap, Watcher};
