//! What commands ask to be let do.

use openclaw_gateway_service::methods;

use super::Target;

/// What a command that only looks asks for.
pub(crate) const LOOK: [&str; 1] = [READ];
/// What a command that runs an agent asks for.
pub(crate) const RUN: [&str; 2] = [READ, WRITE];
/// What a command that asks for nodes asks for, and one that has them do something.
pub(crate) const READ: &str = "operator.read";
pub(crate) const WRITE: &str = "operator.write";
/// What a command that asks for devices asks for.
pub(crate) const PAIRING: &str = "operator.pairing";
/// What a command asks for that may do anything.
pub(crate) const ADMIN: &str = "operator.admin";
/// Everything, for who has the gateway's secret on its own host.
const ANYTHING: [&str; 5] = [ADMIN, READ, WRITE, "operator.approvals", PAIRING];

/// Somebody has to approve what a device asks for elsewhere, so it asks for no more than it needs.
impl Target {
    /// Returns what to ask for in order to call a method.
    pub(crate) fn scopes_for(&self, method: &str) -> Vec<&str> {
        let known = methods::TABLE.iter().find(|row| row.name == method);
        self.held_or(|| match known {
            Some(row) => row.scope.map(|scope| scope.as_str()).into_iter().collect(),
            None => vec![ADMIN],
        })
    }

    /// Returns what to ask for in order to tell what may be done.
    pub(crate) fn scopes_to_probe(&self) -> Vec<&str> {
        self.held_or(|| LOOK.to_vec())
    }

    /// Returns what to ask for in order to decide over devices: without `operator.admin` a device's token does so over
    /// that device alone.
    pub(crate) fn scopes_over_devices(&self) -> Vec<&'static str> {
        let is_admin = self
            .stored()
            .is_some_and(|(_, stored)| stored.scopes.iter().any(|scope| scope == ADMIN));
        if is_admin {
            vec![PAIRING, ADMIN]
        } else {
            vec![PAIRING]
        }
    }

    /// Returns what to ask for in order to do something over nodes that needs these scopes.
    pub(crate) fn scopes_over_nodes<'a>(&'a self, needed: &[&'a str]) -> Vec<&'a str> {
        self.held_or(|| needed.to_vec())
    }

    /// What is open without asking anybody, or for a device that presents the secret what it needs.
    fn held_or<'a>(&'a self, needed: impl FnOnce() -> Vec<&'a str>) -> Vec<&'a str> {
        match (&self.own, self.stored()) {
            (None, _) => ANYTHING.to_vec(),
            (Some(_), Some((_, stored))) => stored.scopes.iter().map(String::as_str).collect(),
            (Some(_), None) => needed(),
        }
    }
}
