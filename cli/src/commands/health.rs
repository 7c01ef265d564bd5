//! `openclaw health` and `openclaw gateway health`.

use std::time::{Duration, Instant};

use openclaw_protocol_core::json::Json;
use serde_json::Value;

use crate::args::{ClientFlags, GatewayHealth, Globals, Health};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{LOOK, Target, milliseconds};

/// Tells how the gateway, its agents and its channels are.
pub(super) fn run(globals: &Globals, mut args: Health) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    print(globals, &flags, within, |health, took| {
        format!(
            "{}\nAgents: {}\nChannels: {}\n",
            verdict(health, took),
            agents(health),
            channels(health)
        )
    })
}

/// Tells whether the gateway is well.
pub(super) fn run_gateway(globals: &Globals, mut args: GatewayHealth) -> Result<Exit, Failure> {
    let flags = args.client();
    let within = milliseconds(args.timeout.as_deref())?;
    print(globals, &flags, within, |health, took| {
        format!("Gateway Health\n{}\n", verdict(health, took))
    })
}

fn print(
    globals: &Globals,
    flags: &ClientFlags,
    within: Duration,
    describe: impl FnOnce(&Value, Duration) -> String,
) -> Result<Exit, Failure> {
    let target = super::target(globals, flags)?;
    let (payload, took) = smol::block_on(ask(&target, within))?;
    let health: Value = payload.read().unwrap_or_default();
    if flags.json {
        output::json(&payload)?;
    } else {
        output::text(&describe(&health, took))?;
    }
    Ok(if is_well(&health) {
        Exit::Ok
    } else {
        Exit::Failure
    })
}

async fn ask(target: &Target, within: Duration) -> Result<(Json, Duration), Failure> {
    let session = target.connect(&LOOK, within).await?;
    let began = Instant::now();
    let answer = session.ask("health").await;
    let took = began.elapsed();
    session.close().await;
    Ok((answer?, took))
}

fn is_well(health: &Value) -> bool {
    health["ok"] != Value::Bool(false)
}

fn verdict(health: &Value, took: Duration) -> String {
    let word = if is_well(health) { "OK" } else { "Not OK" };
    format!("{word} ({}ms)", took.as_millis())
}

/// Names the agents of a health payload.
pub(super) fn agents(health: &Value) -> String {
    let name = |agent: &Value| {
        let id = agent["agentId"].as_str()?;
        let note = if agent["isDefault"] == Value::Bool(true) {
            " (default)"
        } else {
            ""
        };
        Some(format!("{id}{note}"))
    };
    let listed: Vec<String> = items(&health["agents"]).filter_map(name).collect();
    let default = health["defaultAgentId"].as_str();
    let names = match (listed.is_empty(), default) {
        (true, Some(id)) => format!("{id} (default)"),
        (true, None) => "none".to_owned(),
        (false, _) => listed.join(", "),
    };
    output::line(&names)
}

/// Names the channels of a health payload.
pub(super) fn channels(health: &Value) -> String {
    let names: Vec<&str> = items(&health["channelOrder"])
        .filter_map(Value::as_str)
        .map(|id| health["channelLabels"][id].as_str().unwrap_or(id))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        output::line(&names.join(", "))
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_and_channels_are_named_as_far_as_they_are_known() {
        let health = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let full = health(
            r#"{"agents":[{"agentId":"main","isDefault":true},{"agentId":"ops"},7],
                "channelOrder":["tg","irc"],"channelLabels":{"tg":"Tele\ngram"}}"#,
        );
        assert_eq!(agents(&full), "main (default), ops");
        assert_eq!(channels(&full), "Tele gram, irc");
        let ours = health(r#"{"ok":true,"defaultAgentId":"main","channelOrder":[]}"#);
        assert_eq!(agents(&ours), "main (default)");
        assert_eq!(channels(&ours), "none");
        for strange in ["null", "{}", "[]", r#"{"agents":1,"channelOrder":{}}"#] {
            assert_eq!(agents(&health(strange)), "none");
            assert_eq!(channels(&health(strange)), "none");
        }
    }

    #[test]
    fn a_gateway_that_is_not_well_says_so() {
        let took = Duration::from_millis(3);
        let health = |ok| serde_json::json!({ "ok": ok });
        assert_eq!(verdict(&health(true), took), "OK (3ms)");
        assert_eq!(verdict(&health(false), took), "Not OK (3ms)");
    }
}
