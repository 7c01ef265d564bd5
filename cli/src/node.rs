//! A node: this host, and what it does for a gateway.
//!
//! [`desk`] decides what becomes of each invoke, [`order`] reads what is wanted, [`allowed`] says which programs may run;
//! they touch nothing. [`work`] does it. [`host`] connects, and carries between them.

pub(crate) mod allowed;
mod desk;
pub(crate) mod host;
mod info;
mod order;
mod report;
mod run;
mod which;
mod work;

/// What every node offers: what it is for, in the words of the protocol.
pub(crate) const CAPS: [&str; 1] = ["system"];

/// A command of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Command {
    /// Finds programs.
    Which,
    /// Tells how this host is.
    Info,
    /// Tells whoever reads along something.
    Notify,
    /// Runs a program that is allowed.
    Run,
}

impl Command {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Info, Self::Notify, Self::Run, Self::Which];

    /// Returns its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Which => "system.which",
            Self::Info => "system.info",
            Self::Notify => "system.notify",
            Self::Run => "system.run",
        }
    }

    /// Finds one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }
}
