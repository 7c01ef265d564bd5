//! What a node offers when it comes back, its name, and that it is removed.

use super::super::pairing::does;
use super::super::{Scenario, WRITE, scenario};
use super::{HOST, NOTIFY, Node, Offer, Stage, WHICH, asked, is_list, says, staged, unpaired};
use crate::bench::{Bench, May, Trouble};
use crate::conn::{Conn, is_push};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "a node that offers more",
        &[
            "NOD-011/enough",
            "NOD-013/again",
            "NOD-013/rejected",
            "NOD-013/stays",
            "NOD-014/asked",
            "NOD-014/cleared",
            "NOD-014/kept",
            "NOD-014/replaced",
            "NOD-014/same",
        ],
        more,
    ),
    scenario(
        "names of nodes",
        &[
            "NOD-015/blank",
            "NOD-015/kept",
            "NOD-015/renamed",
            "NOD-015/unknown",
        ],
        names,
    ),
    scenario(
        "a node that is removed",
        &[
            "NOD-016/ends",
            "NOD-016/forgotten",
            "NOD-016/running",
            "NOD-016/told",
        ],
        removed,
    ),
];

const NOTHING: Offer<'_> = Offer {
    commands: &[],
    ..HOST
};
const MORE: Offer<'_> = Offer {
    commands: &[NOTIFY, WHICH],
    ..HOST
};

/// Plays in protocols in which what nodes offer is approved.
fn with_approval(
    bench: &Bench,
    scenario: &Scenario,
    play: fn(&mut Stage<'_>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, scenario, play)
}

fn more(bench: &Bench) -> Result<(), Trouble> {
    with_approval(bench, &SCENARIOS[0], offers_more)
}

/// What was decided over a request.
fn decided(
    conn: &mut Conn<'_>,
    bench: &Bench,
    node: &Node,
    request: &str,
) -> Result<Value, Trouble> {
    let push = conn.take(bench.patience(), |frame| {
        is_push(frame, "node.pair.resolved")
            && frame.text("payload.requestId") == Some(request)
            && frame.text("payload.nodeId") == Some(&node.id)
    })?;
    let push = push.unwrap_or(Value::Null);
    Ok(push.at("payload.decision").cloned().unwrap_or(Value::Null))
}

fn offers_more(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let mut pairing = bench.operator(&["operator.pairing"])?;
    let waits = || Trouble("nothing of the node waits".to_owned());
    let first = stage.node.come(bench, &mut stage.admin, NOTHING)?;
    let request = stage.node.waiting(&mut stage.admin)?.ok_or_else(waits)?;
    stage
        .node
        .told(&mut pairing, bench, "node.pair.requested")?;
    let approve = object! {"requestId": request.as_str()};
    let answer = pairing.ask("node.pair.approve", approve)?;
    let enough = answer.flag("ok") == Some(true);
    bench.check("NOD-011/enough", enough, || {
        format!("no commands are approved with operator.pairing: {answer}")
    });
    decided(&mut pairing, bench, &stage.node, &request)?;
    drop(first);

    let second = stage.node.come(bench, &mut stage.admin, HOST)?;
    let push = stage
        .node
        .told(&mut pairing, bench, "node.pair.requested")?;
    let needed = ["operator.pairing", "operator.write"];
    let kept = is_list(&push, "payload.commands", &[NOTIFY])
        && is_list(&push, "payload.requiredApproveScopes", &needed);
    bench.check("NOD-014/asked", kept, || push.to_string());
    let entry = stage.node.described(&mut stage.admin)?;
    let kept = entry.text("approvalState") == Some("pending-reapproval")
        && is_list(&entry, "commands", &[])
        && is_list(&entry, "caps", &["system"]);
    bench.check("NOD-014/kept", kept, || entry.to_string());
    let asked_for = stage.node.waiting(&mut stage.admin)?.ok_or_else(waits)?;
    drop(second);

    let third = stage.node.come(bench, &mut stage.admin, HOST)?;
    let again = stage.node.waiting(&mut stage.admin)?.ok_or_else(waits)?;
    bench.check("NOD-014/same", again == asked_for, || {
        format!("the same was asked for as {asked_for} and as {again}")
    });
    drop(third);

    let mut node = stage.node.come(bench, &mut stage.admin, MORE)?;
    let other = stage.node.waiting(&mut stage.admin)?.ok_or_else(waits)?;
    let decision = decided(&mut pairing, bench, &stage.node, &again)?;
    bench.check(
        "NOD-014/replaced",
        other != again && decision.is("rejected"),
        || format!("{again} is {decision} when more is asked for as {other}"),
    );

    let reject = object! {"requestId": other.as_str()};
    let answer = stage.admin.ask("node.pair.reject", reject.clone())?;
    let told = decided(&mut pairing, bench, &stage.node, &other)?;
    let twice = stage.admin.ask("node.pair.reject", reject)?;
    let kept = answer.text("payload.requestId") == Some(&other)
        && answer.text("payload.nodeId") == Some(&stage.node.id)
        && told.is("rejected")
        && says(&twice, "INVALID_REQUEST", "unknown requestId");
    bench.check("NOD-013/rejected", kept, || {
        format!("it is answered {answer}, told as {told}, and again answered {twice}")
    });
    let lives = node.lives()?;
    let heard = node.heard.iter().any(|frame| {
        let event = frame.text("event").unwrap_or("");
        event.starts_with("node.pair.")
    });
    let entry = stage.node.described(&mut stage.admin)?;
    let kept = lives && !heard && entry.text("approvalState") == Some("approved");
    bench.check("NOD-013/stays", kept, || {
        format!("after a rejection, of which it heard: {heard}, the node is {entry}")
    });
    drop(node);
    let node = stage.node.come(bench, &mut stage.admin, MORE)?;
    let anew = stage.node.waiting(&mut stage.admin)?;
    let kept = anew.as_ref().is_some_and(|anew| *anew != other);
    bench.check("NOD-013/again", kept, || {
        format!("after a rejection of {other} it comes back and waits as {anew:?}")
    });
    drop(node);
    let _node = stage.node.come(bench, &mut stage.admin, NOTHING)?;
    let decision = decided(
        &mut pairing,
        bench,
        &stage.node,
        anew.as_deref().unwrap_or(""),
    )?;
    let entry = stage.shown(|entry| entry.text("approvalState") == Some("approved"))?;
    let kept = decision.is("rejected") && entry.text("approvalState") == Some("approved");
    bench.check("NOD-014/cleared", kept, || {
        format!("it offers what was approved: the request is {decision}, the node {entry}")
    });
    Ok(())
}

fn names(bench: &Bench) -> Result<(), Trouble> {
    with_approval(bench, &SCENARIOS[1], named)
}

fn named(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let waiting = stage.node.come(bench, &mut stage.admin, HOST)?;
    let id = stage.node.id.clone();
    let name = |name: &str| object! {"nodeId": id.as_str(), "displayName": name};
    let answer = stage.admin.ask("node.rename", name("Early"))?;
    let kept = says(&answer, "INVALID_REQUEST", "unknown nodeId");
    bench.check("NOD-015/unknown", kept, || {
        format!("a node that nobody approved is named: {answer}")
    });
    drop(waiting);
    let node = stage.node.ready(bench, &mut stage.admin, HOST)?;
    let answer = stage.admin.ask("node.rename", name("  Kitchen "))?;
    let entry = stage.node.described(&mut stage.admin)?;
    let kept = answer.text("payload.nodeId") == Some(&id)
        && answer.text("payload.displayName") == Some("Kitchen")
        && entry.text("displayName") == Some("Kitchen");
    bench.check("NOD-015/renamed", kept, || {
        format!("it is answered {answer} and described {entry}")
    });
    let answer = stage.admin.ask("node.rename", name("   "))?;
    let kept = says(&answer, "INVALID_REQUEST", "displayName required");
    bench.check("NOD-015/blank", kept, || answer.to_string());
    drop(node);
    let _node = stage.node.come(bench, &mut stage.admin, HOST)?;
    let entry = stage.node.described(&mut stage.admin)?;
    let kept = entry.text("displayName") == Some("Kitchen");
    bench.check("NOD-015/kept", kept, || {
        format!("a node with a name came back as {entry}")
    });
    Ok(())
}

fn removed(bench: &Bench) -> Result<(), Trouble> {
    with_approval(bench, &SCENARIOS[2], goes)
}

fn goes(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let mut pairing = bench.operator(&["operator.pairing"])?;
    let mut caller = bench.operator(WRITE)?;
    let mut node = stage.node.ready(bench, &mut stage.admin, HOST)?;
    stage.node.told(&mut pairing, bench, "node.pair.resolved")?;
    let call = caller.request("node.invoke", stage.node.order(bench, NOTIFY))?;
    asked(&mut node, bench)?;
    let of_node = object! {"nodeId": stage.node.id.as_str()};
    does(&mut stage.admin, "node.pair.remove", of_node.clone())?;
    let answer = caller.answer(&call)?;
    bench.check("NOD-016/running", unpaired(&answer), || {
        format!("what runs on a node that is removed is answered {answer}")
    });
    let push = stage.node.told(&mut pairing, bench, "node.pair.resolved")?;
    let kept = push.text("payload.decision") == Some("removed")
        && push.text("payload.requestId") == Some("");
    bench.check("NOD-016/told", kept, || push.to_string());
    let ending = node.ending()?;
    bench.ends("NOD-016/ends", "a removal", &ending, &[May::Close(4001)]);
    let described = stage.admin.ask("node.describe", of_node.clone())?;
    let twice = stage.admin.ask("node.pair.remove", of_node)?;
    let kept = says(&described, "INVALID_REQUEST", "unknown nodeId")
        && says(&twice, "INVALID_REQUEST", "unknown nodeId");
    bench.check("NOD-016/forgotten", kept, || {
        format!("it is described {described} and removed again: {twice}")
    });
    Ok(())
}
