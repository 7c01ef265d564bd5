//! Asks the host's `tailscale` who has an address of the tailnet.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command as Building, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt as _, future};
use openclaw_protocol_core::hub::Who;
use serde_json::Value;
use smol::Timer;
use smol::lock::Mutex as Turn;
use smol::process::{Child, Command};

use crate::environment::{Environment, GATEWAY_PASSWORD, GATEWAY_TOKEN};

/// The program's name, and where its application for desktops keeps it.
const NAME: &str = "tailscale";
const OF_THE_APP: &str = "/Applications/Tailscale.app/Contents/MacOS/Tailscale";
/// The most that the program may say, in bytes.
const OUTPUT: u64 = 200_000;
/// How long it may take, the wait for its turn included.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many of them run at the same time.
const AT_ONCE: usize = 4;
/// How long an answer holds.
const ANSWER_KEPT: Duration = Duration::from_secs(60);
/// How long a failure holds.
const FAILURE_KEPT: Duration = Duration::from_secs(5);
/// How many answers are kept.
const KEPT: usize = 256;
/// Whom every device has that belongs to nobody.
const NOBODYS: &str = "tagged-devices";

/// Knows who has which address.
pub trait Directory: Send + Sync {
    /// Returns the login of the user who has an address; `Ok(None)` if nobody has.
    fn whois(&self, address: IpAddr) -> Answering<'_>;
}

/// An answer of a [`Directory`] that is under way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// What a [`Directory`] says.
pub type Answer = Result<Option<String>, WhoisFault>;

/// Why there is no answer, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhoisFault {
    /// There is no program `tailscale`.
    Missing,
    /// It cannot be started.
    NotStarted(std::io::ErrorKind),
    /// It took too long.
    TimedOut,
    /// It said more than anybody wants to read.
    TooMuch,
    /// It ended with an error.
    Failed,
    /// It did not say JSON.
    Garbled,
}

impl std::fmt::Display for WhoisFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "there is no program tailscale on this host; install it, or put it on PATH",
            ),
            Self::NotStarted(kind) => write!(f, "tailscale cannot be started: {kind}"),
            Self::TimedOut => write!(f, "tailscale whois took more than {} s", PATIENCE.as_secs()),
            Self::TooMuch => write!(f, "tailscale whois said more than {OUTPUT} bytes"),
            Self::Failed => f.write_str("tailscale whois failed; run it by hand to see why"),
            Self::Garbled => f.write_str("tailscale whois did not say JSON"),
        }
    }
}

impl std::error::Error for WhoisFault {}

/// Compares what a request claims with what a directory says of where it comes from.
pub async fn verify(directory: &dyn Directory, address: IpAddr, claimed: &str) -> Who {
    let reason = match directory.whois(address).await {
        Ok(Some(login)) if login.to_lowercase() == claimed.to_lowercase() => {
            return Who::Verified(login.into());
        }
        Ok(Some(_)) => "tailscale_user_mismatch",
        Ok(None) => "tailscale_whois_failed",
        Err(fault) => {
            log::warn!("address={address} cannot be verified: {fault}");
            "tailscale_whois_failed"
        }
    };
    Who::Nobody(reason.into())
}

/// Finds the program on the `PATH` of an environment, or where its application keeps it.
#[must_use]
pub fn find(env: &Environment) -> Option<PathBuf> {
    let path = env.raw("PATH").unwrap_or_default();
    let places = std::env::split_paths(path).filter(|place| place.is_absolute());
    places
        .map(|place| place.join(NAME))
        .chain([PathBuf::from(OF_THE_APP)])
        .find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    #[cfg(unix)]
    let runs = rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    #[cfg(not(unix))]
    let runs = true;
    runs && path.is_file()
}

/// Runs `tailscale whois`, never many at a time, and remembers for a moment what it said.
#[derive(Debug)]
pub struct Tailscaled {
    program: Option<PathBuf>,
    patience: Duration,
    /// One address always waits for the same turn, so that it is asked for once.
    turns: [Turn<()>; AT_ONCE],
    known: Mutex<BTreeMap<IpAddr, (Instant, Answer)>>,
}

impl Tailscaled {
    /// Asks this program; where there is none, every answer is a fault.
    #[must_use]
    pub fn new(program: Option<PathBuf>) -> Self {
        Self {
            program,
            patience: PATIENCE,
            turns: std::array::from_fn(|_| Turn::new(())),
            known: Mutex::default(),
        }
    }

    /// Waits no longer than this.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn ask(&self, address: IpAddr) -> Answer {
        let Some(program) = &self.program else {
            return Err(WhoisFault::Missing);
        };
        if let Some(known) = self.remembered(address) {
            return known;
        }
        let running = async {
            let _turn = self.turn(address).lock().await;
            // Whoever had the turn before may have asked the same.
            match self.remembered(address) {
                Some(known) => known,
                None => run(program, address).await,
            }
        };
        let late = async {
            Timer::after(self.patience).await;
            Err(WhoisFault::TimedOut)
        };
        let answer = future::or(running, late).await;
        self.remember(address, answer.clone());
        answer
    }

    fn turn(&self, address: IpAddr) -> &Turn<()> {
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        &self.turns[usize::from(last) % AT_ONCE]
    }

    fn remembered(&self, address: IpAddr) -> Option<Answer> {
        let known = self.known();
        let (since, answer) = known.get(&address)?;
        (since.elapsed() < kept(answer)).then(|| answer.clone())
    }

    fn remember(&self, address: IpAddr, answer: Answer) {
        let mut known = self.known();
        if known.len() >= KEPT && !known.contains_key(&address) {
            known.retain(|_, (since, answer)| since.elapsed() < kept(answer));
            let oldest = known.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(address, _)| *address)
                && known.len() >= KEPT
            {
                known.remove(&oldest);
            }
        }
        known.insert(address, (Instant::now(), answer));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<IpAddr, (Instant, Answer)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory for Tailscaled {
    fn whois(&self, address: IpAddr) -> Answering<'_> {
        Box::pin(self.ask(address))
    }
}

fn kept(answer: &Answer) -> Duration {
    match answer {
        Ok(_) => ANSWER_KEPT,
        Err(_) => FAILURE_KEPT,
    }
}

async fn run(program: &Path, address: IpAddr) -> Answer {
    let mut building = Building::new(program);
    building
        .args(["whois", "--json", &address.to_string()])
        .env_remove(GATEWAY_TOKEN)
        .env_remove(GATEWAY_PASSWORD);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        building.process_group(0);
    }
    let mut command = Command::from(building);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let not_started = |error: std::io::Error| WhoisFault::NotStarted(error.kind());
    let mut running = Running {
        child: command.spawn().map_err(not_started)?,
        ended: false,
    };
    let mut said = Vec::new();
    if let Some(stdout) = running.child.stdout.take() {
        let reading = stdout.take(OUTPUT + 1).read_to_end(&mut said).await;
        reading.map_err(|_| WhoisFault::Failed)?;
    }
    if said.len() as u64 > OUTPUT {
        return Err(WhoisFault::TooMuch);
    }
    let status = running.child.status().await;
    running.ended = true;
    if !status.is_ok_and(|status| status.success()) {
        return Err(WhoisFault::Failed);
    }
    login(&said)
}

/// A program that is ended, with all that it started, when nobody waits for it any more.
struct Running {
    child: Child,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        #[cfg(unix)]
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
    }
}

/// Finds the login in what the program said, which may stand among other words.
fn login(said: &[u8]) -> Answer {
    let said = std::str::from_utf8(said).map_err(|_| WhoisFault::Garbled)?;
    let from = said.find('{').ok_or(WhoisFault::Garbled)?;
    let until = said.rfind('}').ok_or(WhoisFault::Garbled)?;
    let said = said.get(from..=until).ok_or(WhoisFault::Garbled)?;
    let document: Value = serde_json::from_str(said).map_err(|_| WhoisFault::Garbled)?;
    let text = |value: &Value| {
        let text = value.as_str().map(str::trim).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let profile = ["UserProfile", "userProfile", "User"]
        .iter()
        .find_map(|name| document.get(name).filter(|profile| profile.is_object()));
    let of_profile = ["LoginName", "Login", "login"]
        .iter()
        .find_map(|name| profile?.get(name).and_then(text));
    let of_all = ["LoginName", "login"]
        .iter()
        .find_map(|name| document.get(name).and_then(text));
    // A device with tags is nobody's, whatever else is said of it.
    Ok(of_profile.or(of_all).filter(|login| login != NOBODYS))
}

#[cfg(all(test, unix))]
mod tests;
