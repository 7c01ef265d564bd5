//! `openclaw status`.

use std::time::Duration;

use openclaw_protocol_core::json::{Json, Object};
use serde_json::Value;

use super::health;
use crate::args::{Globals, Status};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{LOOK, Session, milliseconds};

/// Tells what the gateway is doing and who is connected.
pub(super) fn run(globals: &Globals, mut args: Status) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    let target = super::target(globals, &flags)?;
    smol::block_on(async {
        let session = target.connect(&LOOK, within).await?;
        let asked = Answers::ask(&session).await;
        let gateway = Connected::of(&session);
        session.close().await;
        let answers = asked?;
        if flags.json {
            output::json(&answers.document(&gateway))?;
        } else {
            output::text(&answers.describe(&gateway))?;
        }
        Ok(Exit::Ok)
    })
}

/// What is known of the gateway since hello.
struct Connected {
    url: String,
    source: &'static str,
    auth: String,
    took_ms: u64,
    version: String,
    protocol: u32,
}

impl Connected {
    fn of(session: &Session<'_>) -> Self {
        let hello = session.gateway.hello();
        Self {
            url: session.target.shown_url(),
            source: session.target.source(),
            auth: session.target.auth(),
            took_ms: u64::try_from(session.took.as_millis()).unwrap_or(u64::MAX),
            version: hello.server_version.clone(),
            protocol: hello.protocol,
        }
    }
}

struct Answers {
    status: Json,
    health: Json,
    presence: Json,
}

impl Answers {
    async fn ask(session: &Session<'_>) -> Result<Self, Failure> {
        Ok(Self {
            status: session.ask("status").await?,
            health: session.ask("health").await?,
            presence: session.ask("system-presence").await?,
        })
    }

    /// The status payload as it is, and beside its members those of ours.
    fn document(&self, gateway: &Connected) -> Json {
        Object::new()
            .members_of(&self.status)
            .object(
                "gateway",
                Object::new()
                    .text("url", &gateway.url)
                    .text("urlSource", gateway.source)
                    .boolean("reachable", true)
                    .number("connectLatencyMs", gateway.took_ms)
                    .number("protocol", gateway.protocol.into())
                    .text("serverVersion", &gateway.version),
            )
            .json("health", &self.health)
            .json("presence", &self.presence)
            .finish()
    }

    fn describe(&self, gateway: &Connected) -> String {
        let read = |json: &Json| json.read::<Value>().unwrap_or_default();
        let (status, health, presence) =
            (read(&self.status), read(&self.health), read(&self.presence));
        let count = |section: &str, name: &str| {
            let number = status[section][name].as_u64();
            number.map_or_else(|| "?".to_owned(), |number| number.to_string())
        };
        let process = [
            status["uptimeMs"]
                .as_u64()
                .map(|ms| format!("up {}", output::span(Duration::from_millis(ms)))),
            status["pid"].as_u64().map(|pid| format!("pid {pid}")),
            Some(format!("version {}", gateway.version)),
            Some(format!("protocol {}", gateway.protocol)),
        ];
        let process: Vec<String> = process.into_iter().flatten().collect();
        let mut rows = vec![
            (
                "Gateway",
                format!(
                    "{} ({}) · reachable in {} ms · auth {}",
                    gateway.url, gateway.source, gateway.took_ms, gateway.auth
                ),
            ),
            ("Process", process.join(" · ")),
            (
                "Runs",
                format!(
                    "{} running · {} queued",
                    count("runs", "running"),
                    count("runs", "queued")
                ),
            ),
            ("Sessions", count("sessions", "count")),
            ("Agents", health::agents(&health)),
            ("Channels", health::channels(&health)),
        ];
        let present = presence.as_array().map_or(&[][..], Vec::as_slice);
        rows.push(("Presence", present.len().to_string()));
        let mut text = "OpenClaw status\n".to_owned();
        for (name, value) in rows {
            text += &format!("{name:<9} {}\n", output::line(&value));
        }
        for row in present {
            text += &format!("          {}\n", output::line(&who(row)));
        }
        text
    }
}

fn who(row: &Value) -> String {
    if let Some(text) = row["text"].as_str() {
        return text.to_owned();
    }
    let parts: Vec<&str> = ["host", "mode", "version", "reason"]
        .iter()
        .filter_map(|name| row[*name].as_str())
        .collect();
    if parts.is_empty() {
        "somebody".to_owned()
    } else {
        parts.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> Connected {
        Connected {
            url: "ws://127.0.0.1:1".to_owned(),
            source: "local loopback",
            auth: "token from gateway.auth.token".to_owned(),
            took_ms: 3,
            version: "0.1.0".to_owned(),
            protocol: 4,
        }
    }

    fn answers(status: &str, health: &str, presence: &str) -> Answers {
        let json = |text: &str| Json::parse(text.to_owned()).unwrap();
        Answers {
            status: json(status),
            health: json(health),
            presence: json(presence),
        }
    }

    #[test]
    fn status_is_a_few_lines() {
        let answers = answers(
            r#"{"uptimeMs":61000,"pid":7,"runs":{"running":1,"queued":0},"sessions":{"count":2}}"#,
            r#"{"defaultAgentId":"main"}"#,
            r#"[{"text":"Gateway: h\u001b"},{"host":"a","mode":"cli"},{}]"#,
        );
        let expected = "\
OpenClaw status
Gateway   ws://127.0.0.1:1 (local loopback) · reachable in 3 ms · auth token from gateway.auth.token
Process   up 1 min 1 s · pid 7 · version 0.1.0 · protocol 4
Runs      1 running · 0 queued
Sessions  2
Agents    main (default)
Channels  none
Presence  3
          Gateway: h 
          a · cli
          somebody
";
        assert_eq!(answers.describe(&connected()), expected);
    }

    #[test]
    fn strange_payloads_are_shown_as_far_as_they_go() {
        let answers = answers("null", "[]", "{}");
        assert!(
            answers
                .describe(&connected())
                .contains("Runs      ? running")
        );
        let document: Value = answers.document(&connected()).read().unwrap();
        assert_eq!(document["gateway"]["reachable"], true);
    }
}
