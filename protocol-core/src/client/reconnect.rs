//! When to connect again, and when not to.

use core::time::Duration;

use serde::Deserialize;

use super::refusal::{Refusal, Verdict};
use crate::error_shape::ErrorShape;
use crate::frame::from_gateway::Push;
use crate::frame::{Close, close_code};
use crate::time::{Instant, Now};

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The least that lies between an end and the next attempt. Default 100 ms.
    pub floor: Duration,
    /// The most that lies between the first end and the next attempt; it doubles with each that
    /// follows. Default 1 s.
    pub first: Duration,
    /// Where the doubling ends. Default 30 s.
    pub most: Duration,
    /// The longest wait that a gateway may ask for. Default 5 min.
    pub longest_asked: Duration,
    /// How long a connection must have lasted after hello before its end counts as a first one.
    /// Default 30 s.
    pub stable: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            floor: Duration::from_millis(100),
            first: Duration::from_secs(1),
            most: Duration::from_secs(30),
            longest_asked: Duration::from_secs(300),
            stable: Duration::from_secs(30),
        }
    }
}

/// Decides what follows the end of a connection.
///
/// Waits have full jitter over an exponential backoff, so that clients that lost a gateway at the
/// same moment do not come back at the same moment. The backoff starts over after a connection
/// that stayed, not at hello: a gateway that lets everybody in and then falls over is not
/// hammered. What passes is tried for ever; what only the owner can change, once.
#[derive(Clone, Debug)]
pub struct Reconnect {
    patience: Patience,
    /// Ends in a row without a connection that stayed.
    attempts: u32,
    greeted: Option<Instant>,
    /// When the gateway that announced its restart expects to be back.
    expected: Option<Instant>,
    device_token: DeviceToken,
}

/// How a connection, or the attempt to make one, ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ending<'a> {
    /// Nothing listens there, or nothing that answers.
    Unreachable,
    /// The WebSocket handshake was answered with this HTTP status, or not in HTTP.
    NotAGateway(Option<u16>),
    /// Who answers there could not prove to be the gateway.
    Untrusted,
    /// The gateway refused `connect`.
    Refused(&'a ErrorShape),
    /// The connection was closed, by either end, or was lost.
    Closed(&'a Close),
}

/// What to do after a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Connect again at this moment.
    RetryAt(Instant, Why),
    /// Do nothing until the owner says so; see [`Reconnect::resume`].
    Pause(Why),
    /// Do nothing any more: this client and this gateway do not go together.
    Stop(Why),
}

/// Why a client is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Nothing answers at the address.
    Unreachable,
    /// What answers there is no gateway.
    NotAGateway,
    /// Who answers there is not believed to be the gateway: the owner must look at its certificate.
    Untrusted,
    /// The connection ended.
    Lost,
    /// The gateway restarts, and said so.
    Restarting,
    /// The gateway is starting.
    Starting,
    /// The gateway cannot let us in now.
    Unavailable,
    /// The credentials were refused, and the device's own token is tried once.
    TryingDeviceToken,
    /// The credentials are missing or wrong: the owner must change them.
    Credentials,
    /// The device must be approved, or must present itself.
    Pairing,
    /// The device was removed from the gateway.
    Removed,
    /// The gateway refuses what the client says of itself, or where it comes from.
    Refused,
    /// Client and gateway speak no common version.
    Version,
}

/// Which secret the next `connect` presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presents {
    /// What the owner configured.
    Configured,
    /// The device's own token.
    DeviceToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceToken {
    None,
    Held,
    Presented,
    Spent,
}

impl Reconnect {
    /// A policy for a client that has not connected yet; `holds_device_token` says whether it has
    /// a device token beside its configured credentials.
    #[must_use]
    pub const fn new(patience: Patience, holds_device_token: bool) -> Self {
        Self {
            patience,
            attempts: 0,
            greeted: None,
            expected: None,
            device_token: DeviceToken::held(holds_device_token),
        }
    }

    /// Which secret to present next.
    #[must_use]
    pub const fn presents(&self) -> Presents {
        match self.device_token {
            DeviceToken::Presented => Presents::DeviceToken,
            DeviceToken::None | DeviceToken::Held | DeviceToken::Spent => Presents::Configured,
        }
    }

    /// The gateway said hello.
    pub const fn greeted(&mut self, now: Now) {
        self.greeted = Some(now.at);
        self.expected = None;
    }

    /// The gateway pushed something; only `shutdown` matters.
    pub fn pushed(&mut self, push: &Push, now: Now) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shutdown {
            restart_expected_ms: Option<f64>,
        }
        if &*push.event != "shutdown" {
            return;
        }
        let shutdown = push.payload.read::<Shutdown>().ok();
        let expected = shutdown.and_then(|shutdown| shutdown.restart_expected_ms);
        self.expected = expected.filter(|ms| *ms >= 0.0).map(|ms| {
            let asked = Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or(Duration::MAX);
            now.at + asked.min(self.patience.longest_asked)
        });
    }

    /// The owner wants it tried again at once: after a pause, perhaps with other credentials.
    ///
    /// The series starts over, and with it the one attempt with the device's own token.
    pub const fn resume(&mut self, holds_device_token: bool) {
        self.attempts = 0;
        self.greeted = None;
        self.expected = None;
        self.device_token = DeviceToken::held(holds_device_token);
    }

    /// A connection, or the attempt to make one, ended; `jitter` is any random number.
    pub fn ended(&mut self, ending: Ending<'_>, jitter: u32, now: Now) -> Next {
        let stable = self.patience.stable;
        let lasted = self.greeted.take().map(|since| now.at.since(since));
        if lasted.is_some_and(|lasted| lasted >= stable) {
            self.attempts = 0;
            if self.device_token == DeviceToken::Spent {
                self.device_token = DeviceToken::Held;
            }
        }
        let expected = self.expected.take().map(|at| at.since(now.at));
        match ending {
            Ending::Unreachable => self.retry(expected, Why::Unreachable, jitter, now),
            Ending::NotAGateway(Some(401 | 403 | 407)) => Next::Pause(Why::NotAGateway),
            Ending::Untrusted => Next::Pause(Why::Untrusted),
            Ending::NotAGateway(_) => self.retry(None, Why::NotAGateway, jitter, now),
            Ending::Refused(error) => self.refused(error, jitter, now),
            Ending::Closed(close) if is_removal(close) => Next::Pause(Why::Removed),
            Ending::Closed(close) => {
                let why = match close.code {
                    close_code::RESTART => Why::Restarting,
                    close_code::TRY_LATER => Why::Unavailable,
                    _ if expected.is_some() => Why::Restarting,
                    _ => Why::Lost,
                };
                self.retry(expected, why, jitter, now)
            }
        }
    }

    fn refused(&mut self, error: &ErrorShape, jitter: u32, now: Now) -> Next {
        let refusal = Refusal::read(error);
        match refusal.verdict {
            Verdict::Starting(asked) => {
                let asked = asked.unwrap_or(STARTUP).clamp(STARTUP_LEAST, STARTUP_MOST);
                Next::RetryAt(now.at + self.wait(asked, asked / 2, jitter), Why::Starting)
            }
            Verdict::Later(asked) => self.retry(asked, Why::Unavailable, jitter, now),
            Verdict::Never(why) => Next::Stop(why),
            Verdict::Owner(why) => {
                let may = refusal.device_token_may_do;
                match self.device_token {
                    DeviceToken::Held if may => {
                        self.device_token = DeviceToken::Presented;
                        let wait = self.wait(Duration::ZERO, QUICK, jitter);
                        return Next::RetryAt(now.at + wait, Why::TryingDeviceToken);
                    }
                    DeviceToken::Presented => self.device_token = DeviceToken::Spent,
                    DeviceToken::None | DeviceToken::Held | DeviceToken::Spent => {}
                }
                Next::Pause(why)
            }
        }
    }

    fn retry(&mut self, asked: Option<Duration>, why: Why, jitter: u32, now: Now) -> Next {
        let doubled = 1u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let spread = self.patience.first.saturating_mul(doubled);
        self.attempts = self.attempts.saturating_add(1);
        let asked = asked.unwrap_or_default();
        let asked = asked.min(self.patience.longest_asked);
        let wait = self.wait(asked, spread.min(self.patience.most), jitter);
        Next::RetryAt(now.at + wait, why)
    }

    /// What was asked for, at least the floor, and a random part of `spread` on top of it: never
    /// exactly what was asked for, since everybody was asked.
    fn wait(&self, asked: Duration, spread: Duration, jitter: u32) -> Duration {
        let least = asked.max(self.patience.floor);
        let room = spread.saturating_sub(self.patience.floor);
        let nanos = room.as_nanos() * u128::from(jitter) / u128::from(u32::MAX);
        let part = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        least.saturating_add(part)
    }
}

/// How soon a gateway that is starting is tried again when it does not say.
const STARTUP: Duration = Duration::from_millis(500);
const STARTUP_LEAST: Duration = Duration::from_millis(100);
const STARTUP_MOST: Duration = Duration::from_secs(2);
/// The spread of an attempt with the device's own token.
const QUICK: Duration = Duration::from_millis(250);

impl DeviceToken {
    const fn held(is_held: bool) -> Self {
        if is_held { Self::Held } else { Self::None }
    }
}

/// Code 4001 also says that the gateway's policy changed, which the next attempt may well pass.
fn is_removal(close: &Close) -> bool {
    close.code == close_code::REVOKED && close.reason().contains("device removed")
}
