//! Numbers that look random and follow from a seed.

/// A sequence of numbers that only its seed decides (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    /// The sequence of a seed.
    #[must_use]
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(super) const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `limit`, which is not zero.
    pub(super) const fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// The next number as bytes of a plan.
    pub(super) const fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[0]
    }

    /// The next number as a jitter.
    pub(super) const fn jitter(&mut self) -> u32 {
        (self.number() >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_sequence() {
        let mut first = Draw::new(7);
        let mut second = Draw::new(7);
        let mut other = Draw::new(8);
        let numbers: Vec<u64> = (0..4).map(|_| first.number()).collect();
        assert_eq!(numbers, (0..4).map(|_| second.number()).collect::<Vec<_>>());
        assert_ne!(numbers, (0..4).map(|_| other.number()).collect::<Vec<_>>());
        assert!((0..99).all(|_| first.below(3) < 3));
    }
}
