//! Presence and its versions.

use super::{ADMIN, READ, Scenario, scenario};
use crate::bench::{Bench, Trouble};
use crate::conn::{Conn, is_push};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "presence",
        &[
            "STA-002/raised",
            "STA-003/listed",
            "STA-004/pushed",
            "STA-004/whole",
            "SCP-005/presence",
        ],
        presence,
    ),
    scenario(
        "coming and going",
        &["STA-007/came", "STA-008/went"],
        coming,
    ),
];

/// What tells a row from others; what else it says may change.
fn key(row: &Value) -> [Option<&str>; 4] {
    ["instanceId", "deviceId", "host", "mode"].map(|name| row.text(name))
}

fn has(rows: &[Value], row: &Value) -> bool {
    rows.iter().any(|own| key(own) == key(row))
}

fn listed(conn: &mut Conn<'_>) -> Result<Vec<Value>, Trouble> {
    let answer = conn.ask("system-presence", object! {})?;
    let rows = answer.list("payload").or(answer.list("payload.presence"));
    Ok(rows.unwrap_or(&[]).to_vec())
}

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
        let before = listed(&mut reader)?;
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
        let after = listed(&mut reader)?;
        let found = after.iter().any(is_row);
        bench.check("STA-003/listed", found, || {
            "system-presence has no such row".to_owned()
        });
        if let Some(push) = push {
            let rows = push.list("payload.presence").unwrap_or(&[]);
            // Rows that come or go meanwhile may be missing.
            let missing = before
                .iter()
                .find(|row| has(&after, row) && !has(rows, row));
            bench.check("STA-004/whole", missing.is_none(), || {
                let row = missing.unwrap_or(&Value::Null);
                format!("the push lacks a row of system-presence: {row}")
            });
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

fn coming(bench: &Bench) -> Result<(), Trouble> {
    let name = bench.name("window");
    let mut reader = bench.operator(READ)?;
    let client = object! {
        "id": "openclaw-macos", "version": "1", "platform": "macos", "mode": "ui",
        "instanceId": name.as_str(),
    };
    let mut window = bench.open()?;
    window.connect_plainly(bench.params(&[]).with("client", client))?;
    let has = |frame: &Value, reason: &str| {
        let rows = frame.list("payload.presence").unwrap_or(&[]);
        let mut own = rows
            .iter()
            .filter(|row| row.text("instanceId") == Some(&name));
        is_push(frame, "presence") && own.any(|row| row.text("reason") == Some(reason))
    };
    let came = reader.take(bench.patience(), |frame| has(frame, "connect"))?;
    bench.check("STA-007/came", came.is_some(), || {
        "no presence push has the client that came".to_owned()
    });
    drop(window);
    let went = reader.take(bench.patience(), |frame| has(frame, "disconnect"))?;
    bench.check("STA-008/went", went.is_some(), || {
        "no presence push says that the client has gone".to_owned()
    });
    Ok(())
}
