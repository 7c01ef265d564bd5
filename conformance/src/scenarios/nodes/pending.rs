//! Work that waits until a node asks for it.

use super::super::{Scenario, WRITE, scenario};
use super::{HOST, Offer, Stage, asked, failed, is_ok, refused, staged, unpaired};
use crate::bench::{Bench, Trouble};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "work that waits for a node",
        &[
            "NOD-032/baseline",
            "NOD-032/drained",
            "NOD-032/once",
            "NOD-032/queued",
            "NOD-032/unpaired",
        ],
        work,
    ),
    scenario(
        "a node in the background",
        &["NOD-033/acked", "NOD-033/pulled", "NOD-033/queued"],
        background,
    ),
];

/// What an app in the background does not do.
const TALK: &str = "talk.ptt.start";
const PHONE: Offer<'_> = Offer {
    client: "openclaw-ios",
    machine: ("ios", "iPhone"),
    caps: &["talk"],
    commands: &[TALK],
    permissions: &[],
};

fn work(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[0], waits)
}

fn waits(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let mut node = stage.node.ready(bench, &mut stage.admin, HOST)?;
    let mut caller = bench.operator(WRITE)?;
    let id = stage.node.id.as_str();
    let of_kind = |kind: &str| object! {"nodeId": id, "type": kind, "wake": false};

    let location = of_kind("location.request").with("priority", "high");
    let answer = caller.ask("node.pending.enqueue", location.clone())?;
    let queued = answer.at("payload.queued").cloned().unwrap_or(Value::Null);
    let expires = queued.integer("expiresAtMs").unwrap_or(0);
    let kept = answer.text("payload.nodeId") == Some(id)
        && answer.integer("payload.revision").is_some()
        && queued.text("id").is_some_and(|id| !id.is_empty())
        && queued.text("type") == Some("location.request")
        && queued.text("priority") == Some("high")
        && queued
            .integer("createdAtMs")
            .is_some_and(|created| created < expires);
    bench.check("NOD-032/queued", kept, || answer.to_string());
    let again = caller.ask("node.pending.enqueue", location)?;
    let kept = is_ok(&again) && again.at("payload.queued") == Some(&queued);
    bench.check("NOD-032/once", kept, || {
        format!("it was queued as {queued} and again {again}")
    });
    let nobody = of_kind("status.request").with("nodeId", "nobody");
    let answer = caller.ask("node.pending.enqueue", nobody)?;
    bench.check("NOD-032/unpaired", unpaired(&answer), || answer.to_string());

    let answer = node.ask("node.pending.drain", object! {})?;
    let items = answer.list("payload.items").unwrap_or(&[]);
    let kept = items.first() == Some(&queued) && answer.flag("payload.hasMore") == Some(false);
    bench.check("NOD-032/drained", kept, || {
        format!("of {queued} the node is given {answer}")
    });
    let baseline = |items: &[Value]| {
        items.last().is_some_and(|item| {
            item.text("id") == Some("baseline-status")
                && item.text("type") == Some("status.request")
                && item.at("expiresAtMs") == Some(&Value::Null)
        })
    };
    bench.check("NOD-032/baseline", baseline(items), || answer.to_string());
    let answer = node.ask("node.pending.drain", object! {})?;
    let left = answer.list("payload.items").unwrap_or(&[]);
    bench.check("NOD-032/drained", !left.contains(&queued), || {
        format!("the node is given it twice: {answer}")
    });
    Ok(())
}

fn background(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[1], |stage| {
        let bench = stage.bench;
        let mut node = stage.node.ready(bench, &mut stage.admin, PHONE)?;
        let mut caller = bench.operator(WRITE)?;
        let order = stage.node.order(bench, TALK);
        let call = caller.request("node.invoke", order)?;
        let push = asked(&mut node, bench)?;
        let outcome = failed("NODE_BACKGROUND_UNAVAILABLE", "in the background");
        stage.node.reply(&mut node, &push, outcome)?;
        let answer = caller.answer(&call)?;
        let action = answer.text("error.details.queuedActionId").unwrap_or("");
        let kept = refused(&answer, "UNAVAILABLE", "QUEUED_UNTIL_FOREGROUND")
            && answer.flag("error.retryable") == Some(true)
            && answer.text("error.details.command") == Some(TALK)
            && !action.is_empty();
        bench.check("NOD-033/queued", kept, || answer.to_string());
        let pulled = node.ask("node.pending.pull", object! {})?;
        let kept = pulled.text("payload.actions.0.id") == Some(action)
            && pulled.text("payload.actions.0.command") == Some(TALK)
            && pulled.at("payload.actions.0.paramsJSON") == push.at("payload.paramsJSON")
            && pulled.integer("payload.actions.0.enqueuedAtMs").is_some();
        bench.check("NOD-033/pulled", kept, || pulled.to_string());
        let ids: &[&str] = &[action];
        let acked = node.ask("node.pending.ack", object! {"ids": ids})?;
        let left = node.ask("node.pending.pull", object! {})?;
        let kept = acked.at("payload.ackedIds") == Some(&Value::from(ids))
            && acked.integer("payload.remainingCount") == Some(0)
            && left.list("payload.actions").is_some_and(<[_]>::is_empty);
        bench.check("NOD-033/acked", kept, || {
            format!("it is answered {acked}, and then there is {left}")
        });
        Ok(())
    })
}
