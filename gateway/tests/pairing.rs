//! Which devices come in, who waits, and what operators decide.

mod support;

use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, READ, WRITE, World, local, remote, seconds};

const PAIRING: &str = "operator.pairing";
const APPROVALS: &str = "operator.approvals";

fn device(seed: u8) -> Caller<'static> {
    Caller {
        id: "cli",
        mode: "cli",
        scopes: &[READ],
        device: Some(Device::new(seed)),
        ..Caller::default()
    }
}

fn with_token<'a>(caller: &Caller<'a>, token: &str) -> Caller<'a> {
    Caller {
        auth: json!({"deviceToken": token}),
        ..caller.clone()
    }
}

fn id_of(caller: &Caller<'_>) -> String {
    caller.device.as_ref().expect("a device").id()
}

/// Lets a device in and returns its connection and its token.
fn let_in(world: &mut World, caller: &Caller<'_>, from_here: bool) -> (ConnId, String) {
    let peer = if from_here { local() } else { remote(1) };
    let (conn, hello) = world.knock_from(peer, caller);
    assert_eq!(hello["ok"], true, "{hello}");
    let auth = &hello["payload"]["auth"];
    assert_eq!(auth["scopes"], json!(caller.scopes));
    let token = auth["deviceToken"].as_str().expect("a token").to_owned();
    (conn, token)
}

fn details(world: &mut World, caller: &Caller<'_>) -> Value {
    details_from(world, 1, caller)
}

fn details_from(world: &mut World, address: u8, caller: &Caller<'_>) -> Value {
    let (conn, answer) = world.knock_from(remote(address), caller);
    let error = answer["error"].clone();
    let (code, reason) = world.close(conn).expect("refused");
    assert_eq!(code, 1008);
    if let Some(id) = error["details"]["requestId"].as_str() {
        let message = error["message"].as_str().expect("a message");
        let whole = format!("{message} (requestId: {id})");
        assert!(whole.starts_with(reason) && reason.len() >= whole.len().min(117));
        let command = format!("openclaw devices approve {id}");
        assert_eq!(error["details"]["approveCommand"], command);
        assert_eq!(error["code"], "NOT_PAIRED");
    }
    error["details"].clone()
}

fn code(world: &mut World, caller: &Caller<'_>) -> String {
    let details = details(world, caller);
    details["code"].as_str().expect("a code").to_owned()
}

fn ok(answer: &Value) -> &Value {
    assert_eq!(answer["ok"], true, "{answer}");
    &answer["payload"]
}

fn request_id(details: &Value) -> String {
    details["requestId"].as_str().expect("a request").to_owned()
}

/// Has a device wait, approves it, and returns its token.
fn paired(world: &mut World, operator: ConnId, caller: &Caller<'_>) -> String {
    let waiting = details(world, caller);
    let params = json!({"requestId": request_id(&waiting)});
    ok(&world.ask(operator, "device.pair.approve", params));
    let_in(world, caller, false).1
}

#[test]
fn a_device_from_elsewhere_waits_until_somebody_approves_it() {
    let mut world = World::new();
    let operator = world.operator(&[PAIRING, READ]);
    let caller = Caller {
        name: Some("Kitchen"),
        ..device(1)
    };
    let waiting = details(&mut world, &caller);
    assert_eq!(
        waiting,
        json!({
            "code": "PAIRING_REQUIRED", "reason": "not-paired", "requestId": request_id(&waiting),
            "remediationHint": "Approve this device from the pending pairing requests.",
            "deviceId": id_of(&caller), "requestedRole": "operator", "requestedScopes": [READ],
            "approveCommand": format!("openclaw devices approve {}", request_id(&waiting)),
        })
    );
    let again = details(&mut world, &caller);
    assert_eq!(
        request_id(&again),
        request_id(&waiting),
        "it keeps its name"
    );

    let told = world.hear(operator);
    let requested: Vec<&Value> = told
        .iter()
        .filter(|frame| frame["event"] == "device.pair.requested")
        .collect();
    let [requested] = requested[..] else {
        panic!("{told:?}");
    };
    let listed = world.ask(operator, "device.pair.list", json!({}));
    assert_eq!(ok(&listed)["pending"], json!([requested["payload"]]));
    assert_eq!(ok(&listed)["paired"], json!([]));
    assert_eq!(requested["payload"]["displayName"], "Kitchen");
    assert_eq!(requested["payload"]["remoteIp"], "192.0.2.1");
    assert_eq!(requested["payload"]["isRepair"], false);

    let params = json!({"requestId": request_id(&waiting)});
    world.request(operator, "a", "device.pair.approve", params.clone());
    let heard = world.hear(operator);
    assert_eq!(heard[0]["event"], "device.pair.resolved");
    assert_eq!(heard[0]["payload"]["decision"], "approved");
    let approved = ok(&heard[1]);
    assert_eq!(approved["device"]["deviceId"], id_of(&caller));
    assert_eq!(approved["device"]["approvedVia"], "owner");
    assert_eq!(
        approved["device"]["tokens"],
        json!([{"role": "operator", "scopes": [READ], "createdAtMs": world.now().unix_ms}])
    );
    let answer = world.ask(operator, "device.pair.approve", params);
    assert_eq!(answer["error"]["message"], "device pairing approval denied");

    let (_, token) = let_in(&mut world, &caller, false);
    let (_, same) = let_in(&mut world, &with_token(&caller, &token), false);
    assert_eq!(same, token, "it stays the same");
    let as_token = Caller {
        auth: json!({"token": token}),
        ..caller.clone()
    };
    let_in(&mut world, &as_token, false);
    let both = Caller {
        auth: json!({"token": "wrong", "deviceToken": token}),
        ..caller
    };
    let_in(&mut world, &both, false);
}

#[test]
fn a_device_of_this_host_is_approved_in_silence_and_asks_for_more_in_silence() {
    let mut world = World::new();
    let watcher = world.operator(&[PAIRING]);
    let (_, first) = let_in(&mut world, &device(1), true);
    let more = Caller {
        scopes: &[READ, ADMIN],
        ..device(1)
    };
    let (_, second) = let_in(&mut world, &more, true);
    assert_ne!(first, second, "more scopes are another token");
    let old = with_token(&device(1), &first);
    assert_eq!(code(&mut world, &old), "AUTH_DEVICE_TOKEN_MISMATCH");
    let_in(&mut world, &with_token(&more, &second), false);
    let told = world.hear(watcher);
    let told: Vec<_> = told
        .iter()
        .map(|frame| (&frame["event"], &frame["payload"]["decision"]))
        .collect();
    assert_eq!(
        told,
        [(&json!("device.pair.resolved"), &json!("approved")); 2]
    );
    let listed = world.ask(watcher, "device.pair.list", json!({}));
    let paired = &ok(&listed)["paired"][0];
    assert_eq!(paired["approvedVia"], "silent");
    assert_eq!(paired["connected"], true);
    assert_eq!(paired["scopes"], json!([READ, ADMIN]));
    assert_eq!(paired["tokens"][0]["scopes"], json!([ADMIN, READ, WRITE]));
    let shown = listed.to_string();
    assert!(!shown.contains(&first) && !shown.contains(&second));
}

#[test]
fn what_a_device_asks_beyond_its_approval_is_told_apart() {
    let mut world = World::new();
    let operator = world.operator(&[ADMIN]);
    let token = paired(&mut world, operator, &device(1));
    let wider = Caller {
        scopes: &[WRITE],
        ..device(1)
    };
    let other_machine = Caller {
        platform: "darwin",
        ..device(1)
    };
    let waiting = details(&mut world, &wider);
    assert_eq!(waiting["reason"], "scope-upgrade");
    assert_eq!(waiting["approvedRoles"], json!(["operator"]));
    assert_eq!(waiting["approvedScopes"], json!([READ]));
    let narrower = with_token(&wider, &token);
    assert_eq!(code(&mut world, &narrower), "AUTH_SCOPE_MISMATCH");
    let_in(&mut world, &with_token(&device(1), &token), false);
    let params = json!({"requestId": request_id(&waiting)});
    ok(&world.ask(operator, "device.pair.approve", params));
    assert_eq!(
        code(&mut world, &with_token(&device(1), &token)),
        "AUTH_DEVICE_TOKEN_MISMATCH",
        "what was approved anew has a new token"
    );
    let (_, wide) = let_in(&mut world, &wider, false);
    assert_eq!(
        details(&mut world, &with_token(&other_machine, &wide))["reason"],
        "metadata-upgrade"
    );
    world.advance(seconds(1));
    assert_eq!(
        details(&mut world, &other_machine)["reason"],
        "metadata-upgrade"
    );
    let (_, answer) = world.knock_from(local(), &other_machine);
    assert_eq!(
        answer["error"]["details"]["reason"], "metadata-upgrade",
        "not even from this host"
    );
}

#[test]
fn a_machine_that_says_more_of_itself_is_the_same() {
    let mut world = World::new();
    let operator = world.operator(&[ADMIN]);
    paired(&mut world, operator, &device(1));
    let family = Caller {
        family: Some("Desk"),
        platform: " LINUX ",
        ..device(1)
    };
    let_in(&mut world, &family, false);

    let app = |platform| Caller {
        id: "openclaw-ios",
        mode: "ui",
        platform,
        ..device(2)
    };
    paired(&mut world, operator, &app("iOS 18.1"));
    let_in(&mut world, &app("iOS 19.0"), false);
    assert_eq!(
        details(&mut world, &app("android 15"))["reason"],
        "metadata-upgrade"
    );
}

#[test]
fn a_request_that_grows_takes_the_place_of_the_one_before() {
    let mut world = World::new();
    let operator = world.operator(&[ADMIN]);
    let first = details(&mut world, &device(1));
    let wider = Caller {
        scopes: &[APPROVALS],
        ..device(1)
    };
    world.advance(seconds(1));
    let second = details(&mut world, &wider);
    assert_ne!(request_id(&first), request_id(&second));
    let told: Vec<Value> = world
        .hear(operator)
        .iter()
        .map(|frame| json!([frame["event"], frame["payload"]["requestId"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["device.pair.requested", request_id(&first)]),
            json!(["device.pair.resolved", request_id(&first)]),
            json!(["device.pair.requested", request_id(&second)]),
        ]
    );
    let gone = json!({"requestId": request_id(&first)});
    let answer = world.ask(operator, "device.pair.approve", gone);
    assert_eq!(answer["error"]["message"], "unknown requestId");
    let params = json!({"requestId": request_id(&second)});
    let approved = world.ask(operator, "device.pair.approve", params);
    assert_eq!(
        ok(&approved)["device"]["scopes"],
        json!([READ, APPROVALS]),
        "both were asked for"
    );
    let_in(&mut world, &device(1), false);
}

#[test]
fn a_request_waits_five_minutes_after_its_device_last_asked() {
    let mut world = World::new();
    let first = request_id(&details(&mut world, &device(1)));
    world.advance(seconds(299));
    assert_eq!(request_id(&details(&mut world, &device(1))), first);
    world.advance(seconds(299));
    assert_eq!(request_id(&details(&mut world, &device(1))), first);
    world.advance(seconds(301));
    let operator = world.operator(&[ADMIN]);
    let params = json!({"requestId": first});
    let answer = world.ask(operator, "device.pair.approve", params);
    assert_eq!(answer["error"]["message"], "unknown requestId");
    assert_ne!(request_id(&details(&mut world, &device(1))), first);
}

#[test]
fn so_many_requests_wait_and_no_more() {
    let mut world = World::new();
    let operator = world.operator(&[ADMIN]);
    let mut ids = Vec::new();
    for seed in 0..65 {
        let waiting = details_from(&mut world, seed / 8, &device(seed));
        ids.push(request_id(&waiting));
        world.advance(support::millis(1));
    }
    let listed = world.ask(operator, "device.pair.list", json!({}));
    let pending = ok(&listed)["pending"].as_array().expect("a list");
    assert_eq!(pending.len(), 64);
    assert!(pending.iter().all(|request| request["requestId"] != ids[0]));
    let told = world.hear(operator);
    let rejected: Vec<&Value> = told
        .iter()
        .filter(|frame| frame["payload"]["decision"] == "rejected")
        .map(|frame| &frame["payload"]["requestId"])
        .collect();
    assert_eq!(rejected, [&json!(ids[0])]);
}

#[test]
fn one_address_leaves_room_for_others() {
    let mut world = World::new();
    let innocent = request_id(&details_from(&mut world, 2, &device(99)));
    for seed in 0..8 {
        details(&mut world, &device(seed));
    }
    for seed in 8..80 {
        let error = world.refused(remote(1), &device(seed));
        assert_eq!(error["code"], "UNAVAILABLE");
        assert_eq!(error["retryable"], true);
    }
    assert_eq!(
        request_id(&details(&mut world, &device(0))).len(),
        36,
        "it waits on"
    );
    let again = details_from(&mut world, 2, &device(99));
    assert_eq!(request_id(&again), innocent);
    assert_eq!(world.ledger.written().len(), 9, "no more was written");
}

#[test]
fn a_device_does_not_ask_for_one_thing_after_the_other_without_a_pause() {
    let mut world = World::new();
    details(&mut world, &device(1));
    let wider = Caller {
        scopes: &[ADMIN],
        ..device(1)
    };
    let error = world.refused(remote(1), &wider);
    assert_eq!(error["retryAfterMs"], 1_000);
    world.advance(seconds(1));
    assert_eq!(details(&mut world, &wider)["reason"], "not-paired");
}

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
fn a_device_that_waits_for_more_goes_on_waiting_when_it_gets_less() {
    let mut world = World::new();
    let operator = world.operator(&[ADMIN]);
    let wide = Caller {
        scopes: &[ADMIN],
        ..device(1)
    };
    let waiting = request_id(&details(&mut world, &wide));
    world.hear(operator);
    let_in(&mut world, &device(1), true);
    let told = world.hear(operator);
    assert_eq!(told[0]["payload"]["decision"], "approved");
    assert_ne!(told[0]["payload"]["requestId"], waiting);
    let listed = world.ask(operator, "device.pair.list", json!({}));
    assert_eq!(ok(&listed)["pending"][0]["requestId"], waiting);
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

#[test]
fn a_rejected_device_may_ask_again() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let first = request_id(&details(&mut world, &device(1)));
    let params = json!({"requestId": first});
    let answer = world.ask(admin, "device.pair.reject", params.clone());
    assert_eq!(
        ok(&answer),
        &json!({"requestId": first, "deviceId": id_of(&device(1))})
    );
    let told = world.hear(admin);
    assert_eq!(told[1]["payload"]["decision"], "rejected");
    let answer = world.ask(admin, "device.pair.reject", params);
    assert_eq!(answer["error"]["message"], "unknown requestId");
    assert_ne!(request_id(&details(&mut world, &device(1))), first);
}

#[test]
fn a_scope_that_nobody_knows_is_never_approved() {
    let mut world = World::new();
    let caller = Caller {
        scopes: &["operator.everything"],
        ..device(1)
    };
    for peer in [local(), remote(1)] {
        let error = world.refused(peer, &caller);
        assert_eq!(
            error["message"],
            "invalid scope for requested roles: operator.everything"
        );
    }
    assert!(world.ledger.written().is_empty());
}

#[test]
fn a_page_of_another_program_on_this_host_is_asked_about() {
    let mut world = World::new();
    let own = format!("http://localhost:{}", support::PORT);
    let page = support::from([127, 0, 0, 1].into(), Some(&own));
    let (_, answer) = world.knock_from(page.clone(), &device(1));
    assert_eq!(answer["error"]["details"]["reason"], "not-paired");
    let ui = Caller {
        id: "openclaw-control-ui",
        mode: "ui",
        ..device(2)
    };
    let (_, hello) = world.knock_from(page, &ui);
    assert_eq!(hello["ok"], true, "{hello}");
}

#[test]
fn a_page_that_calls_itself_a_program_is_no_program_of_this_host() {
    let mut world = World::new();
    let own = format!("http://localhost:{}", support::PORT);
    let page = support::from([127, 0, 0, 1].into(), Some(&own));
    let caller = Caller {
        id: "gateway-client",
        mode: "backend",
        ..device(1)
    };
    let (_, answer) = world.knock_from(page, &caller);
    assert_eq!(answer["error"]["details"]["reason"], "not-paired");
}

#[test]
fn a_program_of_this_host_needs_no_pairing() {
    let mut world = World::new();
    let caller = Caller {
        id: "gateway-client",
        mode: "backend",
        ..device(1)
    };
    let (_, hello) = world.knock_from(local(), &caller);
    assert_eq!(hello["payload"]["auth"]["scopes"], json!([READ]));
    assert_eq!(hello["payload"]["auth"]["deviceToken"], Value::Null);
    assert!(world.ledger.written().is_empty());
    assert_eq!(details(&mut world, &caller)["reason"], "not-paired");
}

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

#[test]
fn nothing_is_told_before_it_is_written() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let waiting = request_id(&details(&mut world, &device(1)));
    world.hear(admin);
    world.ledger.hold();
    let params = json!({"requestId": waiting});
    world.request(admin, "a", "device.pair.approve", params);
    assert!(world.ledger.is_writing());
    assert!(world.hear(admin).is_empty());
    let conn = world.open(remote(1));
    assert_eq!(
        world.knock(conn, &device(1)),
        Value::Null,
        "it waits for that"
    );
    world.disk_does(Ok(()));
    assert_eq!(world.hear(admin).len(), 2);
    world.disk_does(Ok(()));
    assert_eq!(world.answer(conn, "c")["ok"], true);
}

#[test]
fn what_cannot_be_written_did_not_happen() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let waiting = request_id(&details(&mut world, &device(1)));
    world.hear(admin);
    world.ledger.hold();
    let params = json!({"requestId": waiting});
    world.request(admin, "a", "device.pair.approve", params.clone());
    world.disk_does(Err("no space left"));
    let answer = world.answer(admin, "a");
    assert_eq!(answer["error"]["code"], "UNAVAILABLE");
    assert_eq!(answer["error"]["retryable"], true);
    let listed = world.ask(admin, "device.pair.list", json!({}));
    assert_eq!(ok(&listed)["pending"][0]["requestId"], waiting);
    assert_eq!(ok(&listed)["paired"], json!([]));
    assert!(world.hear(admin).is_empty(), "nobody heard of it");

    let conn = world.open(local());
    assert_eq!(world.knock(conn, &device(2)), Value::Null);
    world.disk_does(Err("no space left"));
    assert_eq!(world.answer(conn, "c")["error"]["code"], "UNAVAILABLE");
}

#[test]
fn a_revocation_ends_who_came_in_while_it_was_written() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let token = paired(&mut world, admin, &device(1));
    world.ledger.hold();
    let params = json!({"deviceId": id_of(&device(1)), "role": "operator"});
    world.request(admin, "a", "device.token.revoke", params);
    let conn = world.open(remote(1));
    let knock = world.knock(conn, &with_token(&device(1), &token));
    assert_eq!(
        knock["ok"], true,
        "nobody waits for the disk who changes nothing"
    );
    world.disk_does(Ok(()));
    assert_eq!(world.close(conn), Some((4001, "device removed")));
}

#[test]
fn a_gateway_says_who_it_is() {
    let mut world = World::new();
    let reader = world.operator(&[READ]);
    let answer = world.ask(reader, "gateway.identity.get", json!({"anything": 1}));
    let identity = ok(&answer);
    assert_eq!(identity["deviceId"].as_str().map(str::len), Some(64));
    assert_eq!(identity["publicKey"].as_str().map(str::len), Some(43));
}
