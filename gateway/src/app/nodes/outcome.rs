//! What a node answers.

use std::collections::BTreeMap;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::json::{Json, cut};
use openclaw_protocol_core::shape::{self, Kind, NAME, TEXT, optional, required};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::params;

const METHOD: &str = "node.invoke.result";
/// The longest member that is looked into, in bytes.
const MAX_MEMBER: usize = 64 << 10;
/// The longest code and message of a failure that are handed on, in bytes.
const MAX_CODE: usize = 128;
const MAX_MESSAGE: usize = 4 << 10;

const ERROR: shape::Object = shape::Object {
    members: &[optional("code", NAME), optional("message", NAME)],
};
const RESULT: shape::Object = shape::Object {
    members: &[
        required("id", NAME),
        required("nodeId", NAME),
        required("ok", Kind::Boolean),
        optional("payload", Kind::Any),
        optional("payloadJSON", TEXT),
        optional("error", Kind::Object(&ERROR)),
    ],
};

/// What a node answers to an invocation.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) id: String,
    pub(super) node_id: String,
    /// What it returned; or why it failed.
    pub(super) result: Result<Returned, Failed>,
}

/// What a command returned.
#[derive(Clone, Debug, Default)]
pub(super) struct Returned {
    pub(super) payload: Option<Json>,
    /// The same as the node wrote it, as a JSON string; `null` where it did not.
    pub(super) written: Option<Json>,
}

/// Why a command failed, as the node tells it.
#[derive(Clone, Debug, Default)]
pub(super) struct Failed {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) is_told: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    id: String,
    node_id: String,
    ok: bool,
    payload: Option<Box<RawValue>>,
    #[serde(rename = "payloadJSON")]
    payload_json: Option<Box<RawValue>>,
    error: Option<RawError>,
}

#[derive(Default, Deserialize)]
struct RawError {
    code: Option<String>,
    message: Option<String>,
}

impl Answer {
    /// Reads what a node answers. This takes as long as the answer is large; what it returned is not taken apart.
    pub(super) fn read(params: Option<&Json>) -> Result<Self, ErrorShape> {
        let empty = Json::empty_object();
        let params = params.unwrap_or(&empty);
        RESULT
            .check(&outline(params))
            .map_err(|finding| params::invalid(METHOD, &finding))?;
        let unreadable = |_| params::invalid(METHOD, &shape::Finding::unreadable(""));
        let raw: Raw = params.read().map_err(unreadable)?;
        let result = match raw.ok {
            true => Ok(returned(raw.payload, raw.payload_json)),
            false => Err(failure(raw.error)),
        };
        Ok(Self {
            id: raw.id,
            node_id: raw.node_id,
            result,
        })
    }
}

/// The members that the shape is asked about; what a node returned may be anything, and stays as it was written.
fn outline(params: &Json) -> Value {
    let Ok(members) = params.read::<BTreeMap<String, Box<RawValue>>>() else {
        // It is no object, which the shape says better.
        return Value::Null;
    };
    let told = members.into_iter().filter_map(|(name, raw)| {
        let raw = raw.get();
        let value = match name.as_str() {
            "payload" => Value::Null,
            // Some nodes write what they do not have as null, and what is no text as it is.
            "payloadJSON" if raw.starts_with('"') => Value::String(String::new()),
            "payloadJSON" => return None,
            "error" if raw == "null" => return None,
            // What is too long for anything that is asked about is what it looks like.
            _ if raw.len() > MAX_MEMBER => match raw.as_bytes().first() {
                Some(b'[') => Value::Array(Vec::new()),
                Some(b'{') => Value::Object(serde_json::Map::new()),
                _ => Value::String(String::from("…")),
            },
            _ => serde_json::from_str(raw).unwrap_or(Value::Null),
        };
        Some((name, value))
    });
    Value::Object(told.collect())
}

/// What was written as text counts before what was written as it is.
fn returned(payload: Option<Box<RawValue>>, written: Option<Box<RawValue>>) -> Returned {
    let json = |raw: &RawValue| Json::parse(raw.get().to_owned()).ok();
    let Some(written) = written else {
        return Returned {
            payload: payload.and_then(|payload| json(&payload)),
            written: None,
        };
    };
    let Ok(text) = serde_json::from_str::<String>(written.get()) else {
        return Returned {
            payload: json(&written),
            written: None,
        };
    };
    let whole = json(&written);
    let parsed = if text.trim().is_empty() {
        None
    } else {
        // What is no JSON is handed on as what it is.
        Json::parse(text).ok().or_else(|| {
            let text = whole.as_ref()?;
            let object = openclaw_protocol_core::json::Object::new();
            Some(object.json("payloadJSON", text).finish())
        })
    };
    Returned {
        payload: parsed,
        written: whole,
    }
}

fn failure(error: Option<RawError>) -> Failed {
    let is_told = error.is_some();
    let error = error.unwrap_or_default();
    let kept = |text: Option<String>, most| text.map(|text| cut(&text, most).to_owned());
    Failed {
        code: kept(error.code, MAX_CODE),
        message: kept(error.message, MAX_MESSAGE),
        is_told,
    }
}
