//! What is asked of a node, and what it answers.

use super::super::pairing::does;
use super::super::{READ, Scenario, WRITE, scenario};
use super::{
    HOST, NOTIFY, Offer, Stage, UNHEARD_OF, WHICH, asked, done, failed, is_list, says, staged,
    unpaired,
};
use crate::bench::{Bench, Trouble};
use crate::conn::Conn;
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "what is asked of a node",
        &[
            "NOD-002/described",
            "NOD-002/listed",
            "NOD-002/unknown",
            "NOD-003/answer",
            "NOD-003/params",
            "NOD-003/request",
            "NOD-003/taken",
            "NOD-003/text",
            "NOD-008/number",
            "NOD-017/given",
            "NOD-017/usual",
            "NOD-018/bare",
            "NOD-018/told",
            "NOD-019/dispatched",
            "NOD-028/repeat",
        ],
        round_trip,
    ),
    scenario(
        "what cannot be asked of a node",
        &[
            "NOD-006/gone",
            "NOD-006/not-allowed",
            "NOD-006/not-declared",
            "NOD-006/params",
            "NOD-006/unknown",
            "NOD-019/not",
            "NOD-029/private",
        ],
        barred,
    ),
    scenario(
        "programs on a node",
        &["NOD-030/params", "NOD-030/run"],
        programs,
    ),
];

/// Asks a node for something and has it answer; returns what it was asked and what came of that.
fn exchange(
    stage: &Stage<'_>,
    caller: &mut Conn<'_>,
    node: &mut Conn<'_>,
    order: Value,
    outcome: Value,
) -> Result<(Value, Value), Trouble> {
    let call = caller.request("node.invoke", order)?;
    let push = asked(node, stage.bench)?;
    let answer = finish(stage, (caller, &call), (node, &push), outcome)?;
    Ok((push, answer))
}

/// Has a node answer; returns what who asked is answered.
fn finish(
    stage: &Stage<'_>,
    (caller, call): (&mut Conn<'_>, &str),
    (node, push): (&mut Conn<'_>, &Value),
    outcome: Value,
) -> Result<Value, Trouble> {
    let taken = stage.node.reply(node, push, outcome)?;
    let kept = taken.flag("payload.ok") == Some(true) && taken.at("payload.ignored").is_none();
    stage.bench.check("NOD-003/taken", kept, || {
        format!("a node's result is answered {taken}")
    });
    caller.answer(call)
}

fn round_trip(bench: &Bench) -> Result<(), Trouble> {
    staged(bench, &SCENARIOS[0], there_and_back)
}

fn there_and_back(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let mut node = stage.node.ready(bench, &mut stage.admin, HOST)?;
    let mut reader = bench.operator(READ)?;
    let mut caller = bench.operator(WRITE)?;
    let is_shown = |entry: &Value| {
        entry.text("displayName") == Some(&stage.node.name)
            && is_list(entry, "commands", &[NOTIFY])
            && is_list(entry, "caps", &["system"])
            && entry.flag("paired") == Some(true)
            && entry.flag("connected") == Some(true)
            && entry.integer("connectedAtMs").is_some()
            && (bench.options.protocol < 4 || entry.text("approvalState") == Some("approved"))
    };
    let list = does(&mut reader, "node.list", object! {})?;
    let row = stage.node.row(&list, "payload.nodes");
    bench.check("NOD-002/listed", row.is_some_and(is_shown), || {
        format!("of the node this is listed: {row:?}")
    });
    let entry = stage.node.described(&mut reader)?;
    bench.check("NOD-002/described", is_shown(&entry), || entry.to_string());
    let nobody = object! {"nodeId": "nobody"};
    let answer = reader.ask("node.describe", nobody)?;
    let kept = says(&answer, "INVALID_REQUEST", "unknown nodeId");
    bench.check("NOD-002/unknown", kept, || answer.to_string());

    let asked_with = object! {"title": "x", "list": vec![Value::Null, Value::from(true)]};
    let order = stage
        .node
        .order(bench, NOTIFY)
        .with("params", asked_with.clone());
    let order = order.with("timeoutMs", 20_000);
    let outcome = done(object! {"a": 1});
    let (push, answer) = exchange(stage, &mut caller, &mut node, order.clone(), outcome)?;
    let id = push.text("payload.id").unwrap_or("");
    let kept = !id.is_empty()
        && ["nodeId", "command", "idempotencyKey"]
            .iter()
            .all(|name| push.at(&format!("payload.{name}")) == order.at(name));
    bench.check("NOD-003/request", kept, || push.to_string());
    let written = push.text("payload.paramsJSON").map(Value::parse);
    bench.check("NOD-003/params", written == Some(Ok(asked_with)), || {
        push.to_string()
    });
    let left = push.integer("payload.timeoutMs").unwrap_or(0);
    bench.check("NOD-017/given", (1..=20_000).contains(&left), || {
        format!("of 20000 ms the node is told {left}")
    });
    let is_answer = |answer: &Value, payload: &Value, written: &Value| {
        answer.flag("ok") == Some(true)
            && answer.flag("payload.ok") == Some(true)
            && answer.text("payload.nodeId") == Some(&stage.node.id)
            && answer.text("payload.command") == Some(NOTIFY)
            && answer.at("payload.payload") == Some(payload)
            && answer.at("payload.payloadJSON") == Some(written)
    };
    let kept = is_answer(&answer, &object! {"a": 1}, &Value::Null);
    bench.check("NOD-003/answer", kept, || answer.to_string());

    let call = caller.request("node.invoke", order)?;
    let again = asked(&mut node, bench)?;
    let other = again.text("payload.id");
    let anew = other.is_some_and(|other| other != id);
    bench.check("NOD-028/repeat", anew, || {
        format!("it was asked {push} and for the repeat {again}")
    });
    let outcome = object! {"ok": true, "payloadJSON": "{\"b\":2}"};
    let answer = finish(stage, (&mut caller, &call), (&mut node, &again), outcome)?;
    let kept = is_answer(&answer, &object! {"b": 2}, &"{\"b\":2}".into());
    bench.check("NOD-003/text", kept, || answer.to_string());
    let order = || stage.node.order(bench, NOTIFY);
    let outcome = object! {"ok": true, "payloadJSON": "oops", "payload": 7};
    let (push, answer) = exchange(stage, &mut caller, &mut node, order(), outcome)?;
    let kept = is_answer(&answer, &object! {"payloadJSON": "oops"}, &"oops".into());
    bench.check("NOD-003/text", kept, || answer.to_string());
    let kept = push.at("payload.paramsJSON") == Some(&Value::Null);
    bench.check("NOD-003/params", kept, || push.to_string());
    let left = push.integer("payload.timeoutMs");
    bench.check("NOD-017/usual", left == Some(30_000), || push.to_string());

    let outcome = failed("E1", "nope");
    let (_, answer) = exchange(stage, &mut caller, &mut node, order(), outcome.clone())?;
    let kept = says(&answer, "UNAVAILABLE", "E1: nope")
        && answer.at("error.details.nodeError") == outcome.at("error");
    bench.check("NOD-018/told", kept, || answer.to_string());
    let dispatched = answer.flag("error.details.nodeCommandDispatched");
    bench.check("NOD-019/dispatched", dispatched == Some(true), || {
        answer.to_string()
    });
    let outcome = object! {"ok": false};
    let (_, answer) = exchange(stage, &mut caller, &mut node, order(), outcome)?;
    let kept = says(&answer, "UNAVAILABLE", "node invoke failed")
        && answer.at("error.details.nodeError") == Some(&Value::Null);
    bench.check("NOD-018/bare", kept, || answer.to_string());
    Ok(())
}

fn barred(bench: &Bench) -> Result<(), Trouble> {
    staged(bench, &SCENARIOS[1], cannot_be_asked)
}

fn cannot_be_asked(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let is_old = bench.options.protocol < 4;
    let mut node = stage.node.ready(bench, &mut stage.admin, HOST)?;
    let mut caller = bench.operator(WRITE)?;
    let _other = {
        let offer = Offer {
            commands: &[WHICH],
            ..HOST
        };
        stage.other.ready(bench, &mut stage.admin, offer)?
    };
    for (check, asked, command, reason) in [
        (
            "NOD-006/not-allowed",
            &stage.node,
            UNHEARD_OF,
            "command not allowlisted",
        ),
        (
            "NOD-006/not-declared",
            &stage.other,
            NOTIFY,
            "command not declared by node",
        ),
    ] {
        let answer = caller.ask("node.invoke", asked.order(bench, command))?;
        let kept = answer.text("error.code") == Some("INVALID_REQUEST")
            && answer.text("error.details.reason") == Some(reason)
            && answer.text("error.details.command") == Some(command);
        bench.check(check, kept, || format!("{command} is answered {answer}"));
    }
    let order = || stage.node.order(bench, NOTIFY);
    for (order, missing) in [
        (order().without("command"), "command"),
        (order().without("idempotencyKey"), "idempotencyKey"),
    ] {
        let answer = caller.ask("node.invoke", order)?;
        let message = answer.text("error.message").unwrap_or("");
        let kept = answer.text("error.code") == Some("INVALID_REQUEST")
            && message.starts_with("invalid node.invoke params")
            && message.contains(missing);
        bench.check("NOD-006/params", kept, || {
            format!("without {missing} it is answered {answer}")
        });
    }
    let is_gone = |answer: &Value| {
        says(answer, "UNAVAILABLE", "node not connected")
            && answer.text("error.details.code") == Some("NOT_CONNECTED")
    };
    let answer = caller.ask("node.invoke", order().with("nodeId", "nobody"))?;
    let kept = if is_old {
        is_gone(&answer)
    } else {
        unpaired(&answer)
    };
    bench.check("NOD-006/unknown", kept, || {
        format!("an unknown node: {answer}")
    });
    for command in ["worker.launch.v1", "system.execApprovals.get"] {
        let order = stage.node.order(bench, command);
        let answer = stage.admin.ask("node.invoke", order)?;
        let kept = answer.text("error.code") == Some("INVALID_REQUEST")
            && answer.text("error.details.command") == Some(command)
            && answer.at("error.details.reason").is_none();
        bench.check("NOD-029/private", kept, || {
            format!("{command} is answered {answer}")
        });
    }
    let heard = node.lives()?
        && !node
            .heard
            .iter()
            .any(|frame| frame.text("event") == Some("node.invoke.request"));
    bench.check("NOD-006/not-allowed", heard, || {
        "the node was asked what is refused".to_owned()
    });
    drop(node);
    let order = stage.node.order(bench, NOTIFY);
    stage.shown(|entry| entry.flag("connected") == Some(false))?;
    let answer = caller.ask("node.invoke", order)?;
    bench.check("NOD-006/gone", is_gone(&answer), || {
        format!("a node that has gone: {answer}")
    });
    let dispatched = answer.flag("error.details.nodeCommandDispatched");
    bench.check("NOD-019/not", dispatched == Some(false), || {
        answer.to_string()
    });
    Ok(())
}

fn programs(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[2], |stage| {
        let bench = stage.bench;
        let offer = Offer {
            commands: &["system.run"],
            ..HOST
        };
        let mut node = stage.node.ready(bench, &mut stage.admin, offer)?;
        let mut caller = bench.operator(WRITE)?;
        let command = vec![Value::from("ls")];
        let params = object! {"command": command.clone(), "conformance": true};
        let order = stage.node.order(bench, "system.run").with("params", params);
        let (push, _) = exchange(stage, &mut caller, &mut node, order, done(object! {}))?;
        let written = push.text("payload.paramsJSON").unwrap_or("");
        let written = Value::parse(written).unwrap_or(Value::Null);
        let named = written.text("runId").is_some_and(|id| !id.is_empty());
        bench.check("NOD-030/run", named, || push.to_string());
        let kept = written.at("command") == Some(&Value::from(command))
            && written.at("conformance").is_none();
        bench.check("NOD-030/params", kept, || push.to_string());
        Ok(())
    })
}
