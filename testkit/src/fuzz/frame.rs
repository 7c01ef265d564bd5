//! One message, read by both ends.

use std::sync::Arc;

use bytes::Bytes;
use openclaw_protocol_core::frame::from_gateway::{FromGateway, Push};
use openclaw_protocol_core::frame::inbound::{Inbound, Request};
use openclaw_protocol_core::frame::outgoing::{Class, Frame, Outcome, Publication};
use openclaw_protocol_core::frame::{MAX_IDENTIFIER, MAX_TRACEPARENT};
use openclaw_protocol_core::json::{Json, MAX_DEPTH};
use openclaw_protocol_core::scope::Audience;
use serde_json::{Map, Value};

use super::judge;

/// The most bytes that a finding takes, the names it repeats included.
const FINDING: usize = 400;
const EVENTS: [&str; 7] = [
    "connect.challenge",
    "tick",
    "presence",
    "health",
    "agent",
    "chat",
    "shutdown",
];
const MEMBERS: [&str; 6] = [
    "type",
    "id",
    "method",
    "params",
    "traceparent",
    "expectedProfileId",
];

/// Reads a message as a gateway and as a client: neither panics, both agree with a reader of values that knows no
/// frames, and what was read is written and read again as the same.
pub fn frame(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let value: Option<Value> = serde_json::from_slice(data).ok();
    as_gateway(&message, value.as_ref());
    as_client(&message, value.as_ref());
    if let Ok(json) = Json::parse(message) {
        assert_eq!(json.as_bytes(), data, "JSON is kept as it is");
        assert!(json.read::<Value>().is_ok() == value.is_some());
    } else {
        assert!(value.is_none() || !is_shallow(data), "refused for nothing");
    }
}

fn as_gateway(message: &Bytes, value: Option<&Value>) {
    let decoded = Inbound::decode(message);
    assert!(decoded.size() <= message.len().max(64));
    match decoded {
        Inbound::Malformed => assert!(value.is_none(), "JSON is not malformed"),
        Inbound::Invalid(frame) => {
            assert!((1..=MAX_IDENTIFIER).contains(&frame.id.len()));
            judge::is_bounded(&frame.finding.to_string(), FINDING);
            let valid = value.and_then(Value::as_object).is_some_and(is_request);
            assert!(!valid || !is_shallow(message), "{}", frame.finding);
        }
        Inbound::Request(request) => {
            if let Some(value) = value {
                agrees(&request, value);
            }
            writes_back(&request);
        }
    }
}

/// Whether nothing in it can be nested too deeply.
fn is_shallow(message: &[u8]) -> bool {
    let opening = |byte: &&u8| matches!(byte, b'{' | b'[');
    message.iter().filter(opening).count() <= MAX_DEPTH
}

/// What a request must look like, from the clauses.
fn is_request(frame: &Map<String, Value>) -> bool {
    let name = |member: &str| {
        let text = frame.get(member).and_then(Value::as_str);
        text.is_some_and(|text| (1..=MAX_IDENTIFIER).contains(&text.len()))
    };
    let trace = frame.get("traceparent").is_none_or(|trace| {
        let text = trace.as_str();
        text.is_some_and(|text| text.chars().count() <= MAX_TRACEPARENT)
    });
    frame.keys().all(|key| MEMBERS.contains(&key.as_str()))
        && frame.get("type").is_some_and(|kind| kind == "req")
        && name("id")
        && name("method")
        && trace
        && (name("expectedProfileId") || !frame.contains_key("expectedProfileId"))
}

fn agrees(request: &Request, value: &Value) {
    let frame = value.as_object().expect("a request is an object");
    assert!(is_request(frame), "taken for a request");
    assert_eq!(frame["id"], *request.id);
    assert_eq!(frame["method"], *request.method);
    let text = |member: &str| frame.get(member).and_then(Value::as_str);
    assert_eq!(text("traceparent"), request.traceparent.as_deref());
    let profile = request.expected_profile_id.as_deref();
    assert_eq!(text("expectedProfileId"), profile);
    let params = request.params.as_ref();
    let params = params.map(|params| params.read::<Value>().expect("params are JSON"));
    assert_eq!(frame.get("params"), params.as_ref());
}

fn writes_back(request: &Request) {
    let frame = Frame::Request {
        id: request.id.clone(),
        method: request.method.clone(),
        params: request.params.clone(),
    };
    let text = Bytes::from(frame.encode());
    assert!(text.len() <= 6 * frame.size_hint(), "the hint is far off");
    let Inbound::Request(again) = Inbound::decode(&text) else {
        panic!("{text:?} is no request any more");
    };
    assert_eq!(
        (&again.id, &again.method, &again.params, again.size),
        (&request.id, &request.method, &request.params, text.len())
    );
}

fn as_client(message: &Bytes, value: Option<&Value>) {
    let kind = value.and_then(|value| value.get("type")?.as_str());
    match FromGateway::decode(message) {
        FromGateway::Malformed => {
            let known = matches!(kind, Some("res" | "event") | None);
            let object = value.is_none_or(Value::is_object);
            assert!(
                known && object || !is_shallow(message),
                "it is only unknown"
            );
        }
        FromGateway::Unknown => assert!(!matches!(kind, Some("res" | "event"))),
        FromGateway::Response { id, outcome } => {
            assert!(value.is_none() || kind == Some("res"));
            response_writes_back(id, outcome);
        }
        FromGateway::Push(push) => {
            assert!(value.is_none() || kind == Some("event"));
            push_writes_back(push);
        }
    }
}

fn response_writes_back(id: Box<str>, outcome: Outcome) {
    let frame = Frame::Response { id, outcome };
    let text = Bytes::from(frame.encode());
    let Frame::Response { id, outcome } = frame else {
        return;
    };
    let FromGateway::Response {
        id: read,
        outcome: again,
    } = FromGateway::decode(&text)
    else {
        panic!("{text:?} is no answer any more");
    };
    assert_eq!((read, &again), (id.clone(), &outcome));
    let frame = Frame::Response { id, outcome: again };
    assert_eq!(frame.encode(), text, "written twice, the same text");
}

fn push_writes_back(push: Push) {
    // A gateway names its events itself.
    let known = EVENTS.into_iter().find(|event| **event == *push.event);
    let event = known.unwrap_or("note");
    let frame = Frame::Event {
        publication: Arc::new(Publication {
            event,
            payload: push.payload.clone(),
            audience: Audience::Everyone,
            class: Class::Ordinary,
        }),
        seq: push.seq,
        state_version: push.state_version,
    };
    let text = Bytes::from(frame.encode());
    assert!(text.len() <= frame.size_hint(), "the hint is too small");
    let again = FromGateway::decode(&text);
    let event = event.into();
    assert_eq!(again, FromGateway::Push(Push { event, ..push }));
}
