//! `openclaw nodes describe`.

use openclaw_protocol_core::json::{Json, Object};

use super::ask;
use super::known::{Known, Node};
use super::list::now_ms;
use crate::args::Globals;
use crate::args::nodes::Describe;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{Target, milliseconds};

/// Tells everything about one node.
pub(super) fn run(globals: &Globals, mut args: Describe) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = crate::commands::target(globals, &flags)?;
    let answer = smol::block_on(async {
        let scopes = target.scopes_over_nodes(&super::OVER);
        let session = target.connect(&scopes, within).await?;
        let asked = async {
            let known = Known::ask(&session).await?;
            let node = known.find(&args.node)?;
            let params = Object::new().text("nodeId", &node.node_id);
            ask(&session, "node.describe", params).await
        };
        let answer = asked.await;
        session.close().await;
        answer
    })?;
    if flags.json {
        output::json(&answer)?;
    } else {
        let unreadable = || Failure::other("The gateway's answer to node.describe cannot be read.");
        let text = describe(&target, &answer).ok_or_else(unreadable)?;
        output::text(&text)?;
    }
    Ok(Exit::Ok)
}

fn describe(target: &Target, answer: &Json) -> Option<String> {
    let node = Node::read(answer.as_str())?;
    let client = [&node.client_id, &node.client_mode];
    let client: Vec<&str> = client.into_iter().flatten().map(String::as_str).collect();
    let since = node
        .last_ms()
        .map(|ms| output::age(now_ms().saturating_sub(ms)));
    let rows = [
        ("ID", Some(node.node_id.clone())),
        ("Name", Some(node.name())),
        ("Client", Some(client.join("/"))),
        ("Platform", node.platform.clone()),
        ("Device", node.device_family.clone()),
        ("Version", node.version.clone()),
        ("IP", node.remote_ip.clone()),
        ("Status", Some(node.status())),
        ("Last connect", since),
        ("Approval", Some(node.approval().to_owned())),
        ("Caps", Some(node.caps.join(", "))),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let value = value.unwrap_or_default();
        if !value.is_empty() {
            text += &format!("{name:<12}  {}\n", output::line(&value));
        }
    }
    text += &commands("Commands", &node.commands);
    if let Some(id) = &node.pending_request_id {
        text += &commands("Asks for", &node.pending_declared_commands);
        text += &format!(
            "\nApprove it with: {} nodes approve {}{}\n",
            target.invocation(),
            output::line(id),
            target.flags()
        );
    }
    Some(text)
}

fn commands(head: &str, commands: &[String]) -> String {
    let mut text = format!("\n{head}\n");
    for command in commands {
        text += &format!("  {}\n", output::line(command));
    }
    if commands.is_empty() {
        text += "  none\n";
    }
    text
}
