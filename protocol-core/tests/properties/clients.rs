//! One client connection, whatever its gateway says.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openclaw_protocol_core::client::{
    Connection, Event, Expect, Failure, Outgoing, RequestId, Timeouts,
};
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hello::connect::ConnectParams;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::arbitrary::{cases, message, name, payload};
use super::support::{Clock, Joiner, json as json_of, millis, script};

#[derive(Clone, Debug)]
enum Op {
    Hear(Vec<u8>),
    Say(Value),
    /// The gateway answers one of the first requests.
    Answer(u8, bool),
    Connect,
    Request(String, bool, Option<u64>),
    Forget(u8),
    Pull(u8),
    Pass(u64),
    Close,
    Disconnect,
}

fn op() -> impl Strategy<Value = Op> {
    let hello = json!({"type": "hello-ok", "protocol": 4, "policy": {"tickIntervalMs": 5_000}});
    let frames = [
        script::challenge(json!({"nonce": "n", "ts": 5})),
        script::answer("connect", hello),
        script::push(1),
        script::push(2),
        script::push(7),
    ];
    let frame = (0..frames.len()).prop_map(move |which| Op::Say(frames[which].clone()));
    prop_oneof![
        4 => message().prop_map(Op::Hear),
        8 => frame,
        8 => (1..12_u8, any::<bool>()).prop_map(|(id, first)| Op::Answer(id, first)),
        4 => Just(Op::Connect),
        8 => (name(), any::<bool>(), proptest::option::of(0..60_000_u64))
            .prop_map(|(method, last, within)| Op::Request(method, last, within)),
        2 => (0..12_u8).prop_map(Op::Forget),
        8 => (1..5_u8).prop_map(Op::Pull),
        3 => (0..9_000_u64).prop_map(Op::Pass),
        1 => Just(Op::Close),
        1 => Just(Op::Disconnect),
    ]
}

/// A client, and what became of its requests.
struct Caller {
    client: Connection,
    clock: Clock,
    requests: Vec<(RequestId, bool)>,
    /// How often each was acknowledged, and answered or given up.
    told: BTreeMap<RequestId, (usize, usize)>,
    forgotten: BTreeSet<RequestId>,
    ids: BTreeSet<Box<str>>,
    close_told: bool,
    over: bool,
}

impl Caller {
    fn new() -> Self {
        let clock = Clock::default();
        Self {
            client: Connection::new(Timeouts::default(), clock.now()),
            clock,
            requests: Vec::new(),
            told: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            ids: BTreeSet::new(),
            close_told: false,
            over: false,
        }
    }

    fn act(&mut self, op: Op) {
        let now = self.clock.now();
        match op {
            Op::Hear(message) => self.hear(&Bytes::from(message)),
            Op::Say(frame) => self.hear(&Bytes::from(frame.to_string())),
            Op::Answer(id, first) => {
                let status = if first { "accepted" } else { "ok" };
                let frame = script::answer(&id.to_string(), json!({ "status": status }));
                self.hear(&Bytes::from(frame.to_string()));
            }
            Op::Connect => {
                let params = ConnectParams::read(Some(&json_of(Joiner::default().params())));
                self.client.connect(&params.expect("valid"), now);
            }
            Op::Request(method, last, within) => {
                let outgoing = Outgoing {
                    method: method.into(),
                    params: None,
                    expect: if last { Expect::Final } else { Expect::Reply },
                    within: within.map(millis),
                };
                let request = self.client.request(outgoing, now);
                self.requests.push((request, last));
            }
            Op::Forget(which) => {
                if let Some((request, _)) = self.requests.get(usize::from(which)) {
                    self.client.forget(*request);
                    self.forgotten.insert(*request);
                }
            }
            Op::Pull(count) => (0..count).for_each(|_| self.pull()),
            Op::Pass(ms) => self.pass(millis(ms)),
            Op::Close => self.client.close(Close::new(1000, "bye"), now),
            Op::Disconnect => self.client.handle_disconnect(),
        }
        self.take_events();
        if let Some(due) = self.client.poll_timeout() {
            assert!(!self.over && due.at.since_origin() <= Duration::MAX);
        } else {
            assert!(self.over);
        }
    }

    fn hear(&mut self, message: &Bytes) {
        self.client
            .handle_frame(FromGateway::decode(message), self.clock.now());
    }

    fn pull(&mut self) {
        match self.client.poll_transmit() {
            None => {}
            Some(transmit) => {
                assert!(!self.close_told && !self.over, "{transmit:?} after the end");
                match transmit {
                    Transmit::Frame(frame) => {
                        let message = Bytes::from(frame.encode());
                        let Inbound::Request(request) = Inbound::decode(&message) else {
                            panic!("{message:?} is no request");
                        };
                        assert!(self.ids.insert(request.id), "{message:?}: an id of its own");
                    }
                    Transmit::Ping => panic!("a client does not ping"),
                    Transmit::Close(_) => self.close_told = true,
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.clock.passed() + time;
        let due = |client: &Connection| client.poll_timeout().map(|due| due.at.since_origin());
        while let Some(at) = due(&self.client).filter(|at| *at <= until) {
            self.clock.set(at.max(self.clock.passed()));
            self.serve();
        }
        self.clock.set(until);
        self.serve();
    }

    fn serve(&mut self) {
        let now = self.clock.now();
        self.client.handle_timeout(now);
        let due = self.client.poll_timeout();
        assert!(
            due.is_none_or(|due| due.at > now.at),
            "{due:?} is still due"
        );
        let rest = format!("{:?}", self.client);
        self.client.handle_timeout(now);
        assert_eq!(
            format!("{:?}", self.client),
            rest,
            "it is idle the second time"
        );
    }

    fn take_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            let late = matches!(
                &event,
                Event::Failed {
                    failure: Failure::NotSent,
                    ..
                }
            );
            assert!(!self.over || late, "{event:?} after the end");
            match event {
                Event::Accepted { request, .. } => {
                    let (firsts, lasts) = self.told.entry(request).or_default();
                    *firsts += 1;
                    assert_eq!((*firsts, *lasts), (1, 0), "{request} is acknowledged once");
                    assert!(
                        self.requests.contains(&(request, true)),
                        "{request} wants no other"
                    );
                }
                Event::Finished { request, .. } | Event::Failed { request, .. } => {
                    let (_, lasts) = self.told.entry(request).or_default();
                    *lasts += 1;
                    assert_eq!(*lasts, 1, "{request} ends once");
                }
                Event::Closed => self.over = true,
                Event::Challenge { .. }
                | Event::Ready(_)
                | Event::Refused(_)
                | Event::Push(_)
                | Event::Gap(_) => {}
            }
        }
    }

    fn end(mut self) {
        self.client.handle_disconnect();
        self.take_events();
        assert!(self.over && self.client.poll_timeout().is_none());
        for (request, _) in &self.requests {
            let (_, lasts) = self.told.get(request).copied().unwrap_or_default();
            assert!(
                lasts == 1 || self.forgotten.contains(request),
                "{request} has no end"
            );
        }
    }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn a_client_tells_the_end_of_every_request_once(
        ready in any::<bool>(), ops in proptest::collection::vec(op(), 0..80),
    ) {
        let mut caller = Caller::new();
        if ready {
            let hello = json!({"type": "hello-ok", "protocol": 4});
            caller.act(Op::Say(script::challenge(json!({"nonce": "n"}))));
            caller.act(Op::Connect);
            caller.act(Op::Pull(1));
            caller.act(Op::Say(script::answer("connect", hello)));
            prop_assert!(caller.client.is_ready());
        }
        for op in ops {
            caller.act(op);
        }
        caller.end();
    }

    #[test]
    fn no_hello_breaks_a_client(payload in payload(), id in name()) {
        let mut caller = Caller::new();
        let answer = format!(r#"{{"type":"res","id":"connect","ok":true,"payload":{}}}"#, payload.as_str());
        caller.act(Op::Say(script::challenge(json!({"nonce": id}))));
        caller.act(Op::Connect);
        caller.act(Op::Hear(answer.into_bytes()));
        caller.act(Op::Pass(9_000));
        caller.end();
    }
}
