//! `openclaw nodes status`, `list` and `pending`.

use std::time::{SystemTime, UNIX_EPOCH};

use openclaw_protocol_core::json::{Json, Object, array};

use super::OVER;
use super::known::{Known, Node};
use super::requests::Request;
use crate::args::Globals;
use crate::args::nodes::{List, Pending, Status};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::target::{PAIRING, Target, milliseconds};

/// Tells which nodes are known.
pub(super) fn status(globals: &Globals, mut args: Status) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = crate::commands::target(globals, &flags)?;
    let known = smol::block_on(async {
        // Without operator.pairing the gateway does not tell which request waits.
        let scopes = target.scopes_over_nodes(&OVER);
        let session = target.connect(&scopes, within).await?;
        let known = Known::ask(&session).await;
        session.close().await;
        known
    })?;
    if flags.json {
        output::json(&only_connected(&known, args.connected))?;
    } else {
        output::text(&describe(&target, &known, args.connected, now_ms()))?;
    }
    Ok(Exit::Ok)
}

/// Lists what waits, and which nodes are paired.
pub(super) fn list(globals: &Globals, mut args: List) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = crate::commands::target(globals, &flags)?;
    let (requests, mut known) = smol::block_on(async {
        let scopes = target.scopes_over_nodes(&OVER);
        let session = target.connect(&scopes, within).await?;
        let asked = async {
            let requests = Request::all(&session).await?;
            Ok::<_, Failure>((requests, Known::ask(&session).await?))
        };
        let answers = asked.await;
        session.close().await;
        answers
    })?;
    known
        .nodes
        .retain(|node| node.paired && (node.connected || !args.connected));
    if flags.json {
        let pending = requests.iter().filter_map(|request| request.raw.as_ref());
        let paired = known.nodes.iter().filter_map(|node| node.raw.as_ref());
        let document = Object::new()
            .array("pending", pending)
            .array("paired", paired);
        output::json(&document.finish())?;
        return Ok(Exit::Ok);
    }
    let now = now_ms();
    let mut text = format!(
        "Pending: {} · Paired: {}\n",
        requests.len(),
        known.nodes.len()
    );
    if !requests.is_empty() {
        text += &format!("\n{}", waiting(&target, &requests, now));
    }
    if !known.nodes.is_empty() {
        let mut table = Table::new(["ID", "Node", "IP", "Last connect", "Offers"]);
        for node in &known.nodes {
            table.row([
                node.short_id(),
                node.name(),
                node.remote_ip.clone().unwrap_or_default(),
                ago(node, now),
                node.commands.join(", "),
            ]);
        }
        text += &format!("\nPaired\n{}", table.draw());
    }
    output::text(&text)?;
    Ok(Exit::Ok)
}

/// Lists what waits.
pub(super) fn pending(globals: &Globals, mut args: Pending) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = crate::commands::target(globals, &flags)?;
    let requests = smol::block_on(async {
        let scopes = target.scopes_over_nodes(&[PAIRING]);
        let session = target.connect(&scopes, within).await?;
        let requests = Request::all(&session).await;
        session.close().await;
        requests
    })?;
    if flags.json {
        let pending = requests.iter().filter_map(|request| request.raw.as_ref());
        output::json(&array(pending))?;
    } else if requests.is_empty() {
        output::text("No pending node requests.\n")?;
    } else {
        output::text(&waiting(&target, &requests, now_ms()))?;
    }
    Ok(Exit::Ok)
}

fn only_connected(known: &Known, connected: bool) -> Json {
    if !connected {
        return known.raw.clone();
    }
    let nodes = known.nodes.iter().filter(|node| node.connected);
    let nodes = nodes.filter_map(|node| node.raw.as_ref());
    Object::new().array("nodes", nodes).finish()
}

fn describe(target: &Target, known: &Known, connected: bool, now_ms: u64) -> String {
    let count = |is: fn(&&Node) -> bool| known.nodes.iter().filter(is).count();
    let mut text = format!(
        "Known: {} · Paired: {} · Connected: {}\n",
        known.nodes.len(),
        count(|node| node.paired),
        count(|node| node.connected)
    );
    let mut table = Table::new(["ID", "Node", "IP", "Detail", "Status", "Since", "Offers"]);
    let mut waits = String::new();
    let shown = known
        .nodes
        .iter()
        .filter(|node| node.connected || !connected);
    let mut rows = 0;
    for node in shown {
        rows += 1;
        table.row([
            node.short_id(),
            node.name(),
            node.remote_ip.clone().unwrap_or_default(),
            node.detail(),
            node.status(),
            ago(node, now_ms),
            node.commands.join(", "),
        ]);
        if let Some(id) = &node.pending_request_id {
            waits += &format!(
                "Approval pending for {}. Run {} nodes approve {}{}\n",
                node.name(),
                target.invocation(),
                output::line(id),
                target.flags()
            );
        }
    }
    if rows > 0 {
        text += &format!("\n{}", table.draw());
    } else if known.nodes.is_empty() {
        text += "Start one with: openclaw node run\n";
    }
    if !waits.is_empty() {
        text.push('\n');
    }
    text + &waits
}

fn waiting(target: &Target, requests: &[Request], now_ms: u64) -> String {
    let mut table = Table::new(["Request", "Node", "IP", "Offers", "Needs", "Requested"]);
    for request in requests {
        table.row([
            request.request_id.clone(),
            request.name(),
            request.remote_ip.clone().unwrap_or_default(),
            request.offer(),
            request.scopes().join(", "),
            output::age(now_ms.saturating_sub(request.ts)),
        ]);
    }
    format!(
        "Pending\n{}\nApprove one with: {} nodes approve <request>{}\n",
        table.draw(),
        target.invocation(),
        target.flags()
    )
}

fn ago(node: &Node, now_ms: u64) -> String {
    node.last_ms()
        .map_or_else(String::new, |ms| output::age(now_ms.saturating_sub(ms)))
}

pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
