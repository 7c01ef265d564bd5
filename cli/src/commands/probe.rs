//! `openclaw gateway probe`.

use openclaw_protocol_core::json::{Json, Object};

use crate::args::{Globals, Probe};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{Session, Target, milliseconds};

/// Connects, tells what came of it, and leaves.
pub(super) fn run(globals: &Globals, mut args: Probe) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = super::target(globals, &flags)?;
    match smol::block_on(target.connect(&target.scopes_to_probe(), within)) {
        Ok(session) => {
            if flags.json {
                output::json(&found(&session))?;
            } else {
                output::text(&describe(&session))?;
            }
            smol::block_on(session.close());
            Ok(Exit::Ok)
        }
        Err(failure) if flags.json => {
            output::json(&not_found(&target, &failure))?;
            Err(Failure::silent(failure.exit))
        }
        Err(failure) => {
            let reachable = match failure.exit {
                Exit::Unreachable => "no",
                Exit::Ok | Exit::Failure | Exit::Usage | Exit::Refused | Exit::Configuration => {
                    "yes"
                }
            };
            output::text(&format!(
                "Reachable: {reachable}\nTarget: {}\nConnect: failed\n",
                place(&target)
            ))?;
            Err(failure)
        }
    }
}

fn place(target: &Target) -> String {
    output::line(&format!("{} ({})", target.shown_url(), target.source()))
}

fn describe(session: &Session<'_>) -> String {
    let hello = session.gateway.hello();
    let scopes = match &hello.scopes {
        Some(scopes) if scopes.is_empty() => "none".to_owned(),
        Some(scopes) => scopes.join(", "),
        None => "the gateway does not say".to_owned(),
    };
    let lines = [
        "Reachable: yes".to_owned(),
        format!("Target: {}", place(session.target)),
        format!("Connect: ok ({}ms)", session.took.as_millis()),
        format!("Server: {}", hello.server_version),
        format!("Protocol: {}", hello.protocol),
        format!("Auth: {}", session.target.auth()),
        format!("Scopes: {scopes}"),
    ];
    lines.iter().map(|line| output::line(line) + "\n").collect()
}

fn found(session: &Session<'_>) -> Json {
    let hello = session.gateway.hello();
    let start = Object::new()
        .boolean("ok", true)
        .text("url", &session.target.shown_url())
        .text("urlSource", session.target.source())
        .number("connectMs", millis(session))
        .number("protocol", hello.protocol.into())
        .text("serverVersion", &hello.server_version)
        .text("connId", &hello.conn_id);
    match &hello.scopes {
        Some(scopes) => start.texts("scopes", scopes),
        None => start.json("scopes", &Json::null()),
    }
    .json("error", &Json::null())
    .finish()
}

fn not_found(target: &Target, failure: &Failure) -> Json {
    let start = Object::new()
        .boolean("ok", false)
        .text("url", &target.shown_url())
        .text("urlSource", target.source());
    ["connectMs", "protocol", "serverVersion", "connId", "scopes"]
        .into_iter()
        .fold(start, |object, name| object.json(name, &Json::null()))
        .object("error", failure.error())
        .finish()
}

fn millis(session: &Session<'_>) -> u64 {
    u64::try_from(session.took.as_millis()).unwrap_or(u64::MAX)
}
