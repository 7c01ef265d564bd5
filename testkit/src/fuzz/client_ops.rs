//! One connection of a client, whatever its gateway and its owner do.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use openclaw_protocol_core::client::{
    Connection, Event, Expect, Failure, Gap, Outgoing, RequestId, Timeouts,
};
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hello::connect::ConnectParams;
use serde_json::json;

use super::conversation::JOINERS;
use super::judge::{self, Clock, NONCE};
use super::tape::Tape;

/// What may happen, by the letter that stands for it.
const OPERATIONS: &[u8] = b"gcwWnhafeqQFotrykx";
const TIMES: [u64; 10] = [
    0, 1, 100, 1_000, 5_000, 15_000, 30_000, 60_000, 3_600_000, 4,
];

/// Plays a script against a client connection and checks after every step what it sends and what it tells.
///
/// One letter each: the gateway `g`reets, says hello (`w`, of protocol 3 `W`), pushes a `n`umber, says a line (`h`),
/// `a`cknowledges, `f`inishes or fails (`e`) a request; the owner `c`onnects, asks for a reply (`q`) or for a final
/// answer (`Q`), `F`orgets, pulls the `o`utput, `r`esyncs, closes (`k`); `t`ime passes, bytes arrive (`y`), the socket
/// ends (`x`).
pub fn client_ops(data: &[u8]) {
    let mut tape = Tape::new(data);
    let mut client = Client::new();
    while let Some(operation) = tape.operation(OPERATIONS) {
        client.act(operation, &mut tape);
        client.take_events();
        client.agrees();
    }
    client.ends();
}

#[derive(Debug)]
struct Asked {
    expect: Expect,
    sent: bool,
    forgotten: bool,
    acknowledged: bool,
    ended: bool,
}

struct Client {
    connection: Connection,
    clock: Clock,
    asked: BTreeMap<RequestId, Asked>,
    ids: BTreeSet<Box<str>>,
    greeted: bool,
    connected: bool,
    ready: bool,
    /// The last number that came; none where the first is the base.
    number: Option<u64>,
    /// What a gateway pushed that is to be told, and the gap before it.
    to_tell: VecDeque<(Option<u64>, Option<Gap>)>,
    close_said: bool,
    over: bool,
}

impl Client {
    fn new() -> Self {
        let clock = Clock::default();
        Self {
            connection: Connection::new(Timeouts::default(), clock.now()),
            clock,
            asked: BTreeMap::new(),
            ids: BTreeSet::new(),
            greeted: false,
            connected: false,
            ready: false,
            number: None,
            to_tell: VecDeque::new(),
            close_said: false,
            over: false,
        }
    }

    fn act(&mut self, operation: u8, tape: &mut Tape<'_>) {
        let now = self.clock.now();
        match operation {
            b'g' => {
                let payload = json!({"nonce": NONCE, "ts": now.unix_ms});
                self.says(
                    &json!({"type": "event", "event": "connect.challenge", "payload": payload}),
                );
            }
            b'c' => self.connect(),
            b'w' | b'W' => {
                let protocol = if operation == b'w' { 4 } else { 3 };
                let tick = [30_000, 1_000, 0, u64::MAX][tape.number() % 4];
                let hello = json!({
                    "type": "hello-ok", "protocol": protocol, "policy": {"tickIntervalMs": tick},
                });
                self.answers("connect", true, &hello);
            }
            b'n' => {
                let (next, step) = (self.number.unwrap_or(0), tape.number() as u64);
                let seq = if step == 9 {
                    u64::MAX
                } else {
                    next.saturating_add(step)
                };
                self.says(&json!({"type": "event", "event": "tick", "payload": {}, "seq": seq}));
            }
            b'h' => self.hears(&Bytes::copy_from_slice(tape.line())),
            b'a' | b'f' | b'e' => {
                let status = if operation == b'a' { "accepted" } else { "ok" };
                let id = tape.number().to_string();
                self.answers(&id, operation != b'e', &json!({ "status": status }));
            }
            b'q' | b'Q' => {
                let within = [None, Some(0), Some(500), Some(u64::MAX)][tape.number() % 4];
                let expect = if operation == b'q' {
                    Expect::Reply
                } else {
                    Expect::Final
                };
                self.asks(expect, within.map(Duration::from_millis));
            }
            b'F' => self.forgets(tape.number()),
            b'o' => (0..=tape.number() % 16).for_each(|_| self.pull()),
            b't' => self.pass(tape.one_of(&TIMES)),
            b'r' => {
                self.connection.resynced();
                assert!(!self.connection.is_suspect());
            }
            b'y' => self.connection.handle_activity(now),
            b'k' => self.connection.close(Close::new(1000, "bye"), now),
            _ => self.connection.handle_disconnect(),
        }
    }

    fn says(&mut self, frame: &serde_json::Value) {
        self.hears(&Bytes::from(frame.to_string()));
    }

    fn answers(&mut self, id: &str, ok: bool, payload: &serde_json::Value) {
        let mut frame = json!({"type": "res", "id": id, "ok": ok, "payload": payload});
        if !ok {
            frame["error"] = json!({"code": "UNAVAILABLE", "message": "no"});
        }
        self.says(&frame);
    }

    fn hears(&mut self, message: &Bytes) {
        let decoded = FromGateway::decode(message);
        if let FromGateway::Push(push) = &decoded
            && self.connection.is_ready()
            && &*push.event != "connect.challenge"
        {
            self.expects_a_push(push.seq);
        }
        self.connection.handle_frame(decoded, self.clock.now());
    }

    /// Of a number that is not the next one, the gap is told; of any other none is.
    fn expects_a_push(&mut self, seq: Option<u64>) {
        let mut gap = None;
        if let Some(received) = seq {
            let expected = self.number.map(|last| last.saturating_add(1));
            gap = expected
                .filter(|expected| *expected != received)
                .map(|expected| Gap { expected, received });
            self.number = Some(received);
        }
        self.to_tell.push_back((seq, gap));
    }

    fn connect(&mut self) {
        let params = judge::json(&JOINERS[0].params());
        let params = ConnectParams::read(Some(&params)).expect("a joiner's parameters");
        let legal = self.greeted && !self.connected && !self.connection_is_ending();
        let connects = self.connection.connect(&params, self.clock.now());
        assert!(!connects || legal, "it introduces itself out of turn");
        self.connected |= connects;
    }

    fn asks(&mut self, expect: Expect, within: Option<Duration>) {
        let ready = self.connection.is_ready();
        let outgoing = Outgoing {
            method: "agent".into(),
            params: None,
            expect,
            within,
        };
        let request = self.connection.request(outgoing, self.clock.now());
        let asked = Asked {
            expect,
            sent: false,
            forgotten: false,
            acknowledged: false,
            ended: false,
        };
        assert!(self.asked.insert(request, asked).is_none(), "a name twice");
        if !ready {
            let event = self.connection.poll_event();
            let Some(Event::Failed {
                request: failed,
                failure,
            }) = event
            else {
                panic!("{event:?} of what cannot be sent");
            };
            assert_eq!((failed, failure), (request, Failure::NotSent));
            self.ended(failed);
        }
    }

    fn forgets(&mut self, which: usize) {
        let request = self.asked.keys().nth(which).copied();
        if let Some(request) = request {
            self.connection.forget(request);
            self.asked_for(request).forgotten = true;
        }
    }

    fn asked_for(&mut self, request: RequestId) -> &mut Asked {
        self.asked.get_mut(&request).expect("a request of ours")
    }

    fn pull(&mut self) {
        let Some(transmit) = self.connection.poll_transmit() else {
            return;
        };
        assert!(!self.close_said && !self.over, "{transmit:?} after the end");
        match transmit {
            Transmit::Ping => panic!("a client does not ping"),
            Transmit::Close(_) => self.close_said = true,
            Transmit::Frame(frame) => {
                let text = Bytes::from(frame.encode());
                let Inbound::Request(request) = Inbound::decode(&text) else {
                    panic!("{text:?} is no request");
                };
                let first = self.ids.is_empty();
                assert_eq!(&*request.method == "connect", first, "connect comes first");
                assert!(self.ids.insert(request.id.clone()), "an id twice");
                if !first {
                    let named = |id: &&RequestId| id.to_string() == *request.id;
                    let named = self.asked.keys().find(named).copied();
                    let asked = self.asked_for(named.expect("a request of ours"));
                    assert!(!asked.forgotten && !asked.ended, "it was withdrawn");
                    asked.sent = true;
                }
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.clock.pass(Duration::from_millis(ms));
        let now = self.clock.now();
        for _ in 0..3 {
            self.connection.handle_timeout(now);
            self.take_events();
        }
        let due = self.connection.poll_timeout();
        assert!(due.is_none_or(|due| due.at > now.at), "{due:?} stays due");
    }

    fn take_events(&mut self) {
        let mut gap_told = None;
        while let Some(event) = self.connection.poll_event() {
            assert!(!self.over, "{event:?} after the end");
            match event {
                Event::Challenge { nonce, .. } => {
                    assert!(!core::mem::replace(&mut self.greeted, true));
                    assert!(!nonce.trim().is_empty());
                }
                Event::Ready(hello) => {
                    assert!(self.connected && !core::mem::replace(&mut self.ready, true));
                    assert!(hello.tick_interval > Duration::ZERO);
                    self.number = (hello.protocol >= 4).then_some(0);
                }
                Event::Refused(_) => assert!(self.connected && !self.ready),
                Event::Accepted { request, .. } => {
                    let asked = self.asked_for(request);
                    assert!(asked.sent && asked.expect == Expect::Final, "{asked:?}");
                    assert!(!asked.ended && !asked.forgotten, "{asked:?}");
                    assert!(!core::mem::replace(&mut asked.acknowledged, true));
                }
                Event::Finished { request, .. } => {
                    assert!(self.asked_for(request).sent, "the answer to nothing");
                    self.ended(request);
                }
                Event::Failed { request, failure } => {
                    let asked = self.asked_for(request);
                    assert_eq!(asked.sent, failure != Failure::NotSent, "{asked:?}");
                    assert!(failure != Failure::TimedOut || !asked.acknowledged);
                    self.ended(request);
                }
                Event::Gap(gap) => assert_eq!(gap_told.replace(gap), None),
                Event::Push(push) => {
                    let told = (push.seq, gap_told.take());
                    assert_eq!(self.to_tell.pop_front(), Some(told));
                    assert!(told.1.is_none() || self.connection.is_suspect());
                }
                Event::Closed => self.over = true,
            }
        }
        assert!(self.to_tell.is_empty(), "a push is not told");
        assert_eq!(gap_told, None, "a gap before nothing");
    }

    fn ended(&mut self, request: RequestId) {
        let asked = self.asked_for(request);
        assert!(!asked.forgotten, "{request} was forgotten");
        assert!(!core::mem::replace(&mut asked.ended, true), "it ends twice");
    }

    fn connection_is_ending(&self) -> bool {
        self.over || self.close_said
    }

    fn agrees(&self) {
        let due = self.connection.poll_timeout();
        assert_eq!(due.is_none(), self.over, "{due:?}");
        assert!(!self.connection.is_ready() || (self.ready && !self.over));
    }

    /// The socket ends, and with it every request.
    fn ends(mut self) {
        while self.connection.poll_transmit().is_some() {}
        self.connection.handle_disconnect();
        for asked in self.asked.values_mut() {
            // All that was left was pulled just now.
            asked.sent = asked.sent || !asked.ended;
        }
        let mut ended: Vec<RequestId> = Vec::new();
        let was_over = self.over;
        let mut closed = 0;
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Failed { request, failure } => {
                    assert_eq!(failure, Failure::Unknown);
                    ended.push(request);
                }
                Event::Closed => closed += 1,
                Event::Challenge { .. }
                | Event::Ready(_)
                | Event::Refused(_)
                | Event::Accepted { .. }
                | Event::Finished { .. }
                | Event::Push(_)
                | Event::Gap(_) => panic!("{event:?} at the end"),
            }
        }
        assert_eq!(closed, usize::from(!was_over), "the end is told once");
        for request in ended {
            self.ended(request);
        }
        let open = self
            .asked
            .values()
            .find(|asked| !asked.ended && !asked.forgotten);
        assert!(open.is_none(), "{open:?} has no end");
        assert!(self.connection.poll_transmit().is_none());
    }
}
