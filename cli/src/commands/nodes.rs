//! `openclaw nodes`.

use std::time::Duration;

use openclaw_protocol_core::json::{Json, Object};
use serde_json::Value;

use crate::args::nodes::{Nodes, NodesCommand, Reject, Remove, Rename};
use crate::args::{ClientFlags, Globals};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{PAIRING, READ, Session, Target, milliseconds};

mod approve;
mod describe;
mod invoke;
mod known;
mod list;
mod requests;
mod trouble;

use known::{Known, Node};

/// What it takes to find a node and to change it.
const OVER: [&str; 2] = [READ, PAIRING];

/// Does what is asked for nodes.
pub(super) fn run(globals: &Globals, nodes: Nodes) -> Result<Exit, Failure> {
    match nodes.command {
        NodesCommand::Status(args) => list::status(globals, args),
        NodesCommand::List(args) => list::list(globals, args),
        NodesCommand::Describe(args) => describe::run(globals, args),
        NodesCommand::Pending(args) => list::pending(globals, args),
        NodesCommand::Approve(args) => approve::run(globals, args),
        NodesCommand::Reject(args) => reject(globals, args),
        NodesCommand::Remove(args) => remove(globals, args),
        NodesCommand::Rename(args) => rename(globals, args),
        NodesCommand::Invoke(args) => invoke::run(globals, args),
    }
}

fn reject(globals: &Globals, mut args: Reject) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = super::target(globals, &flags)?;
    let params = Object::new().text("requestId", args.request_id.trim());
    smol::block_on(async {
        let scopes = target.scopes_over_nodes(&[PAIRING]);
        let session = target.connect(&scopes, within).await?;
        let answer = ask(&session, "node.pair.reject", params).await;
        session.close().await;
        show(&flags, &answer?, |answer| {
            format!("Rejected what {} offers", text(answer, "nodeId"))
        })
    })
}

fn remove(globals: &Globals, mut args: Remove) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = super::target(globals, &flags)?;
    let change = |node: &Node| {
        let params = Object::new().text("nodeId", &node.node_id);
        ("node.pair.remove", params)
    };
    change_one(&target, &flags, &args.node, within, change, |answer| {
        format!("Removed {}", text(answer, "nodeId"))
    })
}

fn rename(globals: &Globals, mut args: Rename) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let name = args.name.trim();
    if name.is_empty() {
        return Err(Failure::usage("Invalid --name. It must not be empty."));
    }
    let target = super::target(globals, &flags)?;
    let change = |node: &Node| {
        let params = Object::new()
            .text("nodeId", &node.node_id)
            .text("displayName", name);
        ("node.rename", params)
    };
    change_one(&target, &flags, &args.node, within, change, |answer| {
        format!(
            "Renamed {} → {}",
            text(answer, "nodeId"),
            text(answer, "displayName")
        )
    })
}

/// Finds a node, changes it, and says so.
fn change_one(
    target: &Target,
    flags: &ClientFlags,
    typed: &str,
    within: Duration,
    change: impl FnOnce(&Node) -> (&'static str, Object),
    describe: impl FnOnce(&Value) -> String,
) -> Result<Exit, Failure> {
    smol::block_on(async {
        let scopes = target.scopes_over_nodes(&OVER);
        let session = target.connect(&scopes, within).await?;
        let changed = async {
            let known = Known::ask(&session).await?;
            let (method, params) = change(known.find(typed)?);
            ask(&session, method, params).await
        };
        let answer = changed.await;
        session.close().await;
        show(flags, &answer?, describe)
    })
}

/// Sends a request, and says what to do where the answer is no.
async fn ask(session: &Session<'_>, method: &str, params: Object) -> Result<Json, Failure> {
    let answer = session.gateway.request(method, params).await;
    answer.map_err(|error| trouble::explained(session.target, error, None))
}

fn show(
    flags: &ClientFlags,
    answer: &Json,
    describe: impl FnOnce(&Value) -> String,
) -> Result<Exit, Failure> {
    if flags.json {
        output::json(answer)?;
    } else {
        let answer = answer.read().unwrap_or_default();
        output::text(&format!("{}\n", describe(&answer)))?;
    }
    Ok(Exit::Ok)
}

fn text(answer: &Value, name: &str) -> String {
    output::line(answer[name].as_str().unwrap_or("?"))
}
