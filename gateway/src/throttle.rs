//! How long a wrong secret waits for its answer, and when no more are heard.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use openclaw_protocol_core::hub::Peer;

/// The wait after a first wrong secret.
pub const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The wait that further wrong secrets do not exceed.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How many addresses and pages are remembered.
pub const SUBJECT_LIMIT: usize = 4096;

/// The section `gateway.auth.rateLimit`: when somebody who presents wrong secrets is not heard any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `maxAttempts`: so many wrong secrets lock out; 10 by default, which no person needs.
    pub attempts: usize,
    /// `windowMs`: within so long; a minute by default.
    pub window: Duration,
    /// `lockoutMs`: for so long; 5 minutes by default.
    pub lockout: Duration,
    /// `exemptLoopback`: whether programs on this host are never locked out, only slowed; true by default, so that no
    /// stranger and no stale script shuts the operator out.
    pub exempt_loopback: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            attempts: 10,
            window: Duration::from_secs(60),
            lockout: Duration::from_secs(300),
            exempt_loopback: true,
        }
    }
}

/// Whose wrong secrets are counted together.
///
/// An IPv4 address counts as one address, however it is written; of an IPv6 address only the network does (its first 64
/// bits), because whoever has one has them all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Programs on this host, by the address they use.
    Local(IpAddr),
    /// An address of elsewhere, or of a proxy.
    Remote(IpAddr),
    /// Pages in browsers on this host, all of them: not to be trusted like programs, and free to say whose page they are.
    Pages,
}

impl Subject {
    /// Tells by where a connection comes from.
    pub fn of(peer: &Peer) -> Self {
        let address = peer.address.to_canonical();
        if peer.origin.is_some() && address.is_loopback() {
            Self::Pages
        } else if peer.origin.is_none() && peer.direct_loopback {
            Self::Local(address)
        } else {
            Self::Remote(network(address))
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
    }
}

/// Counts wrong secrets per subject, so that guessing gets slow and then stops, and nobody else is hindered.
///
/// It holds no clock and no timer: the caller keeps the answer back for as long as it is told. At most [`SUBJECT_LIMIT`]
/// subjects are remembered; the one that stops mattering first, by its lockout or by its last failure, is forgotten first.
#[derive(Clone, Debug)]
pub struct Throttle {
    limit: RateLimit,
    failures: BTreeMap<Subject, Failures>,
    by_age: BTreeMap<(Duration, u64), Subject>,
    serial: u64,
}

#[derive(Clone, Debug)]
struct Failures {
    wait: Duration,
    /// When the last ones were, oldest first; never more than lock out.
    recent: VecDeque<Duration>,
    locked_until: Option<Duration>,
    age: (Duration, u64),
}

impl Throttle {
    /// Makes a table that remembers nobody.
    pub fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            failures: BTreeMap::new(),
            by_age: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Returns how long `subject` is locked out yet, if it is: what it presents is not to be looked at.
    ///
    /// `now` is any time that does not run backwards.
    pub fn lockout(&self, subject: &Subject, now: Duration) -> Option<Duration> {
        let until = self.failures.get(subject)?.locked_until?;
        until.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Notes a wrong secret from `subject` and returns how long its answer is kept back: 250 ms, twice as long for each
    /// further one, at most 5 s.
    ///
    /// The last of as many within the window as [`RateLimit`] says begins a lockout; after it they are counted anew.
    pub fn failed(&mut self, subject: Subject, now: Duration) -> Duration {
        let mut failures = match self.forget(&subject) {
            Some(before) => Failures {
                wait: before.wait.saturating_mul(2).min(LONGEST_WAIT),
                ..before
            },
            None => Failures {
                wait: FIRST_WAIT,
                recent: VecDeque::new(),
                locked_until: None,
                age: (now, 0),
            },
        };
        if failures.locked_until.is_some_and(|until| until <= now) {
            failures.locked_until = None;
            failures.recent.clear();
        }
        let exempt = self.limit.exempt_loopback && matches!(subject, Subject::Local(_));
        if failures.locked_until.is_none() && !exempt {
            let window = self.limit.window;
            failures
                .recent
                .retain(|at| now.saturating_sub(*at) < window);
            failures.recent.push_back(now);
            if failures.recent.len() >= self.limit.attempts {
                failures.locked_until = now.checked_add(self.limit.lockout);
                failures.recent.clear();
            }
        }
        if self.failures.len() >= SUBJECT_LIMIT
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.failures.remove(&oldest);
        }
        self.serial = self.serial.wrapping_add(1);
        let matters = now.saturating_add(self.limit.window);
        let matters = failures
            .locked_until
            .map_or(matters, |until| until.max(matters));
        failures.age = (matters, self.serial);
        let wait = failures.wait;
        self.by_age.insert(failures.age, subject.clone());
        self.failures.insert(subject, failures);
        wait
    }

    /// Notes a right secret from `subject`: its next wrong one counts as the first.
    pub fn succeeded(&mut self, subject: &Subject) {
        self.forget(subject);
    }

    /// Returns how many subjects are remembered.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Tells whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    fn forget(&mut self, subject: &Subject) -> Option<Failures> {
        let known = self.failures.remove(subject)?;
        self.by_age.remove(&known.age);
        Some(known)
    }
}

#[cfg(test)]
mod tests;
