//! What a client hears: answers and pushes, read leniently.

use alloc::boxed::Box;
use alloc::string::String;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::{self, Envelope, Outer};
use super::outgoing::{Outcome, StateVersion};
use crate::error_shape::ErrorShape;
use crate::json::Json;

/// One message as a client understands it.
///
/// Members that are not known are ignored, so a newer gateway does not break an older client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromGateway {
    /// The answer to a request.
    Response {
        /// The id of the request.
        id: Box<str>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A push.
    Push(Push),
    /// JSON of a kind that this crate does not know.
    Unknown,
    /// Not JSON, or a frame without what makes it one.
    Malformed,
}

/// A push as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The name of the event.
    pub event: Box<str>,
    /// Its payload; `null` when there was none.
    pub payload: Json,
    /// Its number, if it has one.
    pub seq: Option<u64>,
    /// The versions of the pushed state, if it carries them.
    pub state_version: Option<StateVersion>,
}

impl FromGateway {
    /// Reads one text or binary message.
    #[must_use]
    pub fn decode(message: &Bytes) -> Self {
        let envelope = match envelope::read(message) {
            Outer::Object(envelope) => envelope,
            Outer::OtherJson => return Self::Unknown,
            Outer::TooDeep | Outer::NotJson => return Self::Malformed,
        };
        match envelope.kind.and_then(envelope::text).as_deref() {
            Some("res") => response(message, &envelope).unwrap_or(Self::Malformed),
            Some("event") => push(message, &envelope).unwrap_or(Self::Malformed),
            Some(_) => Self::Unknown,
            None => Self::Malformed,
        }
    }
}

fn response(message: &Bytes, envelope: &Envelope<'_>) -> Option<FromGateway> {
    let id = envelope::text(envelope.id?)?;
    let ok: bool = serde_json::from_str(envelope.ok?.get()).ok()?;
    Some(FromGateway::Response {
        id: id.into(),
        outcome: Outcome {
            ok,
            payload: envelope.payload.map(|raw| envelope::share(message, raw)),
            error: envelope.error.map(|raw| error(message, raw)),
        },
    })
}

fn push(message: &Bytes, envelope: &Envelope<'_>) -> Option<FromGateway> {
    Some(FromGateway::Push(Push {
        event: envelope::text(envelope.event?)?.into(),
        payload: envelope
            .payload
            .map_or(Json::null(), |raw| envelope::share(message, raw)),
        seq: envelope
            .seq
            .and_then(|raw| serde_json::from_str(raw.get()).ok()),
        state_version: envelope.state_version.and_then(version),
    }))
}

fn error(message: &Bytes, raw: &RawValue) -> ErrorShape {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire<'a> {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
        #[serde(borrow, default)]
        details: Option<&'a RawValue>,
        #[serde(default)]
        retryable: Option<bool>,
        #[serde(default)]
        retry_after_ms: Option<u64>,
    }
    match serde_json::from_str::<Wire<'_>>(raw.get()) {
        Ok(wire) => ErrorShape {
            code: wire.code.into(),
            message: wire.message,
            details: wire.details.map(|raw| envelope::share(message, raw)),
            retryable: wire.retryable,
            retry_after_ms: wire.retry_after_ms,
        },
        Err(_) => ErrorShape::unavailable("the gateway sent an error of an unknown shape"),
    }
}

fn version(raw: &RawValue) -> Option<StateVersion> {
    #[derive(Deserialize)]
    struct Wire {
        presence: u64,
        health: u64,
    }
    let wire: Wire = serde_json::from_str(raw.get()).ok()?;
    Some(StateVersion {
        presence: wire.presence,
        health: wire.health,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &'static str) -> FromGateway {
        FromGateway::decode(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn unknown_members_do_not_matter() {
        let FromGateway::Push(push) = decode(
            r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":4,"recipientProfileId":"x"}"#,
        ) else {
            panic!("not read as a push");
        };
        assert_eq!((&*push.event, push.seq), ("tick", Some(4)));
        assert_eq!(push.payload.as_str(), r#"{"ts":1}"#);
    }

    #[test]
    fn a_failure_may_carry_a_payload() {
        let FromGateway::Response { id, outcome } = decode(
            r#"{"type":"res","id":"a1","ok":false,"payload":{"runId":"r"},"error":{"code":"UNAVAILABLE","message":"m","details":{"code":"X"},"retryAfterMs":7}}"#,
        ) else {
            panic!("not read as a response");
        };
        assert_eq!(&*id, "a1");
        assert!(!outcome.ok && outcome.payload.is_some());
        let error = outcome.error.unwrap();
        assert_eq!(error.detail_code().as_deref(), Some("X"));
        assert_eq!(error.retry_after_ms, Some(7));
    }

    #[test]
    fn what_is_no_frame_is_told_apart_from_what_is_unknown() {
        assert_eq!(decode(r#"{"type":"hint"}"#), FromGateway::Unknown);
        assert_eq!(decode("[]"), FromGateway::Unknown);
        assert_eq!(
            decode(r#"{"type":"res","ok":true}"#),
            FromGateway::Malformed
        );
        assert_eq!(decode("{"), FromGateway::Malformed);
    }
}
