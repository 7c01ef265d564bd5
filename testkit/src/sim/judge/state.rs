//! Shared state and its versions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Broken, broken, is_hello, text};
use crate::sim::history::{History, Note, Socket};

/// On one socket versions never fall, and one version of one life of the gateway names one state.
pub(super) fn versions_never_fall(history: &History) -> Result<(), Broken> {
    let mut seen: BTreeMap<Socket, (u64, u64)> = BTreeMap::new();
    let mut lists: BTreeMap<(u32, u64), &Value> = BTreeMap::new();
    let mut health: BTreeMap<(u32, u64), &Value> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        let Note::Said(socket, message) = &noted.note else {
            continue;
        };
        let payload = &message.value["payload"];
        let (version, list, report) = if is_hello(message) {
            let snapshot = &payload["snapshot"];
            let list = Some(&snapshot["presence"]).filter(|list| **list != Value::Array(vec![]));
            (&snapshot["stateVersion"], list, &snapshot["health"])
        } else {
            let version = &message.value["stateVersion"];
            match text(&message.value, "event") {
                "presence" => (version, Some(&payload["presence"]), &Value::Null),
                "health" => (version, None, payload),
                _ => continue,
            }
        };
        let read = |name: &str| version[name].as_u64();
        let (Some(presence), Some(of_health)) = (read("presence"), read("health")) else {
            return broken("state has versions", entry, format!("{socket:?}"));
        };
        let before = seen.entry(*socket).or_default();
        if presence < before.0 || of_health < before.1 {
            let how = format!("{socket:?} {before:?} then {presence}, {of_health}");
            return broken("versions never fall", entry, how);
        }
        *before = (presence, of_health);
        if let Some(list) = list
            && *lists.entry((socket.boot, presence)).or_insert(list) != list
        {
            return broken(
                "a version names one state",
                entry,
                format!("presence {presence}"),
            );
        }
        if let Some(number) = report.get("n")
            && *health.entry((socket.boot, of_health)).or_insert(number) != number
        {
            return broken(
                "a version names one state",
                entry,
                format!("health {of_health}"),
            );
        }
    }
    Ok(())
}
