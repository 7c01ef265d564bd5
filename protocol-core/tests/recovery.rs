//! From a gap back to a known state.

mod support;

use openclaw_protocol_core::client::{Fetch, Hello, Mirror};
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::from_gateway::Push;
use openclaw_protocol_core::frame::outgoing::StateVersion;
use openclaw_protocol_core::time::Now;
use serde_json::{Value, json};
use support::script::hello;
use support::{Clock, json as raw, seconds};

fn reader() -> Hello {
    hello(json!({
        "protocol": 4, "auth": {"scopes": ["operator.write"]},
        "snapshot": {"presence": [{"text": "me"}], "health": {"n": 1},
            "stateVersion": {"presence": 3, "health": 5}},
    }))
}

fn now(at: u64) -> Now {
    let mut clock = Clock::default();
    clock.set(seconds(at));
    clock.now()
}

fn fetches(mirror: &mut Mirror) -> Vec<Fetch> {
    core::iter::from_fn(|| mirror.poll_fetch()).collect()
}

fn fetched(mirror: &mut Mirror, fetch: Fetch, payload: Value, at: u64) {
    mirror.handle_answer(fetch, Some(Ok(raw(payload))), now(at));
}

fn push(event: &str, payload: Value, presence: u64, health: u64) -> Push {
    Push {
        event: event.into(),
        payload: raw(payload),
        seq: None,
        state_version: Some(StateVersion { presence, health }),
    }
}

fn texts(mirror: &Mirror) -> (Option<&str>, Option<&str>) {
    (
        mirror.presence().map(|json| json.as_str()),
        mirror.health().map(|json| json.as_str()),
    )
}

#[test]
fn hello_and_pushes_are_mirrored_and_older_ones_are_not() {
    let mut mirror = Mirror::new(&reader());
    assert_eq!(
        texts(&mirror),
        (Some(r#"[{"text":"me"}]"#), Some(r#"{"n":1}"#))
    );
    mirror.handle_push(&push("presence", json!({"presence": []}), 4, 5));
    mirror.handle_push(&push("health", json!({"n": 2}), 4, 6));
    assert_eq!(texts(&mirror), (Some("[]"), Some(r#"{"n":2}"#)));
    mirror.handle_push(&push("presence", json!({"presence": ["old"]}), 3, 6));
    mirror.handle_push(&push("health", json!({"n": 0}), 4, 5));
    assert_eq!(texts(&mirror), (Some("[]"), Some(r#"{"n":2}"#)));
    let versions = StateVersion {
        presence: 4,
        health: 6,
    };
    assert_eq!(mirror.versions(), versions);
    mirror.handle_push(&push("presence", json!("?"), 9, 9));
    assert_eq!(texts(&mirror).0, Some("[]"), "what is no list is none");
}

#[test]
fn a_gap_is_suspect_until_both_were_fetched() {
    let mut mirror = Mirror::new(&reader());
    assert_eq!((mirror.is_suspect(), fetches(&mut mirror)), (false, vec![]));
    mirror.handle_gap(now(1));
    assert!(mirror.is_suspect());
    assert_eq!(fetches(&mut mirror), [Fetch::Health, Fetch::Presence]);
    fetched(&mut mirror, Fetch::Presence, json!(["a"]), 1);
    assert!(mirror.is_suspect() && !mirror.poll_resynced());
    fetched(&mut mirror, Fetch::Health, json!({"n": 9}), 1);
    assert!(!mirror.is_suspect() && mirror.poll_resynced());
    assert!(!mirror.poll_resynced(), "said once");
    assert_eq!(texts(&mirror), (Some(r#"["a"]"#), Some(r#"{"n":9}"#)));
    assert_eq!(mirror.poll_timeout(), None);
}

#[test]
fn without_the_scope_health_is_enough() {
    for scopes in [json!([]), json!(["operator.pairing"])] {
        let hello = hello(json!({"protocol": 4, "auth": {"scopes": scopes}}));
        let mut mirror = Mirror::new(&hello);
        mirror.handle_gap(now(1));
        assert_eq!(fetches(&mut mirror), [Fetch::Health]);
        fetched(&mut mirror, Fetch::Health, json!({}), 1);
        assert!(mirror.poll_resynced());
        assert_eq!(texts(&mirror).0, None);
    }
}

#[test]
fn where_scopes_are_not_told_presence_is_tried_until_it_is_refused() {
    for denial in [
        ErrorShape::missing_scope("operator.read"),
        ErrorShape::invalid_request("missing scope: operator.read"),
    ] {
        let mut mirror = Mirror::new(&hello(json!({"protocol": 4})));
        mirror.handle_gap(now(1));
        assert_eq!(fetches(&mut mirror), [Fetch::Health, Fetch::Presence]);
        fetched(&mut mirror, Fetch::Health, json!({}), 1);
        mirror.handle_answer(Fetch::Presence, Some(Err(&denial)), now(1));
        assert!(mirror.poll_resynced(), "there is none to fetch");
        mirror.handle_gap(now(9));
        assert_eq!(fetches(&mut mirror), [Fetch::Health]);
    }
}

#[test]
fn an_answer_never_replaces_a_push_that_came_after_its_question() {
    let mut mirror = Mirror::new(&reader());
    mirror.handle_gap(now(1));
    fetches(&mut mirror);
    mirror.handle_push(&push("health", json!({"n": 7}), 3, 7));
    fetched(&mut mirror, Fetch::Health, json!({"n": 6}), 1);
    fetched(&mut mirror, Fetch::Presence, json!(["fetched"]), 1);
    assert_eq!(texts(&mirror), (Some(r#"["fetched"]"#), Some(r#"{"n":7}"#)));
    assert!(mirror.poll_resynced());
}

#[test]
fn a_gap_during_a_recovery_is_answered_by_another() {
    let mut mirror = Mirror::new(&reader());
    mirror.handle_gap(now(1));
    fetches(&mut mirror);
    mirror.handle_gap(now(1));
    assert_eq!(fetches(&mut mirror), []);
    for fetch in [Fetch::Health, Fetch::Presence] {
        fetched(&mut mirror, fetch, json!([]), 1);
    }
    assert!(mirror.is_suspect() && !mirror.poll_resynced());
    assert_eq!(mirror.poll_timeout(), Some(now(2).at), "once a second");
    mirror.handle_timeout(now(2));
    assert_eq!(fetches(&mut mirror), [Fetch::Health, Fetch::Presence]);
    for fetch in [Fetch::Health, Fetch::Presence] {
        fetched(&mut mirror, fetch, json!([]), 2);
    }
    assert!(mirror.poll_resynced());
}

#[test]
fn a_global_counter_is_recovered_from_every_ten_seconds_at_most() {
    let mut mirror = Mirror::new(&hello(json!({"protocol": 3})));
    let mut recoveries = Vec::new();
    for second in 1..=35 {
        mirror.handle_gap(now(second));
        mirror.handle_timeout(now(second));
        if fetches(&mut mirror).is_empty() {
            continue;
        }
        recoveries.push(second);
        for fetch in [Fetch::Health, Fetch::Presence] {
            fetched(&mut mirror, fetch, json!([]), second);
        }
        assert!(mirror.poll_resynced());
    }
    assert_eq!(recoveries, [1, 11, 21, 31]);
}

#[test]
fn what_failed_is_fetched_again_ever_more_seldom() {
    let mut mirror = Mirror::new(&reader());
    mirror.handle_gap(now(0));
    let mut at = 0;
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(fetches(&mut mirror).len(), 2);
        fetched(&mut mirror, Fetch::Presence, json!([]), at);
        let busy = ErrorShape::unavailable("busy");
        let answer = if at == 0 { None } else { Some(Err(&busy)) };
        mirror.handle_answer(Fetch::Health, answer, now(at));
        assert!(mirror.is_suspect());
        let due = mirror.poll_timeout().expect("due").since_origin().as_secs();
        waits.push(due - at);
        at = due;
        mirror.handle_timeout(now(at));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    fetches(&mut mirror);
    for fetch in [Fetch::Health, Fetch::Presence] {
        fetched(&mut mirror, fetch, json!([]), at);
    }
    assert!(mirror.poll_resynced());
}

#[test]
fn an_answer_that_nobody_waits_for_changes_no_decision() {
    let mut mirror = Mirror::new(&reader());
    fetched(&mut mirror, Fetch::Health, json!({}), 1);
    mirror.handle_answer(Fetch::Presence, None, now(1));
    assert!(!mirror.is_suspect() && !mirror.poll_resynced());
    assert_eq!(mirror.poll_timeout(), None);
}
