//! How long a wrong secret waits for its answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The wait after a first wrong secret.
pub const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The wait that further wrong secrets do not exceed.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How many addresses are remembered.
pub const ADDRESS_LIMIT: usize = 4096;

/// Counts wrong secrets per address, so that guessing gets slow and nobody else does.
///
/// It holds no clock and no timer: the caller keeps the answer back for as long as it is told. At most
/// [`ADDRESS_LIMIT`] addresses are remembered; the one whose last failure is longest ago is forgotten first. An IPv4 address
/// counts as one address, however it is written.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    failures: BTreeMap<IpAddr, Failures>,
    by_age: BTreeMap<(Duration, u64), IpAddr>,
    serial: u64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    wait: Duration,
    age: (Duration, u64),
}

impl Throttle {
    /// Makes a table that remembers nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a wrong secret from `address` and returns how long its answer is kept back: 250 ms, twice as long for each
    /// further one, at most 5 s.
    ///
    /// `now` is any time that does not run backwards; it only decides who is forgotten.
    pub fn failed(&mut self, address: IpAddr, now: Duration) -> Duration {
        let address = address.to_canonical();
        let wait = match self.forget(address) {
            Some(before) => before.wait.saturating_mul(2).min(LONGEST_WAIT),
            None => FIRST_WAIT,
        };
        if self.failures.len() >= ADDRESS_LIMIT
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.failures.remove(&oldest);
        }
        self.serial = self.serial.wrapping_add(1);
        let age = (now, self.serial);
        self.by_age.insert(age, address);
        self.failures.insert(address, Failures { wait, age });
        wait
    }

    /// Notes a right secret from `address`: its next wrong one counts as the first.
    pub fn succeeded(&mut self, address: IpAddr) {
        self.forget(address.to_canonical());
    }

    /// Returns how many addresses are remembered.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Tells whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    fn forget(&mut self, address: IpAddr) -> Option<Failures> {
        let known = self.failures.remove(&address)?;
        self.by_age.remove(&known.age);
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const NOW: Duration = Duration::from_secs(7);

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    fn waits(throttle: &mut Throttle, address: IpAddr, count: usize) -> Vec<u128> {
        (0..count)
            .map(|_| throttle.failed(address, NOW).as_millis())
            .collect()
    }

    #[test]
    fn the_wait_doubles_from_a_quarter_second_to_five_seconds() {
        let mut throttle = Throttle::new();
        assert_eq!(
            waits(&mut throttle, address(1), 8),
            [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]
        );
    }

    #[test]
    fn a_success_resets_the_wait_of_its_own_address_only() {
        let mut throttle = Throttle::new();
        waits(&mut throttle, address(1), 3);
        waits(&mut throttle, address(2), 3);
        throttle.succeeded(address(1));
        assert_eq!(waits(&mut throttle, address(1), 1), [250]);
        assert_eq!(waits(&mut throttle, address(2), 1), [2000]);
    }

    #[test]
    fn the_address_that_failed_longest_ago_is_forgotten_first() {
        let mut throttle = Throttle::new();
        let limit = u32::try_from(ADDRESS_LIMIT).expect("small");
        for number in 0..limit {
            throttle.failed(address(number), NOW);
        }
        throttle.failed(address(0), NOW);
        throttle.failed(address(limit), NOW);
        assert_eq!(throttle.len(), ADDRESS_LIMIT);
        assert_eq!(
            waits(&mut throttle, address(0), 1),
            [1000],
            "its second failure was recent"
        );
        assert_eq!(
            waits(&mut throttle, address(1), 1),
            [250],
            "it was the oldest"
        );
    }

    #[test]
    fn nothing_is_remembered_of_an_address_after_a_success() {
        let mut throttle = Throttle::new();
        for round in 0..3 * ADDRESS_LIMIT {
            throttle.failed(address(1), Duration::from_secs(round as u64));
            throttle.succeeded(address(1));
        }
        assert!(throttle.is_empty());
        assert!(throttle.by_age.is_empty());
    }

    #[test]
    fn an_ipv4_address_is_the_same_address_when_it_arrives_over_ipv6() {
        let mut throttle = Throttle::new();
        let plain = Ipv4Addr::new(192, 0, 2, 7);
        let mapped: Ipv6Addr = plain.to_ipv6_mapped();
        throttle.failed(plain.into(), NOW);
        assert_eq!(throttle.failed(mapped.into(), NOW), 2 * FIRST_WAIT);
        throttle.succeeded(mapped.into());
        assert!(throttle.is_empty());
    }
}
