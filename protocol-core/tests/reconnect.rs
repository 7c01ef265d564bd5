//! What follows the end of a connection.

mod support;

use core::time::Duration;

use openclaw_protocol_core::client::{Ending, Next, Patience, Presents, Reconnect, Why};
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::from_gateway::Push;
use openclaw_protocol_core::time::{Instant, Now};
use serde_json::{Value, json};
use support::{millis, seconds};

const MOST_JITTER: u32 = u32::MAX;

fn at(since_origin: Duration) -> Now {
    Now {
        at: Instant::after_origin(since_origin),
        unix_ms: 0,
    }
}

fn policy() -> Reconnect {
    Reconnect::new(Patience::default(), false)
}

fn wait(next: Next, now: Now) -> Duration {
    match next {
        Next::RetryAt(at, _) => at.since(now.at),
        Next::Pause(_) | Next::Stop(_) => panic!("a retry was expected: {next:?}"),
    }
}

fn why(next: Next) -> Why {
    match next {
        Next::RetryAt(_, why) | Next::Pause(why) | Next::Stop(why) => why,
    }
}

fn refusal(code: &'static str, details: Value) -> ErrorShape {
    ErrorShape::new(code, "no").with_details(support::json(details))
}

fn lost() -> Close {
    Close::new(1006, "")
}

fn shutdown(payload: Value) -> Push {
    Push {
        event: "shutdown".into(),
        payload: support::json(payload),
        seq: Some(1),
        state_version: None,
    }
}

#[test]
fn waits_double_from_one_second_to_thirty() {
    let (mut policy, now) = (policy(), at(seconds(1)));
    let longest: Vec<Duration> = (0..8)
        .map(|_| wait(policy.ended(Ending::Unreachable, MOST_JITTER, now), now))
        .collect();
    assert_eq!(longest, [1, 2, 4, 8, 16, 30, 30, 30].map(seconds));
}

#[test]
fn jitter_reaches_from_the_floor_to_the_whole_wait() {
    let now = at(seconds(1));
    let waits = |jitter| {
        let mut policy = policy();
        for _ in 0..9 {
            policy.ended(Ending::Unreachable, 0, now);
        }
        wait(policy.ended(Ending::Unreachable, jitter, now), now)
    };
    assert_eq!(waits(0), millis(100));
    assert_eq!(waits(MOST_JITTER), seconds(30));
    let half = waits(MOST_JITTER / 2);
    assert!(half > millis(15_049) && half < millis(15_051), "{half:?}");
}

#[test]
fn only_a_connection_that_stayed_resets_the_backoff() {
    let mut policy = policy();
    let closed = |policy: &mut Reconnect, after: Duration| {
        policy.greeted(at(seconds(100)));
        let now = at(seconds(100) + after);
        wait(policy.ended(Ending::Closed(&lost()), MOST_JITTER, now), now)
    };
    assert_eq!(closed(&mut policy, millis(1)), seconds(1));
    assert_eq!(closed(&mut policy, millis(29_999)), seconds(2));
    assert_eq!(closed(&mut policy, millis(1)), seconds(4));
    assert_eq!(closed(&mut policy, seconds(30)), seconds(1));
    assert_eq!(closed(&mut policy, millis(1)), seconds(2));
}

#[test]
fn a_gateway_that_is_starting_is_tried_again_soon_and_costs_no_backoff() {
    let (mut policy, now) = (policy(), at(seconds(1)));
    let starting = |after| {
        let mut error = refusal("UNAVAILABLE", json!({"reason": "startup-sidecars"}));
        error.retryable = Some(true);
        error.retry_after_ms = after;
        error
    };
    for (after, least) in [
        (None, 500),
        (Some(700), 700),
        (Some(1), 100),
        (Some(60_000), 2_000),
    ] {
        for _ in 0..20 {
            let next = policy.ended(Ending::Refused(&starting(after)), 0, now);
            assert_eq!((wait(next, now), why(next)), (millis(least), Why::Starting));
            let next = policy.ended(Ending::Refused(&starting(after)), MOST_JITTER, now);
            assert!(wait(next, now) <= millis(least * 3 / 2));
        }
    }
    let next = policy.ended(Ending::Unreachable, MOST_JITTER, now);
    assert_eq!(wait(next, now), seconds(1), "the first of its kind");
}

#[test]
fn what_a_gateway_asks_for_is_the_least_and_bounded() {
    let now = at(seconds(1));
    for (asked, least) in [(1u64, 100u64), (5_000, 5_000), (u64::MAX, 300_000)] {
        let mut error = ErrorShape::unavailable("busy");
        error.retry_after_ms = Some(asked);
        let (mut calm, mut late) = (policy(), policy());
        let next = calm.ended(Ending::Refused(&error), 0, now);
        assert_eq!(
            (wait(next, now), why(next)),
            (millis(least), Why::Unavailable)
        );
        let next = late.ended(Ending::Refused(&error), MOST_JITTER, now);
        assert_eq!(wait(next, now), millis(least + 900), "not all at once");
    }
}

#[test]
fn an_announced_restart_is_waited_for() {
    let restart = Close::new(1012, "service restart");
    for (payload, closed_after, least) in [
        (
            json!({"reason": "x", "restartExpectedMs": 1_500}),
            10,
            1_490,
        ),
        (json!({"restartExpectedMs": 1_500.5}), 0, 1_500),
        (json!({"restartExpectedMs": 1_500}), 5_000, 100),
        (json!({"restartExpectedMs": 1e300}), 0, 300_000),
        (json!({"restartExpectedMs": -1}), 0, 100),
        (json!({"restartExpectedMs": null}), 0, 100),
        (json!({"reason": "gateway stopping"}), 0, 100),
        (json!("?"), 0, 100),
    ] {
        let mut policy = policy();
        policy.greeted(at(seconds(9)));
        policy.pushed(&shutdown(payload.clone()), at(seconds(10)));
        let now = at(seconds(10) + millis(closed_after));
        let next = policy.ended(Ending::Closed(&restart), 0, now);
        assert_eq!(wait(next, now).as_millis(), least, "{payload}");
        assert_eq!(why(next), Why::Restarting);
        let next = policy.ended(Ending::Unreachable, 0, now);
        assert_eq!(wait(next, now), millis(100), "said of one end only");
    }
}

#[test]
fn who_is_not_believed_is_not_tried_again() {
    let next = policy().ended(Ending::Untrusted, 1, at(seconds(1)));
    assert_eq!(next, Next::Pause(Why::Untrusted));
}

#[test]
fn what_passes_is_tried_again() {
    for (code, reason) in [
        (1000, ""),
        (1001, "going away"),
        (1006, ""),
        (1008, "slow consumer"),
        (1009, ""),
        (1012, "service restart"),
        (1013, "gateway starting"),
        (4000, "tick timeout"),
        (4001, "gateway policy changed"),
        (4999, "?"),
    ] {
        let next = policy().ended(Ending::Closed(&Close::new(code, reason)), 1, at(seconds(1)));
        assert!(matches!(next, Next::RetryAt(..)), "{code}: {next:?}");
    }
    for status in [None, Some(404), Some(502), Some(503)] {
        let next = policy().ended(Ending::NotAGateway(status), 1, at(seconds(1)));
        assert!(matches!(next, Next::RetryAt(..)), "{status:?}: {next:?}");
    }
    for (code, details) in [
        ("UNAVAILABLE", json!({})),
        ("SOMETHING_NEW", json!({"code": "ALSO_NEW"})),
        (
            "NOT_PAIRED",
            json!({"code": "PAIRING_REQUIRED", "pauseReconnect": false}),
        ),
        (
            "NOT_PAIRED",
            json!({"code": "PAIRING_REQUIRED", "recommendedNextStep": "wait_then_retry"}),
        ),
        (
            "INVALID_REQUEST",
            json!({"code": "AUTH_RATE_LIMITED", "recommendedNextStep": "wait_then_retry"}),
        ),
        (
            "INVALID_REQUEST",
            json!({"code": "DEVICE_AUTH_SIGNATURE_EXPIRED"}),
        ),
        (
            "INVALID_REQUEST",
            json!({"code": "DEVICE_AUTH_NONCE_MISMATCH"}),
        ),
    ] {
        let error = refusal(code, details.clone());
        let next = policy().ended(Ending::Refused(&error), 1, at(seconds(1)));
        assert!(matches!(next, Next::RetryAt(..)), "{details}: {next:?}");
    }
}

#[test]
fn what_only_the_owner_can_change_pauses() {
    for (code, details, why) in [
        (
            "INVALID_REQUEST",
            json!({"code": "AUTH_TOKEN_MISMATCH"}),
            Why::Credentials,
        ),
        (
            "INVALID_REQUEST",
            json!({"code": "AUTH_TOKEN_MISSING"}),
            Why::Credentials,
        ),
        (
            "INVALID_REQUEST",
            json!({"code": "AUTH_RATE_LIMITED"}),
            Why::Credentials,
        ),
        (
            "INVALID_REQUEST",
            json!({"code": "AUTH_SCOPE_MISMATCH"}),
            Why::Credentials,
        ),
        (
            "INVALID_REQUEST",
            json!({"code": "DEVICE_AUTH_SIGNATURE_INVALID"}),
            Why::Credentials,
        ),
        (
            "NOT_PAIRED",
            json!({"code": "PAIRING_REQUIRED", "reason": "not-paired"}),
            Why::Pairing,
        ),
        (
            "NOT_PAIRED",
            json!({"code": 7, "pauseReconnect": "no"}),
            Why::Pairing,
        ),
        ("NOT_PAIRED", json!(null), Why::Pairing),
        (
            "INVALID_REQUEST",
            json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED"}),
            Why::Refused,
        ),
        ("INVALID_REQUEST", json!([]), Why::Refused),
        ("FORBIDDEN", json!({}), Why::Refused),
        ("UNAVAILABLE", json!({"pauseReconnect": true}), Why::Refused),
    ] {
        let error = refusal(code, details.clone());
        let next = policy().ended(Ending::Refused(&error), 1, at(seconds(1)));
        assert_eq!(next, Next::Pause(why), "{code} {details}");
    }
    let removed = Close::new(4001, "device removed");
    let next = policy().ended(Ending::Closed(&removed), 1, at(seconds(1)));
    assert_eq!(next, Next::Pause(Why::Removed));
    let forbidden = policy().ended(Ending::NotAGateway(Some(403)), 1, at(seconds(1)));
    assert_eq!(forbidden, Next::Pause(Why::NotAGateway));
}

#[test]
fn a_version_that_does_not_fit_stops_for_good() {
    for details in [
        json!({"code": "PROTOCOL_MISMATCH", "expectedProtocol": 4}),
        json!({"code": "PROTOCOL_MISMATCH", "recommendedNextStep": "wait_then_retry"}),
        json!({"code": "CLIENT_VERSION_MISMATCH"}),
    ] {
        let error = refusal("INVALID_REQUEST", details);
        let next = policy().ended(Ending::Refused(&error), 1, at(seconds(1)));
        assert_eq!(next, Next::Stop(Why::Version));
    }
}

fn mismatch() -> ErrorShape {
    refusal(
        "INVALID_REQUEST",
        json!({"code": "AUTH_TOKEN_MISMATCH", "canRetryWithDeviceToken": true}),
    )
}

#[test]
fn a_device_token_is_tried_once() {
    let now = at(seconds(1));
    let mut policy = Reconnect::new(Patience::default(), true);
    assert_eq!(policy.presents(), Presents::Configured);
    let next = policy.ended(Ending::Refused(&mismatch()), MOST_JITTER, now);
    assert_eq!(
        (wait(next, now), why(next)),
        (millis(250), Why::TryingDeviceToken)
    );
    assert_eq!(policy.presents(), Presents::DeviceToken);
    policy.ended(Ending::Unreachable, 0, now);
    assert_eq!(
        policy.presents(),
        Presents::DeviceToken,
        "it was not judged yet"
    );
    let next = policy.ended(Ending::Refused(&mismatch()), 0, now);
    assert_eq!(next, Next::Pause(Why::Credentials));
    assert_eq!(policy.presents(), Presents::Configured);
    let next = policy.ended(Ending::Refused(&mismatch()), 0, now);
    assert_eq!(next, Next::Pause(Why::Credentials), "once in a series");

    policy.resume(true);
    let next = policy.ended(Ending::Refused(&mismatch()), 0, now);
    assert_eq!(why(next), Why::TryingDeviceToken, "the owner began another");
}

#[test]
fn a_device_token_that_was_let_in_is_presented_again() {
    let mut policy = Reconnect::new(Patience::default(), true);
    policy.ended(Ending::Refused(&mismatch()), 0, at(seconds(1)));
    policy.greeted(at(seconds(2)));
    policy.ended(Ending::Closed(&lost()), 0, at(seconds(3)));
    assert_eq!(policy.presents(), Presents::DeviceToken);
}

#[test]
fn without_a_device_token_or_the_gateways_word_none_is_tried() {
    let now = at(seconds(1));
    let next = policy().ended(Ending::Refused(&mismatch()), 0, now);
    assert_eq!(next, Next::Pause(Why::Credentials));
    let error = refusal(
        "INVALID_REQUEST",
        json!({"code": "AUTH_TOKEN_MISMATCH", "canRetryWithDeviceToken": false}),
    );
    let next = Reconnect::new(Patience::default(), true).ended(Ending::Refused(&error), 0, now);
    assert_eq!(next, Next::Pause(Why::Credentials));
}
