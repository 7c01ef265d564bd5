//! What is measured, in which order, how often.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::figures::{Figure, Target as Goal, Unit};
use crate::processes::{self, until_hello};
use crate::report::{self, Circumstances};
use crate::target::{Server, Target};
use crate::{connects, fanout, floor, hub, idle, requests};

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
    rounds: usize,
    idle: usize,
    starts: usize,
    commands: usize,
    core: usize,
}

impl Amounts {
    const FULL: Self = Self {
        connects: 4_000,
        time: Duration::from_secs(4),
        receivers: 1_000,
        rounds: 50,
        idle: 10_000,
        starts: 11,
        commands: 50,
        core: 20_000,
    };
    const QUICK: Self = Self {
        connects: 20,
        time: Duration::from_millis(50),
        receivers: 10,
        rounds: 2,
        idle: 20,
        starts: 1,
        commands: 1,
        core: 10,
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
        command: command_line(),
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
        let mut figures = self.figures();
        if let Some(only) = &self.args.only {
            figures.retain(|figure| figure.0.what.contains(only.as_str()));
        }
        let path = self.gateway_path()?;
        let gateway = Server::gateway(&path)?;
        until_hello(&gateway.target, Duration::from_secs(10))?;
        let floor = Server::floor(requests::answer_bytes(&gateway.target)?)?;
        until_hello(&floor.target, Duration::from_secs(10))?;
        let (_reference, other) = self.reference()?;
        for (figure, measure) in &mut figures {
            eprintln!("measuring {}", figure.what);
            match measure {
                Measure::Server(measure) => {
                    figure.floor = Some(measure(&floor.target)?);
                    figure.gateway = Some(measure(&gateway.target)?);
                    if let Some(other) = &other {
                        // It may be somebody else's process, and differ in what it has.
                        figure.reference = measure(other).ok().or(figure.reference);
                    }
                }
                Measure::Gateway(measure) => {
                    figure.gateway = Some(measure(&path, &gateway.target)?)
                }
            }
        }
        Ok(figures.into_iter().map(|(figure, _)| figure).collect())
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

    /// The figures, and how each of them is measured; what keeps a server busy comes last.
    fn figures(&self) -> Vec<(Figure, Measure)> {
        let Amounts {
            connects,
            time,
            receivers,
            rounds,
            idle,
            starts,
            commands,
            core,
        } = self.amounts;
        let health = move |connections, in_flight| {
            server(move |target| requests::per_second(target, connections, in_flight, time))
        };
        let fan_out = |part: fn(fanout::Latency) -> Duration| {
            server(
                move |target| Ok(part(fanout::latency(target, receivers, rounds)?).as_secs_f64()),
            )
        };
        let mut figures = vec![
            (
                Figure::new("start to first hello", Unit::Millis).reference(8.8),
                gateway(move |path, _| processes::start(path, starts)),
            ),
            (
                Figure::new("resident when ready", Unit::Megabytes).reference(784e6),
                server(|target| target.resident().map(|bytes| bytes as f64)),
            ),
            (
                Figure::new("`openclaw health` as a process", Unit::Millis),
                gateway(move |path, target| processes::health(path, target, commands)),
            ),
            (
                Figure::new("connects, 1 at a time", Unit::PerSecond)
                    .reference(656.0)
                    .target(Goal::TimesReference(10.0)),
                server(move |target| connects::per_second(target, connects, 1)),
            ),
            (
                Figure::new("connects, 64 at a time", Unit::PerSecond)
                    .reference(656.0)
                    .target(Goal::TimesReference(10.0)),
                server(move |target| connects::per_second(target, connects, 64)),
            ),
            (
                Figure::new("health, 1 in flight", Unit::PerSecond).reference(1_024.0),
                health(1, 1),
            ),
            (
                Figure::new("health, 64 in flight", Unit::PerSecond)
                    .reference(2_098.0)
                    .target(Goal::TimesReference(40.0))
                    .target(Goal::OfFloor(0.5)),
                health(1, 64),
            ),
            (
                Figure::new("health, 50 connections × 4 in flight", Unit::PerSecond),
                health(50, 4),
            ),
            (
                Figure::new(format!("1 KB to {receivers}, median"), Unit::Millis),
                fan_out(|latency| latency.median),
            ),
            (
                Figure::new(format!("1 KB to {receivers}, p99"), Unit::Millis)
                    .target(Goal::AtMost(0.025)),
                fan_out(|latency| latency.p99),
            ),
            (
                Figure::new(
                    format!("a run until {receivers} have its end, p99"),
                    Unit::Millis,
                ),
                fan_out(|latency| latency.run_p99),
            ),
            (
                Figure::new(
                    format!("memory of each of {idle} idle connections"),
                    Unit::Bytes,
                )
                .target(Goal::AtMost(16_384.0)),
                server(move |target| idle::bytes_each(target, idle)),
            ),
        ];
        let cores: [(Figure, Measure); 2] = [
            (
                Figure::new(
                    "core: a request of 200 bytes, decoded, dispatched, answered",
                    Unit::Nanos,
                )
                .target(Goal::AtMost(2_000.0)),
                gateway(move |_, _| Ok(hub::request_nanos(core))),
            ),
            (
                Figure::new(
                    format!("core: 1 KB to {receivers} connections, encoded for each"),
                    Unit::Nanos,
                ),
                gateway(move |_, _| Ok(hub::broadcast_nanos(receivers, core.div_ceil(500)))),
            ),
        ];
        figures.extend(cores);
        figures
    }
}

type OnServer = dyn Fn(&Target) -> io::Result<f64>;
type OnGateway = dyn Fn(&std::path::Path, &Target) -> io::Result<f64>;

enum Measure {
    /// On every server.
    Server(Box<OnServer>),
    /// On the gateway alone, of which the program is given too.
    Gateway(Box<OnGateway>),
}

fn server(measure: impl Fn(&Target) -> io::Result<f64> + 'static) -> Measure {
    Measure::Server(Box::new(measure))
}

fn gateway(measure: impl Fn(&std::path::Path, &Target) -> io::Result<f64> + 'static) -> Measure {
    Measure::Gateway(Box::new(measure))
}

fn command_line() -> String {
    let args: Vec<String> = std::env::args().skip(1).collect();
    ["bench/run".to_owned()]
        .into_iter()
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
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
