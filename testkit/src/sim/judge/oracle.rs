//! What a gateway may say in which state to what it hears: a table written from the clauses.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Broken, broken, is_ack, is_hello, is_push, is_response, text};
use crate::sim::history::{History, Note, Socket};
use crate::sim::link::Message;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was heard yet.
    Greeted,
    /// The first message was heard.
    Deciding,
    /// Hello was said.
    Open,
    /// A close was said, or the socket is gone.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    NotJson,
    NoRequest,
    Request,
    Connect,
    ConnectOfWrongShape,
    ConnectOfNoVersion,
    ConnectOfWrongRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// `hello-ok`.
    Hello,
    /// An error of this code, and a close of that.
    Refusal(&'static str, u16),
    /// A close and nothing before it.
    Close(u16),
    /// One answer, or an ack and then one answer.
    Answer,
    /// One error of this code.
    Error(&'static str),
}

use Input::{
    Connect, ConnectOfNoVersion, ConnectOfWrongRole, ConnectOfWrongShape, NoRequest, NotJson,
    Request,
};
use Output::{Answer, Close, Error, Hello, Refusal};

const WRONG: &str = "INVALID_REQUEST";
const LATER: &str = "UNAVAILABLE";

/// Clauses HSK-002 to HSK-009, FRM-001, FRM-002, REQ.
const TABLE: [(State, Input, &[Output]); 14] = [
    (State::Greeted, NotJson, &[Close(1008)]),
    (State::Greeted, NoRequest, &[Close(1008)]),
    (State::Greeted, Request, &[Refusal(WRONG, 1008)]),
    (State::Greeted, Connect, &[Hello, Refusal(LATER, 1008)]),
    (State::Greeted, ConnectOfWrongShape, &[Refusal(WRONG, 1008)]),
    (State::Greeted, ConnectOfNoVersion, &[Refusal(WRONG, 1002)]),
    (State::Greeted, ConnectOfWrongRole, &[Close(1008)]),
    (State::Open, NotJson, &[Error(WRONG)]),
    (State::Open, NoRequest, &[Error(WRONG)]),
    (State::Open, Request, &[Answer]),
    (State::Open, Connect, &[Error(WRONG)]),
    (State::Open, ConnectOfWrongShape, &[Error(WRONG)]),
    (State::Open, ConnectOfNoVersion, &[Error(WRONG)]),
    (State::Open, ConnectOfWrongRole, &[Error(WRONG)]),
];

/// Closes that no input asks for: a deadline, too much that waits, a restart, room for others.
const AT_ANY_TIME: [u16; 3] = [1008, 1012, 1013];
/// Messages in a row that are no JSON, after which a connection is closed (FRM-003).
const IN_ROW: u32 = 5;

fn allowed(state: State, input: Input) -> &'static [Output] {
    let row = TABLE.iter().find(|(s, i, _)| (*s, *i) == (state, input));
    row.map_or(&[], |(.., outputs)| outputs)
}

struct Duty {
    id: String,
    allowed: &'static [Output],
    is_acknowledged: bool,
}

struct Conversation {
    state: State,
    first: Option<Duty>,
    duties: Vec<Duty>,
    /// The code that it must be closed with.
    must_close: Option<u16>,
    malformed: u32,
}

/// Whatever is said is the consequence of something that was heard, and nothing that was heard
/// stays without its consequence.
pub(super) fn only_what_the_table_allows(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "only what the table allows";
    let mut all: BTreeMap<Socket, Conversation> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        let (socket, judged) = match &noted.note {
            Note::Opened(socket, _) => {
                all.insert(*socket, Conversation::new());
                continue;
            }
            Note::Down(boot) => {
                all.retain(|socket, _| socket.boot != *boot);
                continue;
            }
            Note::Rest { .. } => {
                for (socket, conversation) in &all {
                    if let Err(how) = conversation.rest() {
                        return broken(PROMISE, entry, format!("{socket:?} {how}"));
                    }
                }
                continue;
            }
            Note::Ended(socket) => {
                all.remove(socket);
                continue;
            }
            Note::Heard(socket, message) => match all.get_mut(socket) {
                Some(conversation) => {
                    conversation.hear(message);
                    continue;
                }
                None => continue,
            },
            Note::Said(socket, message) => (socket, all.get_mut(socket).map(|c| c.say(message))),
            Note::Closing(socket, code, _) => (socket, all.get_mut(socket).map(|c| c.close(*code))),
            _ => continue,
        };
        match judged {
            Some(Ok(())) => {}
            Some(Err(how)) => return broken(PROMISE, entry, format!("{socket:?} {how}")),
            None => return broken(PROMISE, entry, format!("{socket:?} is gone")),
        }
    }
    Ok(())
}

impl Conversation {
    const fn new() -> Self {
        Self {
            state: State::Greeted,
            first: None,
            duties: Vec::new(),
            must_close: None,
            malformed: 0,
        }
    }

    fn hear(&mut self, message: &Message) {
        let input = input(&message.value);
        let duty = |state| Duty {
            id: id(&message.value, input),
            allowed: allowed(state, input),
            is_acknowledged: false,
        };
        match self.state {
            State::Over => {}
            State::Greeted => {
                self.first = Some(duty(State::Greeted));
                self.state = State::Deciding;
            }
            State::Deciding | State::Open => {
                self.malformed = if input == NotJson {
                    self.malformed + 1
                } else {
                    0
                };
                if self.malformed <= IN_ROW && self.must_close.is_none() {
                    self.duties.push(duty(State::Open));
                }
                if self.malformed == IN_ROW {
                    self.must_close = Some(1008);
                }
            }
        }
    }

    fn say(&mut self, message: &Message) -> Result<(), String> {
        let value = &message.value;
        match self.state {
            State::Over => Err("says something after its close".into()),
            State::Greeted | State::Deciding if is_push(message) => {
                let is_challenge = text(value, "event") == "connect.challenge";
                let right = is_challenge && value.get("seq").is_none();
                right.then_some(()).ok_or("pushes before hello".into())
            }
            State::Greeted => Err("answers nothing".into()),
            State::Deciding => self.decide(message),
            State::Open if is_response(message) => self.answer(message),
            State::Open => Ok(()),
        }
    }

    fn decide(&mut self, message: &Message) -> Result<(), String> {
        let value = &message.value;
        let first = self.first.take().ok_or("answers connect twice")?;
        if text(value, "id") != first.id {
            return Err("answers something else than the first request".into());
        }
        if is_hello(message) {
            self.state = State::Open;
            let right = first.allowed.contains(&Hello);
            return right.then_some(()).ok_or("lets somebody in".into());
        }
        let code = text(&value["error"], "code");
        let refusal = first.allowed.iter().find_map(|output| match output {
            Refusal(error, close) if *error == code => Some(*close),
            _ => None,
        });
        self.must_close = Some(refusal.ok_or(format!("refuses with {code}"))?);
        Ok(())
    }

    fn answer(&mut self, message: &Message) -> Result<(), String> {
        let value = &message.value;
        let id = text(value, "id");
        let code = text(&value["error"], "code");
        let fits = |duty: &Duty| {
            duty.id == id
                && match duty.allowed {
                    [Answer] => !is_ack(message) || !duty.is_acknowledged,
                    [Error(error)] => *error == code,
                    _ => false,
                }
        };
        let Some(at) = self.duties.iter().position(fits) else {
            return Err(format!("answers {id} unasked or twice"));
        };
        if is_ack(message) {
            self.duties[at].is_acknowledged = true;
        } else {
            self.duties.remove(at);
        }
        Ok(())
    }

    fn close(&mut self, code: u16) -> Result<(), String> {
        if self.state == State::Over {
            return Err("closes twice".into());
        }
        let first = self.first.take();
        // What came behind a connect that was not decided yet waits, and has no consequence before the decision.
        let waits = first.is_some();
        let by_table = first.is_some_and(|first| first.allowed.contains(&Close(code)));
        self.state = State::Over;
        let right = match self.must_close.filter(|_| !waits) {
            Some(must) => must == code || code == 1012,
            None => by_table || AT_ANY_TIME.contains(&code),
        };
        right.then_some(()).ok_or(format!("closes with {code}"))
    }

    fn rest(&self) -> Result<(), String> {
        if self.state == State::Over {
            return Ok(());
        }
        if let Some(code) = self.must_close {
            return Err(format!("is not closed with {code}"));
        }
        match self.duties.first() {
            Some(duty) => Err(format!("has no answer for {}", duty.id)),
            None => Ok(()),
        }
    }
}

/// What a message is, as a reader of the clauses would say.
fn input(value: &Value) -> Input {
    const MEMBERS: [&str; 6] = [
        "type",
        "id",
        "method",
        "params",
        "traceparent",
        "expectedProfileId",
    ];
    let Value::Object(members) = value else {
        return if value.is_null() { NotJson } else { NoRequest };
    };
    let is_name = |member: &str| (1..=1024).contains(&text(value, member).len());
    let is_known = members.keys().all(|key| MEMBERS.contains(&key.as_str()));
    if text(value, "type") != "req" || !is_name("id") || !is_name("method") || !is_known {
        return NoRequest;
    }
    if text(value, "method") != "connect" {
        return Request;
    }
    let params = &value["params"];
    let version = |member: &str| params[member].as_u64();
    let (Some(oldest), Some(newest)) = (version("minProtocol"), version("maxProtocol")) else {
        return ConnectOfWrongShape;
    };
    if text(&params["client"], "id").is_empty() {
        return ConnectOfWrongShape;
    }
    if !(3..=4).any(|version| (oldest..=newest).contains(&version)) {
        return ConnectOfNoVersion;
    }
    match text(params, "role") {
        "operator" | "node" => Connect,
        _ => ConnectOfWrongRole,
    }
}

/// The id that an answer to a message carries.
fn id(value: &Value, input: Input) -> String {
    let id = text(value, "id");
    if input == NotJson || id.is_empty() || id.len() > 1024 {
        "invalid".into()
    } else {
        id.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_in_which_something_is_heard_knows_every_input() {
        let inputs = [
            NotJson,
            NoRequest,
            Request,
            Connect,
            ConnectOfWrongShape,
            ConnectOfNoVersion,
            ConnectOfWrongRole,
        ];
        for state in [State::Greeted, State::Open] {
            for input in inputs {
                assert!(!allowed(state, input).is_empty(), "{state:?} {input:?}");
            }
        }
    }

    /// A gateway may make room by closing whoever waits, whatever waits with them.
    #[test]
    fn what_waits_for_a_decision_obliges_to_no_close() {
        let after_nonsense = |state, first| Conversation {
            state,
            first,
            must_close: Some(1008),
            ..Conversation::new()
        };
        let connect = Duty {
            id: "c".to_owned(),
            allowed: allowed(State::Greeted, Connect),
            is_acknowledged: false,
        };
        let mut waiting = after_nonsense(State::Deciding, Some(connect));
        assert_eq!(waiting.close(1013), Ok(()));
        let mut open = after_nonsense(State::Open, None);
        assert!(open.close(1013).is_err());
    }
}
