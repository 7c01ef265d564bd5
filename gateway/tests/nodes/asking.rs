//! What is asked of nodes, and what comes of it.

use super::support::{millis, seconds};
use super::*;

/// A gateway with an administrator and a node of which everything was approved.
fn staffed() -> (World, ConnId, ConnId) {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let host = approved(&mut world, boss, &node(1));
    (world, boss, host)
}

fn result(world: &mut World, host: ConnId, id: &Value, more: Value) -> Value {
    let mut params = json!({"id": id, "nodeId": id_of(&node(1)), "ok": true});
    for (name, value) in more.as_object().expect("an object") {
        params[name] = value.clone();
    }
    world.ask(host, "node.invoke.result", params)
}

#[test]
fn a_node_is_asked_and_its_answer_handed_on() {
    let (mut world, boss, host) = staffed();
    let frame = format!(
        r#"{{"type":"req","id":"i","method":"node.invoke","params":{{"nodeId":"{}","command":" system.which ","params":{{"z":1, "a":[2]}},"timeoutMs":3000,"sessionKey":"agent:main:main","idempotencyKey":"k"}}}}"#,
        id_of(&node(1))
    );
    world.say_bytes(boss, frame.into_bytes());
    let asked = pushes(&world.hear(host), "node.invoke.request")[0]["payload"].clone();
    assert_eq!(
        asked,
        json!({
            "id": asked["id"], "nodeId": id_of(&node(1)), "command": "system.which",
            "paramsJSON": "{\"z\":1, \"a\":[2]}", "timeoutMs": 3000, "idempotencyKey": "k",
            "sessionKey": "agent:main:main",
        })
    );
    let received = result(
        &mut world,
        host,
        &asked["id"],
        json!({"payload": {"y": 1, "b": 2}}),
    );
    assert_eq!(ok(&received), &json!({"ok": true}));
    let answer = world.answer(boss, "i");
    assert_eq!(
        ok(&answer),
        &json!({
            "ok": true, "nodeId": id_of(&node(1)), "command": "system.which",
            "payload": {"y": 1, "b": 2}, "payloadJSON": null,
        })
    );
}

#[test]
fn what_a_node_wrote_as_text_is_read_and_handed_on_as_it_is() {
    let (mut world, boss, host) = staffed();
    for (told, payload, written) in [
        (
            json!({"payloadJSON": "{\"b\":2}"}),
            json!({"b": 2}),
            json!("{\"b\":2}"),
        ),
        (
            json!({"payload": {"a": 1}, "payloadJSON": "{\"b\":2}"}),
            json!({"b": 2}),
            json!("{\"b\":2}"),
        ),
        (
            json!({"payloadJSON": "no json"}),
            json!({"payloadJSON": "no json"}),
            json!("no json"),
        ),
        (json!({"payloadJSON": "  "}), Value::Null, json!("  ")),
        (
            json!({"payloadJSON": {"q": 1}}),
            json!({"q": 1}),
            Value::Null,
        ),
        (
            json!({"payloadJSON": null, "payload": [1]}),
            json!([1]),
            Value::Null,
        ),
        (
            json!({"payload": "str", "error": null}),
            json!("str"),
            Value::Null,
        ),
        (json!({}), Value::Null, Value::Null),
    ] {
        let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
        assert_eq!(asked["paramsJSON"], Value::Null);
        assert_eq!(asked["timeoutMs"], 30_000);
        ok(&result(&mut world, host, &asked["id"], told.clone()));
        let answer = world.answer(boss, "i");
        assert_eq!(ok(&answer)["payload"], payload, "{told}");
        assert_eq!(ok(&answer)["payloadJSON"], written, "{told}");
    }
}

#[test]
fn a_large_answer_is_read_away_from_the_owner_and_handed_on_whole() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let text = "é\"".repeat(200_000);
    world.request(
        host,
        "r",
        "node.invoke.result",
        json!({"id": asked["id"], "nodeId": id_of(&node(1)), "ok": true,
               "payloadJSON": json!({"text": text}).to_string()}),
    );
    let answer = world.wait_for(boss, "i");
    assert_eq!(ok(&answer)["payload"]["text"], text);
    assert_eq!(ok(&world.answer(host, "r")), &json!({"ok": true}));
}

#[test]
fn a_failure_of_the_node_is_told_as_it_tells_it() {
    let (mut world, boss, host) = staffed();
    for (told, message_of, node_error) in [
        (
            json!({"error": {"code": "LAB_FAIL", "message": "lab failure"}}),
            "LAB_FAIL: lab failure",
            json!({"code": "LAB_FAIL", "message": "lab failure"}),
        ),
        (
            json!({"error": {"message": "only"}}),
            "only",
            json!({"message": "only"}),
        ),
        (json!({"error": {"code": "X"}}), "X", json!({"code": "X"})),
        (json!({}), "node invoke failed", Value::Null),
    ] {
        let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
        let mut more = told.clone();
        more["ok"] = json!(false);
        ok(&result(&mut world, host, &asked["id"], more));
        let answer = world.answer(boss, "i");
        assert_eq!(message(&answer), message_of);
        assert_eq!(answer["error"]["code"], "UNAVAILABLE");
        assert_eq!(
            answer["error"]["details"],
            json!({"nodeError": node_error, "nodeCommandDispatched": true})
        );
    }
}

#[test]
fn a_node_that_does_not_answer_in_time_is_told_that_nobody_waits() {
    let (mut world, boss, host) = staffed();
    let params = which(&node(1), json!({"timeoutMs": 1_000}));
    let asked = ask(&mut world, boss, host, "i", params);
    world.advance(millis(999));
    assert_eq!(world.answer(boss, "i"), Value::Null);
    world.advance(millis(1));
    let answer = world.answer(boss, "i");
    assert_eq!(message(&answer), "TIMEOUT: node invoke timed out");
    let cancel = pushes(&world.hear(host), "node.invoke.cancel");
    assert_eq!(
        cancel[0]["payload"],
        json!({"invokeId": asked["id"], "nodeId": id_of(&node(1))})
    );
    assert_eq!(cancel[0].get("seq"), None);
    let late = result(&mut world, host, &asked["id"], json!({}));
    assert_eq!(ok(&late), &json!({"ok": true, "ignored": true}));
    assert_eq!(world.answer(boss, "i"), Value::Null, "it was answered");
}

#[test]
fn without_a_limit_it_is_waited_for_as_long_as_somebody_waits() {
    let (mut world, boss, host) = staffed();
    let other = world.operator(&[WRITE]);
    let params = which(&node(1), json!({"timeoutMs": 0}));
    let asked = ask(&mut world, other, host, "i", params);
    assert_eq!(asked["timeoutMs"], 0);
    for _ in 0..60 {
        world.advance(seconds(30));
        for conn in [boss, other, host] {
            ok(&world.ask(conn, "health", json!({})));
        }
    }
    assert_eq!(world.answer(other, "i"), Value::Null);
    world.hear(host);
    world.cut(other);
    let cancel = pushes(&world.hear(host), "node.invoke.cancel");
    assert_eq!(cancel[0]["payload"]["invokeId"], asked["id"]);
}

#[test]
fn a_node_that_is_not_ready_is_asked_again_for_a_while() {
    let (mut world, boss, host) = staffed();
    let not_ready = json!({"ok": false, "error": {"code": "NODE_NOT_READY", "message": "x"}});
    let first = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let mut id = first["id"].clone();
    for wait in [100, 250, 500, 1_000] {
        ok(&result(&mut world, host, &id, not_ready.clone()));
        world.advance(millis(wait - 1));
        assert!(pushes(&world.hear(host), "node.invoke.request").is_empty());
        let twice = result(&mut world, host, &id, not_ready.clone());
        assert_eq!(ok(&twice)["ignored"], true);
        world.advance(millis(1));
        let asked = pushes(&world.hear(host), "node.invoke.request");
        assert_ne!(asked[0]["payload"]["id"], id);
        id = asked[0]["payload"]["id"].clone();
    }
    assert_eq!(world.answer(boss, "i"), Value::Null);
    ok(&result(&mut world, host, &id, not_ready));
    let answer = world.answer(boss, "i");
    assert_eq!(message(&answer), "NODE_NOT_READY: x");
}

#[test]
fn a_node_that_was_on_its_way_is_not_asked_again() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    let progress = json!({
        "invokeId": asked["id"], "nodeId": id_of(&node(1)), "seq": 0, "chunk": "hello",
    });
    let answer = world.ask(host, "node.invoke.progress", progress);
    assert_eq!(ok(&answer), &json!({"ok": true, "ignored": true}));
    let not_ready = json!({"ok": false, "error": {"code": "NODE_NOT_READY"}});
    ok(&result(&mut world, host, &asked["id"], not_ready));
    let answer = world.answer(boss, "i");
    assert_eq!(
        message(&answer),
        "UNAVAILABLE: node reported not-ready after invocation progress"
    );
}

#[test]
fn asking_again_ends_with_the_time_that_was_given() {
    let (mut world, boss, host) = staffed();
    let params = which(&node(1), json!({"timeoutMs": 300}));
    let first = ask(&mut world, boss, host, "i", params);
    let not_ready = json!({"ok": false, "error": {"code": "NODE_NOT_READY", "message": "x"}});
    ok(&result(&mut world, host, &first["id"], not_ready.clone()));
    world.advance(millis(100));
    let second = pushes(&world.hear(host), "node.invoke.request");
    assert_eq!(second[0]["payload"]["timeoutMs"], 200);
    ok(&result(
        &mut world,
        host,
        &second[0]["payload"]["id"],
        not_ready,
    ));
    let answer = world.answer(boss, "i");
    assert_eq!(
        message(&answer),
        "NODE_NOT_READY: x",
        "no time is left for a third"
    );
}

#[test]
fn what_may_not_be_asked_is_refused_with_the_reason() {
    let (mut world, boss, host) = staffed();
    let writer = world.operator(&[WRITE]);
    for (command, expected) in [
        (
            "foo.bar",
            r#"node command not allowed: "foo.bar" is not in the allowlist for platform "linux""#,
        ),
        (
            "camera.snap",
            r#"node command not allowed: "camera.snap" requires explicit gateway.nodes.commands.allow opt-in"#,
        ),
        (
            "computer.act",
            r#"node command not allowed: the node (platform: linux) does not support "computer.act""#,
        ),
        (
            "system.run",
            r#"node command not allowed: "system.run" is not in the allowlist for platform "linux""#,
        ),
        (
            "worker.launch.v1",
            "node.invoke does not allow private node controls",
        ),
        (
            "system.execApprovals.get",
            "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*",
        ),
        ("fs.listDir", "missing scope: operator.admin"),
        (" ", "nodeId and command required"),
    ] {
        let params = which(&node(1), json!({"command": command}));
        let answer = world.ask(writer, "node.invoke", params);
        assert_eq!(message(&answer), expected, "{command}");
    }
    assert!(world.hear(host).is_empty(), "the node hears nothing of it");
    let reader = world.operator(&[READ]);
    let answer = world.ask(reader, "node.invoke", which(&node(1), json!({})));
    assert_eq!(message(&answer), "missing scope: operator.write");
    let _ = boss;
}

#[test]
fn what_the_operator_allows_or_denies_holds_for_every_platform() {
    let commands = openclaw_gateway_service::nodes::policy::Policy {
        allow: vec!["lab.echo".to_owned()],
        deny: vec!["system.notify".to_owned()],
    };
    let mut world = World::with(Settings {
        commands,
        ..Settings::default()
    });
    let boss = world.operator(&[ADMIN]);
    let caller = Caller {
        commands: &["lab.echo", "system.notify"],
        ..node(1)
    };
    let host = approved(&mut world, boss, &caller);
    let params = which(&caller, json!({"command": "lab.echo"}));
    ask(&mut world, boss, host, "i", params);
    let params = which(&caller, json!({"command": "system.notify"}));
    let answer = world.ask(boss, "node.invoke", params);
    assert_eq!(
        message(&answer),
        r#"node command not allowed: "system.notify" is blocked by gateway.nodes.commands.deny"#
    );
}

#[test]
fn who_is_not_there_is_not_asked() {
    let (mut world, boss, host) = staffed();
    world.cut(host);
    let answer = world.ask(boss, "node.invoke", which(&node(1), json!({})));
    assert_eq!(message(&answer), "node not connected");
    assert_eq!(answer["error"]["details"]["code"], "NOT_CONNECTED");
    assert_eq!(answer["error"]["details"]["nodeCommandDispatched"], false);
    for id in ["Shed", "0".repeat(64).as_str()] {
        let params = which(&node(1), json!({"nodeId": id}));
        let answer = world.ask(boss, "node.invoke", params);
        assert_eq!(answer["error"]["details"]["code"], "PAIRING_CHANGED");
    }
}

#[test]
fn a_node_that_goes_ends_what_was_asked_of_it() {
    let (mut world, boss, host) = staffed();
    ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    world.cut(host);
    let answer = world.answer(boss, "i");
    assert_eq!(
        message(&answer),
        "DISCONNECTED: node disconnected (system.which)"
    );
    assert_eq!(answer["error"]["details"]["nodeCommandDispatched"], true);
}

#[test]
fn of_two_sockets_of_a_node_the_newer_counts() {
    let (mut world, boss, old) = staffed();
    let asked = ask(&mut world, boss, old, "i", which(&node(1), json!({})));
    let new = world.join(&node(1));
    let answer = world.answer(boss, "i");
    assert_eq!(
        message(&answer),
        "DISCONNECTED: node disconnected (system.which)"
    );
    assert_eq!(world.close(old), None);
    let late = result(&mut world, old, &asked["id"], json!({}));
    assert_eq!(
        message(&late),
        "node pairing changed before request dispatch"
    );
    assert_eq!(late["error"]["retryable"], true);
    let foreign = result(&mut world, new, &asked["id"], json!({}));
    assert_eq!(ok(&foreign)["ignored"], true);
    let asked = ask(&mut world, boss, new, "j", which(&node(1), json!({})));
    ok(&result(&mut world, new, &asked["id"], json!({})));
    ok(&world.answer(boss, "j"));
    world.cut(new);
    let asked = ask(&mut world, boss, old, "k", which(&node(1), json!({})));
    ok(&result(&mut world, old, &asked["id"], json!({})));
    ok(&world.answer(boss, "k"));
    let newest = world.join(&node(1));
    world.cut(old);
    ask(&mut world, boss, newest, "l", which(&node(1), json!({})));
}

#[test]
fn a_node_that_is_removed_while_it_works_ends_it() {
    let (mut world, boss, host) = staffed();
    ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    ok(&world.ask(boss, "node.pair.remove", json!({"nodeId": id_of(&node(1))})));
    let answer = world.answer(boss, "i");
    assert_eq!(
        message(&answer),
        "node pairing changed while invocation was active"
    );
}

#[test]
fn a_program_is_run_without_anything_that_overrides_an_approval() {
    let mut world = World::new();
    let boss = world.operator(&[ADMIN]);
    let caller = Caller {
        commands: &["system.run"],
        ..node(1)
    };
    let host = approved(&mut world, boss, &caller);
    let run = |params: Value| which(&caller, json!({"command": "system.run", "params": params}));
    let params = run(json!({"command": ["ls"], "cwd": "/", "secret": 1}));
    let asked = ask(&mut world, boss, host, "i", params);
    let handed: Value = serde_json::from_str(asked["paramsJSON"].as_str().unwrap()).unwrap();
    assert!(handed["runId"].is_string());
    assert_eq!(
        handed,
        json!({"command": ["ls"], "cwd": "/", "runId": handed["runId"]})
    );
    for (params, expected) in [
        (
            json!({"command": ["ls"], "approved": true}),
            "approval override requires params.runId",
        ),
        (
            json!({"command": ["ls"], "approvalDecision": "allow-once", "runId": "r"}),
            "unknown or expired approval id",
        ),
    ] {
        let answer = world.ask(boss, "node.invoke", run(params));
        assert_eq!(message(&answer), expected);
    }
}

#[test]
fn a_gateway_that_stops_takes_nothing_on_and_ends_what_waits() {
    let (mut world, boss, host) = staffed();
    let asked = ask(&mut world, boss, host, "i", which(&node(1), json!({})));
    world.drain();
    let answer = world.ask(boss, "node.invoke", which(&node(1), json!({})));
    assert_eq!(answer["error"]["retryable"], true);
    assert_eq!(world.answer(boss, "i"), Value::Null, "it may still be done");
    world.finish();
    let answer = world.answer(boss, "i");
    assert_eq!(message(&answer), "ABORTED: node invoke cancelled");
    let cancel = pushes(&world.hear(host), "node.invoke.cancel");
    assert_eq!(cancel[0]["payload"]["invokeId"], asked["id"]);
}

#[test]
fn nobody_waits_any_more_for_what_somebody_asked_who_is_gone() {
    let (mut world, boss, host) = staffed();
    let other = world.operator(&[WRITE]);
    let params = which(&node(1), json!({"timeoutMs": 900_000_000}));
    let asked: Vec<Value> = (0..256)
        .map(|number| ask(&mut world, other, host, &number.to_string(), params.clone()))
        .collect();
    let full = world.ask(boss, "node.invoke", params.clone());
    assert!(
        message(&full).starts_with("too many commands wait"),
        "{full}"
    );
    let short = world.operator(&[WRITE]);
    world.cut(other);
    let cancelled = pushes(&world.hear(host), "node.invoke.cancel");
    assert_eq!(cancelled.len(), 256, "it would go on for days");
    ask(&mut world, short, host, "s", which(&node(1), json!({})));
    world.cut(short);
    assert!(pushes(&world.hear(host), "node.invoke.cancel").is_empty());
    ask(&mut world, boss, host, "i", params);
    let late = result(&mut world, host, &asked[0]["id"], json!({}));
    assert_eq!(ok(&late)["ignored"], true);
}

#[test]
fn names_are_short_and_nothing_is_said_twice() {
    let (mut world, boss, host) = staffed();
    let long = which(&node(1), json!({"idempotencyKey": "k".repeat(1_025)}));
    let answer = world.ask(boss, "node.invoke", long);
    assert!(message(&answer).contains("at /idempotencyKey"), "{answer}");
    let frame = format!(
        r#"{{"type":"req","id":"i","method":"node.invoke","params":{{"nodeId":"{}","command":"system.which","params":1,"params":2,"idempotencyKey":"k"}}}}"#,
        id_of(&node(1))
    );
    world.say_bytes(boss, frame.into_bytes());
    let answer = world.answer(boss, "i");
    assert!(
        message(&answer).starts_with("invalid node.invoke params"),
        "{answer}"
    );
    assert!(world.hear(host).is_empty());
}
