//! Values to try things with.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::json::Json;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};

use super::support::{Joiner, READ};

/// `cases` tries unless `PROPTEST_CASES` says otherwise; what failed is told, not written to a file.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES");
    let asked = asked.ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}

/// Any text, with what must be escaped well represented.
pub(crate) fn text(longest: usize) -> impl Strategy<Value = String> {
    let characters = prop_oneof![
        3 => any::<char>(),
        3 => proptest::char::range(' ', '~'),
        2 => proptest::char::range('\0', '\u{1f}'),
        1 => Just('"'),
        1 => Just('\\'),
        1 => Just('\u{2028}'),
        1 => Just('🦀'),
    ];
    proptest::collection::vec(characters, 0..=longest).prop_map(|all| all.into_iter().collect())
}

/// A name that a frame may have: not empty and at most 1,024 bytes.
pub(crate) fn name() -> impl Strategy<Value = String> {
    text(40).prop_map(|text| if text.is_empty() { "x".into() } else { text })
}

/// Any JSON text without white space around it, numbers and escapes as nobody would write them.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no such number", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
    ];
    let escape = "\"(\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-cA-C][0-9a-fA-F]{3}|[ !#-\\[\\]-~é🦀]){0,12}\"";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number,
        escape,
        text(12).prop_map(|text| Value::from(text).to_string()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let gap = "[ \t\n\r]{0,2}";
        let member = (text(4), inner.clone());
        prop_oneof![
            (proptest::collection::vec(inner, 0..5), gap).prop_map(|(items, gap)| {
                format!("[{gap}{}{gap}]", items.join(&format!("{gap},")))
            }),
            (proptest::collection::vec(member, 0..5), gap).prop_map(|(members, gap)| {
                let member = |(name, value): &(String, String)| {
                    format!("{gap}{}{gap}:{gap}{value}", Value::from(name.as_str()))
                };
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{}{gap}}}", members.join(","))
            }),
        ]
    })
}

pub(crate) fn payload() -> impl Strategy<Value = Json> {
    json_text().prop_map(|text| Json::parse(text).expect("JSON"))
}

pub(crate) fn error() -> impl Strategy<Value = ErrorShape> {
    let details = payload().prop_map(|details| (details.as_str() != "null").then_some(details));
    (
        text(8),
        text(20),
        proptest::option::of(details),
        any::<Option<bool>>(),
        any::<Option<u64>>(),
    )
        .prop_map(
            |(code, message, details, retryable, retry_after_ms)| ErrorShape {
                code: code.into(),
                message,
                details: details.flatten(),
                retryable,
                retry_after_ms,
            },
        )
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    let error = proptest::option::of(error());
    (any::<bool>(), proptest::option::of(payload()), error)
        .prop_map(|(ok, payload, error)| Outcome { ok, payload, error })
}

/// Any bytes, any text, any JSON, and what nearly is a frame.
pub(crate) fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..64),
        1 => text(40).prop_map(String::into_bytes),
        1 => json_text().prop_map(String::into_bytes),
        4 => nearly_a_frame().prop_map(String::into_bytes),
        2 => (nearly_a_frame(), any::<usize>(), any::<u8>()).prop_map(|(text, at, byte)| {
            let mut text = text.into_bytes();
            let at = at % text.len().max(1);
            if byte < 64 { text.truncate(at) } else { text[at] = byte }
            text
        }),
    ]
}

/// An object with some of the members that frames have, each of the right shape or of any.
fn nearly_a_frame() -> impl Strategy<Value = String> {
    let kind = prop_oneof![Just("req"), Just("res"), Just("event"), Just("hello")];
    let named = prop_oneof![
        Just("connect"),
        Just("connect.challenge"),
        Just("tick"),
        Just("1"),
        Just(""),
    ];
    let quoted = |text: &str| Value::from(text).to_string();
    let word = || prop_oneof![3 => text(6).prop_map(|text| Value::from(text).to_string()), 1 => json_text()];
    let member = prop_oneof![
        4 => kind.prop_map(move |kind| ("type", quoted(kind))),
        2 => named.clone().prop_map(move |name| ("id", quoted(name))),
        2 => named.clone().prop_map(move |name| ("method", quoted(name))),
        2 => named.prop_map(move |name| ("event", quoted(name))),
        1 => word().prop_map(|text| ("id", text)),
        1 => word().prop_map(|text| ("method", text)),
        1 => word().prop_map(|text| ("traceparent", text)),
        1 => json_text().prop_map(|value| ("params", value)),
        1 => nearly_a_connect().prop_map(|value| ("params", value)),
        1 => nearly_a_hello().prop_map(|value| ("payload", value)),
        1 => json_text().prop_map(|value| ("payload", value)),
        1 => json_text().prop_map(|value| ("error", value)),
        2 => any::<bool>().prop_map(|ok| ("ok", ok.to_string())),
        1 => any::<u64>().prop_map(|seq| ("seq", seq.to_string())),
        1 => json_text().prop_map(|value| ("stateVersion", value)),
        1 => json_text().prop_map(|value| ("other", value)),
    ];
    proptest::collection::vec(member, 0..8).prop_map(|members| {
        let member = |(name, value): &(&str, String)| format!("\"{name}\":{value}");
        let members: Vec<String> = members.iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// The parameters of a `connect`, or such as have one member of another shape.
pub(crate) fn nearly_a_connect() -> impl Strategy<Value = String> {
    let places = [
        "/minProtocol",
        "/maxProtocol",
        "/client",
        "/client/id",
        "/client/mode",
        "/client/version",
        "/role",
        "/scopes",
        "/scopes/0",
        "/device",
        "/device/signedAt",
        "/device/nonce",
    ];
    let whole = Joiner {
        scopes: READ,
        device: Some("d1"),
        instance: Some("i"),
        name: Some("n"),
        ..Joiner::default()
    };
    let member = (0..places.len(), json_text());
    proptest::option::of(member).prop_map(move |change| {
        let mut params = whole.params();
        if let Some((place, value)) = change
            && let (Some(place), Ok(value)) = (
                params.pointer_mut(places[place]),
                serde_json::from_str(&value),
            )
        {
            *place = value;
        }
        params.to_string()
    })
}

fn nearly_a_hello() -> impl Strategy<Value = String> {
    (any::<Option<u32>>(), any::<Option<u64>>(), 0..4_u8).prop_map(|(protocol, tick, status)| {
        let status = ["accepted", "ok", "hello", ""][usize::from(status)];
        json!({
            "type": "hello-ok", "protocol": protocol.unwrap_or(4), "status": status, "nonce": "n",
            "policy": {"tickIntervalMs": tick},
        })
        .to_string()
    })
}
