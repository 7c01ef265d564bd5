//! Pushes, their numbers, and what keeps a connection alive.

use std::time::Duration;

use super::{Scenario, scenario};
use crate::bench::{Ending, Trouble};
use crate::client::Job;
use crate::client::hello::now_ms;
use crate::client::session::Session;
use crate::client::stage::Stage;
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("ticks", Job::Stay, &["LIV-104/stays"], ticks),
    scenario(
        "silence",
        Job::Stay,
        &["LIV-103/leaves", "LIV-103/back"],
        silence,
    ),
    scenario(
        "gap",
        Job::Stay,
        &["EVT-101/health", "EVT-101/presence"],
        gap,
    ),
    scenario(
        "no gap",
        Job::Stay,
        &["EVT-102/calm", "EVT-103/calm"],
        no_gap,
    ),
];

/// The rhythm that is announced, in milliseconds; ticks come more often.
const TICK_MS: i64 = 1_000;
/// The rhythm that is announced where no tick comes, in milliseconds.
const SILENT_MS: i64 = 400;
/// How long nothing must be asked for calm.
const CALM: Duration = Duration::from_millis(200);

fn tick(session: &mut Session<'_, '_>) -> Result<(), Trouble> {
    session.push("tick", object! {"ts": now_ms()})
}

fn greeted<'s, 'a>(stage: &'s Stage<'a>, tick_ms: i64) -> Result<Session<'s, 'a>, Trouble> {
    let mut session = stage.session()?;
    session.tick_ms = tick_ms;
    session.greet()?;
    Ok(session)
}

/// Answers what clients ask for by themselves; the names of what was asked.
fn serve(
    session: &mut Session<'_, '_>,
    within: Duration,
    enough: impl Fn(&[String]) -> bool,
) -> Result<Vec<String>, Trouble> {
    let until = std::time::Instant::now() + within;
    let mut asked = Vec::new();
    while !enough(&asked) {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let Some(request) = session.take(left, |frame| frame.at("method").is_some())? else {
            break;
        };
        let method = request.text("method").unwrap_or("").to_owned();
        let payload = match method.as_str() {
            "system-presence" => Value::List(Vec::new()),
            _ => object! {"ok": true, "ts": now_ms()},
        };
        session.answer(&request, payload)?;
        asked.push(method);
    }
    Ok(asked)
}

fn ticks(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = greeted(stage, TICK_MS)?;
    for _ in 0..6 {
        tick(&mut session)?;
        serve(&mut session, Duration::from_millis(400), |_| false)?;
    }
    let ending = session.ending_within(Duration::from_millis(1))?;
    stage.check("LIV-104/stays", ending == Ending::Open, || {
        format!("{ending}, although ticks came")
    });
    Ok(())
}

fn silence(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = greeted(stage, SILENT_MS)?;
    tick(&mut session)?;
    let ending = session.ending()?;
    let left = ending != Ending::Open;
    stage.check("LIV-103/leaves", left, || ending.to_string());
    if left {
        let back = stage.knock(stage.patience())?;
        stage.check("LIV-103/back", back.is_some(), || {
            "it does not come back in time".to_owned()
        });
    }
    Ok(())
}

fn gap(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    tick(&mut session)?;
    serve(&mut session, CALM, |_| false)?;
    session.skip(3);
    tick(&mut session)?;
    let both = |asked: &[String]| {
        let has = |name: &str| asked.iter().any(|own| own == name);
        has("health") && has("system-presence")
    };
    let asked = serve(&mut session, stage.patience(), both)?;
    // A connection that is made anew brings a snapshot of both.
    let anew = session.ending_within(Duration::from_millis(1))? != Ending::Open
        && stage.knock(stage.patience())?.is_some();
    for (check, method) in [
        ("EVT-101/health", "health"),
        ("EVT-101/presence", "system-presence"),
    ] {
        let kept = anew || asked.iter().any(|own| own == method);
        stage.check(check, kept, || {
            format!("after numbers were skipped it asked for {asked:?} only")
        });
    }
    Ok(())
}

fn no_gap(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    calm(stage, &mut session, "EVT-102/calm")?;
    session.close(1012, "service restart")?;
    session.ending()?;
    let mut session = stage.greeted()?;
    calm(stage, &mut session, "EVT-103/calm")
}

/// Whether numbers without a gap leave a client calm; what it asks for before does not count.
fn calm(
    stage: &Stage<'_>,
    session: &mut Session<'_, '_>,
    check: &'static str,
) -> Result<(), Trouble> {
    serve(session, CALM, |_| false)?;
    for _ in 0..3 {
        tick(session)?;
        session
            .say(&object! {"type": "event", "event": "voicewake.changed", "payload": object! {}})?;
    }
    let alive = session.ponged(check.as_bytes())?;
    let asked = serve(session, CALM, |_| false)?;
    let calm = alive
        && !asked
            .iter()
            .any(|own| own == "system-presence" || own == "health");
    stage.check(check, calm, || {
        format!("it asked for {asked:?}; the connection lives: {alive}")
    });
    Ok(())
}
