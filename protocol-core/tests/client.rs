//! A client against a scripted gateway: answers, deadlines, gaps and silence.

mod support;

use openclaw_protocol_core::client::{Event, Expect, Failure, Gap, RequestId};
use openclaw_protocol_core::frame::Close;
use serde_json::json;
use support::script::{Script, accepted, answer, failures, gaps, push};
use support::{millis, seconds};

#[test]
fn a_reply_is_the_first_answer_and_a_final_the_first_that_is_not_accepted() {
    let mut script = Script::ready();
    let reply = script.request(Expect::Reply);
    let last = script.request(Expect::Final);
    let sent = script.sent();
    assert_eq!((&sent[0]["id"], &sent[1]["id"]), (&json!("1"), &json!("2")));
    script.says(&accepted(reply));
    assert!(matches!(&script.events()[..], [Event::Finished { request, .. }] if *request == reply));
    script.says(&accepted(last));
    assert!(matches!(&script.events()[..], [Event::Accepted { request, .. }] if *request == last));
    script.says(&accepted(last));
    assert!(script.events().is_empty(), "said once");
    script.says(&json!({"type":"res","id":"2","ok":false,"payload":{"status":"error"},"error":{"code":"UNAVAILABLE","message":"m"}}));
    let events = script.events();
    let [Event::Finished { request, outcome }] = &events[..] else {
        panic!("a final was expected: {events:?}");
    };
    assert_eq!(*request, last);
    assert!(!outcome.ok && outcome.payload.is_some() && outcome.error.is_some());
}

#[test]
fn a_final_may_come_without_an_acknowledgement() {
    let mut script = Script::ready();
    let stored = script.request(Expect::Final);
    script.sent();
    script.says(&answer("1", json!({"runId": "r", "status": "ok"})));
    assert!(
        matches!(&script.events()[..], [Event::Finished { request, .. }] if *request == stored)
    );
}

#[test]
fn answers_may_come_in_any_order() {
    let mut script = Script::ready();
    let [first, second] = [script.request(Expect::Reply), script.request(Expect::Reply)];
    script.sent();
    script.says(&answer("2", json!(null)));
    script.says(&answer("1", json!(null)));
    let finished: Vec<RequestId> = script
        .events()
        .iter()
        .filter_map(|event| {
            if let Event::Finished { request, .. } = event {
                Some(*request)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(finished, [second, first]);
}

#[test]
fn a_request_has_thirty_seconds_for_its_first_answer_and_none_after_it() {
    let mut script =
        Script::ready_at(json!({"protocol": 4, "policy": {"tickIntervalMs": 3_600_000}}));
    let silent = script.request(Expect::Reply);
    let run = script.request(Expect::Final);
    let quick = script.request_within(Expect::Reply, Some(seconds(1)));
    script.sent();
    script.says(&accepted(run));
    script.events();
    script.pass(millis(999));
    assert_eq!(failures(&script.events()), []);
    script.pass(millis(1));
    assert_eq!(failures(&script.events()), [(quick, Failure::TimedOut)]);
    script.pass(millis(28_999));
    assert_eq!(failures(&script.events()), []);
    script.pass(millis(1));
    assert_eq!(failures(&script.events()), [(silent, Failure::TimedOut)]);
    script.pass(seconds(3_000));
    assert_eq!(failures(&script.events()), []);
    script.says(&answer("2", json!({"status": "ok"})));
    assert!(matches!(&script.events()[..], [Event::Finished { request, .. }] if *request == run));
}

#[test]
fn a_request_that_is_forgotten_before_it_was_sent_is_never_sent() {
    let mut script = Script::ready();
    let forgotten = script.request(Expect::Reply);
    script.request(Expect::Reply);
    script.client.forget(forgotten);
    let sent = script.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["id"], "2");
}

#[test]
fn an_answer_that_comes_too_late_or_to_nothing_is_ignored() {
    let mut script = Script::ready();
    let request = script.request(Expect::Reply);
    let forgotten = script.request(Expect::Reply);
    script.sent();
    script.client.forget(forgotten);
    script.pass(seconds(30));
    assert_eq!(failures(&script.events()), [(request, Failure::TimedOut)]);
    for id in ["1", "2", "3", "connect", "", "one", "18446744073709551616"] {
        script.says(&answer(id, json!(null)));
    }
    assert!(script.events().is_empty());
}

#[test]
fn a_request_that_was_not_sent_has_no_answer() {
    let mut script = Script::ready();
    script.request(Expect::Reply);
    script.says(&answer("1", json!("early")));
    assert!(
        script.events().is_empty(),
        "nobody can answer what was not asked"
    );
    script.sent();
    script.says(&answer("1", json!("right")));
    assert_eq!(script.events().len(), 1);
}

#[test]
fn a_failure_says_whether_the_request_was_sent() {
    let mut script = Script::connecting();
    let early = script.request(Expect::Reply);
    assert_eq!(failures(&script.events()), [(early, Failure::NotSent)]);

    let mut script = Script::ready();
    let sent = script.request(Expect::Reply);
    let run = script.request(Expect::Final);
    script.sent();
    script.says(&accepted(run));
    let waiting = script.request(Expect::Reply);
    script.client.handle_disconnect();
    let events = script.events();
    assert_eq!(
        failures(&events),
        [
            (sent, Failure::Unknown),
            (run, Failure::Unknown),
            (waiting, Failure::NotSent)
        ]
    );
    assert!(
        matches!(events.last(), Some(Event::Closed)),
        "and then it is over"
    );
    let late = script.request(Expect::Reply);
    assert_eq!(failures(&script.events()), [(late, Failure::NotSent)]);
    script.client.handle_disconnect();
    assert!(script.events().is_empty() && script.sent().is_empty());
}

#[test]
fn a_request_that_waits_too_long_to_be_sent_is_not_sent_at_all() {
    let mut script = Script::ready();
    let request = script.request_within(Expect::Reply, Some(seconds(1)));
    script.pass(seconds(1));
    assert_eq!(failures(&script.events()), [(request, Failure::NotSent)]);
    assert!(script.sent().is_empty());
}

#[test]
fn two_ticks_of_silence_close_the_connection() {
    let mut script = Script::ready();
    let request = script.request_within(Expect::Reply, Some(seconds(600)));
    script.sent();
    script.pass(seconds(59));
    script.says(&push(1));
    script.pass(seconds(59));
    script.client.handle_activity(script.clock.now());
    script.pass(millis(59_999));
    assert_eq!(script.close(), None);
    script.pass(millis(1));
    assert_eq!(script.close(), Some((4000, "tick timeout".into())));
    script.pass(seconds(1));
    let events = script.events();
    assert_eq!(failures(&events), [(request, Failure::Unknown)]);
    assert!(matches!(events.last(), Some(Event::Closed)));
    assert_eq!(script.client.poll_timeout(), None);
}

#[test]
fn a_gap_is_told_once_before_the_push_that_shows_it() {
    let mut script = Script::ready();
    for seq in [1, 2, 5, 6] {
        script.says(&push(seq));
    }
    script.says(&json!({"type": "event", "event": "voicewake.changed", "payload": {}}));
    let events = script.events();
    assert_eq!(
        gaps(&events),
        [Gap {
            expected: 3,
            received: 5
        }]
    );
    assert!(matches!(&events[2..4], [Event::Gap(_), Event::Push(push)] if push.seq == Some(5)));
    assert_eq!(events.len(), 6);
    assert!(script.client.is_suspect());
    script.client.resynced();
    assert!(!script.client.is_suspect());
}

#[test]
fn a_first_number_other_than_one_is_a_gap_from_protocol_four_on() {
    let mut script = Script::ready();
    script.says(&push(3));
    assert_eq!(
        gaps(&script.events()),
        [Gap {
            expected: 1,
            received: 3
        }]
    );
}

#[test]
fn before_protocol_four_the_first_number_is_the_base() {
    let mut script = Script::ready_at(json!({"protocol": 3}));
    for seq in [700, 701, 703] {
        script.says(&push(seq));
    }
    assert_eq!(
        gaps(&script.events()),
        [Gap {
            expected: 702,
            received: 703
        }]
    );
}

#[test]
fn what_is_not_understood_is_passed_over() {
    let mut script = Script::ready();
    for text in [
        "",
        "{",
        "[]",
        "7",
        r#"{"type":"hint"}"#,
        r#"{"type":"res"}"#,
        r#"{"type":"event"}"#,
        r#"{"type":"res","id":1,"ok":true}"#,
    ] {
        script.says_text(text);
    }
    script.says_text(&"[".repeat(100_000));
    assert!(script.events().is_empty());
    assert!(script.client.is_ready());
    assert_eq!(script.close(), None);
}

#[test]
fn what_waits_is_sent_before_the_close_and_nothing_after_it() {
    let mut script = Script::ready();
    script.request(Expect::Reply);
    let now = script.clock.now();
    script.client.close(Close::new(1000, "bye"), now);
    let late = script.request(Expect::Reply);
    script.client.close(Close::new(1001, "again"), now);
    let (frames, close) = script.transmits();
    assert_eq!(frames.len(), 1);
    assert_eq!(close, Some((1000, "bye".into())));
    assert_eq!(failures(&script.events()), [(late, Failure::NotSent)]);
    script.says(&push(1));
    assert!(
        script.events().is_empty(),
        "what comes in is not looked at any more"
    );
}
