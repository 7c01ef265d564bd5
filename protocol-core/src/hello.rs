//! The handshake: what a client says of itself ([`connect`]) and what it is told ([`ok`]).

pub mod connect;
pub mod ok;

use core::fmt;

/// The protocol versions that this crate speaks, oldest first.
pub const VERSIONS: [u32; 2] = [3, 4];
/// The newest of [`VERSIONS`].
pub const LATEST: u32 = 4;
/// The method of the first request.
pub const CONNECT: &str = "connect";
/// The event that greets a new connection.
pub const CHALLENGE: &str = "connect.challenge";

/// The protocol versions that a peer accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl VersionRange {
    /// The newest version that both sides speak; none for an inverted range.
    #[must_use]
    pub fn newest_common(self) -> Option<u32> {
        VERSIONS
            .into_iter()
            .rev()
            .find(|version| (self.min..=self.max).contains(version))
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_chosen() {
        for (min, max, chosen) in [
            (4, 4, Some(4)),
            (3, 4, Some(4)),
            (3, 3, Some(3)),
            (1, 99, Some(4)),
            (2, 3, Some(3)),
            (1, 1, None),
            (5, 4, None),
            (4, 3, None),
            (99, 99, None),
        ] {
            assert_eq!(
                VersionRange { min, max }.newest_common(),
                chosen,
                "{min}..{max}"
            );
        }
    }
}
