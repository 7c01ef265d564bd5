//! `openclaw nodes approve`.

use openclaw_protocol_core::json::Object;

use super::requests::Request;
use super::{ask, show};
use crate::args::Globals;
use crate::args::nodes::Approve;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{PAIRING, milliseconds};

/// How much of an id that was typed is repeated, in characters.
const SHOWN: usize = 80;

/// Approves what a node offers.
pub(super) fn run(globals: &Globals, mut args: Approve) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = crate::commands::target(globals, &flags)?;
    let id = args.request_id.trim();
    smol::block_on(async {
        let scopes = target.scopes_over_nodes(&[PAIRING]);
        let session = target.connect(&scopes, within).await?;
        let requests = Request::all(&session).await;
        session.close().await;
        let requests = requests?;
        let Some(request) = requests.iter().find(|request| request.request_id == id) else {
            return Err(Failure::other(format!(
                "No pending node request matches {}. Run {} nodes pending{} and retry with the current request ID.",
                output::short(id, SHOWN),
                target.invocation(),
                target.flags()
            )));
        };
        // What it takes depends on what the node offers, so only now is it known.
        let needed = request.scopes();
        let scopes = target.scopes_over_nodes(&needed);
        let session = target.connect(&scopes, within).await?;
        let params = Object::new().text("requestId", id);
        let answer = ask(&session, "node.pair.approve", params).await;
        session.close().await;
        show(&flags, &answer?, |_| {
            format!("Approved {}: {}", request.name(), request.offer())
        })
    })
}
