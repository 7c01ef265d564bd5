//! Nothing of nodes is told that a restart could take back.

use openclaw_gateway_service::nodes::NodeChange;
use openclaw_gateway_service::pairing::Change;

use super::*;

#[test]
fn an_approval_is_told_once_it_lasts_and_not_where_the_disk_fails() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = world.join(&node(1));
    let request = waiting(&mut world, boss, &node(1));
    world.hear(boss);
    world.ledger.hold();
    let params = json!({"requestId": request["requestId"]});
    world.request(boss, "a", "node.pair.approve", params.clone());
    assert_eq!(world.answer(boss, "a"), Value::Null);
    assert_eq!(world.hear(host), Vec::<Value>::new());
    world.disk_does(Err("no space left"));
    let answer = world.answer(boss, "a");
    assert!(message(&answer).starts_with("the gateway cannot write its database"));
    assert!(pushes(&world.hear(host), "node.pair.resolved").is_empty());
    let shown = described(&mut world, boss, &node(1));
    assert_eq!(shown["approvalState"], "pending-approval");

    world.ledger.hold();
    world.request(boss, "b", "node.pair.approve", params);
    world.disk_does(Ok(()));
    ok(&world.answer(boss, "b"));
    assert_eq!(pushes(&world.hear(host), "node.pair.resolved").len(), 1);
}

#[test]
fn what_waits_for_a_node_is_on_the_disk_before_it_is_told() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &node(1));
    let before = world.ledger.written().len();
    let params = json!({"nodeId": id_of(&node(1)), "type": "status.request"});
    let answer = world.ask(boss, "node.pending.enqueue", params.clone());
    let id = ok(&answer)["queued"]["id"].as_str().unwrap().to_owned();
    let written = world.ledger.written();
    assert!(
        matches!(&written[before..], [Change::Node(NodeChange::PutWork(work, 1))] if work.id == id)
    );
    ok(&world.ask(host, "node.pending.drain", json!({})));
    let written = world.ledger.written();
    assert!(
        matches!(written.last(), Some(Change::Node(NodeChange::DropWork(_, ids, 2))) if *ids == [id])
    );
}
