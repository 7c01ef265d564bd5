//! Devices that come in, and those that must not yet.

use serde_json::{Value, json};

use crate::support::{ADMIN, Caller, READ, WRITE, World, local, seconds};
use crate::{PAIRING, code, details, device, let_in, ok, paired, request_id, support, with_token};

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
fn a_gateway_says_who_it_is() {
    let mut world = World::new();
    let reader = world.operator(&[READ]);
    let answer = world.ask(reader, "gateway.identity.get", json!({"anything": 1}));
    let identity = ok(&answer);
    assert_eq!(identity["deviceId"].as_str().map(str::len), Some(64));
    assert_eq!(identity["publicKey"].as_str().map(str::len), Some(43));
}
