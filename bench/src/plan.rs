//! What is measured, in which order, how often.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::figures::{Figure, Samples, Target as Goal, Unit};
use crate::processes::{self, until_hello};
use crate::report::{self, Circumstances};
use crate::target::{Server, Target};
use crate::{big, connects, fanout, floor, hub, idle, requests};

/// Descriptors that are not connections.
const SPARE: u64 = 64;
/// How long the reference may take to start.
const REFERENCE: Duration = Duration::from_secs(60);

/// Measure a gateway by real sockets, beside a floor server and another gateway.
#[derive(FromArgs)]
pub(crate) struct Args {
    /// the openclaw command to measure (default: the one beside this program)
    #[argh(option)]
    gateway: Option<PathBuf>,
    /// a command that starts another gateway; {port} and {token} in it are replaced
    #[argh(option)]
    reference: Option<String>,
    /// host:port of another gateway that runs already
    #[argh(option)]
    reference_address: Option<SocketAddr>,
    /// the token of the gateway that runs already
    #[argh(option, default = "String::new()")]
    reference_token: String,
    /// measure little: to see that it works, not how fast it is
    #[argh(switch)]
    quick: bool,
    /// how often each time is measured, the servers one after the other (default: 5)
    #[argh(option)]
    rounds: Option<usize>,
    /// measure only what the name of which contains this
    #[argh(option)]
    only: Option<String>,
    /// print one JSON document
    #[argh(switch)]
    json: bool,
    /// put the table into this page
    #[argh(option)]
    write: Option<PathBuf>,
    /// be the floor on this port (the program starts itself so)
    #[argh(option)]
    floor: Option<u16>,
    /// how many bytes an answer of the floor has
    #[argh(option, default = "300")]
    floor_answer: usize,
}

/// How much is measured.
struct Amounts {
    connects: usize,
    time: Duration,
    receivers: usize,
    idle: usize,
    starts: usize,
    commands: usize,
    core: usize,
    messages: usize,
    repeats: usize,
}

impl Amounts {
    const FULL: Self = Self {
        connects: 3_000,
        time: Duration::from_secs(2),
        receivers: 1_000,
        messages: 25,
        idle: 10_000,
        starts: 5,
        commands: 20,
        core: 20_000,
        repeats: 5,
    };
    const QUICK: Self = Self {
        connects: 20,
        time: Duration::from_millis(50),
        receivers: 10,
        messages: 2,
        idle: 20,
        starts: 1,
        commands: 1,
        core: 10,
        repeats: 2,
    };
}

/// Measures everything and says what came out.
pub(crate) fn run(args: &Args) -> io::Result<()> {
    if let Some(port) = args.floor {
        return floor::serve(port, args.floor_answer);
    }
    let mut amounts = if args.quick {
        Amounts::QUICK
    } else {
        Amounts::FULL
    };
    let mut circumstances = Circumstances {
        command: command_line(std::env::args().skip(1)),
        notes: Vec::new(),
    };
    if args.quick {
        circumstances
            .notes
            .push("A quick run: these are not figures.".to_owned());
    }
    let descriptors = raise_descriptors()?.saturating_sub(SPARE) as usize;
    if amounts.idle > descriptors {
        amounts.idle = descriptors;
        circumstances.notes.push(format!(
            "Idle connections: {descriptors}, all that the limit of descriptors allows."
        ));
    }
    let figures = Bench { args, amounts }.measure()?;
    if args.json {
        println!("{}", report::json(&figures, &circumstances));
    } else {
        println!("{}", report::table(&figures));
    }
    match &args.write {
        Some(path) => report::write(path, &figures, &circumstances),
        None => Ok(()),
    }
}

struct Bench<'a> {
    args: &'a Args,
    amounts: Amounts,
}

impl Bench<'_> {
    fn measure(&self) -> io::Result<Vec<Figure>> {
        let mut measurements = self.measurements();
        if let Some(only) = &self.args.only {
            let named = |figure: &Figure| figure.what.contains(only.as_str());
            measurements.retain(|measurement| measurement.figures.iter().any(named));
        }
        let path = self.gateway_path()?;
        let gateway = Server::gateway(&path)?;
        until_hello(&gateway.target, Duration::from_secs(10))?;
        let floor = Server::floor(requests::answer_bytes(&gateway.target)?)?;
        until_hello(&floor.target, Duration::from_secs(10))?;
        let (_reference, other) = self.reference()?;
        for measurement in &mut measurements {
            let Measurement {
                figures,
                rounds,
                how,
            } = measurement;
            eprintln!("measuring {}", figures[0].what);
            for _ in 0..*rounds {
                match how {
                    Measure::Server(measure) => {
                        note(figures, |figure| &mut figure.floor, measure(&floor.target)?);
                        note(
                            figures,
                            |figure| &mut figure.gateway,
                            measure(&gateway.target)?,
                        );
                        // It may be somebody else's process, and differ in what it has.
                        match other.as_ref().map(&*measure) {
                            Some(Ok(values)) => {
                                note(figures, |figure| &mut figure.reference, values);
                            }
                            Some(Err(error)) => eprintln!("not of the reference: {error}"),
                            None => {}
                        }
                    }
                    Measure::Gateway(measure) => {
                        let value = measure(&path, &gateway.target)?;
                        note(figures, |figure| &mut figure.gateway, vec![value]);
                    }
                }
            }
        }
        Ok(measurements
            .into_iter()
            .flat_map(|measurement| measurement.figures)
            .collect())
    }

    fn gateway_path(&self) -> io::Result<PathBuf> {
        match &self.args.gateway {
            Some(path) => Ok(path.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("openclaw")),
        }
    }

    fn reference(&self) -> io::Result<(Option<Server>, Option<Target>)> {
        if let Some(address) = self.args.reference_address {
            let target = Target::at(address, self.args.reference_token.clone());
            return Ok((None, Some(target)));
        }
        let Some(template) = &self.args.reference else {
            return Ok((None, None));
        };
        let server = Server::reference(template)?;
        until_hello(&server.target, REFERENCE)?;
        let target = server.target.clone();
        Ok((Some(server), Some(target)))
    }

    /// What is measured and how; what keeps a server busy comes last.
    fn measurements(&self) -> Vec<Measurement> {
        let Amounts {
            connects,
            time,
            receivers,
            messages,
            idle,
            starts,
            commands,
            core,
            repeats,
        } = self.amounts;
        let rounds = self.args.rounds.unwrap_or(repeats).max(1);
        let several = |figures: Vec<Figure>, how| Measurement {
            figures,
            rounds,
            how,
        };
        // Memory that was given back stays with the process: only the first time counts.
        let once = |figure, how| Measurement {
            rounds: 1,
            ..several(vec![figure], how)
        };
        let one = |figure, how| several(vec![figure], how);
        let connected =
            move |at_once| server(move |target| connects::per_second(target, connects, at_once));
        let health = move |connections, in_flight| {
            server(move |target| requests::per_second(target, connections, in_flight, time))
        };
        vec![
            one(
                Figure::new("start to first hello", Unit::Millis).reference(8.8),
                gateway(move |path, _| processes::start(path, starts)),
            ),
            once(
                Figure::new("resident when ready", Unit::Megabytes).reference(784e6),
                server(|target| target.resident().map(|bytes| bytes as f64)),
            ),
            one(
                Figure::new("`openclaw health` as a process", Unit::Millis),
                gateway(move |path, target| processes::health(path, target, commands)),
            ),
            one(
                Figure::new("connects, 1 at a time", Unit::PerSecond)
                    .reference(656.0)
                    .target(Goal::TimesReference(10.0)),
                connected(1),
            ),
            one(
                Figure::new("connects, 64 at a time", Unit::PerSecond)
                    .reference(656.0)
                    .target(Goal::TimesReference(10.0)),
                connected(64),
            ),
            one(
                Figure::new("health, 1 in flight", Unit::PerSecond).reference(1_024.0),
                health(1, 1),
            ),
            one(
                Figure::new("health, 64 in flight", Unit::PerSecond)
                    .reference(2_098.0)
                    .target(Goal::TimesReference(40.0))
                    .target(Goal::OfFloor(0.5)),
                health(1, 64),
            ),
            one(
                Figure::new("health, 50 connections × 4 in flight", Unit::PerSecond),
                health(50, 4),
            ),
            one(
                Figure::new("health beside requests of 20 MB, p99", Unit::Millis)
                    .target(Goal::AtMost(0.02)),
                server(move |target| big::health_beside(target, time)),
            ),
            several(
                vec![
                    Figure::new(format!("1 KB to {receivers}, median"), Unit::Millis),
                    Figure::new(format!("1 KB to {receivers}, p99"), Unit::Millis)
                        .target(Goal::AtMost(0.025)),
                    Figure::new(
                        format!("a run until {receivers} have its end, p99"),
                        Unit::Millis,
                    ),
                ],
                Measure::Server(Box::new(move |target| {
                    let latency = fanout::latency(target, receivers, messages)?;
                    let all = [latency.median, latency.p99, latency.run_p99];
                    Ok(all.map(|time| time.as_secs_f64()).to_vec())
                })),
            ),
            once(
                Figure::new(
                    format!("memory of each of {idle} idle connections"),
                    Unit::Bytes,
                )
                .target(Goal::AtMost(16_384.0)),
                server(move |target| idle::bytes_each(target, idle)),
            ),
            one(
                Figure::new(
                    "core: a request of 200 bytes, decoded, dispatched, answered",
                    Unit::Nanos,
                )
                .target(Goal::AtMost(2_000.0)),
                gateway(move |_, _| Ok(hub::request_nanos(core))),
            ),
            one(
                Figure::new(
                    format!("core: 1 KB to {receivers} connections, encoded for each"),
                    Unit::Nanos,
                ),
                gateway(move |_, _| Ok(hub::broadcast_nanos(receivers, core.div_ceil(500)))),
            ),
        ]
    }
}

/// Figures that are measured together.
struct Measurement {
    figures: Vec<Figure>,
    rounds: usize,
    how: Measure,
}

fn note(figures: &mut [Figure], of: impl Fn(&mut Figure) -> &mut Samples, values: Vec<f64>) {
    for (figure, value) in figures.iter_mut().zip(values) {
        of(figure).push(value);
    }
}

type OnServer = dyn Fn(&Target) -> io::Result<Vec<f64>>;
type OnGateway = dyn Fn(&std::path::Path, &Target) -> io::Result<f64>;

enum Measure {
    /// On every server.
    Server(Box<OnServer>),
    /// On the gateway alone, of which the program is given too.
    Gateway(Box<OnGateway>),
}

fn server(measure: impl Fn(&Target) -> io::Result<f64> + 'static) -> Measure {
    Measure::Server(Box::new(move |target| Ok(vec![measure(target)?])))
}

fn gateway(measure: impl Fn(&std::path::Path, &Target) -> io::Result<f64> + 'static) -> Measure {
    Measure::Gateway(Box::new(measure))
}

/// How this was called; what belongs to this machine, or is secret, is left out.
fn command_line(args: impl Iterator<Item = String>) -> String {
    let mut line = "bench/run".to_owned();
    let mut is_private = false;
    for arg in args {
        let shown = if is_private { "…" } else { &arg };
        line.push(' ');
        line.push_str(shown);
        is_private = matches!(
            &*arg,
            "--gateway" | "--reference" | "--reference-address" | "--reference-token"
        );
    }
    line
}

/// Lets this process, and those that it starts, open as many sockets as they may.
fn raise_descriptors() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(1 << 20);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(most),
            maximum: limit.maximum,
        },
    )?;
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_of_the_command_is_neither_secret_nor_of_this_machine() {
        let args = [
            "--rounds",
            "5",
            "--reference-token",
            "s3cret",
            "--reference",
            "sh /home/me/start",
            "--write",
            "docs/figures.md",
        ];
        assert_eq!(
            command_line(args.into_iter().map(str::to_owned)),
            "bench/run --rounds 5 --reference-token … --reference … --write docs/figures.md"
        );
    }
}
