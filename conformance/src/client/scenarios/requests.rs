//! Requests and their answers.

use super::{Scenario, scenario};
use crate::bench::Trouble;
use crate::client::Job;
use crate::client::stage::Stage;
use crate::object;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("pair", Job::Pair, &["REQ-101/any-order"], pair),
    scenario("failed request", Job::Health, &["REQ-102/told"], failed),
    scenario("lost request", Job::Health, &["REQ-103/told"], lost),
    Scenario {
        listens: false,
        ..scenario("nobody listens", Job::Health, &["REQ-105/fails"], nobody)
    },
    Scenario {
        slow: true,
        ..scenario("no answer", Job::Health, &["REQ-104/ends"], no_answer)
    },
];

/// How long a client may wait for an answer.
const BOUND: Duration = Duration::from_secs(75);

fn pair(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let health = session.request("health")?;
    let status = session.request("status")?;
    let marked = |mark: &str| object! {"ok": true, "mark": mark};
    session.answer(&status, marked("the status"))?;
    session.answer(&health, marked("the health"))?;
    let exit = stage.end_of(&mut session)?;
    let kept = exit.tells(&["the health", "the status"]);
    stage.check("REQ-101/any-order", kept, || exit.to_string());
    Ok(())
}

fn failed(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let health = session.request("health")?;
    let error = object! {"code": "UNAVAILABLE", "message": "the judge says no"};
    session.refuse(&health, None, error)?;
    let exit = stage.end_of(&mut session)?;
    stage.check("REQ-102/told", exit.failed(), || exit.to_string());
    Ok(())
}

fn lost(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    session.request("health")?;
    session.close(1012, "service restart")?;
    let exit = stage.end_of(&mut session)?;
    stage.check("REQ-103/told", exit.failed(), || exit.to_string());
    Ok(())
}

fn nobody(stage: &Stage<'_>) -> Result<(), Trouble> {
    stage.knock(stage.patience())?;
    let exit = stage.program.ended();
    let failed = exit.as_ref().is_some_and(|exit| exit.failed());
    stage.check("REQ-105/fails", failed, || match exit {
        Some(exit) => exit.to_string(),
        None => "the client still waits".to_owned(),
    });
    Ok(())
}

fn no_answer(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    session.request("health")?;
    let exit = stage.ended_within(&mut session, BOUND)?;
    let failed = exit.as_ref().is_some_and(|exit| exit.failed());
    stage.check("REQ-104/ends", failed, || {
        "it waits for the answer for more than a minute".to_owned()
    });
    Ok(())
}
