//! How things are once the faults are over.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Broken, broken, text};
use crate::sim::history::{History, Note, Socket};

/// Nothing turns on the spot, and nothing is left to say at rest.
pub(super) fn everything_comes_to_rest(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "no machine stalls with output undrained";
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Stuck => return broken("everything comes to rest", entry, ""),
            Note::Rest { undrained, .. } if !undrained.is_empty() => {
                return broken(PROMISE, entry, format!("{undrained:?}"));
            }
            Note::Mirror {
                client,
                undrained: true,
                ..
            } => return broken(PROMISE, entry, format!("client {client}")),
            _ => {}
        }
    }
    Ok(())
}

/// The presence list names every participant with a connection, and says of nobody else that they
/// are there.
pub(super) fn presence_is_who_is_there(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "presence is who is there";
    let mut live: BTreeMap<Socket, Option<String>> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Admitted(socket, guest) => {
                live.insert(*socket, guest.row.clone());
            }
            Note::Closing(socket, ..) | Note::Ended(socket) => {
                live.remove(socket);
            }
            Note::Down(boot) => live.retain(|socket, _| socket.boot != *boot),
            Note::Rest {
                presence,
                open,
                admitted,
                ..
            } => {
                let rows = presence.as_array().map_or(&[][..], Vec::as_slice);
                let is = |row: &&Value, reasons: &[&str]| reasons.contains(&text(row, "reason"));
                let name = |row: &Value| {
                    let names = ["deviceId", "instanceId", "host"].map(|name| text(row, name));
                    names
                        .into_iter()
                        .find(|name| !name.is_empty())
                        .map(str::to_owned)
                };
                let listed: Vec<String> = rows
                    .iter()
                    .filter(|row| is(row, &["connect"]))
                    .filter_map(name)
                    .collect();
                let there: BTreeSet<&String> = live.values().flatten().collect();
                let named: BTreeSet<&String> = listed.iter().collect();
                if there != named || named.len() != listed.len() {
                    return broken(PROMISE, entry, format!("{listed:?}, but {there:?}"));
                }
                if open.1 != live.len() || *admitted != live.len() {
                    let how = format!("{} sockets, {admitted} let in, but {}", open.1, live.len());
                    return broken(PROMISE, entry, how);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every client is connected again, and knows the state as it is.
pub(super) fn everybody_is_current(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "everybody reconnects and is current";
    let mut state = None;
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Rest {
                presence,
                health,
                versions,
                ..
            } => state = Some((presence, health, versions)),
            Note::Mirror {
                client,
                is_connected,
                reads,
                is_suspect,
                presence,
                health,
                versions,
                ..
            } => {
                let fail = |how: &str| broken(PROMISE, entry, format!("client {client} {how}"));
                let Some((list, report, newest)) = state else {
                    return fail("is asked before the gateway");
                };
                if !is_connected {
                    return fail("is not connected");
                }
                if *is_suspect {
                    return fail("is still suspect");
                }
                if versions.0 > newest.0 || versions.1 > newest.1 {
                    return fail("knows a version that never was");
                }
                if *reads && presence != list {
                    return fail(&format!("knows {presence}, but it is {list}"));
                }
                if *reads && health["n"] != report["n"] {
                    return fail(&format!("knows {health}, but it is {report}"));
                }
                if !*reads && presence.as_array().is_some_and(|list| !list.is_empty()) {
                    return fail("knows more than it may");
                }
            }
            _ => {}
        }
    }
    Ok(())
}
