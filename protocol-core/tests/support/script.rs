//! A client whose gateway is the test.

use core::time::Duration;

use bytes::Bytes;
use openclaw_protocol_core::client::{
    Connection, Event, Expect, Failure, Gap, Hello, Outgoing, RequestId, Timeouts,
};
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hello::connect::ConnectParams;
use serde_json::{Value, json};

use super::{Clock, Joiner};

/// A client, and what its gateway says next.
pub(crate) struct Script {
    pub(crate) client: Connection,
    pub(crate) clock: Clock,
}

impl Script {
    pub(crate) fn new() -> Self {
        let clock = Clock::default();
        Self {
            client: Connection::new(Timeouts::default(), clock.now()),
            clock,
        }
    }

    pub(crate) fn challenged() -> Self {
        let mut script = Self::new();
        script.says(&challenge(json!({"nonce": "n", "ts": 5})));
        assert!(matches!(
            script.events()[..],
            [Event::Challenge { ts: 5, .. }]
        ));
        script
    }

    pub(crate) fn connecting() -> Self {
        let mut script = Self::challenged();
        let params =
            ConnectParams::read(Some(&super::json(Joiner::default().params()))).expect("valid");
        assert!(script.client.connect(&params, script.clock.now()));
        assert_eq!(script.sent()[0]["method"], "connect");
        script
    }

    pub(crate) fn ready() -> Self {
        Self::ready_at(
            json!({"type": "hello-ok", "protocol": 4, "policy": {"tickIntervalMs": 30_000}}),
        )
    }

    pub(crate) fn ready_at(hello: Value) -> Self {
        let mut script = Self::connecting();
        script.says(&answer("connect", hello));
        assert!(script.client.is_ready());
        script.events();
        script
    }

    pub(crate) fn says(&mut self, frame: &Value) {
        self.says_text(&frame.to_string());
    }

    pub(crate) fn says_text(&mut self, text: &str) {
        let message = Bytes::copy_from_slice(text.as_bytes());
        self.client
            .handle_frame(FromGateway::decode(&message), self.clock.now());
    }

    pub(crate) fn request(&mut self, expect: Expect) -> RequestId {
        self.request_within(expect, None)
    }

    pub(crate) fn request_within(&mut self, expect: Expect, within: Option<Duration>) -> RequestId {
        let outgoing = Outgoing {
            method: "agent".into(),
            params: None,
            expect,
            within,
        };
        self.client.request(outgoing, self.clock.now())
    }

    pub(crate) fn sent(&mut self) -> Vec<Value> {
        self.transmits().0
    }

    pub(crate) fn close(&mut self) -> Option<(u16, String)> {
        self.transmits().1
    }

    pub(crate) fn transmits(&mut self) -> (Vec<Value>, Option<(u16, String)>) {
        let mut frames = Vec::new();
        let mut end = None;
        while let Some(transmit) = self.client.poll_transmit() {
            assert_eq!(end, None, "nothing follows a close");
            match transmit {
                Transmit::Frame(frame) => {
                    frames.push(serde_json::from_slice(&frame.encode()).expect("JSON"));
                }
                Transmit::Ping => panic!("a client does not ping"),
                Transmit::Close(close) => end = Some((close.code, close.reason().to_owned())),
            }
        }
        (frames, end)
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.client.poll_event()).collect()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.clock.passed() + time;
        while let Some(due) = self
            .client
            .poll_timeout()
            .filter(|due| due.at.since_origin() <= until)
        {
            self.clock
                .set(due.at.since_origin().max(self.clock.passed()));
            self.client.handle_timeout(self.clock.now());
            let again = self.client.poll_timeout();
            assert!(
                again.is_none_or(|due| due.at > self.clock.now().at),
                "busy loop: {again:?}"
            );
        }
        self.clock.set(until);
    }
}

pub(crate) fn challenge(payload: Value) -> Value {
    json!({"type": "event", "event": "connect.challenge", "payload": payload})
}

pub(crate) fn answer(id: &str, payload: Value) -> Value {
    json!({"type": "res", "id": id, "ok": true, "payload": payload})
}

pub(crate) fn push(seq: u64) -> Value {
    json!({"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": seq})
}

pub(crate) fn accepted(id: RequestId) -> Value {
    answer(&id.to_string(), json!({"runId": "r", "status": "accepted"}))
}

pub(crate) fn failures(events: &[Event]) -> Vec<(RequestId, Failure)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Failed { request, failure } => Some((*request, *failure)),
            Event::Challenge { .. }
            | Event::Ready(_)
            | Event::Refused(_)
            | Event::Accepted { .. }
            | Event::Finished { .. }
            | Event::Push(_)
            | Event::Gap(_)
            | Event::Closed => None,
        })
        .collect()
}

pub(crate) fn gaps(events: &[Event]) -> Vec<Gap> {
    events
        .iter()
        .filter_map(|event| {
            if let Event::Gap(gap) = event {
                Some(*gap)
            } else {
                None
            }
        })
        .collect()
}

/// A hello as a client reads it.
pub(crate) fn hello(payload: Value) -> Hello {
    let mut script = Script::connecting();
    script.says(&answer("connect", payload));
    match script.events().pop() {
        Some(Event::Ready(hello)) => *hello,
        other => panic!("ready was expected: {other:?}"),
    }
}
