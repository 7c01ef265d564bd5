//! What operators and devices themselves change.

use serde_json::{Value, json};

use crate::support::{ADMIN, Caller, READ, WRITE, World};
use crate::{PAIRING, code, details, device, id_of, let_in, ok, paired, request_id, with_token};

#[test]
fn what_was_taken_back_does_not_come_back_with_something_smaller() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let wide = Caller {
        scopes: &[ADMIN],
        ..device(1)
    };
    paired(&mut world, admin, &wide);
    let params = json!({"deviceId": id_of(&wide), "role": "operator"});
    ok(&world.ask(admin, "device.token.revoke", params));
    let helper = world.operator(&[PAIRING, READ]);
    let token = paired(&mut world, helper, &device(1));
    let wide = with_token(&wide, &token);
    assert_eq!(code(&mut world, &wide), "AUTH_SCOPE_MISMATCH");
    let listed = world.ask(admin, "device.pair.list", json!({}));
    assert_eq!(ok(&listed)["paired"][0]["scopes"], json!([READ]));
}

#[test]
fn an_approval_takes_what_was_approved_before_into_account() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let wide = Caller {
        scopes: &[ADMIN],
        ..device(1)
    };
    paired(&mut world, admin, &wide);
    let moved = Caller {
        platform: "darwin",
        ..device(1)
    };
    let params = json!({"requestId": request_id(&details(&mut world, &moved))});
    let helper = world.operator(&[PAIRING, READ]);
    let answer = world.ask(helper, "device.pair.approve", params.clone());
    assert_eq!(answer["error"]["message"], "missing scope: operator.admin");
    ok(&world.ask(admin, "device.pair.approve", params));
}

#[test]
fn a_removed_device_decides_nothing_any_more() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let wide = Caller {
        scopes: &[ADMIN],
        ..device(1)
    };
    let token = paired(&mut world, admin, &wide);
    let (conn, _) = let_in(&mut world, &with_token(&wide, &token), false);
    let accomplice = request_id(&details(&mut world, &device(2)));
    world.ledger.hold();
    let gone = json!({"deviceId": id_of(&wide)});
    world.request(admin, "r", "device.pair.remove", gone);
    world.request(
        conn,
        "a",
        "device.pair.approve",
        json!({"requestId": accomplice}),
    );
    world.request(
        conn,
        "s",
        "device.pair.setupCode",
        json!({"publicUrl": "wss://x.example"}),
    );
    world.disk_does(Ok(()));
    assert_eq!(world.answer(admin, "r")["ok"], true);
    assert!(!world.ledger.is_writing(), "nothing more is decided");
    assert_eq!(world.close(conn), Some((4001, "device removed")));
    let listed = world.ask(admin, "device.pair.list", json!({}));
    assert_eq!(ok(&listed)["pending"][0]["requestId"], accomplice);
    assert_eq!(ok(&listed)["paired"], json!([]));
}

#[test]
fn a_device_with_a_name_of_blanks_around_it_is_the_same_device() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let wide = Caller {
        scopes: &[READ, WRITE],
        ..device(1)
    };
    paired(&mut world, admin, &wide);
    let padded = format!("  {} ", id_of(&wide));
    let params = json!({"deviceId": padded, "role": "operator", "scopes": [READ]});
    ok(&world.ask(admin, "device.token.rotate", params));
    let (_, token) = let_in(&mut world, &device(1), false);
    let wide = with_token(&wide, &token);
    assert_eq!(
        code(&mut world, &wide),
        "AUTH_SCOPE_MISMATCH",
        "it stays narrow"
    );
    details(
        &mut world,
        &Caller {
            platform: "darwin",
            ..device(1)
        },
    );
    ok(&world.ask(admin, "device.pair.remove", json!({"deviceId": padded})));
    let listed = world.ask(admin, "device.pair.list", json!({}));
    assert_eq!(ok(&listed), &json!({"pending": [], "paired": []}));
}

#[test]
fn nobody_approves_what_they_may_not_do_themselves() {
    let mut world = World::new();
    let pairing = world.operator(&[PAIRING, READ]);
    let reader = world.operator(&[READ]);
    let wide = Caller {
        scopes: &[READ, WRITE],
        ..device(1)
    };
    let params = json!({"requestId": request_id(&details(&mut world, &wide))});
    let answer = world.ask(pairing, "device.pair.approve", params.clone());
    assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
    assert_eq!(answer["error"]["message"], "missing scope: operator.write");
    let answer = world.ask(reader, "device.pair.approve", params.clone());
    assert_eq!(answer["error"]["code"], "FORBIDDEN");
    assert_eq!(answer["error"]["details"]["missingScope"], PAIRING);
    assert!(world.hear(reader).is_empty(), "it hears nothing of devices");
    let writer = world.operator(&[PAIRING, WRITE]);
    ok(&world.ask(writer, "device.pair.approve", params));
}

#[test]
fn a_device_alone_manages_itself_alone() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let own = Caller {
        scopes: &[PAIRING, READ],
        ..device(1)
    };
    let token = paired(&mut world, admin, &own);
    paired(&mut world, admin, &device(2));
    let (conn, _) = let_in(&mut world, &with_token(&own, &token), false);
    let listed = world.ask(conn, "device.pair.list", json!({}));
    let ids: Vec<&Value> = ok(&listed)["paired"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|device| &device["deviceId"])
        .collect();
    assert_eq!(ids, [&json!(id_of(&own))]);
    let other = id_of(&device(2));
    let waiting = request_id(&details(&mut world, &device(3)));
    for (method, params, message) in [
        (
            "device.pair.remove",
            json!({"deviceId": other}),
            "device pairing removal denied",
        ),
        (
            "device.pair.rename",
            json!({"deviceId": other, "label": "x"}),
            "device pairing rename denied",
        ),
        (
            "device.token.rotate",
            json!({"deviceId": other, "role": "operator"}),
            "device token rotation denied",
        ),
        (
            "device.token.revoke",
            json!({"deviceId": other, "role": "operator"}),
            "device token revocation denied",
        ),
        (
            "device.pair.approve",
            json!({"requestId": waiting}),
            "device pairing approval denied",
        ),
        (
            "device.pair.reject",
            json!({"requestId": waiting}),
            "device pairing rejection denied",
        ),
    ] {
        let answer = world.ask(conn, method, params);
        assert_eq!(answer["error"]["message"], message);
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
    }

    let params = json!({"deviceId": id_of(&own), "role": "operator"});
    let answer = world.ask(conn, "device.token.rotate", params);
    let rotated = ok(&answer);
    assert_eq!(rotated["tokenDelivery"], "in-band");
    let new = rotated["token"].as_str().expect("a token").to_owned();
    assert_eq!(world.close(conn), Some((4001, "device removed")));
    let old = with_token(&own, &token);
    assert_eq!(code(&mut world, &old), "AUTH_DEVICE_TOKEN_MISMATCH");
    let_in(&mut world, &with_token(&own, &new), false);
}

#[test]
fn a_token_that_was_taken_back_opens_nothing() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let token = paired(&mut world, admin, &device(1));
    let (conn, _) = let_in(&mut world, &with_token(&device(1), &token), false);
    let params = json!({"deviceId": id_of(&device(1)), "role": "operator"});
    let answer = world.ask(admin, "device.token.revoke", params.clone());
    assert_eq!(ok(&answer)["revokedAtMs"], world.now().unix_ms);
    assert_eq!(world.close(conn), Some((4001, "device removed")));
    let revoked = with_token(&device(1), &token);
    assert_eq!(code(&mut world, &revoked), "AUTH_DEVICE_TOKEN_MISMATCH");
    assert_eq!(details(&mut world, &device(1))["reason"], "role-upgrade");

    let answer = world.ask(admin, "device.token.rotate", params);
    assert_eq!(ok(&answer)["tokenDelivery"], "withheld-cross-device");
    assert_eq!(ok(&answer)["token"], Value::Null);
    assert_eq!(code(&mut world, &revoked), "AUTH_DEVICE_TOKEN_MISMATCH");
    let (_, new) = let_in(&mut world, &device(1), false);
    assert_ne!(new, token);
    let_in(&mut world, &with_token(&device(1), &new), false);
}

#[test]
fn a_token_that_was_narrowed_opens_no_more() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let wide = Caller {
        scopes: &[READ, PAIRING],
        ..device(1)
    };
    paired(&mut world, admin, &wide);
    let rotate = |scopes: Value| json!({"deviceId": id_of(&device(1)), "role": "operator", "scopes": scopes});
    let answer = world.ask(admin, "device.token.rotate", rotate(json!([WRITE])));
    assert_eq!(
        answer["error"]["message"], "device token rotation denied",
        "that was never approved"
    );
    ok(&world.ask(admin, "device.token.rotate", rotate(json!([READ]))));
    let (_, narrow) = let_in(&mut world, &device(1), false);
    let widened = with_token(&wide, &narrow);
    assert_eq!(code(&mut world, &widened), "AUTH_SCOPE_MISMATCH");
    let (_, new) = let_in(&mut world, &wide, false);
    assert_ne!(new, narrow, "the secret opens all that was approved");
}

#[test]
fn a_removed_device_is_a_stranger() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let token = paired(&mut world, admin, &device(1));
    let (one, _) = let_in(&mut world, &device(1), false);
    let (other, _) = let_in(&mut world, &with_token(&device(1), &token), false);
    let params = json!({"deviceId": id_of(&device(1))});
    let answer = world.ask(admin, "device.pair.remove", params.clone());
    assert_eq!(answer["payload"], params);
    for conn in [one, other] {
        assert_eq!(world.close(conn), Some((4001, "device removed")));
    }
    let answer = world.ask(admin, "device.pair.remove", params);
    assert_eq!(answer["error"]["message"], "unknown deviceId");
    let gone = with_token(&device(1), &token);
    assert_eq!(code(&mut world, &gone), "AUTH_DEVICE_TOKEN_MISMATCH");
    assert_eq!(details(&mut world, &device(1))["reason"], "not-paired");
}

#[test]
fn a_device_bears_the_name_that_an_operator_gave_it() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    paired(&mut world, admin, &device(1));
    world.hear(admin);
    let rename = |label: &str| json!({"deviceId": id_of(&device(1)), "label": label});
    let answer = world.ask(admin, "device.pair.rename", rename("  Küche "));
    assert_eq!(ok(&answer), &rename("Küche"));
    let told = world.hear(admin);
    assert_eq!(told[0]["event"], "device.pair.changed");
    let answer = world.ask(admin, "device.pair.rename", rename("  "));
    assert_eq!(answer["error"]["message"], "label required");
    let answer = world.ask(admin, "device.pair.rename", rename(&"x".repeat(65)));
    assert_eq!(
        answer["error"]["message"],
        "invalid device.pair.rename params: at /label: must not have more than 64 characters"
    );
    let wider = Caller {
        scopes: &[WRITE],
        ..device(1)
    };
    paired(&mut world, admin, &wider);
    let listed = world.ask(admin, "device.pair.list", json!({}));
    assert_eq!(
        ok(&listed)["paired"][0]["operatorLabel"],
        "Küche",
        "it stays"
    );
}
