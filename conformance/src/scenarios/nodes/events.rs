//! What nodes tell of themselves.

use super::super::{READ, Scenario, scenario};
use super::{HOST, Offer, Stage, staged};
use crate::bench::{Bench, Trouble};
use crate::conn::Conn;
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[scenario(
    "what nodes tell",
    &[
        "NOD-023/alive",
        "NOD-023/throttled",
        "NOD-023/unknown",
        "NOD-024/invalid",
        "NOD-024/listed",
        "NOD-024/told",
        "NOD-025/active",
        "NOD-025/cleared",
        "NOD-025/latest",
        "NOD-025/permission",
        "NOD-025/told",
    ],
    events,
)];

const MAY: Offer<'_> = Offer {
    permissions: &[("accessibility", true)],
    ..HOST
};

fn events(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[0], told)
}

fn tell(conn: &mut Conn<'_>, event: &str, payload: Value) -> Result<Value, Trouble> {
    conn.ask("node.event", object! {"event": event, "payload": payload})
}

fn is_handled(answer: &Value, event: &str, handled: bool, reason: &str) -> bool {
    answer.flag("payload.ok") == Some(true)
        && answer.text("payload.event") == Some(event)
        && answer.flag("payload.handled") == Some(handled)
        && answer.text("payload.reason") == Some(reason)
}

fn told(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let mut reader = bench.operator(READ)?;
    let mut node = stage.node.ready(bench, &mut stage.admin, MAY)?;
    let answer = tell(&mut node, "conformance", object! {"a": 1})?;
    let kept = is_handled(&answer, "conformance", false, "unsupported_event");
    bench.check("NOD-023/unknown", kept, || answer.to_string());

    const ALIVE: &str = "node.presence.alive";
    for (check, reason) in [
        ("NOD-023/alive", "persisted"),
        ("NOD-023/throttled", "throttled"),
    ] {
        let answer = tell(&mut node, ALIVE, object! {"trigger": "manual"})?;
        bench.check(check, is_handled(&answer, ALIVE, true, reason), || {
            answer.to_string()
        });
    }

    const STATS: &str = "node.host.stats";
    let stats = object! {
        "cpuCount": 4, "memoryTotalBytes": 1_000, "memoryFreeBytes": 400,
    };
    let wrong = stats.clone().with("memoryFreeBytes", Value::from(2_000));
    let answer = tell(&mut node, STATS, wrong)?;
    let kept = is_handled(&answer, STATS, false, "invalid_payload");
    bench.check("NOD-024/invalid", kept, || answer.to_string());
    let answer = tell(&mut node, STATS, stats)?;
    let push = stage.node.told(&mut reader, bench, "node.hostStats")?;
    let kept = is_handled(&answer, STATS, true, "updated")
        && push.integer("payload.hostStats.cpuCount") == Some(4)
        && push.integer("payload.hostStats.memoryFreeBytes") == Some(400)
        && push.integer("payload.hostStats.updatedAtMs").is_some()
        && push.integer("seq").is_some();
    bench.check("NOD-024/told", kept, || {
        format!("it is answered {answer} and told as {push}")
    });
    let entry = stage.node.described(&mut reader)?;
    let kept = entry.at("hostStats") == push.at("payload.hostStats") && push != Value::Null;
    bench.check("NOD-024/listed", kept, || entry.to_string());

    const ACTIVITY: &str = "node.presence.activity";
    let answer = tell(&mut node, ACTIVITY, object! {"idleSeconds": 5})?;
    let push = stage.node.told(&mut reader, bench, "node.presence")?;
    let active = push.integer("payload.lastActiveAtMs").unwrap_or(0);
    let updated = push.integer("payload.presenceUpdatedAtMs").unwrap_or(0);
    let kept = is_handled(&answer, ACTIVITY, true, "updated")
        && updated - active == 5_000
        && push.integer("seq").is_some();
    bench.check("NOD-025/told", kept, || {
        format!("it is answered {answer} and told as {push}")
    });
    let list = super::does(&mut reader, "node.list", object! {})?;
    let row = stage.node.row(&list, "payload.nodes");
    let kept = row.is_some_and(|row| row.integer("lastActiveAtMs") == Some(active))
        && list.text("payload.activeNodeId").is_some();
    bench.check("NOD-025/active", kept, || list.to_string());
    tell(&mut node, ACTIVITY, object! {"idleSeconds": 600})?;
    let push = stage.node.told(&mut reader, bench, "node.presence")?;
    let kept = push.integer("payload.lastActiveAtMs") == Some(active);
    bench.check("NOD-025/latest", kept, || {
        format!("somebody was there at {active}, and then it is told {push}")
    });
    let answer = tell(&mut node, ACTIVITY, object! {"action": "clear"})?;
    let push = stage.node.told(&mut reader, bench, "node.presence")?;
    let kept = is_handled(&answer, ACTIVITY, true, "cleared")
        && push.at("payload.lastActiveAtMs") == Some(&Value::Null);
    bench.check("NOD-025/cleared", kept, || {
        format!("it is answered {answer} and told as {push}")
    });
    let mut other = stage.other.ready(bench, &mut stage.admin, HOST)?;
    let answer = tell(&mut other, ACTIVITY, object! {"idleSeconds": 5})?;
    let kept = is_handled(&answer, ACTIVITY, false, "permission_required");
    bench.check("NOD-025/permission", kept, || answer.to_string());
    Ok(())
}
