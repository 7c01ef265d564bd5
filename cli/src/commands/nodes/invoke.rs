//! `openclaw nodes invoke`.

use std::time::Duration;

use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::random;

use super::known::Known;
use super::trouble;
use crate::args::Globals;
use crate::args::nodes::Invoke;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{READ, Session, WRITE, milliseconds};

/// How long a node may take by default.
const DEFAULT: Duration = Duration::from_millis(15_000);
/// How much longer than the node's own time the answer may take.
const MORE: Duration = Duration::from_millis(5_000);

/// Has a node do something.
pub(super) fn run(globals: &Globals, mut args: Invoke) -> Result<Exit, Failure> {
    let flags = args.client();
    let may_take = match args.invoke_timeout.as_deref() {
        Some(typed) => milliseconds(Some(typed)).map_err(|_| {
            Failure::usage("Invalid --invoke-timeout. Use milliseconds from 1 to 4294967295.")
        })?,
        None => DEFAULT,
    };
    let within = match args.timeout.as_deref() {
        Some(typed) => milliseconds(Some(typed))?,
        None => may_take + MORE,
    };
    let command = args.command.trim();
    if command.is_empty() {
        return Err(Failure::usage("Invalid --command. It must not be empty."));
    }
    let params = params(args.params.take())?;
    let key = match args.idempotency_key.take() {
        Some(key) if key.trim().is_empty() => {
            return Err(Failure::usage(
                "Invalid --idempotency-key. It must not be empty.",
            ));
        }
        Some(key) => key,
        None => {
            random::uuid().map_err(|error| Failure::other(format!("no random numbers: {error}")))?
        }
    };
    let target = crate::commands::target(globals, &flags)?;
    let answer = smol::block_on(async {
        let scopes = target.scopes_over_nodes(&[READ, WRITE]);
        let session = target.connect(&scopes, within).await?;
        let answer = invoke(&session, &args.node, command, &params, &key, may_take).await;
        session.close().await;
        answer
    })?;
    output::json(&answer)?;
    Ok(Exit::Ok)
}

async fn invoke(
    session: &Session<'_>,
    typed: &str,
    command: &str,
    params: &Json,
    key: &str,
    may_take: Duration,
) -> Result<Json, Failure> {
    let known = Known::ask(session).await?;
    let node = known.find(typed)?;
    let params = Object::new()
        .text("nodeId", &node.node_id)
        .text("command", command)
        .json("params", params)
        .number(
            "timeoutMs",
            u64::try_from(may_take.as_millis()).unwrap_or(u64::MAX),
        )
        .text("idempotencyKey", key);
    let answer = session.gateway.request("node.invoke", params).await;
    answer.map_err(|error| trouble::explained(session.target, error, Some(node)))
}

fn params(typed: Option<String>) -> Result<Json, Failure> {
    let Some(typed) = typed else {
        return Ok(Object::new().finish());
    };
    let json = Json::parse(typed).map_err(|_| Failure::usage("--params must be valid JSON."))?;
    if json.as_str().trim_start().starts_with('{') {
        Ok(json)
    } else {
        Err(Failure::usage("--params must be a JSON object."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_an_object() {
        let typed = |text: &str| params(Some(text.to_owned()));
        assert_eq!(params(None).unwrap().as_str(), "{}");
        assert_eq!(
            typed(r#" {"a":1.50}"#).unwrap().as_str().trim(),
            r#"{"a":1.50}"#
        );
        for wrong in ["", "[1]", "{", "null", "7"] {
            assert_eq!(typed(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
