//! Watches the numbers of pushes for gaps.

/// Numbers that were expected and did not come: something was lost for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The number that should have come.
    pub expected: u64,
    /// The number that came.
    pub received: u64,
}

/// Follows the numbers of one connection; starts over at each hello.
#[derive(Clone, Copy, Debug)]
pub struct Watcher {
    last: Option<u64>,
}

impl Watcher {
    /// A watcher for a protocol version: from version 4 on the numbers of a connection begin at 1;
    /// before, the first number that comes is the base.
    #[must_use]
    pub const fn new(protocol: u32) -> Self {
        Self {
            last: if protocol >= 4 { Some(0) } else { None },
        }
    }

    /// Takes the number of a push; a number that does not follow its predecessor is a gap.
    pub const fn follow(&mut self, seq: u64) -> Option<Gap> {
        let last = self.last.replace(seq);
        match last {
            Some(last) if seq != last.saturating_add(1) => Some(Gap {
                expected: last.saturating_add(1),
                received: seq,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_connection_begin_at_one() {
        let mut watcher = Watcher::new(4);
        assert_eq!(watcher.follow(1), None);
        assert_eq!(watcher.follow(2), None);
        let mut late = Watcher::new(4);
        assert_eq!(
            late.follow(3),
            Some(Gap {
                expected: 1,
                received: 3
            })
        );
    }

    #[test]
    fn a_global_counter_begins_anywhere() {
        let mut watcher = Watcher::new(3);
        assert_eq!(watcher.follow(700), None);
        assert_eq!(watcher.follow(701), None);
        assert!(watcher.follow(703).is_some());
        assert_eq!(watcher.follow(704), None);
    }
}
