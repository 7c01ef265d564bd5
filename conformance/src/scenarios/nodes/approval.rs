//! What a new node offers waits until an operator approves it.

use super::super::pairing::{does, is_ok};
use super::super::{READ, Scenario, scenario};
use super::{
    HOST, NOTIFY, Offer, Stage, UNHEARD_OF, WHICH, alone, asked, done, is_list, says, soon, staged,
    unpaired,
};
use crate::bench::{Bench, Trouble};
use crate::conn::Conn;
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "a new node",
        &[
            "HSK-038/node",
            "NOD-005/pending",
            "NOD-005/requested",
            "NOD-005/unheard",
            "NOD-005/unused",
            "NOD-005/waiting",
            "NOD-010/hello",
            "NOD-010/presence",
            "NOD-011/admin",
            "NOD-011/scopes",
            "NOD-012/approved",
            "NOD-012/at-once",
            "NOD-012/node",
            "NOD-012/told",
            "NOD-012/used",
            "NOD-026/withheld",
            "NOD-027/hidden",
            "NOD-027/others",
        ],
        new_node,
    ),
    scenario(
        "roles of nodes",
        &["SCP-006/node", "SCP-008/refused", "SCP-011/each"],
        roles,
    ),
];

const PAIRING: &[&str] = &["operator.pairing"];
const ALL: Offer<'_> = Offer {
    commands: &[WHICH, UNHEARD_OF, NOTIFY],
    permissions: &[("conformance", true)],
    ..HOST
};

fn new_node(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.protocol < 4 {
        return Ok(());
    }
    staged(bench, &SCENARIOS[0], approved)
}

fn approved(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let bench = stage.bench;
    let mut pairing = bench.operator(PAIRING)?;
    let mut reader = bench.operator(READ)?;
    let (conn, answer) = stage.node.knock(bench, ALL)?;
    bench.check("HSK-038/node", is_ok(&answer), || {
        format!("a new node on the gateway's host is answered {answer}")
    });
    let mut node = if is_ok(&answer) {
        let mut conn = conn;
        conn.welcomed(&answer)?;
        conn
    } else {
        stage.node.come(bench, &mut stage.admin, ALL)?
    };
    let auth = node.hello("auth").cloned().unwrap_or(Value::Null);
    let kept = auth.text("role") == Some("node") && is_list(&auth, "scopes", &[]);
    bench.check("NOD-010/hello", kept, || {
        format!("hello-ok grants {}", auth.without("deviceToken"))
    });
    let rows = node.hello("snapshot.presence").cloned();
    let kept = rows == Some(Value::List(Vec::new()));
    bench.check("NOD-010/presence", kept, || format!("{rows:?}"));

    let request = waits(stage, &mut pairing, &mut reader, &mut node)?;
    let approve = object! {"requestId": request.as_str()};
    let answer = pairing.ask("node.pair.approve", approve.clone())?;
    let kept = says(&answer, "FORBIDDEN", "missing scope: operator.admin")
        && answer.text("error.details.code") == Some("MISSING_SCOPE")
        && answer.text("error.details.missingScope") == Some("operator.admin")
        && is_list(
            &answer,
            "error.details.requiredScopes",
            &["operator.pairing", "operator.admin"],
        );
    bench.check("NOD-011/admin", kept, || {
        format!("with operator.pairing it is answered {answer}")
    });

    let answer = stage.admin.ask("node.pair.approve", approve.clone())?;
    let kept = answer.text("payload.requestId") == Some(&request)
        && answer.text("payload.node.nodeId") == Some(&stage.node.id)
        && is_list(&answer, "payload.node.commands", &[WHICH, NOTIFY])
        && answer.flag("payload.node.permissions.conformance") == Some(true)
        && answer.integer("payload.node.approvedAtMs").is_some();
    bench.check("NOD-012/approved", kept, || answer.to_string());
    let is_told = |push: &Value| {
        push.text("payload.requestId") == Some(&request)
            && push.text("payload.decision") == Some("approved")
    };
    let push = stage.node.told(&mut pairing, bench, "node.pair.resolved")?;
    let kept = is_told(&push) && push.integer("seq").is_some();
    bench.check("NOD-012/told", kept, || push.to_string());
    let push = stage.node.told(&mut node, bench, "node.pair.resolved")?;
    bench.check("NOD-012/node", is_told(&push), || push.to_string());
    alone(bench, &push);
    let answer = stage.admin.ask("node.pair.approve", approve)?;
    let kept = says(&answer, "INVALID_REQUEST", "unknown requestId");
    bench.check("NOD-012/used", kept, || {
        format!("a request is approved twice: {answer}")
    });

    let order = stage
        .node
        .order(bench, NOTIFY)
        .with("timeoutMs", soon(bench));
    let call = stage.admin.request("node.invoke", order)?;
    let dispatched = asked(&mut node, bench);
    if let Ok(push) = &dispatched {
        stage.node.reply(&mut node, push, done(object! {}))?;
    }
    let answer = stage.admin.answer(&call)?;
    bench.check(
        "NOD-012/at-once",
        dispatched.is_ok() && is_ok(&answer),
        || format!("after its approval a command is answered {answer}"),
    );
    reader.lives()?;
    let heard = reader.heard.iter().find(|frame| {
        let event = frame.text("event").unwrap_or("");
        event.starts_with("node.pair.")
    });
    bench.check("NOD-027/others", heard.is_none(), || {
        format!("who may not pair heard {}", heard.unwrap_or(&Value::Null))
    });
    Ok(())
}

/// Judges what is said of a node that waits; returns its request.
fn waits(
    stage: &mut Stage<'_>,
    pairing: &mut Conn<'_>,
    reader: &mut Conn<'_>,
    node: &mut Conn<'_>,
) -> Result<String, Trouble> {
    let bench = stage.bench;
    let push = stage.node.told(pairing, bench, "node.pair.requested")?;
    let kept = push
        .text("payload.requestId")
        .is_some_and(|id| !id.is_empty())
        && push.text("payload.clientId") == Some("node-host")
        && push.text("payload.displayName") == Some(&stage.node.name)
        && is_list(&push, "payload.caps", &["system"])
        && push.flag("payload.permissions.conformance") == Some(true)
        && push.integer("payload.ts").is_some()
        && push.integer("seq").is_some();
    bench.check("NOD-005/requested", kept, || push.to_string());
    let list = does(pairing, "node.pair.list", object! {})?;
    let row = stage.node.row(&list, "payload.pending");
    let row = row.cloned().unwrap_or(Value::Null);
    let same = row == push.at("payload").cloned().unwrap_or(Value::Null);
    bench.check("NOD-005/pending", same, || {
        format!("it was told {push} and is listed {row}")
    });
    let found = push.at("payload").unwrap_or(&row);
    let kept = is_list(found, "commands", &[WHICH, NOTIFY]);
    bench.check("NOD-026/withheld", kept, || found.to_string());
    let needed = ["operator.pairing", "operator.admin"];
    let kept = is_list(found, "requiredApproveScopes", &needed);
    bench.check("NOD-011/scopes", kept, || found.to_string());

    let entry = stage.node.described(&mut stage.admin)?;
    let request = entry.text("pendingRequestId").unwrap_or("").to_owned();
    let kept = entry.text("approvalState") == Some("pending-approval")
        && !request.is_empty()
        && is_list(&entry, "commands", &[])
        && is_list(&entry, "caps", &[])
        && is_list(&entry, "pendingDeclaredCommands", &[NOTIFY, WHICH])
        && entry.flag("connected") == Some(true);
    bench.check("NOD-005/waiting", kept, || entry.to_string());
    let entry = stage.node.described(reader)?;
    let kept = entry.text("approvalState") == Some("pending-approval")
        && entry.at("pendingRequestId").is_none()
        && entry.at("pendingDeclaredCommands").is_none();
    bench.check("NOD-027/hidden", kept, || entry.to_string());
    let order = stage.node.order(bench, NOTIFY);
    let answer = stage.admin.ask("node.invoke", order)?;
    bench.check("NOD-005/unused", unpaired(&answer), || answer.to_string());
    let stats = object! {"cpuCount": 1, "memoryTotalBytes": 2, "memoryFreeBytes": 1};
    let event = object! {"event": "node.host.stats", "payload": stats};
    let answer = node.ask("node.event", event)?;
    bench.check("NOD-005/unheard", unpaired(&answer), || answer.to_string());
    stage
        .node
        .waiting(&mut stage.admin)?
        .ok_or_else(|| Trouble("nothing of the node waits".to_owned()))
}

fn roles(bench: &Bench) -> Result<(), Trouble> {
    staged(bench, &SCENARIOS[1], |stage| {
        let bench = stage.bench;
        let mut node = stage.node.ready(bench, &mut stage.admin, HOST)?;
        let lives = node.lives()?;
        bench.check("SCP-006/node", lives, || "health is refused".to_owned());
        let order = stage.node.order(bench, NOTIFY);
        for (method, params) in [
            ("status", object! {}),
            ("node.list", object! {}),
            ("node.pair.list", object! {}),
            ("node.invoke", order),
            ("no.such.method", object! {}),
        ] {
            let answer = node.ask(method, params)?;
            let kept = says(&answer, "INVALID_REQUEST", "unauthorized role: node");
            bench.check("SCP-008/refused", kept, || {
                format!("a node's {method} is answered {answer}")
            });
        }
        for method in [
            "node.invoke.result",
            "node.invoke.progress",
            "node.event",
            "node.pending.drain",
            "node.pending.pull",
            "node.pending.ack",
        ] {
            if !super::lists(&stage.admin, method) {
                continue;
            }
            let answer = stage.admin.ask(method, object! {})?;
            let kept = says(&answer, "INVALID_REQUEST", "unauthorized role: operator");
            bench.check("SCP-011/each", kept, || {
                format!("an operator's {method} is answered {answer}")
            });
        }
        Ok(())
    })
}
