//! Reads the parameters of requests, and says precisely what is wrong with them.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::MAX_IDENTIFIER;
use openclaw_protocol_core::json::{Json, cut};
use openclaw_protocol_core::shape;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The agent that answers where no other is named.
pub const DEFAULT_AGENT: &str = "main";
/// That agent's main session.
pub const MAIN_SESSION: &str = "agent:main:main";

/// A whole number from 0, in either of JSON's spellings: `3` and `3.0`.
#[derive(Clone, Copy, Debug)]
pub struct Whole(u64);

impl Whole {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = shape::integer(&value).and_then(|number| u64::try_from(number).ok());
        number
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("must be a whole number from 0"))
    }
}

/// Checks parameters against a shape and reads them.
///
/// # Errors
/// `invalid <method> params: …` with the first finding.
pub fn read<T: DeserializeOwned>(
    method: &str,
    shape: &shape::Object,
    params: Option<&Json>,
) -> Result<T, ErrorShape> {
    read_value(method, shape, value(method, params)?)
}

/// Parses parameters; absent ones are an empty object.
///
/// # Errors
/// `invalid <method> params: …` for JSON that no program can hold.
pub fn value(method: &str, params: Option<&Json>) -> Result<Value, ErrorShape> {
    match params {
        Some(params) => params
            .read()
            .map_err(|_| invalid(method, &shape::Finding::unreadable(""))),
        None => Ok(Value::Object(serde_json::Map::new())),
    }
}

/// Checks parsed parameters against a shape and reads them.
///
/// # Errors
/// `invalid <method> params: …` with the first finding.
pub fn read_value<T: DeserializeOwned>(
    method: &str,
    shape: &shape::Object,
    value: Value,
) -> Result<T, ErrorShape> {
    shape
        .check(&value)
        .map_err(|finding| invalid(method, &finding))?;
    serde_json::from_value(value)
        .map_err(|_| ErrorShape::invalid_request(format!("invalid {method} params: out of range")))
}

/// The refusal of parameters that take too many bytes.
#[must_use]
pub fn too_large(method: &str, limit: usize) -> ErrorShape {
    ErrorShape::invalid_request(format!(
        "invalid {method} params: must not have more than {limit} bytes"
    ))
}

/// The refusal of parameters.
#[must_use]
pub fn invalid(method: &str, finding: &shape::Finding) -> ErrorShape {
    ErrorShape::invalid_request(format!("invalid {method} params: {finding}"))
}

/// Works a session's full name out: `agent:<agent>:<rest>`.
///
/// `main`, and no name at all, are the agent's main session; a name without `agent:` belongs to
/// the agent that is named beside it.
///
/// # Errors
/// An agent that does not exist, or a name that is too long.
pub fn session_key(
    method: &str,
    key: Option<&str>,
    agent_id: Option<&str>,
) -> Result<String, ErrorShape> {
    let agent = agent_id.unwrap_or(DEFAULT_AGENT);
    known_agent(method, agent)?;
    let key = key.map(str::trim).filter(|key| !key.is_empty());
    let key = key.unwrap_or("main");
    if key.len() > MAX_IDENTIFIER {
        let finding = shape::Finding::too_large("sessionKey", MAX_IDENTIFIER);
        return Err(invalid(method, &finding));
    }
    match key
        .strip_prefix("agent:")
        .and_then(|rest| rest.split_once(':'))
    {
        Some((owner, rest)) if !rest.is_empty() => {
            known_agent(method, owner)?;
            Ok(key.to_owned())
        }
        _ => Ok(format!("agent:{agent}:{key}")),
    }
}

fn known_agent(method: &str, agent: &str) -> Result<(), ErrorShape> {
    if agent == DEFAULT_AGENT {
        return Ok(());
    }
    Err(ErrorShape::invalid_request(format!(
        "invalid {method} params: unknown agent id \"{}\"",
        cut(agent, 120)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_have_full_names() {
        let full = |key, agent| session_key("agent", key, agent);
        assert_eq!(full(None, None).unwrap(), "agent:main:main");
        assert_eq!(full(Some("main"), None).unwrap(), "agent:main:main");
        assert_eq!(full(Some("work"), Some("main")).unwrap(), "agent:main:work");
        assert_eq!(
            full(Some("agent:main:a:b"), None).unwrap(),
            "agent:main:a:b"
        );
        assert_eq!(
            full(None, Some("bogus")).unwrap_err().message,
            "invalid agent params: unknown agent id \"bogus\""
        );
        assert!(full(Some("agent:other:main"), None).is_err());
        assert!(full(Some(&"x".repeat(1025)), None).is_err());
    }
}
