//! Which connections have had their hello, and which have not.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use crate::limits::Limits;
use crate::server::ConnId;

/// Connections by whether they have had their hello; those that are ending are neither.
#[derive(Debug, Default)]
pub(super) struct Standing {
    admitted: BTreeSet<ConnId>,
    strangers: BTreeSet<ConnId>,
    /// Strangers that do not come from this host.
    by_address: BTreeMap<IpAddr, BTreeSet<ConnId>>,
}

impl Standing {
    pub(super) fn arrive(&mut self, conn: ConnId, address: IpAddr) {
        self.strangers.insert(conn);
        if !address.is_loopback() {
            self.by_address.entry(address).or_default().insert(conn);
        }
    }

    pub(super) fn admit(&mut self, conn: ConnId, address: IpAddr) {
        self.leave(conn, address);
        self.admitted.insert(conn);
    }

    pub(super) fn leave(&mut self, conn: ConnId, address: IpAddr) {
        self.admitted.remove(&conn);
        if self.strangers.remove(&conn)
            && let Some(there) = self.by_address.get_mut(&address)
        {
            there.remove(&conn);
            if there.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    /// The stranger that must give way before another one may come from `address`.
    pub(super) fn surplus(&self, address: IpAddr, limits: &Limits) -> Option<ConnId> {
        if let Some(there) = self.by_address.get(&address)
            && there.len() >= limits.strangers_per_address
        {
            return there.first().copied();
        }
        if self.strangers.len() >= limits.strangers {
            return self.strangers.first().copied();
        }
        None
    }

    pub(super) const fn admitted(&self) -> &BTreeSet<ConnId> {
        &self.admitted
    }

    /// Lends the admitted connections out; [`Self::give_back`] must follow.
    pub(super) fn take_admitted(&mut self) -> BTreeSet<ConnId> {
        core::mem::take(&mut self.admitted)
    }

    /// Takes the admitted connections back that `is_admitted` still holds for.
    pub(super) fn give_back(
        &mut self,
        mut admitted: BTreeSet<ConnId>,
        is_admitted: impl Fn(ConnId) -> bool,
    ) {
        admitted.retain(|conn| is_admitted(*conn));
        self.admitted = admitted;
    }
}
