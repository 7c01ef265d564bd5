//! Reading and writing frames.

use std::sync::Arc;

use bytes::Bytes;
use openclaw_protocol_core::frame::from_gateway::{FromGateway, Push};
use openclaw_protocol_core::frame::inbound::{Inbound, Request};
use openclaw_protocol_core::frame::outgoing::{Class, Frame, Publication, StateVersion};
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::scope::Audience;
use proptest::prelude::*;
use serde_json::Value;

use super::arbitrary::{cases, json_text, message, name, nearly_a_connect, outcome, payload, text};

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_request_reads_back_as_it_was_written(
        id in name(), method in name(), params in proptest::option::of(payload()),
    ) {
        let frame = Frame::Request {
            id: id.as_str().into(),
            method: method.as_str().into(),
            params: params.clone(),
        };
        let message = Bytes::from(frame.encode());
        let request = Request {
            id: id.into(),
            method: method.into(),
            params,
            traceparent: None,
            expected_profile_id: None,
            size: message.len(),
        };
        prop_assert_eq!(Inbound::decode(&message), Inbound::Request(request));
    }

    #[test]
    fn a_response_reads_back_as_it_was_written(id in text(40), outcome in outcome()) {
        let frame = Frame::Response { id: id.as_str().into(), outcome: outcome.clone() };
        let read = FromGateway::decode(&Bytes::from(frame.encode()));
        prop_assert_eq!(read.clone(), FromGateway::Response { id: id.into(), outcome: outcome.clone() });
        // Errors compare by all members, but show only their codes.
        let FromGateway::Response { outcome: read, .. } = read else { unreachable!() };
        prop_assert_eq!(
            read.error.map(|error| (error.message, error.details)),
            outcome.error.map(|error| (error.message, error.details))
        );
    }

    #[test]
    fn a_push_reads_back_as_it_was_written(
        event in 0..3_usize,
        payload in payload(),
        seq in any::<Option<u64>>(),
        version in any::<Option<(u64, u64)>>(),
    ) {
        let event = ["tick", "a \"b\"\n\u{1}", "é🦀"][event];
        let state_version = version.map(|(presence, health)| StateVersion { presence, health });
        let frame = Frame::Event {
            publication: Arc::new(Publication {
                event,
                payload: payload.clone(),
                audience: Audience::Everyone,
                class: Class::Ordinary,
            }),
            seq,
            state_version,
        };
        let read = FromGateway::decode(&Bytes::from(frame.encode()));
        let push = Push { event: event.into(), payload, seq, state_version };
        prop_assert_eq!(read, FromGateway::Push(push));
    }

    #[test]
    fn an_object_reads_back_as_it_was_written(
        texts in proptest::collection::vec((name(), text(20)), 0..5), number in any::<u64>(),
    ) {
        let object = texts.iter().fold(Object::new(), |all, (name, value)| all.text(name, value));
        let written = object.number("number", number).texts("texts", texts.iter().map(|pair| &pair.1));
        let read: Value = written.finish().read().expect("an object");
        for (name, value) in texts.iter().rev() {
            // The last of two members of one name is the one that is read.
            if name != "number" && name != "texts" && texts.iter().filter(|pair| pair.0 == *name).count() == 1 {
                prop_assert_eq!(&read[name.as_str()], value.as_str());
            }
        }
        prop_assert_eq!(&read["number"], number);
        prop_assert_eq!(read["texts"].as_array().map(Vec::len), Some(texts.len()));
    }

    #[test]
    fn what_a_client_says_of_itself_reads_back(params in nearly_a_connect()) {
        let json = Json::parse(params).expect("JSON");
        if let Ok(params) = ConnectParams::read(Some(&json)) {
            prop_assert_eq!(ConnectParams::read(Some(&params.write())), Ok(params));
        }
    }

    #[test]
    fn no_message_is_read_with_a_panic(message in message()) {
        let message = Bytes::from(message);
        let _ = FromGateway::decode(&message);
        let json = Json::parse(message.clone());
        if let Inbound::Request(request) = Inbound::decode(&message) {
            prop_assert!(json.is_ok(), "a request is JSON");
            prop_assert!((1..=1024).contains(&request.id.len()));
            prop_assert!((1..=1024).contains(&request.method.len()));
            let _ = ConnectParams::read(request.params.as_ref());
        }
        let _ = json.map(|json| ConnectParams::read(Some(&json)));
    }

    #[test]
    fn no_parameters_are_read_with_a_panic(params in prop_oneof![json_text(), nearly_a_connect()]) {
        let params = Json::parse(params).expect("JSON");
        match ConnectParams::read(Some(&params)) {
            Ok(params) => prop_assert!(params.versions.min >= 1),
            Err(finding) => prop_assert!(!finding.to_string().is_empty()),
        }
    }
}
