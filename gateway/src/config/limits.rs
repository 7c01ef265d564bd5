//! The section `gateway.limits`: how much peers may send, hold and delay.

use std::fmt;
use std::time::Duration;

use jsonc_parser::ast::{Object, Value};
use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::limits::Limits;
use openclaw_runtime_smol::server::ServerLimits;

use super::ConfigFault;
use super::read::{self, integer, members};

/// Every limit of a gateway; the defaults are those of the crates that keep them.
#[derive(Clone, Debug, Default)]
pub struct LimitsConfig {
    /// What connections may do.
    pub core: Limits,
    /// What sockets may do.
    pub server: ServerLimits,
    /// How long and how many answers are kept for repeated requests.
    pub repeats: Bounds,
}

/// One limit that an operator may set.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Its key as a dotted path.
    pub key: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// The smallest value.
    pub min: u64,
    /// The largest value.
    pub max: u64,
    /// What follows from reaching it.
    pub consequence: &'static str,
    get: fn(&LimitsConfig) -> u64,
    set: fn(&mut LimitsConfig, u64),
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Things.
    Count,
}

impl Limit {
    /// Reads the limit.
    #[must_use]
    pub fn get(&self, config: &LimitsConfig) -> u64 {
        (self.get)(config)
    }

    /// Sets the limit, whatever its range says.
    pub fn set(&self, config: &mut LimitsConfig, number: u64) {
        (self.set)(config, number);
    }

    /// The value where nothing is configured.
    #[must_use]
    pub fn default(&self) -> u64 {
        self.get(&LimitsConfig::default())
    }

    fn name(&self) -> &'static str {
        self.key.strip_prefix(SECTION).unwrap_or(self.key)
    }

    fn expectation(&self) -> String {
        let unit = match self.unit {
            Unit::Bytes => "a number of bytes",
            Unit::Milliseconds => "a number of milliseconds",
            Unit::Count => "an integer",
        };
        format!("must be {unit} from {} to {}", self.min, self.max)
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("key", &self.key).finish()
    }
}

const SECTION: &str = "gateway.limits.";
const HOUR: u64 = 3_600_000;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

trait Quantity {
    fn of(number: u64) -> Self;
    fn number(self) -> u64;
}

impl Quantity for usize {
    fn of(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
    fn number(self) -> u64 {
        self as u64
    }
}

impl Quantity for u32 {
    fn of(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
    fn number(self) -> u64 {
        self.into()
    }
}

impl Quantity for Duration {
    fn of(number: u64) -> Self {
        Self::from_millis(number)
    }
    fn number(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}

macro_rules! limit {
    ($key:literal, $unit:ident $min:tt..=$max:tt, $($field:ident).+, $consequence:literal) => {
        Limit {
            key: concat!("gateway.limits.", $key),
            unit: Unit::$unit,
            min: $min,
            max: $max,
            consequence: $consequence,
            get: |limits| Quantity::number(limits.$($field).+),
            set: |limits, number| limits.$($field).+ = Quantity::of(number),
        }
    };
}

/// Every limit that an operator may set, in the order of the documentation.
pub const LIMITS: [Limit; 36] = [
    limit!("maxHandshakePayload", Bytes 4096..=MIB, core.frame_before_hello,
        "a larger frame before hello closes with 1009"),
    limit!("handshakeTimeoutMs", Milliseconds 1000..=300_000, core.handshake,
        "a connection without hello is closed with 1008"),
    limit!("handshakeSockets", Count 16..=65_536, core.strangers,
        "of the sockets without hello the oldest is closed to make room"),
    limit!("handshakeSocketsPerAddress", Count 1..=65_536, core.strangers_per_address,
        "the same, per address that is not loopback"),
    limit!("maxPayload", Bytes 65_536..=(256 * MIB), core.frame,
        "a larger frame closes with 1009; a larger answer becomes `PAYLOAD_TOO_LARGE`; a larger push is dropped with its number"),
    limit!("openCalls", Count 1..=65_536, core.open_calls,
        "one more unanswered request of a connection is refused as retryable"),
    limit!("openCallBytes", Bytes 65_536..=(4 * GIB), core.open_call_bytes,
        "the same, by what they hold"),
    limit!("openCallBytesInAll", Bytes 65_536..=(64 * GIB), core.open_call_bytes_in_all,
        "the same, of all connections together"),
    limit!("softBufferedBytes", Bytes 4096..=GIB, core.outbox_soft,
        "past it a connection that reads too slowly misses deltas, nothing else"),
    limit!("softBufferedPushes", Count 1..=1_000_000, core.outbox_soft_pushes,
        "the same, by pushes"),
    limit!("maxBufferedBytes", Bytes 65_536..=(4 * GIB), core.outbox,
        "past it a connection that reads too slowly is closed with 1008 `slow consumer`"),
    limit!("bufferedBytesInAll", Bytes 65_536..=(64 * GIB), core.outbox_in_all,
        "past it the connection with the largest backlog is closed with 1008 `slow consumer`"),
    limit!("malformedInRow", Count 1..=1000, core.malformed_in_row,
        "so many messages in a row that are no JSON close with 1008"),
    limit!("pingIntervalMs", Milliseconds 1000..=HOUR, core.ping,
        "how often a connection is pinged, up to a fifth earlier"),
    limit!("silenceTimeoutMs", Milliseconds 2000..=(2 * HOUR), core.silence,
        "a peer that sends nothing at all for so long is dropped"),
    limit!("closeTimeoutMs", Milliseconds 100..=60_000, core.close,
        "a socket whose peer does not answer a close is dropped"),
    limit!("tickIntervalMs", Milliseconds 1000..=HOUR, core.tick,
        "how often `tick` is pushed; clients take a gateway for dead that misses two"),
    limit!("healthIntervalMs", Milliseconds 1000..=HOUR, core.health,
        "how often `health` is pushed although nothing changed"),
    limit!("presenceIntervalMs", Milliseconds 100..=60_000, core.presence,
        "joins and leaves are pushed at most so often; nobody hears of tools that leave sooner"),
    limit!("presenceRows", Count 10..=100_000, core.presence_rows,
        "more participants are not listed: tools go first, then who has left; whatever their number, the list takes half of `maxPayload` at the most"),
    limit!("presenceKeptMs", Milliseconds 0..=(24 * HOUR), core.presence_kept,
        "how long devices, user interfaces and nodes stay listed after they left"),
    limit!("runs", Count 1..=10_000, core.runs,
        "one more agent run, running or queued, is refused as retryable"),
    limit!("repeatsKeptMs", Milliseconds 1000..=(24 * HOUR), repeats.kept,
        "a request that is repeated later is done again; `agent.wait` knows an end as long"),
    limit!("repeatRows", Count 1..=1_000_000, repeats.rows,
        "the oldest stored answer or end of a run is forgotten; what is in flight never"),
    limit!("repeatBytes", Bytes 65_536..=(4 * GIB), repeats.bytes,
        "the same, by what the answers hold"),
    limit!("drainTimeoutMs", Milliseconds 0..=HOUR, server.drain,
        "runs that have not ended when a stop has waited so long are ended"),
    limit!("inputBytesInAll", Bytes 65_536..=(64 * GIB), server.input_in_all,
        "past it the socket that has sent most that is not dealt with yet is closed with 1008"),
    limit!("httpSockets", Count 16..=65_536, server.http_sockets,
        "of the sockets that speak HTTP, or nothing yet, the oldest is closed to make room"),
    limit!("httpHeadBytes", Bytes 4096..=MIB, server.http.head_bytes,
        "a larger request head is answered 431"),
    limit!("httpHeadTimeoutMs", Milliseconds 100..=300_000, server.http.head_time,
        "a head that takes longer is answered 408"),
    limit!("httpBodyBytes", Bytes 0..=(256 * MIB), server.http.body_bytes,
        "a larger body is answered 413"),
    limit!("httpBodyTimeoutMs", Milliseconds 100..=HOUR, server.http.body_time,
        "a body that takes longer is answered 408"),
    limit!("httpIdleTimeoutMs", Milliseconds 100..=HOUR, server.http.idle_time,
        "a connection that waits longer for its next request is closed"),
    limit!("httpWriteTimeoutMs", Milliseconds 100..=HOUR, server.http.write_time,
        "a peer that takes no byte of an answer for so long is dropped"),
    limit!("httpLingerMs", Milliseconds 0..=60_000, server.http.linger_time,
        "how long what a peer still sends after our last answer is swallowed"),
    limit!("httpRequests", Count 1..=1_000_000, server.http.requests,
        "the last request of a connection is answered with `Connection: close`"),
];

/// Pairs of limits of which the first must not be more than the second.
const ORDERED: [(&str, &str); 9] = [
    ("maxHandshakePayload", "maxPayload"),
    ("handshakeSocketsPerAddress", "handshakeSockets"),
    ("maxPayload", "maxBufferedBytes"),
    ("maxPayload", "openCallBytes"),
    ("openCallBytes", "openCallBytesInAll"),
    ("softBufferedBytes", "maxBufferedBytes"),
    ("maxBufferedBytes", "bufferedBytesInAll"),
    ("maxPayload", "inputBytesInAll"),
    ("pingIntervalMs", "silenceTimeoutMs"),
];

/// Reads the section.
pub(super) fn limits(
    section: &Object<'_>,
    strangers: &mut Vec<String>,
) -> Result<LimitsConfig, ConfigFault> {
    let mut config = LimitsConfig::default();
    for (name, value) in members(section) {
        match LIMITS.iter().find(|limit| limit.name() == name) {
            Some(limit) => limit.set(&mut config, number(limit, value)?),
            None => read::unknown(strangers, SECTION, name),
        }
    }
    for (smaller, larger) in ORDERED {
        check_order(&config, smaller, larger)?;
    }
    Ok(config)
}

fn number(limit: &Limit, value: &Value<'_>) -> Result<u64, ConfigFault> {
    value
        .as_number_lit()
        .and_then(|number| integer(number.value))
        .filter(|number| (limit.min..=limit.max).contains(number))
        .ok_or_else(|| ConfigFault::Value {
            key: limit.key.into(),
            expectation: limit.expectation().into(),
        })
}

fn check_order(config: &LimitsConfig, smaller: &str, larger: &str) -> Result<(), ConfigFault> {
    let named = |name: &str| LIMITS.iter().find(|limit| limit.name() == name);
    let (Some(smaller), Some(larger)) = (named(smaller), named(larger)) else {
        return Ok(());
    };
    let bound = larger.get(config);
    if smaller.get(config) <= bound {
        return Ok(());
    }
    let expectation = format!("must not be more than {}, which is {bound}", larger.key);
    Err(ConfigFault::Value {
        key: smaller.key.into(),
        expectation: expectation.into(),
    })
}
