//! Histories made by hand, each of which breaks one promise.

use bytes::Bytes;
use serde_json::{Value, json};

use super::judge;
use crate::sim::history::{Asked, End, Entry, Family, Guest, History, Note, Socket};
use crate::sim::link::Message;

const S: Socket = Socket { boot: 1, conn: 1 };
const READ: Family = Family::Scope("operator.read");

fn message(value: &Value) -> std::rc::Rc<Message> {
    Message::new(Bytes::from(value.to_string()))
}

fn said(value: Value) -> Note {
    Note::Said(S, message(&value))
}

fn heard(value: Value) -> Note {
    Note::Heard(S, message(&value))
}

fn guest(scopes: &[&'static str]) -> Guest {
    Guest {
        row: Some("d".into()),
        is_node: false,
        scopes: scopes.to_vec(),
        caps: Vec::new(),
    }
}

fn connect() -> Value {
    let params = json!({
        "minProtocol": 3, "maxProtocol": 4, "client": {"id": "cli"}, "role": "operator",
    });
    json!({"type": "req", "id": "c", "method": "connect", "params": params})
}

fn hello(presence: u64) -> Value {
    let version = json!({"presence": presence, "health": 1});
    let snapshot = json!({"presence": [], "health": {}, "stateVersion": version});
    json!({"type": "res", "id": "c", "ok": true,
        "payload": {"type": "hello-ok", "snapshot": snapshot}})
}

fn ask(id: &str) -> Note {
    heard(json!({"type": "req", "id": id, "method": "health"}))
}

fn answer(id: &str, status: &str) -> Note {
    said(json!({"type": "res", "id": id, "ok": true,
        "payload": {"status": status, "runId": "r"}}))
}

fn note(seq: u64, number: u64) -> Note {
    said(json!({"type": "event", "event": "note", "payload": {"n": number}, "seq": seq}))
}

fn phase(seq: u64, phase: &str) -> Note {
    said(json!({"type": "event", "event": "agent", "seq": seq,
        "payload": {"runId": "r", "phase": phase, "n": seq}}))
}

fn presence(seq: u64, version: u64, list: Value) -> Note {
    said(json!({"type": "event", "event": "presence", "seq": seq,
        "payload": {"presence": list}, "stateVersion": {"presence": version, "health": 1}}))
}

fn published(number: u64, family: Family, droppable: bool) -> Note {
    Note::Published {
        boot: 1,
        number,
        family,
        droppable,
        bytes: 100,
    }
}

fn rest() -> Note {
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

fn mirror() -> Note {
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

fn asked(id: &str) -> Asked {
    (0, 1, id.into())
}

/// A socket that was let in, and then this; at the end of a world that is in order.
fn history(then: Vec<Note>) -> History {
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

fn bare(notes: Vec<Note>) -> History {
    History {
        entries: notes
            .into_iter()
            .map(|note| Entry { at: 0, note })
            .collect(),
        outbox: 250,
        keeps_runs: false,
    }
}

#[track_caller]
fn breaks(promise: &str, then: Vec<Note>) {
    let found = judge(&history(then)).expect_err("a promise is broken");
    assert_eq!(found.promise, promise, "{found}");
}

#[track_caller]
fn keeps(then: Vec<Note>) {
    if let Err(found) = judge(&history(then)) {
        panic!("{found}");
    }
}

/// At rest, with one thing out of order.
#[track_caller]
fn rests(promise: &str, change: impl FnOnce(&mut Note, &mut Note)) {
    let mut history = history(Vec::new());
    let count = history.entries.len();
    let [.., gateway, client] = &mut history.entries[count - 2..] else {
        panic!("two entries");
    };
    change(&mut gateway.note, &mut client.note);
    let found = judge(&history).expect_err("a promise is broken");
    assert_eq!(found.promise, promise, "{found}");
}

#[test]
fn a_history_in_order_breaks_nothing() {
    keeps(vec![
        ask("1"),
        answer("1", "accepted"),
        published(1, READ, false),
        published(2, READ, false),
        published(3, READ, false),
        phase(1, "start"),
        phase(2, "end"),
        phase(3, "final"),
        answer("1", "ok"),
        published(4, READ, true),
        published(5, READ, false),
        note(5, 5),
    ]);
}

#[test]
fn a_request_without_an_outcome_is_found() {
    let promise = "one outcome per request";
    let sent = || Note::Sent(0, 1, message(&json!({"id": "1"})));
    let end = |end| Note::Concluded(asked("1"), end);
    breaks(promise, vec![Note::Asked(asked("1"))]);
    breaks(promise, vec![Note::Asked(asked("1")), Note::Over(0, 1)]);
    breaks(
        promise,
        vec![
            Note::Asked(asked("1")),
            end(End::NotSent),
            end(End::NotSent),
        ],
    );
    breaks(promise, vec![Note::Asked(asked("1")), end(End::Unknown)]);
    breaks(
        promise,
        vec![Note::Asked(asked("1")), sent(), end(End::NotSent)],
    );
    breaks(
        promise,
        vec![Note::Asked(asked("1")), sent(), end(End::Answered)],
    );
    breaks(
        promise,
        vec![Note::Asked(asked("1")), end(End::NotSent), sent()],
    );
    breaks(
        promise,
        vec![
            Note::Asked(asked("1")),
            sent(),
            Note::Acknowledged(asked("1")),
        ],
    );
    keeps(vec![Note::Asked(asked("1")), sent(), end(End::Unknown)]);
}

#[test]
fn a_task_without_an_end_is_found() {
    breaks("one end per task", vec![Note::Task(0, 0)]);
    let end = || Note::TaskEnded(0, 0, End::Answered);
    breaks("one end per task", vec![Note::Task(0, 0), end(), end()]);
}

#[test]
fn a_gap_that_is_not_told_is_found() {
    let got = |seq: u64| Note::Got(0, 1, message(&json!({"type": "event", "seq": seq})));
    let ready = || Note::Ready(0, 1, 4);
    breaks("gaps are told", vec![ready(), got(2), got(3)]);
    breaks(
        "gaps are told",
        vec![ready(), got(1), Note::Gap(0, 1, 1, 2)],
    );
    keeps(vec![ready(), got(2), Note::Gap(0, 1, 1, 2), got(3)]);
}

#[test]
fn a_run_out_of_order_is_found() {
    let promise = "one terminal per run, in order";
    let pushed = || (1..=3).map(|number| published(number, READ, false));
    let run = |rest: Vec<Note>| {
        let begin = [ask("1"), answer("1", "accepted")];
        pushed().chain(begin).chain(rest).collect::<Vec<_>>()
    };
    breaks(promise, run(vec![phase(1, "end"), phase(2, "end")]));
    breaks(promise, run(vec![phase(1, "start"), phase(2, "final")]));
    breaks(promise, run(vec![phase(1, "end"), phase(2, "start")]));
    let early = vec![phase(1, "start"), answer("1", "ok"), phase(2, "end")];
    breaks(promise, run(early));
}

#[test]
fn work_that_is_done_twice_is_found() {
    let promise = "a key is done once";
    let began = |boot| Note::Began(boot, "p".into(), "k".into());
    breaks(promise, vec![began(1), began(1)]);
    breaks(
        promise,
        vec![Note::Finished(1, "r".into()), Note::Finished(1, "r".into())],
    );
    keeps(vec![began(0), began(1)]);
    let mut kept = history(vec![began(0), began(1)]);
    kept.keeps_runs = true;
    assert_eq!(judge(&kept).expect_err("twice").promise, promise);
    rests(promise, |gateway, _| {
        if let Note::Rest { works, .. } = gateway {
            *works = 1;
        }
    });
}

#[test]
fn wrong_numbers_are_found() {
    let two = |first: Note, second: Note| {
        vec![
            published(1, READ, false),
            published(2, READ, false),
            first,
            second,
        ]
    };
    breaks("numbers rise by one", two(note(1, 1), note(1, 2)));
    breaks("a gap is a real loss", two(note(1, 1), note(3, 2)));
    let lost = vec![
        published(1, READ, false),
        published(2, READ, false),
        note(2, 2),
    ];
    breaks("what is not dropped arrives", lost);
    breaks(
        "what is not dropped arrives",
        vec![published(1, READ, false)],
    );
    let hidden = vec![
        published(1, READ, true),
        published(2, READ, false),
        note(1, 2),
    ];
    breaks("a gap is a real loss", hidden);
    let unnumbered = said(json!({"type": "event", "event": "note", "payload": {"n": 1}}));
    breaks(
        "every push has a number",
        vec![published(1, READ, false), unnumbered],
    );
}

#[test]
fn a_push_for_others_is_found() {
    let promise = "nobody hears what is not for them, or twice";
    let others = Family::Scope("operator.pairing");
    breaks(promise, vec![published(1, others, false), note(1, 1)]);
    breaks(
        promise,
        vec![published(1, READ, false), note(1, 1), note(2, 1)],
    );
    let mut stranger = history(vec![presence(1, 3, json!([]))]);
    stranger.entries[3].note = Note::Admitted(S, guest(&[]));
    let found = judge(&stranger).expect_err("it may not read");
    assert_eq!(found.promise, "nobody hears what is not for them");
}

#[test]
fn versions_that_fall_or_lie_are_found() {
    breaks("versions never fall", vec![presence(1, 1, json!([]))]);
    let one = || presence(1, 3, json!([1]));
    breaks(
        "a version names one state",
        vec![one(), presence(2, 3, json!([2]))],
    );
    keeps(vec![one(), presence(2, 3, json!([1]))]);
}

#[test]
fn too_much_that_waits_is_found() {
    let three = || (1..=3).map(|number| published(number, READ, false));
    let waits: Vec<Note> = three().chain([Note::Settled]).collect();
    breaks("what is not dropped arrives", three().collect());
    let all = |end: Vec<Note>| waits.iter().cloned().chain(end).collect::<Vec<_>>();
    breaks(
        "what waits is bounded",
        all(vec![note(1, 1), note(2, 2), note(3, 3)]),
    );
}

#[test]
fn what_the_table_does_not_allow_is_found() {
    let promise = "only what the table allows";
    breaks(promise, vec![ask("1")]);
    breaks(promise, vec![answer("1", "ok")]);
    breaks(
        promise,
        vec![ask("1"), answer("1", "ok"), answer("1", "ok")],
    );
    let twice = vec![ask("1"), answer("1", "accepted"), answer("1", "accepted")];
    breaks(promise, twice);
    breaks(promise, vec![heard(connect()), said(hello(2))]);
    breaks(promise, vec![Note::Closing(S, 4444, String::new())]);
    let after = vec![
        ask("1"),
        Note::Closing(S, 1012, String::new()),
        answer("1", "ok"),
    ];
    breaks(promise, after);
    let broken = || Note::Heard(S, Message::new(Bytes::from_static(b"{")));
    breaks(promise, vec![broken()]);
    let first = |notes: [Note; 2]| {
        let opened = Note::Opened(S, "stranger".into());
        let found = judge(&bare([opened].into_iter().chain(notes).collect()));
        assert_eq!(found.expect_err("not allowed").promise, promise);
    };
    first([broken(), said(hello(1))]);
    first([ask("1"), answer("1", "ok")]);
    first([heard(connect()), Note::Closing(S, 1002, String::new())]);
}

#[test]
fn unrest_is_found() {
    breaks("everything comes to rest", vec![Note::Stuck]);
    let promise = "no machine stalls with output undrained";
    rests(promise, |gateway, _| {
        if let Note::Rest { undrained, .. } = gateway {
            undrained.push(1);
        }
    });
    rests(promise, |_, client| {
        if let Note::Mirror { undrained, .. } = client {
            *undrained = true;
        }
    });
}

#[test]
fn a_wrong_presence_list_is_found() {
    for list in [
        json!([]),
        json!([{"deviceId": "d", "reason": "connect"}, {"host": "ghost", "reason": "connect"}]),
    ] {
        rests("presence is who is there", |gateway, _| {
            if let Note::Rest { presence, .. } = gateway {
                *presence = list;
            }
        });
    }
}

#[test]
fn connections_that_are_not_forgotten_are_found() {
    rests("presence is who is there", |gateway, _| {
        if let Note::Rest { admitted, .. } = gateway {
            *admitted = 2;
        }
    });
}

#[test]
fn who_is_not_current_is_found() {
    let promise = "everybody reconnects and is current";
    let change = |change: fn(&mut Note)| rests(promise, |_, client| change(client));
    change(|note| {
        if let Note::Mirror { is_connected, .. } = note {
            *is_connected = false;
        }
    });
    change(|note| {
        if let Note::Mirror { is_suspect, .. } = note {
            *is_suspect = true;
        }
    });
    change(|note| {
        if let Note::Mirror { presence, .. } = note {
            *presence = json!([]);
        }
    });
    change(|note| {
        if let Note::Mirror { health, .. } = note {
            *health = json!({"n": 0});
        }
    });
    change(|note| {
        if let Note::Mirror { versions, .. } = note {
            *versions = (9, 1);
        }
    });
}
