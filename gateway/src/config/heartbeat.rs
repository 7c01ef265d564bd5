//! The section `agents.defaults.heartbeat`.

use std::time::Duration;

use jsonc_parser::ast::{Object, Value};

use super::read::{integer, members, object, unknown, word};
use super::{ConfigFault, HeartbeatConfig};
use crate::params;

/// The longest interval; what is longer is a slip.
const MAX_EVERY: Duration = Duration::from_secs(366 * 86_400);
const MAX_TIMEOUT_SECONDS: u64 = 48 * 3600;
const SECTION: &str = "agents.defaults.heartbeat.";

/// Reads the section `agents`.
pub(super) fn agents(
    section: &Object<'_>,
    strangers: &mut Vec<String>,
) -> Result<HeartbeatConfig, ConfigFault> {
    let mut config = HeartbeatConfig::default();
    for (name, value) in members(section) {
        match name {
            "defaults" => {
                let section = object("agents.defaults", value)?;
                for (name, value) in members(section) {
                    match name {
                        "heartbeat" => {
                            let section = object("agents.defaults.heartbeat", value)?;
                            config = heartbeat(section, strangers)?;
                        }
                        _ => unknown(strangers, "agents.defaults.", name),
                    }
                }
            }
            _ => unknown(strangers, "agents.", name),
        }
    }
    Ok(config)
}

fn heartbeat(
    section: &Object<'_>,
    strangers: &mut Vec<String>,
) -> Result<HeartbeatConfig, ConfigFault> {
    let mut config = HeartbeatConfig::default();
    for (name, value) in members(section) {
        match name {
            "every" => {
                let every = word(
                    "agents.defaults.heartbeat.every",
                    value,
                    r#"must be a duration such as "30m", "1h30m", "90s" or "500ms", at most a year; "0m" is off"#,
                    duration,
                )?;
                config.every = Some(every).filter(|every| !every.is_zero());
            }
            "prompt" => {
                config.prompt = Some(word(
                    "agents.defaults.heartbeat.prompt",
                    value,
                    "must be a text that is not blank",
                    |text| (!text.trim().is_empty()).then(|| text.to_owned()),
                )?);
            }
            "session" => {
                config.session = Some(word(
                    "agents.defaults.heartbeat.session",
                    value,
                    r#"must name a session of the agent "main", such as "main" or "agent:main:watch""#,
                    |name| params::session_key("", Some(name), None).ok(),
                )?);
            }
            "timeoutSeconds" => config.timeout = Some(timeout(value)?),
            _ => unknown(strangers, SECTION, name),
        }
    }
    Ok(config)
}

fn timeout(value: &Value<'_>) -> Result<Duration, ConfigFault> {
    value
        .as_number_lit()
        .and_then(|number| integer(number.value))
        .filter(|seconds| (1..=MAX_TIMEOUT_SECONDS).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| ConfigFault::Value {
            key: "agents.defaults.heartbeat.timeoutSeconds".into(),
            expectation: format!("must be an integer from 1 to {MAX_TIMEOUT_SECONDS}").into(),
        })
}

/// Reads `1h30m`: whole numbers with `ms`, `s`, `m`, `h` or `d`. A number alone counts minutes.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return bounded(rest.parse::<u64>().ok()?.checked_mul(60_000)?);
    }
    let mut millis: u64 = 0;
    loop {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (count, tail) = rest.split_at(digits);
        let end = tail
            .find(|letter: char| !letter.is_ascii_lowercase())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let count: u64 = count.parse().ok()?;
        millis = millis.checked_add(count.checked_mul(unit)?)?;
        if tail.is_empty() {
            return bounded(millis);
        }
        rest = tail;
    }
}

fn bounded(millis: u64) -> Option<Duration> {
    let every = Duration::from_millis(millis);
    (every <= MAX_EVERY).then_some(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("90s", 90_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("0m", 0),
            (" 15 ", 900_000),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for wrong in [
            "",
            "m",
            "30 m",
            "1.5h",
            "-1m",
            "30M",
            "1h30",
            "367d",
            "30x",
            "1hm",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
