//! When a client comes back, and when not.

use std::time::{Duration, Instant};

use super::handshake::wrong_token;
use super::{Scenario, scenario};
use crate::bench::{Ending, Trouble};
use crate::client::Job;
use crate::client::session::Session;
use crate::client::stage::Stage;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("storm", Job::Stay, &["CLO-108/storm"], storm),
    scenario(
        "token stays wrong",
        Job::Stay,
        &["HSK-108/once"],
        token_stays_wrong,
    ),
    scenario(
        "versions stay apart",
        Job::Stay,
        &["HSK-109/once"],
        versions_stay_apart,
    ),
    scenario(
        "starting",
        Job::Stay,
        &["HSK-110/back", "HSK-110/sooner"],
        starting,
    ),
    scenario(
        "restart",
        Job::Stay,
        &["CLO-101/answered", "CLO-105/back", "CLO-106/sooner"],
        restart,
    ),
    scenario("cut", Job::Stay, &["CLO-107/back"], cut),
];

/// When a gateway that starts asks to be tried again, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_200;
/// When a gateway that restarts expects to be back, in milliseconds.
const RESTART_MS: u64 = 1_200;
/// How much sooner may pass for a clock that is read twice.
const EARLY: Duration = Duration::from_millis(20);
/// The most connections that are no storm.
const FEW: usize = 12;

/// Whether the client leaves a refusal at that.
fn once(stage: &Stage<'_>, check: &'static str) -> Result<(), Trouble> {
    let until = stage.deadline(stage.options.window);
    let mut more = 0;
    while let Some(wire) = stage.knock(until.saturating_duration_since(Instant::now()))? {
        more += 1;
        drop(wire);
    }
    stage.check(check, more == 0, || {
        format!("it connected {more} times more by itself")
    });
    Ok(())
}

fn token_stays_wrong(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    let connect = session.challenged()?;
    session.refuse(&connect, None, wrong_token())?;
    session.close(1008, "unauthorized: gateway token mismatch")?;
    session.ending()?;
    once(stage, "HSK-108/once")
}

fn versions_stay_apart(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    let connect = session.challenged()?;
    let offered = |name: &str| connect.integer(name).unwrap_or(0);
    let details = object! {
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": offered("params.minProtocol"),
        "clientMaxProtocol": offered("params.maxProtocol"),
        "expectedProtocol": 99,
        "minimumProbeProtocol": 98,
    };
    let error = object! {
        "code": "INVALID_REQUEST",
        "message": "protocol mismatch",
        "details": details,
    };
    session.refuse(&connect, None, error)?;
    session.close(1002, "protocol mismatch")?;
    session.ending()?;
    once(stage, "HSK-109/once")
}

fn starting(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    let connect = session.challenged()?;
    let error = object! {
        "code": "UNAVAILABLE",
        "message": "gateway starting; retry shortly",
        "retryable": true,
        "retryAfterMs": i64::try_from(RETRY_AFTER_MS).unwrap_or(0),
        "details": object! {"reason": "startup-sidecars"},
    };
    let told = Instant::now();
    session.refuse(&connect, None, error)?;
    session.close(1013, "gateway starting")?;
    session.ending()?;
    let due = Duration::from_millis(RETRY_AFTER_MS);
    back(stage, told, due, "HSK-110/back", Some("HSK-110/sooner")).map(drop)
}

/// Waits for the client to come back, and lets it in.
fn back<'s, 'a>(
    stage: &'s Stage<'a>,
    since: Instant,
    due: Duration,
    check: &'static str,
    sooner: Option<&'static str>,
) -> Result<Option<Session<'s, 'a>>, Trouble> {
    let wire = stage.knock(stage.patience() + due)?;
    let after = since.elapsed();
    stage.check(check, wire.is_some(), || match stage.program.ended() {
        Some(exit) => format!("it does not come back: {exit}"),
        None => "it does not come back in time".to_owned(),
    });
    let Some(wire) = wire else {
        return Ok(None);
    };
    if let Some(check) = sooner {
        stage.check(check, after + EARLY >= due, || {
            format!("it came back after {after:?}, and was told {due:?}")
        });
    }
    let mut session = Session::new(stage, wire, 2);
    session.upgrade()?;
    session.greet()?;
    Ok(Some(session))
}

fn restart(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let expected = i64::try_from(RESTART_MS).unwrap_or(0);
    let told = Instant::now();
    session.push(
        "shutdown",
        object! {"reason": "gateway restarting", "restartExpectedMs": expected},
    )?;
    session.close(1012, "service restart")?;
    let ending = session.ending()?;
    let answered = matches!(ending, Ending::Closed(..));
    stage.check("CLO-101/answered", answered, || ending.to_string());
    let due = Duration::from_millis(RESTART_MS);
    back(stage, told, due, "CLO-105/back", Some("CLO-106/sooner")).map(drop)
}

fn cut(stage: &Stage<'_>) -> Result<(), Trouble> {
    stage.greeted()?.cut();
    back(stage, Instant::now(), Duration::ZERO, "CLO-107/back", None).map(drop)
}

fn storm(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    session.close(1011, "the judge closes every connection")?;
    session.ending()?;
    let until = stage.deadline(stage.options.window);
    let mut count = 1;
    while let Some(wire) = stage.knock(until.saturating_duration_since(Instant::now()))? {
        count += 1;
        let mut session = Session::new(stage, wire, 2);
        if session.upgrade().is_ok() && session.greet().is_ok() {
            session.close(1011, "the judge closes every connection")?;
            session.ending()?;
        }
    }
    stage.check("CLO-108/storm", count <= FEW, || {
        format!("it connected {count} times in {:?}", stage.options.window)
    });
    Ok(())
}
