//! Invocations whose answers do not come, come twice, or come from somebody else.

use super::super::{Scenario, WRITE, scenario};
use super::{HOST, NOTIFY, Stage, alone, asked, done, failed, is_ok, says, soon, staged, unpaired};
use crate::bench::{Bench, Ending, Trouble};
use crate::conn::is_push;
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "answers of nodes that do not come",
        &[
            "NOD-004/gone",
            "NOD-004/timeout",
            "NOD-007/late",
            "NOD-007/nobody",
            "NOD-009/cancel",
            "NOD-020/mismatch",
            "NOD-020/other",
            "NOD-031/ignored",
        ],
        unanswered,
    ),
    scenario(
        "two connections of a node",
        &[
            "NOD-021/earlier",
            "NOD-021/later",
            "NOD-021/running",
            "NOD-021/stays",
        ],
        twice,
    ),
    scenario(
        "a node that is not ready",
        &["NOD-022/again", "NOD-022/given-up"],
        not_ready,
    ),
];

fn unanswered(bench: &Bench) -> Result<(), Trouble> {
    staged(bench, &SCENARIOS[0], without_answer)
}

fn is_ignored(answer: &Value) -> bool {
    answer.flag("payload.ok") == Some(true) && answer.flag("payload.ignored") == Some(true)
}

fn without_answer(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let mut node = stage.node.ready(bench, &mut stage.admin, HOST)?;
    let mut other = stage.other.ready(bench, &mut stage.admin, HOST)?;
    let mut caller = bench.operator(WRITE)?;
    let order = || stage.node.order(bench, NOTIFY);

    let call = caller.request("node.invoke", order().with("timeoutMs", 300))?;
    let push = asked(&mut node, bench)?;
    let answer = caller.answer(&call)?;
    let kept = says(&answer, "UNAVAILABLE", "TIMEOUT: node invoke timed out")
        && answer.text("error.details.nodeError.code") == Some("TIMEOUT");
    bench.check("NOD-004/timeout", kept, || answer.to_string());
    if bench.options.protocol >= 4 {
        let cancel = node.take(bench.patience(), |frame| {
            is_push(frame, "node.invoke.cancel")
        })?;
        let cancel = cancel.unwrap_or(Value::Null);
        let kept = cancel.at("payload.invokeId") == push.at("payload.id")
            && cancel.text("payload.nodeId") == Some(&stage.node.id);
        bench.check("NOD-009/cancel", kept, || {
            format!("of {push} this was taken back: {cancel}")
        });
        alone(bench, &cancel);
    }
    let answer = stage.node.reply(&mut node, &push, done(object! {}))?;
    bench.check("NOD-007/late", is_ignored(&answer), || answer.to_string());
    let nobody = object! {"payload": object! {"id": "nobody-asked"}};
    let answer = stage.node.reply(&mut node, &nobody, done(object! {}))?;
    bench.check("NOD-007/nobody", is_ignored(&answer), || answer.to_string());
    if bench.options.protocol >= 4 {
        let progress = object! {
            "invokeId": "nobody-asked", "nodeId": stage.node.id.as_str(), "seq": 0, "chunk": "x",
        };
        let answer = node.ask("node.invoke.progress", progress)?;
        bench.check("NOD-031/ignored", is_ignored(&answer), || {
            answer.to_string()
        });
    }

    let call = caller.request("node.invoke", order())?;
    let push = asked(&mut node, bench)?;
    let answer = stage
        .other
        .reply(&mut other, &push, done(object! {"from": "other"}))?;
    let stolen = !is_ignored(&answer);
    let result = done(object! {}).with("id", push.text("payload.id").unwrap_or(""));
    let result = result.with("nodeId", stage.other.id.as_str());
    let answer = node.ask("node.invoke.result", result)?;
    let kept = says(&answer, "INVALID_REQUEST", "nodeId mismatch");
    bench.check("NOD-020/mismatch", kept, || answer.to_string());
    stage
        .node
        .reply(&mut node, &push, done(object! {"from": "node"}))?;
    let answer = caller.answer(&call)?;
    let kept = !stolen && answer.text("payload.payload.from") == Some("node");
    bench.check("NOD-020/other", kept, || {
        format!("another node's answer was taken: {stolen}; the caller is answered {answer}")
    });

    let call = caller.request("node.invoke", order())?;
    asked(&mut node, bench)?;
    drop(node);
    let answer = caller.answer(&call)?;
    // Protocol 3 has no code before the words.
    let message = answer.text("error.message").unwrap_or("");
    let kept = answer.text("error.code") == Some("UNAVAILABLE")
        && message.ends_with(&format!(": node disconnected ({NOTIFY})"))
        && (bench.options.protocol < 4 || message.starts_with("DISCONNECTED: "));
    bench.check("NOD-004/gone", kept, || answer.to_string());
    Ok(())
}

fn twice(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[1], |stage| {
        let bench = stage.bench;
        let mut earlier = stage.node.ready(bench, &mut stage.admin, HOST)?;
        let mut caller = bench.operator(WRITE)?;
        let order = || stage.node.order(bench, NOTIFY);
        let running = caller.request("node.invoke", order())?;
        asked(&mut earlier, bench)?;
        let mut later = stage.node.come(bench, &mut stage.admin, HOST)?;
        let answer = caller.answer(&running)?;
        let message = format!("DISCONNECTED: node disconnected ({NOTIFY})");
        let kept = says(&answer, "UNAVAILABLE", &message);
        bench.check("NOD-021/running", kept, || answer.to_string());
        let event = object! {"event": "conformance", "payload": object! {}};
        let answer = earlier.ask("node.event", event)?;
        bench.check("NOD-021/earlier", unpaired(&answer), || answer.to_string());
        let order = order().with("timeoutMs", soon(bench));
        let call = caller.request("node.invoke", order)?;
        let push = asked(&mut later, bench);
        if let Ok(push) = &push {
            stage.node.reply(&mut later, push, done(object! {}))?;
        }
        let answer = caller.answer(&call)?;
        bench.check("NOD-021/later", push.is_ok() && is_ok(&answer), || {
            format!("a command for a node with two connections is answered {answer}")
        });
        earlier.settle()?;
        let ending = earlier.ending_within(std::time::Duration::ZERO)?;
        bench.check("NOD-021/stays", ending == Ending::Open, || {
            format!("when the node came again: {ending}")
        });
        Ok(())
    })
}

fn not_ready(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[2], |stage| {
        let bench = stage.bench;
        let mut node = stage.node.ready(bench, &mut stage.admin, HOST)?;
        let mut caller = bench.operator(WRITE)?;
        let not_yet = || failed("NODE_NOT_READY", "not yet");
        let order = || stage.node.order(bench, NOTIFY);
        let quick = order().with("timeoutMs", soon(bench));
        let call = caller.request("node.invoke", quick)?;
        let first = asked(&mut node, bench)?;
        stage.node.reply(&mut node, &first, not_yet())?;
        let second = asked(&mut node, bench);
        if let Ok(second) = &second {
            stage.node.reply(&mut node, second, done(object! {}))?;
        }
        let answer = caller.answer(&call)?;
        let anew = second.is_ok_and(|second| second.at("payload.id") != first.at("payload.id"));
        bench.check("NOD-022/again", anew && is_ok(&answer), || {
            format!("a command for a node that was not ready at first is answered {answer}")
        });
        let call = caller.request("node.invoke", order())?;
        let mut times = 0;
        while times < 5
            && let Ok(push) = asked(&mut node, bench)
        {
            stage.node.reply(&mut node, &push, not_yet())?;
            times += 1;
        }
        let answer = caller.answer(&call)?;
        let kept = times > 1 && says(&answer, "UNAVAILABLE", "NODE_NOT_READY: not yet");
        bench.check("NOD-022/given-up", kept, || {
            format!("after {times} times it is answered {answer}")
        });
        Ok(())
    })
}
