//! How long processes take: the gateway until its first hello, and the command line.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::target::{Server, Target};

/// How often a server that does not listen yet is tried.
const RETRY: Duration = Duration::from_micros(200);

/// Waits until a server lets somebody in.
pub(crate) fn until_hello(target: &Target, patience: Duration) -> io::Result<()> {
    let late = Instant::now() + patience;
    loop {
        let greeted = Load::new(target, &["operator.read"]).and_then(|mut load| load.open(1));
        match greeted {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > late => return Err(error),
            Err(_) => std::thread::sleep(RETRY),
        }
    }
}

/// The median time of a gateway's start, in seconds.
pub(crate) fn start(gateway: &Path, times: usize) -> io::Result<f64> {
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        let server = Server::gateway(gateway)?;
        until_hello(&server.target, Duration::from_secs(10))?;
        took.push(begun.elapsed().as_secs_f64());
    }
    Ok(median(took))
}

/// The median time of `openclaw health`, in seconds.
pub(crate) fn health(gateway: &Path, target: &Target, times: usize) -> io::Result<f64> {
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        let status = Command::new(gateway)
            .arg("health")
            .env("OPENCLAW_GATEWAY_PORT", target.address.port().to_string())
            .env("OPENCLAW_GATEWAY_TOKEN", &target.token)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        took.push(begun.elapsed().as_secs_f64());
        if !status.success() {
            return Err(io::Error::other(format!("openclaw health: {status}")));
        }
    }
    Ok(median(took))
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
