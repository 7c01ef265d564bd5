//! Who presents wrong secrets is not heard any more, for a while, and nobody else is hindered.

mod support;

use std::net::{IpAddr, Ipv4Addr};

use openclaw_gateway_service::throttle::RateLimit;
use openclaw_protocol_core::hub::Peer;
use serde_json::{Value, json};
use support::{Caller, Device, Settings, World, from, local, millis, remote, seconds};

fn wrong() -> Caller<'static> {
    Caller {
        auth: json!({"token": "wrong"}),
        ..Caller::default()
    }
}

fn own_page(host: &str) -> Peer {
    let origin = format!("http://{host}:{}", support::PORT);
    from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(&origin))
}

/// Presents wrong secrets side by side, so that no time passes.
fn guess(world: &mut World, peer: &Peer, times: usize) {
    for _ in 0..times {
        let conn = world.open(peer.clone());
        let answer = world.knock(conn, &wrong());
        assert_eq!(answer, Value::Null, "it is kept back");
    }
}

/// What somebody is told at once.
fn told(world: &mut World, peer: Peer, caller: &Caller<'_>) -> Value {
    let conn = world.open(peer);
    world.knock(conn, caller)
}

fn detail(answer: &Value) -> &Value {
    &answer["error"]["details"]["code"]
}

#[test]
fn the_eleventh_wrong_secret_of_an_address_is_told_when_to_come_back() {
    let mut world = World::new();
    guess(&mut world, &remote(1), 10);
    world.advance(millis(2_500));
    let error = world.refused(remote(1), &wrong());
    assert_eq!(
        error,
        json!({
            "code": "INVALID_REQUEST",
            "message": "unauthorized: too many failed authentication attempts (retry later)",
            "details": {
                "code": "AUTH_RATE_LIMITED", "authReason": "rate_limited",
                "canRetryWithDeviceToken": false, "recommendedNextStep": "wait_then_retry",
            },
            "retryable": true, "retryAfterMs": 297_500,
        })
    );
    assert_eq!(world.passed(), millis(2_500), "and at once");
}

#[test]
fn guessing_one_after_the_other_is_locked_out_as_well() {
    let mut world = World::new();
    for _ in 0..10 {
        let error = world.refused(remote(1), &wrong());
        assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    }
    assert_eq!(
        world.refused(remote(1), &wrong())["details"]["code"],
        "AUTH_RATE_LIMITED"
    );
}

#[test]
fn during_a_lockout_nothing_tells_a_right_secret_from_a_wrong_one() {
    let nothing = json!({});
    let right = Caller::default().auth;
    for (id, mode) in [
        ("gateway-client", "backend"),
        ("openclaw-tui", "ui"),
        ("cli", "cli"),
    ] {
        for device in [None, Some(Device::new(1))] {
            let mut world = World::new();
            guess(&mut world, &remote(1), 10);
            let answers = [&right, &json!({"token": "wrong"}), &nothing].map(|auth| {
                let caller = Caller {
                    id,
                    mode,
                    auth: auth.clone(),
                    device: device.clone(),
                    ..Caller::default()
                };
                told(&mut world, remote(1), &caller)
            });
            assert_eq!(detail(&answers[0]), "AUTH_RATE_LIMITED", "{id}");
            assert_eq!(answers[0], answers[1]);
            assert_eq!(answers[0], answers[2]);
        }
    }
}

#[test]
fn a_lockout_ends_by_itself() {
    let mut world = World::new();
    guess(&mut world, &remote(1), 10);
    world.advance(millis(299_999));
    let answer = told(&mut world, remote(1), &Caller::default());
    assert_eq!(answer["error"]["retryAfterMs"], 1);
    world.advance(millis(1));
    assert_eq!(told(&mut world, remote(1), &Caller::default())["ok"], true);
}

#[test]
fn a_lockout_hinders_no_other_address_and_nobody_on_this_host() {
    let mut world = World::new();
    guess(&mut world, &remote(1), 10);
    for peer in [remote(2), local(), own_page("localhost")] {
        assert_eq!(told(&mut world, peer, &Caller::default())["ok"], true);
    }
}

#[test]
fn programs_on_this_host_are_slowed_and_never_locked_out() {
    let mut world = World::new();
    guess(&mut world, &local(), 50);
    assert_eq!(told(&mut world, local(), &Caller::default())["ok"], true);
}

#[test]
fn this_host_is_locked_out_where_that_is_configured() {
    let mut world = World::with(Settings {
        rate_limit: RateLimit {
            attempts: 3,
            lockout: seconds(7),
            exempt_loopback: false,
            ..RateLimit::default()
        },
        ..Settings::default()
    });
    guess(&mut world, &local(), 3);
    let answer = told(&mut world, local(), &Caller::default());
    assert_eq!(answer["error"]["retryAfterMs"], 7_000);
    world.advance(seconds(7));
    assert_eq!(told(&mut world, local(), &Caller::default())["ok"], true);
}

#[test]
fn pages_on_this_host_are_locked_out_without_the_programs() {
    let mut world = World::new();
    guess(&mut world, &own_page("localhost"), 10);
    let answer = told(&mut world, own_page("LOCALHOST"), &Caller::default());
    assert_eq!(detail(&answer), "AUTH_RATE_LIMITED");
    let other = told(&mut world, own_page("127.0.0.1"), &Caller::default());
    assert_eq!(
        detail(&other),
        "AUTH_RATE_LIMITED",
        "pages say whose they are"
    );
    assert_eq!(told(&mut world, local(), &Caller::default())["ok"], true);
}

/// A device from elsewhere that has a token, with this beside it.
fn paired(world: &mut World, beside: Value) -> Caller<'static> {
    let device = Caller {
        id: "cli",
        mode: "cli",
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    let hello = told(world, local(), &device);
    let mut auth = beside;
    auth["deviceToken"] = hello["payload"]["auth"]["deviceToken"].clone();
    Caller { auth, ..device }
}

#[test]
fn a_guess_counts_whatever_is_presented_beside_it() {
    let mut world = World::new();
    let beside_a_token = paired(&mut world, json!({"password": "wrong"}));
    for _ in 0..10 {
        let answer = told(&mut world, remote(1), &beside_a_token);
        assert_eq!(answer["ok"], true, "its token lets it in: {answer}");
    }
    let answer = told(&mut world, remote(1), &Caller::default());
    assert_eq!(detail(&answer), "AUTH_RATE_LIMITED");

    let bogus = Caller {
        auth: json!({"password": "wrong", "deviceToken": "x"}),
        device: Some(Device::new(2)),
        ..Caller::default()
    };
    for _ in 0..10 {
        assert_eq!(
            told(&mut world, remote(2), &bogus),
            Value::Null,
            "it is kept back"
        );
    }
    let answer = told(&mut world, remote(2), &bogus);
    assert_eq!(detail(&answer), "AUTH_RATE_LIMITED");
}

#[test]
fn a_device_token_ends_no_lockout_and_tells_nothing_of_the_secret_meanwhile() {
    let mut world = World::new();
    guess(&mut world, &remote(1), 10);
    let token = paired(&mut world, json!({}));
    assert_eq!(told(&mut world, remote(1), &token)["ok"], true);
    let answer = told(&mut world, remote(1), &Caller::default());
    assert_eq!(detail(&answer), "AUTH_RATE_LIMITED");
    for secret in ["wrong", support::TOKEN] {
        let wider = Caller {
            scopes: &["operator.admin"],
            ..paired(&mut world, json!({"password": secret}))
        };
        let answer = told(&mut world, remote(1), &wider);
        assert_eq!(detail(&answer), "AUTH_SCOPE_MISMATCH", "{secret}");
    }
}

#[test]
fn a_right_secret_starts_the_count_anew() {
    let mut world = World::new();
    for _ in 0..3 {
        guess(&mut world, &remote(1), 9);
        assert_eq!(told(&mut world, remote(1), &Caller::default())["ok"], true);
    }
}

#[test]
fn who_presents_nothing_uses_up_no_attempt() {
    let mut world = World::new();
    let nothing = Caller {
        auth: json!({}),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    for _ in 0..30 {
        let answer = told(&mut world, remote(1), &nothing);
        assert_eq!(detail(&answer), "AUTH_TOKEN_MISSING");
    }
    assert_eq!(told(&mut world, remote(1), &Caller::default())["ok"], true);
}

#[test]
fn a_foreign_page_is_told_of_its_origin_and_locks_nobody_out() {
    let mut world = World::new();
    let evil = from(
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some("https://evil.example"),
    );
    for _ in 0..30 {
        let answer = told(&mut world, evil.clone(), &wrong());
        assert_eq!(detail(&answer), "CONTROL_UI_ORIGIN_NOT_ALLOWED");
    }
    assert_eq!(told(&mut world, local(), &Caller::default())["ok"], true);
}

#[test]
fn without_a_secret_nobody_is_locked_out() {
    let mut world = World::with(Settings {
        secret: None,
        ..Settings::default()
    });
    for _ in 0..30 {
        assert_eq!(told(&mut world, remote(1), &wrong())["ok"], true);
    }
}
