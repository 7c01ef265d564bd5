//! What to do where a gateway says no.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_runtime_smol::client::RequestError;
use serde_json::Value;

use super::Node;
use crate::failure::Failure;
use crate::output;
use crate::target::Target;

/// Makes a failure of an error, with what to do about it.
pub(super) fn explained(target: &Target, error: RequestError, node: Option<&Node>) -> Failure {
    let hints = if let RequestError::Answered { error, .. } = &error {
        hints(target, error, node)
    } else {
        Vec::new()
    };
    target.request_failure(error).hints(hints)
}

fn hints(target: &Target, error: &ErrorShape, node: Option<&Node>) -> Vec<String> {
    let call = |command: &str| format!("{} {command}{}", target.invocation(), target.flags());
    let details: Value = error
        .details
        .as_ref()
        .and_then(|details| details.read().ok())
        .unwrap_or_default();
    let code = details["code"].as_str().unwrap_or_default();
    let reason = details["reason"].as_str().unwrap_or_default();
    if code == "MISSING_SCOPE" {
        return vec![missing_scope(target, &details)];
    }
    if code == "PAIRING_CHANGED" || reason == "node did not declare commands" {
        return match node.and_then(|node| node.pending_request_id.as_deref()) {
            Some(id) => {
                let id = output::line(id);
                vec![format!(
                    "What the node offers waits for approval: {}",
                    call(&format!("nodes approve {id}"))
                )]
            }
            None => vec![format!(
                "See whether it waits for approval: {}",
                call("nodes pending")
            )],
        };
    }
    if code == "NOT_CONNECTED" {
        return vec!["Start it on its host: openclaw node run".to_owned()];
    }
    if reason == "command not declared by node"
        && let Some(node) = node
    {
        return vec![format!(
            "It offers: {}",
            output::line(&node.commands.join(", "))
        )];
    }
    if reason == "command not allowlisted" {
        return vec![
            "gateway.nodes.commands in the gateway's openclaw.json says which commands are allowed.".to_owned(),
        ];
    }
    match &*error.message {
        "unknown requestId" => vec![format!(
            "See which requests wait: {}",
            call("nodes pending")
        )],
        "unknown nodeId" => vec![format!(
            "See which nodes there are: {}",
            call("nodes status")
        )],
        _ => Vec::new(),
    }
}

fn missing_scope(target: &Target, details: &Value) -> String {
    let scope = details["missingScope"].as_str().unwrap_or("another scope");
    let scope = output::short(scope, 40);
    if target.own_device().is_some() {
        format!(
            "To ask for {scope}, run this again with --token or --password of the gateway, and have the request approved on its host."
        )
    } else {
        format!("It takes {scope}: run this on the gateway's host.")
    }
}
