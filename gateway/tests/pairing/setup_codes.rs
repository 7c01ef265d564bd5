//! Approvals that are given before the device is known.

use serde_json::json;

use crate::support::{ADMIN, Caller, READ, WRITE, World, seconds};
use crate::{PAIRING, code, details, device, let_in, ok, request_id, support, with_token};

#[test]
fn a_setup_code_lets_one_device_in_once() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let params = json!({"publicUrl": "wss://gateway.example"});
    let answer = world.ask(admin, "device.pair.setupCode", params);
    let made = ok(&answer).clone();
    assert_eq!(made["access"], "full");
    assert_eq!(made["expiresAtMs"], world.now().unix_ms + 600_000);
    let code_text = made["setupCode"].as_str().expect("a code");
    let carried = support::carried(code_text);
    assert_eq!(carried["url"], "wss://gateway.example");
    let token = carried["bootstrapToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    let with = |seed, scopes: &'static [&'static str]| Caller {
        auth: json!({"bootstrapToken": token}),
        scopes,
        ..device(seed)
    };
    let (_, device_token) = let_in(&mut world, &with(1, &[READ, ADMIN]), false);
    let own = with_token(&device(1), &device_token);
    let_in(&mut world, &own, false);
    for seed in [1, 2] {
        assert_eq!(
            code(&mut world, &with(seed, &[READ])),
            "AUTH_BOOTSTRAP_TOKEN_INVALID"
        );
    }
}

#[test]
fn a_setup_code_waits_with_its_device_and_is_for_no_other() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let params = json!({"publicUrl": "wss://gateway.example", "bootstrapProfile": "limited"});
    let answer = world.ask(admin, "device.pair.setupCode", params);
    let carried = support::carried(ok(&answer)["setupCode"].as_str().expect("a code"));
    let with = |seed, scopes: &'static [&'static str]| Caller {
        auth: json!({"bootstrapToken": carried["bootstrapToken"]}),
        scopes,
        ..device(seed)
    };
    let more = with(1, &[ADMIN]);
    let waiting = details(&mut world, &more);
    assert_eq!(waiting["reason"], "not-paired");
    assert_eq!(
        code(&mut world, &with(2, &[READ])),
        "AUTH_BOOTSTRAP_TOKEN_INVALID",
        "another device came later"
    );
    let params = json!({"requestId": request_id(&waiting)});
    ok(&world.ask(admin, "device.pair.approve", params));
    let_in(&mut world, &more, false);
    assert_eq!(code(&mut world, &more), "AUTH_BOOTSTRAP_TOKEN_INVALID");
}

#[test]
fn a_setup_code_helps_where_the_secret_alone_would_wait() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let params = json!({"publicUrl": "wss://gateway.example", "bootstrapProfile": "limited"});
    let answer = world.ask(admin, "device.pair.setupCode", params);
    let carried = support::carried(ok(&answer)["setupCode"].as_str().expect("a code"));
    let both = Caller {
        auth: json!({"token": support::TOKEN, "bootstrapToken": carried["bootstrapToken"]}),
        scopes: &[WRITE],
        ..device(1)
    };
    let_in(&mut world, &both, false);
    let without = Caller {
        auth: json!({"token": support::TOKEN}),
        ..both
    };
    let_in(&mut world, &without, false);
}

#[test]
fn a_setup_code_opens_what_it_says_and_not_for_ever() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let params = json!({"publicUrl": "ws://192.168.1.9:1"});
    let answer = world.ask(admin, "device.pair.setupCode", params);
    assert_eq!(ok(&answer)["accessDowngraded"], true);
    let carried = support::carried(ok(&answer)["setupCode"].as_str().expect("a code"));
    let with = |scopes: &'static [&'static str]| Caller {
        auth: json!({"bootstrapToken": carried["bootstrapToken"]}),
        scopes,
        ..device(1)
    };
    assert_eq!(details(&mut world, &with(&[ADMIN]))["reason"], "not-paired");
    assert_eq!(
        details(&mut world, &with(&[PAIRING]))["reason"],
        "not-paired"
    );
    world.advance(seconds(600));
    assert_eq!(
        code(&mut world, &with(&[READ])),
        "AUTH_BOOTSTRAP_TOKEN_INVALID"
    );
    let reader = world.operator(&[WRITE, PAIRING]);
    let answer = world.ask(reader, "device.pair.setupCode", json!({}));
    assert_eq!(answer["error"]["details"]["missingScope"], ADMIN);
    let answer = world.ask(admin, "device.pair.setupCode", json!({}));
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("Gateway is only bound to loopback."),
        "{message}"
    );
}
