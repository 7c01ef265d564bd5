//! Plays the scenarios and gathers the verdicts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Options, Trouble};
use crate::clause;
use crate::conn::{is_answer, request};
use crate::redact::redact;
use crate::scenarios::{self, Scenario};
use crate::verdict::Verdict;
use crate::watch::THROUGHOUT;
use crate::wire::{Stop, Wire};

/// The verdict on one check.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// The scenario that made it.
    pub scenario: &'static str,
    /// What became of it.
    pub verdict: Verdict,
}

/// The verdicts on one gateway.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each check that was chosen, by id.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// The same without a secret that the peer may have quoted.
    #[must_use]
    pub fn without(mut self, secret: &str) -> Self {
        for finding in &mut self.findings {
            let verdict = std::mem::replace(&mut finding.verdict, Verdict::Pass);
            finding.verdict = verdict.without(secret);
        }
        self
    }
}

/// Why no gateway can be judged: what is at fault is not the gateway's conduct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl Unusable {
    /// The same without a secret that the peer may have quoted.
    #[must_use]
    pub fn without(self, secret: &str) -> Self {
        Self(redact(&self.0, secret))
    }
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Judges a gateway.
///
/// # Errors
/// [`Unusable`] when there is no gateway, or it does not let us in.
pub fn judge(options: Options) -> Result<Report, Unusable> {
    let secret = options.token.clone();
    judged(options)
        .map(|report| report.without(&secret))
        .map_err(|unusable| unusable.without(&secret))
}

fn judged(options: Options) -> Result<Report, Unusable> {
    let began = Instant::now();
    let scenarios = scenarios::all();
    let all = scenarios
        .iter()
        .flat_map(|own| own.checks.iter().map(|check| (*check, own.slow)))
        .chain(THROUGHOUT.map(|check| (check, false)));
    played(all, &options.only, options.slow, options.protocol)?;
    let bench = Bench::new(options);
    bench.begin(bench.patience() * 4);
    if let Err(unusable) = preflight(&bench) {
        bench.note(0, "!", &unusable.0);
        write(
            bench.options.transcripts.as_deref(),
            "preflight",
            &bench.transcript(),
        )?;
        return Err(unusable);
    }
    let chosen = |check: &str| {
        let only = &bench.options.only;
        only.is_empty() || only.iter().any(|prefix| check.starts_with(prefix.as_str()))
    };
    let throughout = THROUGHOUT.into_iter().any(chosen);
    let mut checks: Vec<(&'static str, &'static str)> = Vec::new();
    for scenario in scenarios {
        let own = scenario
            .checks
            .iter()
            .copied()
            .filter(|check| chosen(check));
        let own: Vec<&str> = own.collect();
        if scenario.slow && !bench.options.slow || own.is_empty() && !throughout {
            continue;
        }
        play(&bench, &scenario)?;
        checks.extend(own.into_iter().map(|check| (check, scenario.name)));
    }
    for check in THROUGHOUT.into_iter().filter(|check| chosen(check)) {
        bench.leave(check, "nothing came that it could be judged by");
        checks.push((check, "throughout"));
    }
    let verdicts = bench.verdicts();
    let applies =
        |check: &str| clause::of(check).is_none_or(|clause| clause.applies(bench.options.protocol));
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

fn play(bench: &Bench, scenario: &Scenario) -> Result<(), Unusable> {
    let within = if scenario.slow {
        Duration::from_secs(120)
    } else {
        bench.patience() * 20 + bench.options.run_time
    };
    bench.begin(within);
    let ended = (scenario.run)(bench);
    let why = match &ended {
        Ok(()) => "the scenario did not come to it",
        Err(trouble) => &trouble.0,
    };
    for check in scenario.checks {
        bench.leave(check, why);
    }
    let dir = bench.options.transcripts.as_deref();
    write(dir, scenario.name, &bench.transcript())
}

/// Writes a transcript where they are wanted.
pub(crate) fn write(dir: Option<&Path>, name: &str, transcript: &str) -> Result<(), Unusable> {
    let Some(dir) = dir else { return Ok(()) };
    let name = name.replace(' ', "-");
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(dir.join(format!("{name}.txt")), transcript))
        .map_err(|error| Unusable(format!("cannot write transcripts: {error}")))
}

/// Looks whether any check is played, so that a judgement of nothing is no success; each check comes with whether it
/// is slow.
pub(crate) fn played(
    checks: impl Iterator<Item = (&'static str, bool)>,
    only: &[String],
    slow: bool,
    protocol: u32,
) -> Result<(), Unusable> {
    let mut needs = BTreeSet::new();
    for (check, waits) in checks {
        let chosen = only.is_empty() || only.iter().any(|own| check.starts_with(own.as_str()));
        let other = clause::of(check).filter(|clause| !clause.applies(protocol));
        match other {
            _ if !chosen => {}
            None if slow || !waits => return Ok(()),
            None => drop(needs.insert("--slow".to_owned())),
            Some(clause) => {
                let version = clause.until.unwrap_or(clause.since);
                needs.insert(format!("--protocol {version}"));
            }
        }
    }
    let needs: Vec<String> = needs.into_iter().collect();
    Err(Unusable(format!(
        "nothing would be judged: --only {} needs {}",
        only.join(" --only "),
        needs.join(" or ")
    )))
}

/// Finds out whether there is a gateway that lets us in, so that one mistake of ours is not told
/// as a hundred of the gateway's.
fn preflight(bench: &Bench) -> Result<(), Unusable> {
    let at = &bench.options.target.authority;
    let mut wire = Wire::connect(at, bench.patience()).map_err(|error| {
        let kind = error.kind();
        Unusable(if kind == io::ErrorKind::ConnectionRefused {
            format!("nobody listens on {at}")
        } else if kind == io::ErrorKind::TimedOut {
            format!("{at} does not take connections in time")
        } else {
            format!("cannot connect to {at}: {error}")
        })
    })?;
    let line = format!("GET {}", bench.options.target.path);
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {at}\r\n{}\r\n",
        crate::bench::UPGRADE
    );
    bench.note(0, ">", &head);
    let sent = wire.send(head.as_bytes(), bench.patience());
    let head = sent.and_then(|()| wire.head(bench.deadline(bench.patience())));
    let head = head.map_err(|stop| match stop {
        Stop::Late => Unusable(format!("{at} accepts connections and never answers")),
        Stop::Flood => Unusable(format!("{at}: {stop}")),
        Stop::Eof | Stop::Broken(_) if speaks_tls(bench) => Unusable(tls(at)),
        Stop::Wrong(_) if speaks_tls(bench) => Unusable(tls(at)),
        Stop::Eof | Stop::Broken(_) | Stop::Wrong(_) => {
            Unusable(format!("{at} is no gateway: {stop}"))
        }
    })?;
    bench.note(0, "<", &format!("{head:?}"));
    if head.status == 400 && speaks_tls(bench) {
        return Err(Unusable(tls(at)));
    }
    if head.status != 101 {
        let why = format!(
            "{at} is no gateway: the upgrade was answered {}",
            head.status
        );
        return Err(Unusable(why));
    }
    let mut conn = bench.conn(wire);
    let welcomed = conn
        .say(&request(
            "preflight",
            "connect",
            bench.params(&["operator.admin"]),
        ))
        .and_then(|()| conn.take(bench.patience(), |frame| is_answer(frame, "preflight")));
    let trouble = |Trouble(why)| Unusable(format!("{at} cannot be judged: {why}"));
    match welcomed.map_err(trouble)? {
        Some(answer) => conn.welcomed(&answer).map_err(trouble),
        None => {
            let ending = conn
                .ending_within(Duration::from_millis(1))
                .map_err(trouble)?;
            Err(Unusable(format!("{at} does not answer connect: {ending}")))
        }
    }
}

fn tls(at: &str) -> String {
    format!("{at} speaks TLS, which is not supported: give the plain port")
}

/// Whether the answer to the beginning of a TLS handshake is TLS.
fn speaks_tls(bench: &Bench) -> bool {
    // A client hello that nobody can agree to is answered with an alert.
    let hello = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03";
    let mut bytes = hello.to_vec();
    bytes.extend_from_slice(&[7; 32]);
    bytes.extend_from_slice(b"\x00\x00\x04\x00\xff\x13\x01\x01\x00");
    bytes[4] = (bytes.len() - 5) as u8;
    bytes[8] = (bytes.len() - 9) as u8;
    let Ok(mut wire) = bench.wire() else {
        return false;
    };
    let first = wire
        .send(&bytes, bench.patience())
        .and_then(|()| wire.bytes(2, bench.deadline(bench.patience())));
    first.is_ok_and(|first| matches!(first.as_slice(), [0x15 | 0x16, 3]))
}
