//! What a gateway hears: requests, read strictly.

use alloc::borrow::Cow;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::envelope::{self, Envelope, Outer};
use super::{INVALID_ID, MAX_IDENTIFIER, MAX_TRACEPARENT};
use crate::json::{Json, MAX_DEPTH};
use crate::shape::Finding;

/// One message as a gateway understands it.
///
/// Reading is pure and needs no connection, so the task that owns the socket does it before it
/// hands the result over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A well-formed request.
    Request(Request),
    /// JSON that is no request (clause FRM-002).
    Invalid(InvalidFrame),
    /// Not JSON, or not UTF-8, or nothing at all (clause FRM-001).
    Malformed,
}

/// A request as it was read; only the envelope was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The peer's name for it: opaque, 1 to 1,024 bytes, not necessarily unique.
    pub id: Box<str>,
    /// The method's name, 1 to 1,024 bytes.
    pub method: Box<str>,
    /// The parameters; `None` when the member is absent.
    pub params: Option<Json>,
    /// A W3C trace context of at most 128 characters, not validated further.
    pub traceparent: Option<Box<str>>,
    /// The account that the sender believes to be selected.
    pub expected_profile_id: Option<Box<str>>,
    /// The size of the whole message in bytes.
    pub size: usize,
}

/// JSON that is no valid request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFrame {
    /// The id under which it is answered: its own if it is a string of 1 to 1,024 bytes, else
    /// `invalid`.
    pub id: Box<str>,
    /// What is wrong with it.
    pub finding: Finding,
}

impl Inbound {
    /// Reads one text or binary message.
    ///
    /// Never fails and never panics: what is wrong with the message is part of the result.
    #[must_use]
    pub fn decode(message: &Bytes) -> Self {
        match envelope::read(message) {
            Outer::Object(envelope) => match request(message, &envelope) {
                Ok(request) => Self::Request(request),
                Err(finding) => Self::Invalid(InvalidFrame {
                    id: usable_id(&envelope),
                    finding,
                }),
            },
            Outer::OtherJson => Self::invalid(Finding::not_an_object()),
            Outer::TooDeep => Self::invalid(Finding::too_deep(MAX_DEPTH)),
            Outer::NotJson => Self::Malformed,
        }
    }

    fn invalid(finding: Finding) -> Self {
        Self::Invalid(InvalidFrame {
            id: INVALID_ID.into(),
            finding,
        })
    }

    /// How much memory it holds while it waits, in bytes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Request(request) => request.size,
            Self::Invalid(_) | Self::Malformed => 64,
        }
    }
}

fn request(message: &Bytes, envelope: &Envelope<'_>) -> Result<Request, Finding> {
    let kind = envelope.kind.ok_or(Finding::missing("type"))?;
    let id = envelope.id.ok_or(Finding::missing("id"))?;
    let method = envelope.method.ok_or(Finding::missing("method"))?;
    if let Some(name) = &envelope.not_of_a_request {
        return Err(Finding::unexpected_member(name));
    }
    if envelope::text(kind).as_deref() != Some("req") {
        return Err(Finding::not_the_constant("type"));
    }
    Ok(Request {
        id: identifier("id", id)?,
        method: identifier("method", method)?,
        params: envelope.params.map(|raw| envelope::share(message, raw)),
        traceparent: envelope
            .traceparent
            .map(|raw| {
                let text = string("traceparent", raw)?;
                if text.chars().count() > MAX_TRACEPARENT {
                    return Err(Finding::too_long("traceparent", MAX_TRACEPARENT));
                }
                Ok(text.into())
            })
            .transpose()?,
        expected_profile_id: envelope
            .expected_profile_id
            .map(|raw| identifier("expectedProfileId", raw))
            .transpose()?,
        size: message.len(),
    })
}

fn string<'a>(name: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, Finding> {
    envelope::text(raw).ok_or_else(|| {
        if raw.get().starts_with('"') {
            Finding::unreadable(name)
        } else {
            Finding::wrong_type(name, "string")
        }
    })
}

fn identifier(name: &str, raw: &RawValue) -> Result<Box<str>, Finding> {
    let text = string(name, raw)?;
    match text.len() {
        0 => Err(Finding::empty(name)),
        1..=MAX_IDENTIFIER => Ok(text.into()),
        _ => Err(Finding::too_large(name, MAX_IDENTIFIER)),
    }
}

fn usable_id(envelope: &Envelope<'_>) -> Box<str> {
    envelope
        .id
        .and_then(|raw| identifier("id", raw).ok())
        .unwrap_or_else(|| INVALID_ID.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString};

    fn decode(text: &str) -> Inbound {
        Inbound::decode(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn invalid(text: &str) -> (String, String) {
        let Inbound::Invalid(frame) = decode(text) else {
            panic!("{text:.200} was not read as an invalid frame");
        };
        (frame.id.to_string(), frame.finding.to_string())
    }

    #[test]
    fn a_request_keeps_its_parameters_as_text() {
        let Inbound::Request(request) =
            decode(r#" {"type":"req","id":"r1","method":"health","params": {"a" : [1, 2]} } "#)
        else {
            panic!("not read as a request");
        };
        assert_eq!(&*request.id, "r1");
        assert_eq!(request.params.unwrap().as_str(), r#"{"a" : [1, 2]}"#);
    }

    #[test]
    fn names_and_values_may_be_escaped() {
        let Inbound::Request(request) =
            decode(r#"{"type":"re\u0071","id":"a\"b","\u006dethod":"h"}"#)
        else {
            panic!("not read as a request");
        };
        assert_eq!((&*request.id, &*request.method), ("a\"b", "h"));
    }

    #[test]
    fn findings_are_worded_and_addressed_as_observed() {
        for (text, id, finding) in [
            ("[]", "invalid", "must be object"),
            ("null", "invalid", "must be object"),
            (
                r#"{"type":"req","method":"health"}"#,
                "invalid",
                "must have required property 'id'",
            ),
            (
                r#"{"type":"req","id":"m1"}"#,
                "m1",
                "must have required property 'method'",
            ),
            (
                r#"{"type":"req","id":"m1","method":"x","zzz":1}"#,
                "m1",
                "at root: unexpected property 'zzz'",
            ),
            (
                r#"{"type":"res","id":"zz","method":"x"}"#,
                "zz",
                "at /type: must be equal to constant",
            ),
            (
                r#"{"type":"req","id":5,"method":"x"}"#,
                "invalid",
                "at /id: must be string",
            ),
            (
                r#"{"type":"req","id":"","method":"x"}"#,
                "invalid",
                "at /id: must not have fewer than 1 characters",
            ),
            (
                r#"{"type":"req","id":"m1","method":""}"#,
                "m1",
                "at /method: must not have fewer than 1 characters",
            ),
        ] {
            assert_eq!(
                invalid(text),
                (id.to_string(), finding.to_string()),
                "{text}"
            );
        }
    }

    #[test]
    fn limits_of_names_hold_to_the_byte() {
        let with_id = |length| {
            format!(
                r#"{{"type":"req","id":"{}","method":"x"}}"#,
                "i".repeat(length)
            )
        };
        assert!(matches!(
            decode(&with_id(MAX_IDENTIFIER)),
            Inbound::Request(_)
        ));
        assert_eq!(
            invalid(&with_id(MAX_IDENTIFIER + 1)),
            (
                "invalid".into(),
                "at /id: must not have more than 1024 bytes".into()
            )
        );
        let with_trace = |length| {
            format!(
                r#"{{"type":"req","id":"t","method":"x","traceparent":"{}"}}"#,
                "é".repeat(length)
            )
        };
        assert!(matches!(decode(&with_trace(128)), Inbound::Request(_)));
        assert_eq!(
            invalid(&with_trace(129)).1,
            "at /traceparent: must not have more than 128 characters"
        );
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for text in ["", " ", "{", "{\"type\":\"req\",", "nul", "{}x", "\u{1}"] {
            assert_eq!(decode(text), Inbound::Malformed, "{text:?}");
        }
        assert_eq!(
            Inbound::decode(&Bytes::from_static(b"{\"type\":\"\xff\"}")),
            Inbound::Malformed
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_being_descended_into() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(invalid(&deep).1, "must not be nested deeper than 64 levels");
    }
}
