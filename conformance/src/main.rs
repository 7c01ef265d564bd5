//! The `openclaw-conformance` command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use openclaw_conformance::baseline::Baseline;
use openclaw_conformance::bench::Options;
use openclaw_conformance::judge::{Report, judge};
use openclaw_conformance::wire::Target;
use openclaw_conformance::{clause, client, report, scenarios};

/// The exit code for a peer that did something unexpected.
const UNEXPECTED: u8 = 1;
/// The exit code for a judge that could not judge.
const AT_FAULT: u8 = 2;

/// Judges a gateway or a client of the OpenClaw Gateway protocol. Exit code 0: all as expected; 1: not; 2: it could not be judged.
#[derive(FromArgs)]
struct Cli {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Gateway(Gateway),
    Client(Client),
    List(List),
}

/// Judge a gateway that runs. It gets a few hundred short connections and some agent runs.
#[derive(FromArgs)]
#[argh(subcommand, name = "gateway")]
struct Gateway {
    /// where it is: ws://HOST:PORT
    #[argh(option)]
    url: String,
    /// its shared token; none where it asks for none
    #[argh(option, default = "String::new()")]
    token: String,
    /// judge only checks whose id begins so; may be given more than once
    #[argh(option)]
    only: Vec<String>,
    /// let SHOULD count
    #[argh(switch)]
    strict: bool,
    /// make the checks that take a minute as well
    #[argh(switch)]
    slow: bool,
    /// prove a device, for gateways that grant no scopes without one; its key is new each time
    #[argh(switch)]
    device: bool,
    /// the protocol version to speak: 3 or 4 (4)
    #[argh(option, default = "4")]
    protocol: u32,
    /// a file of checks that are expected to fail
    #[argh(option)]
    baseline: Option<PathBuf>,
    /// text, json or junit (text)
    #[argh(option, default = "Format::Text")]
    format: Format,
    /// write every conversation into this folder
    #[argh(option)]
    transcripts: Option<PathBuf>,
    /// seconds to wait for anything that must come (5)
    #[argh(option, default = "5.0")]
    timeout: f64,
    /// seconds that an agent run may take (three times the timeout)
    #[argh(option)]
    run_timeout: Option<f64>,
    /// list the checks that passed as well
    #[argh(switch)]
    verbose: bool,
    /// what makes the agent answer
    #[argh(option)]
    message: Option<String>,
    /// what keeps the agent busy for about a second
    #[argh(option)]
    slow_message: Option<String>,
    /// what makes the agent fail
    #[argh(option)]
    failing_message: Option<String>,
    /// what keeps the agent busy until it is stopped
    #[argh(option)]
    endless_message: Option<String>,
    /// what makes the agent use a tool
    #[argh(option)]
    tool_message: Option<String>,
}

/// Judge a client. It is started some forty times, each time to do one job with a gateway that we play.
#[derive(FromArgs)]
#[argh(subcommand, name = "client")]
struct Client {
    /// the command line that starts it, for `sh -c`; docs/conformance.md says what it has to do
    #[argh(option)]
    command: String,
    /// judge only checks whose id begins so; may be given more than once
    #[argh(option)]
    only: Vec<String>,
    /// let SHOULD count
    #[argh(switch)]
    strict: bool,
    /// make the checks that take a minute as well
    #[argh(switch)]
    slow: bool,
    /// the protocol version to speak: 3 or 4 (4)
    #[argh(option, default = "4")]
    protocol: u32,
    /// a file of checks that are expected to fail
    #[argh(option)]
    baseline: Option<PathBuf>,
    /// text, json or junit (text)
    #[argh(option, default = "Format::Text")]
    format: Format,
    /// write every conversation into this folder
    #[argh(option)]
    transcripts: Option<PathBuf>,
    /// seconds to wait for anything that must come (10)
    #[argh(option, default = "10.0")]
    timeout: f64,
    /// list the checks that passed as well
    #[argh(switch)]
    verbose: bool,
}

/// List the checks.
#[derive(FromArgs)]
#[argh(subcommand, name = "list")]
struct List {
    /// write the page of all clauses
    #[argh(switch)]
    markdown: bool,
}

#[derive(Clone, Copy)]
enum Format {
    Text,
    Json,
    Junit,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "junit" => Ok(Self::Junit),
            _ => Err("use text, json or junit".to_owned()),
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match Cli::from_args(&["openclaw-conformance"], &args) {
        Ok(cli) => run(cli),
        Err(early) if early.status.is_ok() => Ok((early.output, ExitCode::SUCCESS)),
        Err(early) => Err(early.output),
    };
    match done {
        Ok((page, code)) => {
            use std::io::Write;
            // Whoever stops reading has read enough.
            let _ = std::io::stdout().write_all(page.as_bytes());
            code
        }
        Err(why) => {
            eprintln!("openclaw-conformance: {}", why.trim_end());
            ExitCode::from(AT_FAULT)
        }
    }
}

fn run(cli: Cli) -> Result<(String, ExitCode), String> {
    match cli.command {
        Command::Gateway(gateway) => gateway.run(),
        Command::Client(client) => client.run(),
        Command::List(List { markdown }) => {
            let checks = [scenarios::checks(), client::scenarios::checks()].concat();
            let page = if markdown {
                clause::markdown(&checks)
            } else {
                checks.join("\n") + "\n"
            };
            Ok((page, ExitCode::SUCCESS))
        }
    }
}

impl Gateway {
    fn run(self) -> Result<(String, ExitCode), String> {
        let checks = scenarios::checks();
        let baseline = baseline(self.baseline.as_deref(), &checks)?;
        let (strict, format, verbose) = (self.strict, self.format, self.verbose);
        let options = self.options(&checks)?;
        let report = judge(options).map_err(|unusable| report::visible(&unusable.0))?;
        Ok(told(&report, &baseline, strict, format, verbose))
    }

    fn options(self, checks: &[&str]) -> Result<Options, String> {
        let timeout = checked(self.protocol, self.timeout, &self.only, checks)?;
        let run_timeout = self.run_timeout.unwrap_or(self.timeout * 3.0);
        let mut options = Options::new(Target::parse(&self.url)?, &self.token);
        options.protocol = self.protocol;
        options.timeout = timeout;
        options.run_time = seconds("run-timeout", run_timeout)?;
        options.slow = self.slow;
        if self.device {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| format!("no random key: {error}"))?;
            options.device = Some(key);
        }
        options.only = self.only;
        options.transcripts = self.transcripts;
        for (message, given) in [
            (&mut options.message, self.message),
            (&mut options.slow_message, self.slow_message),
            (&mut options.failing_message, self.failing_message),
            (&mut options.endless_message, self.endless_message),
            (&mut options.tool_message, self.tool_message),
        ] {
            if let Some(given) = given {
                *message = given;
            }
        }
        Ok(options)
    }
}

impl Client {
    fn run(self) -> Result<(String, ExitCode), String> {
        let checks = client::scenarios::checks();
        let baseline = baseline(self.baseline.as_deref(), &checks)?;
        let mut options = client::Options::new(&self.command);
        options.timeout = checked(self.protocol, self.timeout, &self.only, &checks)?;
        options.protocol = self.protocol;
        options.slow = self.slow;
        options.only = self.only;
        options.transcripts = self.transcripts;
        client::groups::end_when_interrupted()
            .map_err(|error| format!("cannot wait for signals: {error}"))?;
        let report =
            client::judge::judge(&options).map_err(|unusable| report::visible(&unusable.0))?;
        Ok(told(
            &report,
            &baseline,
            self.strict,
            self.format,
            self.verbose,
        ))
    }
}

fn baseline(path: Option<&Path>, checks: &[&str]) -> Result<Baseline, String> {
    let Some(path) = path else {
        return Ok(Baseline::default());
    };
    Baseline::read(path, checks)
}

/// Looks at what both sides are asked with, and gives the timeout.
fn checked(
    protocol: u32,
    timeout: f64,
    only: &[String],
    checks: &[&str],
) -> Result<Duration, String> {
    if !(3..=4).contains(&protocol) {
        return Err("--protocol is 3 or 4".to_owned());
    }
    for prefix in only {
        if !checks.iter().any(|check| check.starts_with(prefix)) {
            return Err(format!("no check begins with {prefix}: see `list`"));
        }
    }
    seconds("timeout", timeout)
}

fn seconds(option: &str, given: f64) -> Result<Duration, String> {
    if !(0.05..=1_800.0).contains(&given) {
        return Err(format!(
            "--{option} is a number of seconds from 0.05 to 1800"
        ));
    }
    Ok(Duration::from_secs_f64(given))
}

/// The page, and the exit code that goes with it.
fn told(
    report: &Report,
    baseline: &Baseline,
    strict: bool,
    format: Format,
    verbose: bool,
) -> (String, ExitCode) {
    let surprises = baseline.surprises(report, strict);
    let page = match format {
        Format::Text => report::text(report, &surprises, verbose),
        Format::Json => report::json(report, &surprises),
        Format::Junit => report::junit(report, &surprises),
    };
    let code = if surprises.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(UNEXPECTED)
    };
    (page, code)
}
