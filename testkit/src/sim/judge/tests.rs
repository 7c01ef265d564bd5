//! Histories made by hand, each of which breaks one promise.

mod hand;

use bytes::Bytes;
use serde_json::json;

use super::judge;
use crate::sim::history::{End, Family, Note};
use crate::sim::link::Message;
use hand::*;

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
    let two_finals = vec![phase(1, "end"), phase(2, "final"), phase(3, "final")];
    breaks(promise, run(two_finals));
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
    rests(promise, |gateway, _| {
        if let Note::Rest { open, .. } = gateway {
            open.0 = 1;
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
fn a_push_before_hello_is_found() {
    let early = bare(vec![Note::Opened(S, "stranger".into()), note(1, 1)]);
    let promise = "only what the table allows";
    assert_eq!(judge(&early).expect_err("too early").promise, promise);
    let found = super::numbers::numbers_rise_by_one(&early).expect_err("too early");
    assert_eq!(found.promise, "no push before hello");
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
    let bare = json!({"type": "event", "event": "presence", "seq": 1, "payload": {}});
    breaks("state has versions", vec![said(bare)]);
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
    rests("presence is who is there", |gateway, _| {
        if let Note::Rest { open, .. } = gateway {
            open.1 = 2;
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
    change(|note| {
        if let Note::Mirror { reads, .. } = note {
            *reads = false;
        }
    });
}
