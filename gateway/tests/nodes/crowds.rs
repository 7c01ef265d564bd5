//! Many nodes, and much that is asked of them at once.

use super::*;

#[test]
fn two_hundred_nodes_answer_two_thousand_questions_in_any_order() {
    const NODES: u8 = 200;
    const EACH: usize = 10;
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let callers: Vec<Caller<'static>> = (0..NODES).map(node).collect();
    let hosts: Vec<ConnId> = callers
        .iter()
        .map(|caller| approved(&mut world, boss, caller))
        .collect();
    // One operator has so many requests open at most.
    let operators: Vec<ConnId> = (0..EACH).map(|_| world.operator(&[ADMIN])).collect();
    let mut asked = Vec::new();
    for (number, operator) in operators.iter().enumerate() {
        for (index, (caller, host)) in callers.iter().zip(&hosts).enumerate() {
            let id = format!("{index}/{number}");
            let params = which(caller, json!({"params": id, "timeoutMs": 60_000}));
            let invoke = ask(&mut world, *operator, *host, &id, params);
            assert_eq!(invoke["paramsJSON"], json!(id).to_string());
            asked.push((*operator, id, index, invoke["id"].clone()));
        }
    }
    assert_eq!(asked.len(), 2_000);
    // Last asked, first answered; and every seventh node goes without a word.
    for (operator, id, index, invoke) in asked.iter().rev() {
        if index % 7 == 0 {
            continue;
        }
        let result = json!({
            "id": invoke, "nodeId": id_of(&callers[*index]), "ok": true, "payload": id,
        });
        ok(&world.ask(hosts[*index], "node.invoke.result", result));
        assert_eq!(ok(&world.answer(*operator, id))["payload"], json!(id));
    }
    for (index, host) in hosts.iter().enumerate() {
        if index % 14 == 0 {
            world.cut(*host);
        }
    }
    for (operator, id, index, _) in &asked {
        let answer = world.answer(*operator, id);
        match (index % 7, index % 14) {
            (_, 0) => assert_eq!(
                message(&answer),
                "DISCONNECTED: node disconnected (system.which)"
            ),
            _ => assert_eq!(answer, Value::Null, "answered, or still waited for"),
        }
    }
}
