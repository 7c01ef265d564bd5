//! Presence and its versions.

use super::{ADMIN, READ, Scenario, scenario};
use crate::bench::{Bench, Trouble};
use crate::conn::is_push;
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[scenario(
    "presence",
    &[
        "STA-002/raised",
        "STA-003/listed",
        "STA-004/pushed",
        "SCP-005/presence",
    ],
    presence,
)];

fn presence(bench: &Bench) -> Result<(), Trouble> {
    let mut stranger = bench.operator(&[])?;
    let mut admin = bench.operator(ADMIN)?;
    let mut reader = bench.operator(READ)?;
    let mut last = reader.hello("snapshot.stateVersion").cloned();
    for _ in 0..2 {
        let name = bench.name("beacon");
        let row = object! {"text": name.as_str(), "instanceId": name.as_str(), "mode": "ui"};
        let is_row =
            |row: &Value| row.text("instanceId") == Some(&name) || row.text("text") == Some(&name);
        let answer = admin.ask("system-event", row)?;
        if answer.flag("ok") != Some(true) {
            return Err(Trouble(format!("system-event is answered {answer}")));
        }
        let push = reader.take(bench.patience(), |frame| {
            let rows = frame.list("payload.presence").unwrap_or(&[]);
            is_push(frame, "presence") && rows.iter().any(is_row)
        })?;
        bench.check("STA-004/pushed", push.is_some(), || {
            "no presence push has the new row".to_owned()
        });
        let listed = reader.ask("system-presence", object! {})?;
        let rows = listed.list("payload").or(listed.list("payload.presence"));
        let found = rows.unwrap_or(&[]).iter().any(is_row);
        bench.check("STA-003/listed", found, || {
            "system-presence has no such row".to_owned()
        });
        if let Some(push) = push {
            let version = push.at("stateVersion").cloned();
            let number = |version: &Option<Value>| {
                version
                    .as_ref()
                    .and_then(|version| version.integer("presence"))
            };
            bench.check("STA-002/raised", number(&version) > number(&last), || {
                format!("it was {:?} and is {:?}", number(&last), number(&version))
            });
            last = version;
        }
    }
    stranger.lives()?;
    let leaked = stranger
        .heard
        .iter()
        .find(|frame| is_push(frame, "presence"));
    bench.check("SCP-005/presence", leaked.is_none(), || {
        "a connection without scopes heard presence".to_owned()
    });
    Ok(())
}
