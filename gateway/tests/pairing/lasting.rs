//! Decisions and the disk.

use serde_json::{Value, json};

use crate::support::{ADMIN, World, local, remote};
use crate::{details, device, id_of, ok, paired, request_id, with_token};

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
