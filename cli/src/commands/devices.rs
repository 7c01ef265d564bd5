//! `openclaw devices`.

use std::time::Duration;

use openclaw_protocol_core::json::{Json, Object};
use serde_json::Value;

use crate::args::{
    ClientFlags, Devices, DevicesCommand, Globals, Reject, Remove, Rename, Revoke, Rotate,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{ADMIN, PAIRING, Target, milliseconds};

mod access;
mod approve;
mod clear;
mod list;
mod listing;

use listing::{Device, Listing};

/// How much of an id that was typed is repeated, in characters.
const SHOWN: usize = 80;

/// Does what is asked for devices.
pub(super) fn run(globals: &Globals, devices: Devices) -> Result<Exit, Failure> {
    match devices.command {
        DevicesCommand::List(args) => list::run(globals, args),
        DevicesCommand::Approve(args) => approve::run(globals, args),
        DevicesCommand::Reject(args) => reject(globals, args),
        DevicesCommand::Remove(args) => remove(globals, args),
        DevicesCommand::Rename(args) => rename(globals, args),
        DevicesCommand::Rotate(args) => rotate(globals, args),
        DevicesCommand::Revoke(args) => revoke(globals, args),
        DevicesCommand::Clear(args) => clear::run(globals, args),
    }
}

fn reject(globals: &Globals, mut args: Reject) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let params = Object::new().text("requestId", &args.request_id);
    change(
        globals,
        &flags,
        within,
        "device.pair.reject",
        params,
        |answer| format!("Rejected {}", text(answer, "deviceId")),
    )
}

fn remove(globals: &Globals, mut args: Remove) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let params = Object::new().text("deviceId", &args.device_id);
    change(
        globals,
        &flags,
        within,
        "device.pair.remove",
        params,
        |answer| format!("Removed {}", text(answer, "deviceId")),
    )
}

fn rename(globals: &Globals, mut args: Rename) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    if args.name.trim().is_empty() {
        return Err(Failure::usage("Invalid --name. It must not be empty."));
    }
    let params = Object::new()
        .text("deviceId", &args.device)
        .text("label", &args.name);
    change(
        globals,
        &flags,
        within,
        "device.pair.rename",
        params,
        |answer| {
            format!(
                "Renamed {} → {}",
                text(answer, "deviceId"),
                text(answer, "label")
            )
        },
    )
}

fn rotate(globals: &Globals, mut args: Rotate) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let typed = args.scope.iter().flat_map(|scopes| scopes.split(','));
    let typed: Vec<&str> = typed
        .map(str::trim)
        .filter(|scope| !scope.is_empty())
        .collect();
    if args.no_scopes && !args.scope.is_empty() {
        return Err(Failure::usage(
            "--scope and --no-scopes exclude each other; pass one of them.",
        ));
    }
    if !args.scope.is_empty() && typed.is_empty() {
        return Err(Failure::usage("Invalid --scope. It must not be empty."));
    }
    let wanted = (args.no_scopes || !typed.is_empty()).then_some(typed);
    let target = super::target(globals, &flags)?;
    smol::block_on(async {
        let listing = Listing::ask(&target, within).await?;
        let device = find(&target, &listing, &args.device)?;
        let scopes = over_token(&target, device, &args.role, wanted.as_deref())?;
        let params = Object::new()
            .text("deviceId", &device.device_id)
            .text("role", &args.role);
        let params = match &wanted {
            Some(wanted) => params.texts("scopes", wanted),
            None => params,
        };
        let answer = call(&target, &scopes, within, "device.token.rotate", params)
            .await
            .map_err(|failure| failure.hint_if_answered(|| see_list(&target)))?;
        target.keep_rotated(&answer);
        output::json(&answer)?;
        Ok(Exit::Ok)
    })
}

fn revoke(globals: &Globals, mut args: Revoke) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = super::target(globals, &flags)?;
    smol::block_on(async {
        let listing = Listing::ask(&target, within).await?;
        let device = find(&target, &listing, &args.device)?;
        let scopes = over_token(&target, device, &args.role, None)?;
        let params = Object::new()
            .text("deviceId", &device.device_id)
            .text("role", &args.role);
        let answer = call(&target, &scopes, within, "device.token.revoke", params)
            .await
            .map_err(|failure| failure.hint_if_answered(|| see_list(&target)))?;
        output::json(&answer)?;
        Ok(Exit::Ok)
    })
}

/// Makes a change, and says so.
fn change(
    globals: &Globals,
    flags: &ClientFlags,
    within: Duration,
    method: &str,
    params: Object,
    describe: impl FnOnce(&Value) -> String,
) -> Result<Exit, Failure> {
    let target = super::target(globals, flags)?;
    let scopes = target.scopes_over_devices();
    let answer = smol::block_on(call(&target, &scopes, within, method, params))
        .map_err(|failure| failure.hint_if_answered(|| see_list(&target)))?;
    if flags.json {
        output::json(&answer)?;
    } else {
        let answer = answer.read().unwrap_or_default();
        output::text(&format!("{}\n", describe(&answer)))?;
    }
    Ok(Exit::Ok)
}

/// Sends one request over a connection of its own.
pub(super) async fn call(
    target: &Target,
    scopes: &[&str],
    within: Duration,
    method: &str,
    params: Object,
) -> Result<Json, Failure> {
    let session = target.connect(scopes, within).await?;
    let answer = session.ask_with(method, params).await;
    session.close().await;
    answer
}

fn find<'a>(target: &Target, listing: &'a Listing, id: &str) -> Result<&'a Device, Failure> {
    listing.device(id).ok_or_else(|| {
        Failure::other(format!(
            "No paired device has the id {}.",
            output::short(id, SHOWN)
        ))
        .hint(see_list(target))
    })
}

/// The scopes that it takes to decide over a token.
fn over_token<'a>(
    target: &Target,
    device: &'a Device,
    role: &str,
    wanted: Option<&'a [&str]>,
) -> Result<Vec<&'a str>, Failure> {
    let Some(token) = device.tokens.iter().find(|token| token.role == role) else {
        return Err(Failure::other(format!(
            "{} has no token for the role {}.",
            output::line(&device.device_id),
            output::short(role, SHOWN)
        ))
        .hint(see_list(target)));
    };
    let held = token.scopes.iter().map(String::as_str);
    let mut scopes: Vec<&str> = match wanted {
        Some(wanted) => wanted.to_vec(),
        None => held.collect(),
    };
    scopes.push(PAIRING);
    if role != "operator" {
        scopes.push(ADMIN);
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

fn see_list(target: &Target) -> String {
    format!(
        "{} devices list{} shows which there are.",
        target.invocation(),
        target.flags()
    )
}

fn text(answer: &Value, name: &str) -> String {
    output::line(answer[name].as_str().unwrap_or("?"))
}
