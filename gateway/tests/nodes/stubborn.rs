//! Nodes that lie, flood, stall, or answer twice: it costs nobody else anything.

use super::support::seconds;
use super::*;

fn staffed() -> (World, ConnId, ConnId) {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &node(1));
    (world, boss, host)
}

fn result(caller: &Caller<'_>, id: &Value) -> Value {
    json!({"id": id, "nodeId": id_of(caller), "ok": true})
}

#[test]
fn a_second_answer_changes_nothing() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let mut first = result(&node(1), &asked["id"]);
    first["payload"] = json!(1);
    let mut second = first.clone();
    second["payload"] = json!(2);
    ok(&world.ask(host, "node.invoke.result", first));
    let again = world.ask(host, "node.invoke.result", second);
    assert_eq!(ok(&again), &json!({"ok": true, "ignored": true}));
    assert_eq!(ok(&world.answer(boss, "i"))["payload"], 1);
    assert_eq!(world.answer(boss, "i"), Value::Null);
}

#[test]
fn a_node_does_not_answer_for_another() {
    let (mut world, boss, host) = staffed();
    let other = approved(&mut world, boss, &node(2));
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let pretended = world.ask(other, "node.invoke.result", result(&node(1), &asked["id"]));
    assert_eq!(message(&pretended), "nodeId mismatch");
    let stolen = world.ask(other, "node.invoke.result", result(&node(2), &asked["id"]));
    assert_eq!(ok(&stolen)["ignored"], true);
    let progress = json!({
        "invokeId": asked["id"], "nodeId": id_of(&node(2)), "seq": 0, "chunk": "",
    });
    ok(&world.ask(other, "node.invoke.progress", progress));
    assert_eq!(world.answer(boss, "i"), Value::Null);
    ok(&world.ask(host, "node.invoke.result", result(&node(1), &asked["id"])));
    ok(&world.answer(boss, "i"));
}

#[test]
fn an_answer_of_a_wrong_shape_leaves_the_question_open() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    for (params, expected) in [
        (json!({}), "must have required property 'id'"),
        (
            json!({"id": asked["id"], "nodeId": id_of(&node(1)), "ok": "yes"}),
            "at /ok: must be boolean",
        ),
        (
            json!({"id": asked["id"], "nodeId": id_of(&node(1)), "ok": true, "zz": 1}),
            "unexpected property 'zz'",
        ),
        (
            json!({"id": asked["id"], "nodeId": id_of(&node(1)), "ok": false, "error": 7}),
            "at /error: must be object",
        ),
    ] {
        let answer = world.ask(host, "node.invoke.result", params);
        assert!(message(&answer).contains(expected), "{answer}");
    }
    assert_eq!(world.answer(boss, "i"), Value::Null);
    ok(&world.ask(host, "node.invoke.result", result(&node(1), &asked["id"])));
    ok(&world.answer(boss, "i"));
}

#[test]
fn a_node_that_stalls_holds_up_neither_its_neighbours_nor_its_own_later_work() {
    let (mut world, boss, host) = staffed();
    let other = approved(&mut world, boss, &node(2));
    for number in 0..256 {
        let id = format!("s{number}");
        ask(
            &mut world,
            boss,
            host,
            &id,
            which(&node(1), json!({"timeoutMs": 5_000})),
        );
    }
    let second = world.operator(&[ADMIN]);
    let one_more = world.ask(second, "node.invoke", which(&node(1), json!({})));
    assert!(
        message(&one_more).starts_with("too many commands wait"),
        "{one_more}"
    );
    assert_eq!(one_more["error"]["retryable"], true);
    let asked = ask(&mut world, second, other, "o", which(&node(2), json!({})));
    ok(&world.ask(other, "node.invoke.result", result(&node(2), &asked["id"])));
    ok(&world.answer(second, "o"));
    world.advance(seconds(5));
    for number in 0..256 {
        let answer = world.answer(boss, &format!("s{number}"));
        assert_eq!(message(&answer), "TIMEOUT: node invoke timed out");
    }
    ask(&mut world, boss, host, "i", which(&node(1), json!({})));
}

#[test]
fn a_node_that_floods_is_answered_and_tells_nobody_anything() {
    let (mut world, boss, host) = staffed();
    world.hear(boss);
    for number in 0..2_000 {
        let event = json!({"event": format!("made.up.{number}"), "payload": {"n": number}});
        let answer = world.ask(host, "node.event", event);
        assert_eq!(ok(&answer)["handled"], false);
        let late = json!({"id": number.to_string(), "nodeId": id_of(&node(1)), "ok": true});
        let answer = world.ask(host, "node.invoke.result", late);
        assert_eq!(ok(&answer)["ignored"], true);
    }
    assert_eq!(world.hear(boss), Vec::<Value>::new());
    assert_eq!(world.close(host), None);
}

#[test]
fn a_failure_that_is_told_at_great_length_is_cut() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let mut told = result(&node(1), &asked["id"]);
    told["ok"] = json!(false);
    told["error"] = json!({"code": "x".repeat(9_000), "message": "y".repeat(9_000)});
    ok(&world.ask(host, "node.invoke.result", told));
    let answer = world.answer(boss, "i");
    assert!(message(&answer).len() < 5_000);
}

#[test]
fn what_is_too_large_to_be_sent_to_the_node_is_refused() {
    let (mut world, boss, host) = staffed();
    let params = which(&node(1), json!({"params": {"x": "y".repeat(2 << 20)}}));
    let answer = world.ask(boss, "node.invoke", params);
    assert_eq!(
        message(&answer),
        "invalid node.invoke params: must not have more than 1048576 bytes"
    );
    assert!(world.hear(host).is_empty());
}

#[test]
fn a_large_answer_that_nobody_waits_for_is_not_read() {
    let (mut world, _, host) = staffed();
    let large = json!({
        "id": "made up", "nodeId": id_of(&node(1)), "ok": true, "payload": vec![0; 200_000],
    });
    let answer = world.ask(host, "node.invoke.result", large);
    assert_eq!(
        ok(&answer),
        &json!({"ok": true, "ignored": true}),
        "it is answered at once"
    );
}

#[test]
fn large_answers_of_a_wrong_shape_are_told_what_is_wrong() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let payload = vec![0; 100_000];
    for (params, expected) in [
        (
            json!({"id": asked["id"], "nodeId": id_of(&node(1)), "payload": payload}),
            "must have required property 'ok'",
        ),
        (
            json!({"id": payload, "nodeId": id_of(&node(1)), "ok": true}),
            "at /id: must be string",
        ),
        (
            json!({"id": asked["id"], "nodeId": id_of(&node(1)), "ok": true, "zz": payload}),
            "unexpected property 'zz'",
        ),
    ] {
        world.request(host, "r", "node.invoke.result", params);
        let answer = world.wait_for(host, "r");
        assert!(message(&answer).contains(expected), "{answer}");
    }
    assert_eq!(
        world.answer(boss, "i"),
        Value::Null,
        "it is still waited for"
    );
}

#[test]
fn an_answer_that_nests_too_deep_is_handed_on_as_text() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut told = result(&node(1), &asked["id"]);
    told["payloadJSON"] = json!(deep);
    world.request(host, "r", "node.invoke.result", told);
    let answer = world.wait_for(boss, "i");
    assert_eq!(ok(&answer)["payload"], json!({"payloadJSON": deep}));
}

#[test]
fn a_host_that_floods_its_load_is_told_of_once_a_second() {
    let (mut world, boss, host) = staffed();
    world.advance(seconds(2));
    world.hear(boss);
    let stats = json!({"cpuCount": 2, "memoryTotalBytes": 2, "memoryFreeBytes": 1});
    let params = json!({"event": "node.host.stats", "payload": stats});
    for _ in 0..1_000 {
        let answer = world.ask(host, "node.event", params.clone());
        assert_eq!(ok(&answer)["reason"], "updated");
    }
    assert_eq!(pushes(&world.hear(boss), "node.hostStats").len(), 1);
    world.advance(seconds(1));
    ok(&world.ask(host, "node.event", params));
    assert_eq!(pushes(&world.hear(boss), "node.hostStats").len(), 1);
}
