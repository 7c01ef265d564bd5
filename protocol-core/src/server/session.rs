//! Who a connection is, once it was let in.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use crate::frame::outgoing::Publication;
use crate::scope::{Role, Scopes};

/// Who an open connection is.
#[derive(Clone, Debug)]
pub struct Session {
    /// The protocol version that was chosen for it.
    pub protocol: u32,
    /// Its role.
    pub role: Role,
    /// Its scopes.
    pub scopes: Scopes,
    /// Who it is, across reconnects.
    pub principal: Arc<str>,
    /// The features that it says it understands.
    pub caps: Box<[String]>,
}

impl Session {
    /// Whether it belongs to the audience of a push.
    #[must_use]
    pub fn hears(&self, publication: &Publication) -> bool {
        publication
            .audience
            .includes(self.role, &self.scopes, &self.caps)
    }
}
