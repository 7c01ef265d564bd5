//! `openclaw agent`.

use std::io::{self, IsTerminal, Write};

use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::{RequestError, Run};
use openclaw_runtime_smol::random;
use serde_json::Value;

use crate::args::{Agent, Globals};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::target::{REQUEST, RUN, Target, seconds};

/// Says something to an agent, and prints what it answers.
pub(super) fn run(globals: &Globals, mut args: Agent) -> Result<Exit, Failure> {
    let flags = args.client();
    let timeout = seconds(args.timeout.as_deref())?;
    let key = match args.idempotency_key.take() {
        Some(key) => key,
        None => random::uuid()
            .map_err(|error| Failure::other(format!("no random numbers to be had: {error}")))?,
    };
    for (flag, value) in [
        ("--message", &*args.message),
        ("--idempotency-key", &*key),
        ("--agent", args.agent.as_deref().unwrap_or("main")),
    ] {
        if value.trim().is_empty() {
            return Err(Failure::usage(format!(
                "Invalid {flag}. It must not be empty."
            )));
        }
    }
    let target = super::target(globals, &flags)?;
    let params = params(&args, &key, timeout);
    let live = !flags.json && io::stdout().is_terminal();
    smol::block_on(async {
        let session = target.connect(&RUN, REQUEST).await?;
        let mut transcript = Transcript::new(io::stdout());
        let finished = match session.gateway.run("agent", params).await {
            Ok(run) if live => follow(run, &mut transcript).await?,
            Ok(run) => run.finish().await,
            Err(error) => Err(error),
        };
        session.close().await;
        let payload = match finished {
            Ok(payload) => payload,
            Err(error) => {
                transcript.end()?;
                return Err(failed(error, &target, &key));
            }
        };
        let told = status(&payload);
        if flags.json {
            output::json(&payload)?;
        } else if told == "ok" && live {
            transcript.show(&reply(&payload))?;
            transcript.end()?;
        } else if told == "ok" {
            let reply = reply(&payload);
            if !reply.is_empty() {
                output::text(&(reply + "\n"))?;
            }
        }
        match &*told {
            "ok" => Ok(Exit::Ok),
            _ if flags.json => Err(Failure::silent(Exit::Failure)),
            _ => Err(unfinished(&told, &payload, &target, &key)),
        }
    })
}

fn params(args: &Agent, key: &str, timeout: Option<u32>) -> Json {
    let params = Object::new()
        .text("message", &args.message)
        .maybe_text("agentId", args.agent.as_deref())
        .maybe_text("sessionKey", args.session_key.as_deref())
        .text("idempotencyKey", key);
    match timeout {
        Some(seconds) => params.number("timeout", seconds.into()),
        None => params,
    }
    .finish()
}

/// Shows what the agent says as it says it.
async fn follow<W: Write>(
    mut run: Run,
    transcript: &mut Transcript<W>,
) -> io::Result<Result<Json, RequestError>> {
    while let Some(push) = run.next().await {
        if &*push.event == "chat"
            && let Some(said) = said(&push.payload)
        {
            transcript.show(&said)?;
        }
    }
    Ok(run.finish().await)
}

/// The whole text so far, of a `chat` push that has one.
fn said(payload: &Json) -> Option<String> {
    let payload: Value = payload.read().ok()?;
    let parts = payload["message"]["content"].as_array()?;
    let text: String = parts
        .iter()
        .filter_map(|part| part["text"].as_str())
        .collect();
    (payload["state"] == "delta" && !text.is_empty()).then_some(text)
}

fn status(payload: &Json) -> String {
    let payload: Value = payload.read().unwrap_or_default();
    payload["status"].as_str().unwrap_or("unknown").to_owned()
}

/// The text of a final answer.
fn reply(payload: &Json) -> String {
    let payload: Value = payload.read().unwrap_or_default();
    let parts = payload["result"]["payloads"].as_array();
    let texts: Vec<&str> = parts
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect();
    texts.join("\n\n")
}

/// What of a reply stands on the terminal already.
struct Transcript<W> {
    out: W,
    shown: String,
}

impl<W: Write> Transcript<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            shown: String::new(),
        }
    }

    /// Shows what is new in the whole text; a text that goes another way begins on a line of its own.
    fn show(&mut self, whole: &str) -> io::Result<()> {
        let new = match whole.strip_prefix(&*self.shown) {
            Some(new) => new,
            None => {
                self.end()?;
                whole
            }
        };
        self.out.write_all(output::harmless(new).as_bytes())?;
        self.out.flush()?;
        self.shown = whole.to_owned();
        Ok(())
    }

    /// Ends the line, if there is one.
    fn end(&mut self) -> io::Result<()> {
        if !self.shown.is_empty() && !self.shown.ends_with('\n') {
            self.out.write_all(b"\n")?;
        }
        self.shown.clear();
        self.out.flush()
    }
}

fn failed(error: RequestError, target: &Target, key: &str) -> Failure {
    let is_open = matches!(error, RequestError::Unknown | RequestError::TimedOut);
    let failure = target.request_failure(error).context("Agent run failed");
    if is_open {
        let run_id = Json::of(key).unwrap_or(Json::null());
        failure
            .beside("runId", run_id)
            .hint("The run may still be going on.")
            .hint(ask(target, key))
    } else {
        failure
    }
}

fn unfinished(status: &str, payload: &Json, target: &Target, key: &str) -> Failure {
    let payload: Value = payload.read().unwrap_or_default();
    let summary = payload["summary"].as_str().unwrap_or(status);
    let failure = Failure::other(summary).context("Agent run failed");
    if status == "error" {
        failure
    } else {
        failure.hint(ask(target, key))
    }
}

/// How to learn what became of a run.
fn ask(target: &Target, key: &str) -> String {
    let params = Object::new()
        .text("runId", key)
        .number("timeoutMs", 5_000)
        .finish();
    // A quote would end the shell's argument.
    let params = params.as_str().replace('\'', r"'\''");
    format!(
        "Ask for it: {} gateway call agent.wait{} --params '{params}'",
        target.invocation(),
        target.flags()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn each_part_of_a_reply_is_shown_once() {
        let mut transcript = Transcript::new(Vec::new());
        for whole in ["hello", "hello there", "hello there", "hello there, you"] {
            transcript.show(whole).unwrap();
        }
        transcript.end().unwrap();
        transcript.end().unwrap();
        assert_eq!(transcript.out, b"hello there, you\n");
    }

    #[test]
    fn a_reply_that_changes_begins_anew() {
        let mut transcript = Transcript::new(Vec::new());
        transcript.show("one").unwrap();
        transcript.show("two\u{1b}\n").unwrap();
        transcript.end().unwrap();
        assert_eq!(transcript.out, "one\ntwo\u{fffd}\n".as_bytes());
    }

    #[test]
    fn text_is_found_where_gateways_put_it() {
        let delta =
            r#"{"state":"delta","message":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}"#;
        assert_eq!(said(&json(delta)).as_deref(), Some("ab"));
        for nothing in [
            "null",
            r#"{"state":"delta"}"#,
            &delta.replace("delta", "aborted"),
        ] {
            assert_eq!(said(&json(nothing)), None);
        }
        let done =
            r#"{"status":"ok","result":{"payloads":[{"text":"a"},{"text":null},{"text":"b"}]}}"#;
        assert_eq!(reply(&json(done)), "a\n\nb");
        assert_eq!(status(&json(done)), "ok");
        assert_eq!(
            (reply(&json("7")).as_str(), &*status(&json("[]"))),
            ("", "unknown")
        );
    }
}
