//! One object whose members stay raw text until somebody asks for them.

use alloc::borrow::Cow;
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{Deserialize, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Json, depth_is_bounded};

/// The members of a frame, of whichever kind, as the text they arrived in.
#[derive(Debug, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) kind: Option<&'a RawValue>,
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) method: Option<&'a RawValue>,
    pub(crate) params: Option<&'a RawValue>,
    pub(crate) traceparent: Option<&'a RawValue>,
    pub(crate) expected_profile_id: Option<&'a RawValue>,
    pub(crate) ok: Option<&'a RawValue>,
    pub(crate) payload: Option<&'a RawValue>,
    pub(crate) error: Option<&'a RawValue>,
    pub(crate) event: Option<&'a RawValue>,
    pub(crate) seq: Option<&'a RawValue>,
    pub(crate) state_version: Option<&'a RawValue>,
    /// The first member that a request must not have.
    pub(crate) not_of_a_request: Option<String>,
}

/// What a message is, before its members are looked at.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is made"
)]
pub(crate) enum Outer<'a> {
    Object(Envelope<'a>),
    OtherJson,
    TooDeep,
    NotJson,
}

/// Reads the outermost level of one message.
pub(crate) fn read(text: &[u8]) -> Outer<'_> {
    if !depth_is_bounded(text) {
        return Outer::TooDeep;
    }
    let starts_object = text
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'{');
    if starts_object {
        serde_json::from_slice(text).map_or(Outer::NotJson, Outer::Object)
    } else {
        serde_json::from_slice::<&RawValue>(text).map_or(Outer::NotJson, |_| Outer::OtherJson)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Name(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            let member = match &*name {
                "type" => &mut envelope.kind,
                "id" => &mut envelope.id,
                "method" => &mut envelope.method,
                "params" => &mut envelope.params,
                "traceparent" => &mut envelope.traceparent,
                "expectedProfileId" => &mut envelope.expected_profile_id,
                other => {
                    if envelope.not_of_a_request.is_none() {
                        envelope.not_of_a_request = Some(other.to_owned());
                    }
                    match other {
                        "ok" => &mut envelope.ok,
                        "payload" => &mut envelope.payload,
                        "error" => &mut envelope.error,
                        "event" => &mut envelope.event,
                        "seq" => &mut envelope.seq,
                        "stateVersion" => &mut envelope.state_version,
                        _ => continue,
                    }
                }
            };
            *member = Some(value);
        }
        Ok(envelope)
    }
}

/// A member's name: borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Reads a member as a string; `None` when it is something else.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Name<'_>>(raw.get())
        .ok()
        .map(|name| name.0)
}

/// Takes a member over as raw JSON that shares the message's memory.
pub(crate) fn share(message: &Bytes, raw: &RawValue) -> Json {
    Json::from_valid(message.slice_ref(raw.get().as_bytes()))
}
