//! Agent runs: two stages, pushes between them, and connections that end on the way.

use std::time::{Duration, Instant};

use super::{Scenario, scenario};
use crate::bench::Trouble;
use crate::client::Job;
use crate::client::hello::now_ms;
use crate::client::program::Exit;
use crate::client::session::Session;
use crate::client::stage::{MARK, Stage};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "run",
        Job::Run,
        &["RUN-101/key", "RUN-102/waits", "RUN-102/final"],
        run,
    ),
    scenario("busy run", Job::Run, &["RUN-103/pushes"], busy),
    scenario("failed run", Job::Run, &["RUN-104/told"], failed),
    scenario("end at once", Job::Run, &["RUN-105/at-once"], at_once),
    scenario("unheard run", Job::Run, &["IDM-101/same"], unheard),
    scenario("lost run", Job::Run, &["IDM-102/joins"], lost),
    scenario("run in flight", Job::Run, &["IDM-103/in-flight"], in_flight),
];

/// How long a run goes on after its acknowledgement.
const WORKS: Duration = Duration::from_millis(300);

fn key(request: &Value) -> &str {
    request.text("params.idempotencyKey").unwrap_or("")
}

fn ack(request: &Value) -> Value {
    object! {
        "runId": key(request),
        "status": "accepted",
        "acceptedAt": now_ms(),
        "mark": "the acknowledgement",
    }
}

fn end(request: &Value) -> Value {
    let payloads = vec![object! {"text": "done", "mediaUrl": Value::Null}];
    object! {
        "runId": key(request),
        "status": "ok",
        "summary": "completed",
        "result": object! {"payloads": payloads, "meta": object! {}},
        "mark": MARK,
    }
}

fn agent(
    session: &mut Session<'_, '_>,
    run: &str,
    seq: i64,
    stream: &str,
    data: Value,
) -> Result<(), Trouble> {
    let payload = object! {
        "runId": run,
        "sessionKey": "agent:main:main",
        "stream": stream,
        "data": data,
        "seq": seq,
        "ts": now_ms(),
    };
    session.push("agent", payload)
}

fn run(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("agent")?;
    let word = |path: &str| request.text(path).is_some_and(|text| !text.is_empty());
    let whole = word("params.message") && word("params.idempotencyKey");
    stage.check("RUN-101/key", whole, || {
        format!(
            "params are {}",
            request.at("params").unwrap_or(&Value::Null)
        )
    });
    session.interim(&request, ack(&request))?;
    let early = stage.ended_within(&mut session, WORKS)?;
    let printed = stage.program.printed();
    let marked = printed.iter().any(|value| value.at("mark").is_some());
    stage.check(
        "RUN-102/waits",
        early.is_none() && !marked,
        || match &early {
            Some(exit) => format!("before the final answer {exit}"),
            None => "the acknowledgement was printed as the end".to_owned(),
        },
    );
    if early.is_none() {
        session.answer(&request, end(&request))?;
    }
    let exit = stage.end_of(&mut session)?;
    stage.check("RUN-102/final", exit.tells(&[MARK]), || exit.to_string());
    Ok(())
}

fn busy(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("agent")?;
    session.interim(&request, ack(&request))?;
    let run = key(&request).to_owned();
    let done = object! {"phase": "end", "endedAt": now_ms(), "mark": "a push"};
    agent(
        &mut session,
        &run,
        1,
        "lifecycle",
        object! {"phase": "start", "startedAt": now_ms()},
    )?;
    agent(&mut session, "run-of-another", 1, "lifecycle", done.clone())?;
    agent(
        &mut session,
        &run,
        2,
        "assistant",
        object! {"text": "do", "delta": "do"},
    )?;
    agent(
        &mut session,
        &run,
        3,
        "stream-of-a-later-release",
        object! {},
    )?;
    let other = object! {"runId": "run-of-another", "status": "ok", "mark": "another's end"};
    session.push("chat", other.with("state", "final"))?;
    session.push("tick", object! {"ts": now_ms()})?;
    agent(&mut session, &run, 4, "lifecycle", done)?;
    session.answer(&request, end(&request))?;
    let exit = stage.end_of(&mut session)?;
    stage.check("RUN-103/pushes", exit.tells(&[MARK]), || exit.to_string());
    Ok(())
}

fn failed(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("agent")?;
    session.interim(&request, ack(&request))?;
    let payload = object! {"runId": key(&request), "status": "error", "summary": "failed"};
    let error = object! {"code": "UNAVAILABLE", "message": "the judge's agent failed"};
    session.refuse(&request, Some(payload), error)?;
    let exit = stage.end_of(&mut session)?;
    stage.check("RUN-104/told", exit.failed(), || exit.to_string());
    Ok(())
}

fn at_once(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("agent")?;
    session.answer(&request, end(&request))?;
    let exit = stage.ended_within(&mut session, stage.patience())?;
    let told = exit.as_ref().is_some_and(|exit| exit.tells(&[MARK]));
    stage.check("RUN-105/at-once", told, || shown(exit.as_ref()));
    Ok(())
}

/// The connection ends when the request has been heard and not been answered.
fn unheard(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let first = session.request("agent")?;
    session.cut();
    let Some(mut session) = again(stage)? else {
        stage.not_applicable("IDM-101/same", "it does not repeat the request");
        return Ok(());
    };
    // A client that only asks how the run ended has kept the clause as well.
    let repeat = session.take(stage.patience(), |frame| {
        matches!(frame.text("method"), Some("agent" | "agent.wait"))
    })?;
    match repeat {
        Some(repeat) if repeat.text("method") == Some("agent") => {
            let same = repeat.at("params") == first.at("params");
            stage.check("IDM-101/same", same, || {
                format!(
                    "first {} and then {}",
                    first.at("params").unwrap_or(&Value::Null),
                    repeat.at("params").unwrap_or(&Value::Null)
                )
            });
        }
        Some(_) => stage.judge("IDM-101/same", Ok(())),
        None => stage.not_applicable("IDM-101/same", "it does not repeat the request"),
    }
    Ok(())
}

/// The client's next connection; none where it ends instead.
fn again<'s, 'a>(stage: &'s Stage<'a>) -> Result<Option<Session<'s, 'a>>, Trouble> {
    let Some(wire) = stage.knock(stage.patience())? else {
        return Ok(None);
    };
    let mut session = Session::new(stage, wire, 2);
    session.upgrade()?;
    session.greet()?;
    Ok(Some(session))
}

/// The connection ends when the run has been acknowledged.
fn lost(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("agent")?;
    session.interim(&request, ack(&request))?;
    session.ponged(b"acknowledged")?;
    session.cut();
    let Some(mut session) = again(stage)? else {
        let exit = stage.program.ended();
        stage.check("IDM-102/joins", false, || match exit {
            Some(exit) => exit.to_string(),
            None => "it does not come back in time".to_owned(),
        });
        return Ok(());
    };
    let exit = told_by_repeat(stage, &mut session)?;
    let joined = exit.as_ref().is_some_and(|exit| exit.tells(&[MARK]));
    stage.check("IDM-102/joins", joined, || shown(exit.as_ref()));
    Ok(())
}

/// A run that goes on already under the key: the end is told to who waits for it and then repeats.
fn in_flight(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let exit = told_by_repeat(stage, &mut session)?;
    let taken = exit.as_ref().is_some_and(|exit| {
        let mut marks = exit.printed.iter().map(|value| value.text("mark"));
        exit.code == Some(0) && marks.any(|mark| mark == Some("in flight"))
    });
    stage.check("IDM-103/in-flight", !taken, || shown(exit.as_ref()));
    Ok(())
}

/// Answers `agent` with `in_flight`, as the reference does to a repeat, until `agent.wait` was
/// answered, and waits for the client's end.
fn told_by_repeat(
    stage: &Stage<'_>,
    session: &mut Session<'_, '_>,
) -> Result<Option<Exit>, Trouble> {
    let is = |name: &'static str| move |frame: &Value| frame.text("method") == Some(name);
    let mut waited = false;
    let until = stage.deadline(stage.patience());
    loop {
        if let Some(exit) = stage.ended_within(session, Duration::ZERO)? {
            return Ok(Some(exit));
        }
        if let Some(request) = session.take(Duration::ZERO, is("agent"))? {
            if waited {
                session.answer(&request, end(&request))?;
            } else {
                let payload = object! {"runId": key(&request), "status": "in_flight"};
                session.answer(&request, payload.with("mark", "in flight"))?;
            }
        }
        if let Some(wait) = session.take(Duration::ZERO, is("agent.wait"))? {
            waited = true;
            let run = wait.text("params.runId").unwrap_or("");
            session.answer(&wait, object! {"runId": run, "status": "ok", "mark": MARK})?;
        }
        if Instant::now() >= until {
            return Ok(None);
        }
    }
}

fn shown(exit: Option<&Exit>) -> String {
    exit.map_or("the client does not end".to_owned(), ToString::to_string)
}
