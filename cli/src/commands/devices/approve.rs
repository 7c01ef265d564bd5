//! `openclaw devices approve`.

use std::time::Duration;

use openclaw_protocol_core::json::{Json, Object};

use super::listing::{Listing, Request};
use crate::args::{Approve, ClientFlags, Globals};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{ADMIN, PAIRING, Target, milliseconds};

/// How much of an id that was typed is repeated, in characters.
const SHOWN: usize = 80;

/// Approves a request by its id; without an id it only shows the newest.
pub(super) fn run(globals: &Globals, mut args: Approve) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = crate::commands::target(globals, &flags)?;
    let typed = args.request_id.filter(|_| !args.latest);
    smol::block_on(async {
        let listing = Listing::ask(&target, within).await?;
        match typed {
            None => preview(&target, &flags, &listing),
            Some(id) => approve(&target, &flags, &listing, &id, within).await,
        }
    })
}

async fn approve(
    target: &Target,
    flags: &ClientFlags,
    listing: &Listing,
    id: &str,
    within: Duration,
) -> Result<Exit, Failure> {
    let Some(request) = listing.request(id) else {
        return Err(Failure::other(format!(
            "No pending device request matches {}. Run {} devices list{} and retry with the current request ID.",
            output::short(id, SHOWN),
            target.invocation(),
            target.flags()
        )));
    };
    // Nobody gives what they do not have, so this asks for what the request does, and for what was approved before: that
    // comes with it.
    let access = request.access();
    let before = listing
        .device(request.device_id())
        .map(|device| device.access());
    let mut scopes = vec![PAIRING];
    for scope in [Some(&access), before.as_ref()]
        .into_iter()
        .flatten()
        .flat_map(|access| access.known_scopes())
    {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if access.is_for_admins() && !scopes.contains(&ADMIN) {
        scopes.push(ADMIN);
    }
    let params = Object::new().text("requestId", request.id());
    let answer = super::call(target, &scopes, within, "device.pair.approve", params)
        .await
        .map_err(|failure| failure.hint_if_answered(|| super::see_list(target)))?;
    if flags.json {
        output::json(&answer)?;
    } else {
        let device = request.device_id();
        output::text(&format!(
            "Approved {} ({})\n",
            output::line(device),
            output::line(request.id())
        ))?;
    }
    Ok(Exit::Ok)
}

/// Shows what would be approved, and approves nothing.
fn preview(target: &Target, flags: &ClientFlags, listing: &Listing) -> Result<Exit, Failure> {
    let Some(request) = listing.newest() else {
        return Err(Failure::other(
            "No pending device pairing requests to approve",
        ));
    };
    let command = format!(
        "{} devices approve {}{}",
        target.invocation(),
        output::line(request.id()),
        target.flags()
    );
    if flags.json {
        output::json(&document(listing, request, &command, flags))?;
    } else {
        output::text(&describe(listing, request))?;
        output::complain(&format!("Approve this exact request with: {command}"));
    }
    Err(Failure::silent(Exit::Failure))
}

fn document(listing: &Listing, request: &Request, command: &str, flags: &ClientFlags) -> Json {
    let state = Object::new()
        .text("kind", listing.kind(request).word())
        .object("requested", request.access().object());
    let state = match listing.device(request.device_id()) {
        Some(device) => state.object("approved", device.access().object()),
        None => state.json("approved", &Json::null()),
    };
    Object::new()
        .json("selected", &request.raw)
        .object("approvalState", state)
        .text("approveCommand", command)
        .object(
            "requiresAuthFlags",
            Object::new()
                .boolean("token", flags.token.is_some())
                .boolean("password", flags.password.is_some()),
        )
        .finish()
}

fn describe(listing: &Listing, request: &Request) -> String {
    let approved = listing.device(request.device_id());
    let rows = [
        ("Device", Some(request.name())),
        ("Device ID", Some(output::line(request.device_id()))),
        ("Requested", Some(request.access().words())),
        ("Approved", approved.map(|device| device.access().words())),
        ("IP", request.remote_ip().map(output::line)),
        ("Note", Some(listing.kind(request).note().to_owned())),
    ];
    let mut text = format!(
        "Selected pending device request {}\n",
        output::line(request.id())
    );
    for (name, value) in rows {
        if let Some(value) = value {
            text += &format!("  {:<11}{value}\n", format!("{name}:"));
        }
    }
    text
}
