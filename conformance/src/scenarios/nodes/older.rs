//! Nodes of protocol 3, where what a node offers waits for nobody, and nodes can be paired that are no devices.

use super::super::pairing::does;
use super::super::{Scenario, WRITE, scenario};
use super::{HOST, NOTIFY, Stage, asked, done, is_list, is_ok, lists, staged};
use crate::bench::{Bench, Trouble};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a node of protocol 3", &["NOD-034/at-once"], at_once),
    scenario(
        "nodes that are no devices",
        &[
            "NOD-035/again",
            "NOD-035/approved",
            "NOD-035/asked",
            "NOD-035/verified",
        ],
        no_devices,
    ),
];

fn at_once(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol > 3 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[0], |stage| {
        let bench = stage.bench;
        let mut node = stage.node.come(bench, &mut stage.admin, HOST)?;
        let mut caller = bench.operator(WRITE)?;
        let order = stage.node.order(bench, NOTIFY);
        let call = caller.request("node.invoke", order)?;
        let push = asked(&mut node, bench)?;
        stage.node.reply(&mut node, &push, done(object! {}))?;
        let answer = caller.answer(&call)?;
        let waiting = stage.node.waiting(&mut stage.admin)?;
        bench.check(
            "NOD-034/at-once",
            is_ok(&answer) && waiting.is_none(),
            || format!("it waits as {waiting:?}; a command is answered {answer}"),
        );
        Ok(())
    })
}

fn no_devices(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol > 3 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[1], paired_by_hand)
}

fn paired_by_hand(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    if !lists(&stage.admin, "node.pair.request") {
        for check in SCENARIOS[1].checks {
            bench.not_applicable(check, "the gateway lists no node.pair.request");
        }
        return Ok(());
    }
    let mut pairing = bench.operator(&["operator.pairing"])?;
    let commands: &[&str] = &[NOTIFY];
    let id = bench.name("legacy");
    let params = object! {
        "nodeId": id.as_str(), "displayName": "Legacy", "platform": "linux", "commands": commands,
    };
    let answer = pairing.ask("node.pair.request", params.clone())?;
    let request = answer
        .text("payload.request.requestId")
        .unwrap_or("")
        .to_owned();
    stage.node.id.clone_from(&id);
    let push = stage
        .node
        .told(&mut pairing, bench, "node.pair.requested")?;
    let kept = answer.text("payload.status") == Some("pending")
        && answer.flag("payload.created") == Some(true)
        && answer.text("payload.request.nodeId") == Some(&id)
        && is_list(&answer, "payload.request.commands", commands)
        && push.text("payload.requestId") == Some(&request);
    bench.check("NOD-035/asked", kept, || {
        format!("it is answered {answer} and told as {push}")
    });
    let answer = pairing.ask("node.pair.request", params)?;
    let kept = answer.flag("payload.created") == Some(false)
        && answer.text("payload.request.requestId") == Some(&request);
    bench.check("NOD-035/again", kept, || answer.to_string());
    let approve = object! {"requestId": request.as_str()};
    let answer = does(&mut pairing, "node.pair.approve", approve)?;
    let token = answer.text("payload.node.token").unwrap_or("").to_owned();
    let push = stage.node.told(&mut pairing, bench, "node.pair.resolved")?;
    let kept = answer.text("payload.node.nodeId") == Some(&id)
        && !token.is_empty()
        && push.text("payload.decision") == Some("approved");
    bench.check("NOD-035/approved", kept, || {
        format!(
            "it has a token: {}; it is told as {push}",
            !token.is_empty()
        )
    });
    let mut verified = Vec::new();
    for token in [token.as_str(), "wrong"] {
        let params = object! {"nodeId": id.as_str(), "token": token};
        let answer = pairing.ask("node.pair.verify", params)?;
        verified.push(answer.at("payload.ok").cloned());
    }
    let kept = verified == [Some(Value::from(true)), Some(Value::from(false))];
    bench.check("NOD-035/verified", kept, || {
        format!("its token and a wrong one are answered {verified:?}")
    });
    Ok(())
}
