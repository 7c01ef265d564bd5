//! Which secrets open the gateway, and what those without one are told.

mod support;

use openclaw_gateway_service::secret::resolve::SecretKind;
use openclaw_protocol_core::server::ConnId;
use openclaw_runtime_smol::server::Application as _;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, READ, Settings, TOKEN, World, errors, local, millis};
use support::{remote, scopes_of, seconds};

const WRONG: &str =
    "INVALID_REQUEST unauthorized: gateway token mismatch (provide gateway auth token)";

fn no_auth() -> Value {
    json!({})
}

fn wrong_token() -> Value {
    json!({"token": "wrong"})
}

fn with(secret: Option<(SecretKind, &'static str)>) -> World {
    World::with(Settings {
        secret,
        ..Settings::default()
    })
}

fn waits_for(world: &mut World, conn: ConnId, wait: u64) {
    world.advance(millis(wait - 1));
    assert_eq!(world.answer(conn, "c"), Value::Null, "before {wait} ms");
    assert_eq!(world.close(conn), None);
    world.advance(millis(1));
    let answer = world.answer(conn, "c");
    assert_eq!(errors(&answer), WRONG, "after {wait} ms");
    assert!(world.close(conn).is_some());
}

#[test]
fn the_secret_opens_in_either_field() {
    for (kind, auth) in [
        (SecretKind::Token, json!({"token": TOKEN})),
        (SecretKind::Token, json!({"password": TOKEN})),
        (SecretKind::Password, json!({"password": TOKEN})),
        (SecretKind::Password, json!({"token": TOKEN})),
        (SecretKind::Token, json!({"token": "x", "password": TOKEN})),
    ] {
        let mut world = with(Some((kind, TOKEN)));
        let caller = Caller {
            auth: auth.clone(),
            scopes: &[READ],
            ..Caller::default()
        };
        let (_, answer) = world.knock_from(local(), &caller);
        assert_eq!(answer["ok"], true, "{kind:?} {auth}");
        assert_eq!(scopes_of(&answer), &json!([READ]));
        assert_eq!(answer["payload"]["auth"]["role"], "operator");
    }
}

#[test]
fn a_wrong_secret_is_told_so() {
    for (auth, id, hint) in [
        (
            wrong_token(),
            "gateway-client",
            "provide gateway auth token",
        ),
        (
            json!({"password": "wrong"}),
            "gateway-client",
            "provide gateway auth token",
        ),
        (
            wrong_token(),
            "cli",
            "use this gateway's gateway.auth.token or pair the device",
        ),
    ] {
        let mut world = World::new();
        let caller = Caller {
            id,
            mode: if id == "cli" { "cli" } else { "backend" },
            auth,
            ..Caller::default()
        };
        let error = world.refused(local(), &caller);
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(
            error["message"],
            format!("unauthorized: gateway token mismatch ({hint})")
        );
        assert_eq!(
            error["details"],
            json!({
                "code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch",
                "canRetryWithDeviceToken": false,
                "recommendedNextStep": "update_auth_credentials",
            })
        );
    }
}

/// On these words the published client throws its device token away.
#[test]
fn only_a_device_token_that_is_wrong_is_thrown_away() {
    let auths = [
        wrong_token(),
        json!({"password": "wrong"}),
        json!({"deviceToken": "x"}),
        json!({"bootstrapToken": "x"}),
        no_auth(),
    ];
    for kind in [SecretKind::Token, SecretKind::Password] {
        for device in [None, Some(Device::new(1))] {
            for auth in &auths {
                let mut world = with(Some((kind, TOKEN)));
                let caller = Caller {
                    auth: auth.clone(),
                    device: device.clone(),
                    ..Caller::default()
                };
                let (conn, answer) = world.knock_from(local(), &caller);
                let (_, reason) = world.close(conn).expect("refused");
                let said = format!("{answer} {reason}");
                let is_wrong = device.is_some() && auth["deviceToken"] == "x";
                assert_eq!(said.contains("device token mismatch"), is_wrong, "{said}");
            }
        }
    }
}

#[test]
fn in_password_mode_the_password_is_spoken_of() {
    let mut world = with(Some((SecretKind::Password, TOKEN)));
    let caller = Caller {
        auth: json!({"password": "wrong"}),
        ..Caller::default()
    };
    let error = world.refused(local(), &caller);
    assert_eq!(
        error["message"],
        "unauthorized: gateway password mismatch (provide gateway auth password)"
    );
    assert_eq!(error["details"]["code"], "AUTH_PASSWORD_MISMATCH");
    assert_eq!(error["details"]["authReason"], "password_mismatch");

    let caller = Caller {
        auth: no_auth(),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    let error = world.refused(local(), &caller);
    assert_eq!(
        error["message"],
        "unauthorized: gateway password missing (provide gateway auth password)"
    );
    assert_eq!(error["details"]["code"], "AUTH_PASSWORD_MISSING");
}

#[test]
fn who_presents_nothing_at_all_needs_a_device() {
    for auth in [no_auth(), json!({"token": ""}), json!({"password": ""})] {
        let mut world = World::new();
        let caller = Caller {
            auth,
            ..Caller::default()
        };
        let error = world.refused(local(), &caller);
        assert_eq!(
            error,
            json!({
                "code": "NOT_PAIRED", "message": "device identity required",
                "details": {"code": "DEVICE_IDENTITY_REQUIRED"},
            })
        );
        assert_eq!(world.passed(), seconds(0), "nothing was guessed");
    }
}

#[test]
fn a_device_that_presents_no_secret_is_told_so() {
    let mut world = World::new();
    let caller = Caller {
        auth: no_auth(),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    let error = world.refused(local(), &caller);
    assert_eq!(
        error["message"],
        "unauthorized: gateway token missing (provide gateway auth token)"
    );
    assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISSING");
    assert_eq!(error["details"]["authReason"], "token_missing");
    assert_eq!(
        error["details"]["recommendedNextStep"],
        "update_auth_configuration"
    );
}

#[test]
fn without_a_secret_everybody_on_this_host_is_let_in() {
    let mut world = with(None);
    for auth in [no_auth(), wrong_token()] {
        let caller = Caller {
            auth,
            scopes: &[ADMIN],
            ..Caller::default()
        };
        let (_, answer) = world.knock_from(local(), &caller);
        assert_eq!(scopes_of(&answer), &json!([ADMIN]));
        assert_eq!(world.passed(), seconds(0));
    }
}

#[test]
fn each_further_wrong_secret_waits_longer_for_its_answer() {
    let mut world = World::new();
    for wait in [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000] {
        let conn = world.open(local());
        let caller = Caller {
            auth: wrong_token(),
            ..Caller::default()
        };
        assert_eq!(world.knock(conn, &caller), Value::Null);
        waits_for(&mut world, conn, wait);
    }
}

#[test]
fn a_right_secret_is_not_delayed_and_resets_the_wait() {
    let mut world = World::new();
    let wrong = Caller {
        auth: wrong_token(),
        ..Caller::default()
    };
    for _ in 0..3 {
        world.knock_from(local(), &wrong);
    }
    let before = world.passed();
    world.join(&Caller::default());
    assert_eq!(world.passed(), before);
    let conn = world.open(local());
    world.knock(conn, &wrong);
    waits_for(&mut world, conn, 250);
}

#[test]
fn a_device_that_is_let_in_resets_the_wait_too() {
    let mut world = World::new();
    let wrong = Caller {
        auth: wrong_token(),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    for _ in 0..3 {
        world.knock_from(local(), &wrong);
    }
    world.join(&Caller {
        device: Some(Device::new(1)),
        ..Caller::default()
    });
    let conn = world.open(local());
    world.knock(conn, &wrong);
    waits_for(&mut world, conn, 250);
}

#[test]
fn who_guesses_delays_nobody_else() {
    let mut world = World::new();
    let wrong = Caller {
        auth: wrong_token(),
        ..Caller::default()
    };
    for _ in 0..6 {
        world.knock_from(remote(1), &wrong);
    }
    let guesser = world.open(remote(1));
    world.knock(guesser, &wrong);
    let other = world.open(remote(2));
    world.knock(other, &wrong);
    waits_for(&mut world, other, 250);
    world.join(&Caller::default());
    assert_eq!(world.answer(guesser, "c"), Value::Null, "it still waits");
    let right = world.open(remote(1));
    assert_eq!(
        world.knock(right, &Caller::default())["ok"],
        true,
        "a right secret never waits"
    );
}

#[test]
fn guesses_side_by_side_wait_one_longer_than_the_other() {
    let mut world = World::new();
    let conns = [(); 3].map(|()| {
        let conn = world.open(local());
        world.knock(
            conn,
            &Caller {
                auth: wrong_token(),
                ..Caller::default()
            },
        );
        conn
    });
    world.advance(millis(250));
    assert!(world.close(conns[0]).is_some());
    assert!(world.close(conns[1]).is_none());
    world.advance(millis(250));
    assert!(world.close(conns[1]).is_some());
    world.advance(millis(500));
    assert!(world.close(conns[2]).is_some());
}

#[test]
fn who_goes_while_its_refusal_waits_is_forgotten() {
    let mut world = World::new();
    let conn = world.open(local());
    let wrong = Caller {
        auth: wrong_token(),
        ..Caller::default()
    };
    world.knock(conn, &wrong);
    assert!(world.app.poll_timeout().is_some());
    world.cut(conn);
    assert_eq!(world.app.poll_timeout(), None, "nothing is kept for it");
    world.advance(seconds(10));
    assert!(world.hear(conn).is_empty());
    assert_eq!(world.hub.connections(), 0);
}

#[test]
fn a_gateway_that_stops_lets_nobody_in_and_says_when_to_come_back() {
    let mut world = World::new();
    let deciding = world.open(local());
    world.drain();
    for device in [None, Some(Device::new(1))] {
        let caller = Caller {
            device,
            ..Caller::default()
        };
        for conn in [deciding, world.open(local())] {
            if world.close(conn).is_some() {
                continue;
            }
            let answer = world.knock(conn, &caller);
            assert_eq!(
                answer["error"],
                json!({
                    "code": "UNAVAILABLE", "message": "gateway stopping; retry shortly",
                    "details": {"reason": "shutdown"},
                    "retryable": true, "retryAfterMs": 1_000,
                })
            );
            assert_eq!(world.close(conn), Some((1013, "gateway stopping")));
        }
    }
}

#[test]
fn a_refusal_that_waits_when_the_gateway_stops_is_still_spoken() {
    let mut world = World::new();
    let conn = world.open(local());
    let caller = Caller {
        auth: wrong_token(),
        ..Caller::default()
    };
    world.knock(conn, &caller);
    world.drain();
    waits_for(&mut world, conn, 250);
}
