//! Plays the scenarios with a client and gathers the verdicts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::scenarios::{self, Scenario};
use super::session::Session;
use super::stage::{MARK, Shared, Stage};
use super::watch::THROUGHOUT;
use super::{Job, Options};
use crate::bench::Trouble;
use crate::clause;
use crate::judge::{Finding, Report, Unusable, played, write};
use crate::verdict::{Verdict, Verdicts};

/// How long a scenario may take at most, in waits for one thing.
const SCENARIO: u32 = 6;
/// The same where it takes a minute.
const SLOW: Duration = Duration::from_secs(100);

type Found = BTreeMap<&'static str, Verdict>;

/// Judges a client.
///
/// # Errors
/// [`Unusable`] when the command cannot be started, or does not do the simplest job.
pub fn judge(options: &Options) -> Result<Report, Unusable> {
    let shared = Shared::new();
    judged(options, &shared)
        .map(|report| report.without(&shared.token))
        .map_err(|unusable| unusable.without(&shared.token))
}

fn judged(options: &Options, shared: &Shared) -> Result<Report, Unusable> {
    let began = Instant::now();
    let all = scenarios::all();
    let checks = all
        .iter()
        .flat_map(|own| own.checks.iter().map(|check| (*check, own.slow)))
        .chain(THROUGHOUT.map(|check| (check, false)));
    played(checks, &options.only, options.slow, options.protocol)?;
    preflight(options, shared)?;
    let chosen = |check: &str| {
        let only = &options.only;
        only.is_empty() || only.iter().any(|prefix| check.starts_with(prefix.as_str()))
    };
    let throughout = THROUGHOUT.into_iter().any(chosen);
    let scenarios: Vec<Scenario> = all
        .into_iter()
        .filter(|scenario| !scenario.slow || options.slow)
        .filter(|scenario| throughout || scenario.checks.iter().any(|check| chosen(check)))
        .collect();
    let mut checks: Vec<(&'static str, &'static str)> = Vec::new();
    for scenario in &scenarios {
        let own = scenario
            .checks
            .iter()
            .copied()
            .filter(|check| chosen(check));
        checks.extend(own.map(|check| (check, scenario.name)));
    }
    let verdicts = Verdicts::default();
    for (check, verdict) in play_all(options, shared, &scenarios)? {
        verdicts.put(check, verdict);
    }
    for check in THROUGHOUT.into_iter().filter(|check| chosen(check)) {
        verdicts.leave(check, "nothing came that it could be judged by");
        checks.push((check, "throughout"));
    }
    let verdicts = verdicts.all();
    let applies =
        |check: &str| clause::of(check).is_none_or(|clause| clause.applies(options.protocol));
    let mut findings: Vec<Finding> = checks
        .into_iter()
        .filter_map(|(check, scenario)| {
            let verdict = if applies(check) {
                verdicts.get(check)?.clone()
            } else {
                Verdict::NotApplicable("not in this version of the protocol".to_owned())
            };
            Some(Finding {
                check,
                scenario,
                verdict,
            })
        })
        .collect();
    findings.sort_by_key(|finding| finding.check);
    Ok(Report {
        findings,
        took: began.elapsed(),
    })
}

/// Plays the scenarios, several at once; the longest begin first.
fn play_all(
    options: &Options,
    shared: &Shared,
    scenarios: &[Scenario],
) -> Result<Vec<(&'static str, Verdict)>, Unusable> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Ok(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..options.at_once.clamp(1, scenarios.len().max(1)) {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = play(options, shared, scenario);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *all, found) {
                        (Ok(all), Ok(found)) => all.extend(found),
                        (Err(_), _) => return,
                        (all, Err(unusable)) => *all = Err(unusable),
                    }
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn play(options: &Options, shared: &Shared, scenario: &Scenario) -> Result<Found, Unusable> {
    let within = if scenario.slow {
        SLOW
    } else {
        options.timeout * SCENARIO + options.window * 2
    };
    let stage = Stage::set(options, shared, scenario.job, scenario.listens, within)
        .map_err(|error| cannot_start(&error))?;
    let ended = (scenario.run)(&stage);
    let why = match &ended {
        Ok(()) => "the scenario did not come to it",
        Err(Trouble(why)) => why,
    };
    for check in scenario.checks {
        stage.verdicts.leave(check, why);
    }
    let dir = options.transcripts.as_deref();
    write(dir, scenario.name, &stage.transcript())?;
    Ok(stage.verdicts.all())
}

fn cannot_start(error: &std::io::Error) -> Unusable {
    Unusable(format!("the client cannot be started: {error}"))
}

/// Finds out whether the command does its simplest job, so that one mistake of who typed it is not
/// told as fifty of the client's.
fn preflight(options: &Options, shared: &Shared) -> Result<(), Unusable> {
    let stage = Stage::set(options, shared, Job::Health, true, options.timeout * 4)
        .map_err(|error| cannot_start(&error))?;
    let ended = simplest_job(&stage);
    if let Err(unusable) = &ended {
        stage.note(0, "!", &unusable.0);
        let dir = options.transcripts.as_deref();
        write(dir, "preflight", &stage.transcript())?;
    }
    ended
}

fn simplest_job(stage: &Stage<'_>) -> Result<(), Unusable> {
    let options = stage.options;
    let unusable = |Trouble(why): Trouble| Unusable(format!("cannot be judged: {why}"));
    let Some(wire) = stage.knock(options.timeout).map_err(unusable)? else {
        return Err(Unusable(match stage.program.ended() {
            Some(exit) if matches!(exit.code, Some(126 | 127)) => {
                format!("the client cannot be started: {exit}")
            }
            Some(exit) => format!("cannot be judged: {exit}, before it connected"),
            None => "the client never connects: it is given the place in OPENCLAW_GATEWAY_URL"
                .to_owned(),
        }));
    };
    let mut session = Session::new(stage, wire, 1);
    session.upgrade().map_err(unusable)?;
    let connect = session.challenged().map_err(unusable)?;
    let range = ["params.minProtocol", "params.maxProtocol"].map(|path| connect.integer(path));
    let own = i64::from(options.protocol);
    if let [Some(min), Some(max)] = range
        && min <= max
        && !(min..=max).contains(&own)
    {
        return Err(Unusable(format!(
            "the client offers the protocols {min} to {max}, not {own}: see --protocol"
        )));
    }
    session.welcome(&connect, |hello| hello).map_err(unusable)?;
    let request = session.request("health").map_err(unusable)?;
    session.answer(&request, stage.health()).map_err(unusable)?;
    let exit = stage
        .ended_within(&mut session, options.timeout)
        .map_err(unusable)?;
    match exit {
        Some(exit) if exit.tells(&[MARK]) => Ok(()),
        Some(exit) if exit.floods => Err(prints_without_end()),
        Some(exit) => Err(Unusable(format!(
            "cannot be judged: health was answered, and {exit}; it has to print the answer and to end with 0"
        ))),
        None if stage.program.floods() => Err(prints_without_end()),
        None => Err(Unusable(
            "cannot be judged: the client does not end after health was answered".to_owned(),
        )),
    }
}

fn prints_without_end() -> Unusable {
    Unusable("cannot be judged: the client prints without end".to_owned())
}
