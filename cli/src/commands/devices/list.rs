//! `openclaw devices list`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::access::or_none;
use super::listing::{Listing, Token, short_id};
use crate::args::{Globals, List};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::target::milliseconds;

/// Lists who waits, and who is paired.
pub(super) fn run(globals: &Globals, mut args: List) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = crate::commands::target(globals, &flags)?;
    let listing = smol::block_on(Listing::ask(&target, within))?;
    if flags.json {
        output::json(&listing.raw)?;
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let mut text = describe(&listing, now_ms);
        if !listing.pending.is_empty() {
            text += &format!(
                "\nApprove one with: {} devices approve <request>{}\n",
                target.invocation(),
                target.flags()
            );
        }
        output::text(&text)?;
    }
    Ok(Exit::Ok)
}

fn describe(listing: &Listing, now_ms: u64) -> String {
    let parts = [pending(listing, now_ms), paired(listing)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "No device pairing entries.\n".to_owned()
    } else {
        parts.join("\n")
    }
}

fn pending(listing: &Listing, now_ms: u64) -> Option<String> {
    let mut table = Table::new([
        "Request",
        "Device",
        "Requested",
        "Approved",
        "Age",
        "Status",
    ]);
    for request in &listing.pending {
        let approved = listing.device(request.device_id());
        let status = listing.kind(request).words();
        table.row([
            request.id().to_owned(),
            request.name(),
            request.access().words(),
            approved.map_or_else(|| "none".to_owned(), |device| device.access().words()),
            output::age(now_ms.saturating_sub(request.ts())),
            if request.is_repair() {
                format!("{status}, repair")
            } else {
                status.to_owned()
            },
        ]);
    }
    let count = listing.pending.len();
    (count > 0).then(|| format!("Pending ({count})\n{}", table.draw()))
}

fn paired(listing: &Listing) -> Option<String> {
    let mut table = Table::new(["Device", "Device ID", "Roles", "Scopes", "Tokens", "IP"]);
    let mut ids = String::new();
    for device in &listing.paired {
        let token = |token: &Token| {
            let note = if token.is_revoked() { " (revoked)" } else { "" };
            format!("{}{note}", token.role)
        };
        let tokens: Vec<String> = device.tokens.iter().map(token).collect();
        table.row([
            device.name(),
            short_id(&device.device_id),
            device.access().role_words(),
            device.access().scope_words(),
            or_none(&tokens.join(", ")),
            device.remote_ip.clone().unwrap_or_default(),
        ]);
        ids += &format!("  {}  {}\n", output::line(&device.device_id), device.name());
    }
    let count = listing.paired.len();
    (count > 0).then(|| format!("Paired ({count})\n{}\nFull device IDs\n{ids}", table.draw()))
}
