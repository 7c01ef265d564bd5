//! Histories made by hand.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::sim::coverage::Coverage;
use crate::sim::history::{Asked, Entry, Family, Guest, History, Note, Socket};
use crate::sim::judge::judge;
use crate::sim::link::Message;

pub(super) const S: Socket = Socket { boot: 1, conn: 1 };
pub(super) const READ: Family = Family::Scope("operator.read");

pub(super) fn message(value: &Value) -> std::rc::Rc<Message> {
    Message::new(Bytes::from(value.to_string()))
}

pub(super) fn said(value: Value) -> Note {
    Note::Said(S, message(&value))
}

pub(super) fn heard(value: Value) -> Note {
    Note::Heard(S, message(&value))
}

pub(super) fn guest(scopes: &[&'static str]) -> Guest {
    Guest {
        row: Some("d".into()),
        is_node: false,
        scopes: scopes.to_vec(),
        caps: Vec::new(),
    }
}

pub(super) fn connect() -> Value {
    let params = json!({
        "minProtocol": 3, "maxProtocol": 4, "client": {"id": "cli"}, "role": "operator",
    });
    json!({"type": "req", "id": "c", "method": "connect", "params": params})
}

pub(super) fn hello(presence: u64) -> Value {
    let version = json!({"presence": presence, "health": 1});
    let snapshot = json!({"presence": [], "health": {}, "stateVersion": version});
    json!({"type": "res", "id": "c", "ok": true,
        "payload": {"type": "hello-ok", "snapshot": snapshot}})
}

pub(super) fn ask(id: &str) -> Note {
    heard(json!({"type": "req", "id": id, "method": "health"}))
}

pub(super) fn answer(id: &str, status: &str) -> Note {
    said(json!({"type": "res", "id": id, "ok": true,
        "payload": {"status": status, "runId": "r"}}))
}

pub(super) fn note(seq: u64, number: u64) -> Note {
    said(json!({"type": "event", "event": "note", "payload": {"n": number}, "seq": seq}))
}

pub(super) fn phase(seq: u64, phase: &str) -> Note {
    said(json!({"type": "event", "event": "agent", "seq": seq,
        "payload": {"runId": "r", "phase": phase, "n": seq}}))
}

pub(super) fn presence(seq: u64, version: u64, list: Value) -> Note {
    said(json!({"type": "event", "event": "presence", "seq": seq,
        "payload": {"presence": list}, "stateVersion": {"presence": version, "health": 1}}))
}

pub(super) fn published(number: u64, family: Family, droppable: bool) -> Note {
    Note::Published {
        boot: 1,
        number,
        family,
        droppable,
        bytes: 100,
    }
}

pub(super) fn rest() -> Note {
    Note::Rest {
        presence: json!([{"deviceId": "d", "reason": "connect"}]),
        health: json!({"n": 1}),
        versions: (2, 1),
        undrained: Vec::new(),
        open: (0, 1),
        admitted: 1,
        works: 0,
    }
}

pub(super) fn mirror() -> Note {
    Note::Mirror {
        client: 0,
        life: 1,
        is_connected: true,
        reads: true,
        is_suspect: false,
        undrained: false,
        presence: json!([{"deviceId": "d", "reason": "connect"}]),
        health: json!({"n": 1}),
        versions: (2, 1),
    }
}

pub(super) fn asked(id: &str) -> Asked {
    (0, 1, id.into())
}

/// A socket that was let in, and then this; at the end of a world that is in order.
pub(super) fn history(then: Vec<Note>) -> History {
    let begin = [
        Note::Boot(1),
        Note::Opened(S, "client 0".into()),
        heard(connect()),
        Note::Admitted(S, guest(&["operator.read"])),
        said(hello(2)),
    ];
    let notes = begin.into_iter().chain(then).chain([rest(), mirror()]);
    bare(notes.collect())
}

pub(super) fn bare(notes: Vec<Note>) -> History {
    History {
        entries: notes
            .into_iter()
            .map(|note| Entry { at: 0, note })
            .collect(),
        outbox: 250,
        keeps_runs: false,
        coverage: Coverage::default(),
    }
}

#[track_caller]
pub(super) fn breaks(promise: &str, then: Vec<Note>) {
    let found = judge(&history(then)).expect_err("a promise is broken");
    assert_eq!(found.promise, promise, "{found}");
}

#[track_caller]
pub(super) fn keeps(then: Vec<Note>) {
    if let Err(found) = judge(&history(then)) {
        panic!("{found}");
    }
}

/// At rest, with one thing out of order.
#[track_caller]
pub(super) fn rests(promise: &str, change: impl FnOnce(&mut Note, &mut Note)) {
    let mut history = history(Vec::new());
    let count = history.entries.len();
    let [.., gateway, client] = &mut history.entries[count - 2..] else {
        panic!("two entries");
    };
    change(&mut gateway.note, &mut client.note);
    let found = judge(&history).expect_err("a promise is broken");
    assert_eq!(found.promise, promise, "{found}");
}
