//! A gateway's sockets: listeners, one task per socket, and the owner of the hub.
//!
//! What the gateway decides is the [`Application`]'s, what the protocol says is the core's; in
//! here bytes are moved and time passes.

mod handle;
mod intake;
mod link;
mod listener;
mod owner;
mod socket;
mod stop;

pub use handle::{Detached, Handle, HandleClosed};
pub use listener::{Endpoint, ListenError, Server, ServerLimits, Stopper};
pub use owner::Application;
