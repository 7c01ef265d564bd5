//! Devices that wait for an approval.

use serde_json::{Value, json};

use crate::support::{ADMIN, Caller, READ, World, local, remote, seconds};
use crate::{
    APPROVALS, PAIRING, details, details_from, device, id_of, let_in, ok, request_id, support,
    with_token,
};

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
