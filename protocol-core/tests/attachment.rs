//! Runs that outlive the connection that began them.

mod support;

use core::time::Duration;

use openclaw_protocol_core::client::{Attachment, Expect, Failure, Hello, Outgoing, Step};
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::time::Now;
use serde_json::{Value, json};
use support::script::hello;
use support::{Clock, json as raw, seconds};

const SEND: Step = Step::Send {
    after: Duration::ZERO,
};

fn run(params: Value) -> Attachment {
    Attachment::new(&Outgoing {
        method: "agent".into(),
        params: Some(raw(params)),
        expect: Expect::Final,
        within: None,
    })
}

fn keyed() -> Attachment {
    run(json!({"message": "hi", "idempotencyKey": "k"}))
}

fn boot(name: &str) -> Hello {
    hello(json!({"protocol": 4, "server": {"bootId": name}}))
}

fn now(at: u64) -> Now {
    let mut clock = Clock::default();
    clock.set(seconds(at));
    clock.now()
}

fn status(status: &str) -> Outcome {
    Outcome {
        ok: true,
        payload: Some(raw(json!({"runId": "k", "status": status}))),
        error: None,
    }
}

#[test]
fn a_run_with_a_key_is_repeated_after_a_loss() {
    let mut run = keyed();
    assert_eq!(run.key(), Some("k"));
    assert_eq!(run.greeted(&boot("a"), now(0)), SEND);
    assert_eq!(run.accepted(), Step::Listen);
    assert_eq!(run.lost(Failure::Unknown, now(5)), Step::Listen);
    assert_eq!(run.greeted(&boot("a"), now(6)), SEND);
    assert_eq!(
        run.accepted(),
        Step::Listen,
        "the final comes to the repeat"
    );
    assert_eq!(run.finished(&status("ok")), Step::Finish);
}

#[test]
fn a_run_without_a_key_is_not_repeated_once_it_was_sent() {
    let mut run = run(json!({"message": "hi"}));
    assert_eq!(run.key(), None);
    assert_eq!(run.greeted(&boot("a"), now(0)), SEND);
    assert_eq!(run.lost(Failure::NotSent, now(1)), Step::Listen);
    assert_eq!(run.greeted(&boot("a"), now(2)), SEND, "it never was");
    assert_eq!(run.lost(Failure::Unknown, now(3)), Step::GiveUp);
}

#[test]
fn a_key_that_may_be_forgotten_is_not_repeated() {
    let lost = || {
        let mut run = keyed();
        run.greeted(&boot("a"), now(0));
        run.lost(Failure::Unknown, now(10));
        run
    };
    assert_eq!(
        lost().greeted(&boot("b"), now(11)),
        Step::GiveUp,
        "restarted"
    );
    assert_eq!(lost().greeted(&boot("a"), now(310)), SEND);
    assert_eq!(
        lost().greeted(&boot("a"), now(311)),
        Step::GiveUp,
        "too late"
    );
    let silent = hello(json!({"protocol": 4}));
    assert_eq!(lost().greeted(&silent, now(11)), SEND, "it does not say");
}

#[test]
fn repeats_that_were_not_sent_do_not_extend_the_time() {
    let mut run = keyed();
    run.greeted(&boot("a"), now(0));
    run.lost(Failure::Unknown, now(10));
    assert_eq!(run.greeted(&boot("a"), now(300)), SEND);
    run.lost(Failure::NotSent, now(301));
    assert_eq!(run.greeted(&boot("a"), now(311)), Step::GiveUp);
}

#[test]
fn an_ack_shows_that_the_key_is_known() {
    let mut run = keyed();
    run.greeted(&boot("a"), now(0));
    run.lost(Failure::Unknown, now(10));
    run.greeted(&boot("a"), now(300));
    run.accepted();
    run.lost(Failure::Unknown, now(400));
    assert_eq!(run.greeted(&boot("a"), now(600)), SEND);
}

#[test]
fn a_request_that_was_not_acknowledged_in_time_is_given_up() {
    let mut run = keyed();
    run.greeted(&boot("a"), now(0));
    assert_eq!(run.lost(Failure::TimedOut, now(30)), Step::GiveUp);
}

#[test]
fn a_repeat_that_cannot_be_taken_now_is_not_the_runs_end() {
    let busy = Outcome {
        ok: false,
        payload: None,
        error: Some(ErrorShape::unavailable("busy").retryable_after(Some(4_000))),
    };
    let mut run = keyed();
    run.greeted(&boot("a"), now(0));
    assert_eq!(run.finished(&busy), Step::Finish, "the first was refused");
    run.lost(Failure::Unknown, now(1));
    run.greeted(&boot("a"), now(2));
    assert_eq!(run.joins_until(), Some(now(301).at));
    let again = Step::Send { after: seconds(4) };
    assert_eq!(run.finished(&busy), again);
    let failed = Outcome {
        payload: Some(raw(json!({"status": "error"}))),
        ..busy
    };
    assert_eq!(run.finished(&failed), Step::Finish, "a run that failed");
}

const WAIT: Step = Step::Wait {
    after: Duration::ZERO,
};

#[test]
fn a_gateway_that_sends_a_repeat_no_final_is_asked_for_the_end() {
    let mut run = keyed();
    run.greeted(&boot("a"), now(0));
    assert_eq!(run.finished(&status("in_flight")), WAIT);
    let later = Step::Wait { after: seconds(1) };
    assert_eq!(run.waited(Some(&status("timeout"))), later);
    let again = |after| Step::Send {
        after: seconds(after),
    };
    assert_eq!(run.waited(Some(&status("ok"))), again(1));
    assert_eq!(run.finished(&status("ok")), Step::Finish);
    for after in [2, 4, 8, 16, 30, 30] {
        assert_eq!(run.waited(None), again(after), "ever more seldom");
    }
    run.lost(Failure::Unknown, now(9));
    run.greeted(&boot("a"), now(10));
    assert_eq!(run.waited(None), again(1));
}

#[test]
fn an_old_gateway_acknowledges_a_repeat_and_sends_it_no_final() {
    let old = hello(json!({"protocol": 3}));
    let mut run = keyed();
    run.greeted(&old, now(0));
    assert_eq!(run.accepted(), Step::Listen, "the first gets its final");
    run.lost(Failure::Unknown, now(1));
    run.greeted(&old, now(2));
    assert_eq!(run.accepted(), WAIT);
}

#[test]
fn a_repeat_that_is_lost_too_does_not_extend_the_time() {
    let mut run = keyed();
    run.greeted(&boot("a"), now(0));
    run.lost(Failure::Unknown, now(10));
    run.greeted(&boot("a"), now(300));
    run.lost(Failure::Unknown, now(301));
    assert_eq!(run.joins_until(), Some(now(310).at));
    assert_eq!(run.greeted(&boot("a"), now(311)), Step::GiveUp);
}
