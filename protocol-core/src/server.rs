//! One connection as a gateway sees it.
//!
//! A [`Connection`] knows nothing of its siblings; [`crate::hub::Hub`] holds them all.

mod calls;
mod connection;
mod outbox;
mod session;
mod token;

pub use connection::{Connection, Event};
pub use outbox::Delivery;
pub use session::Session;
pub use token::{Applicant, Call, ConnId, Misuse, Wrong};
