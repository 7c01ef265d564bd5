//! Servers to measure.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const TOKEN: &str = "a-token-for-measuring";

/// Where a server listens, and which process it is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pid: Option<u32>,
}

impl Target {
    /// A server that runs already, whose process is unknown.
    pub(crate) const fn at(address: SocketAddr, token: String) -> Self {
        Self {
            address,
            token,
            pid: None,
        }
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        let unknown = || io::Error::other("the server's memory cannot be read");
        let pid = self.pid.ok_or_else(unknown)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: u64 = kib.and_then(|kib| kib.parse().ok()).ok_or_else(unknown)?;
        Ok(kib << 10)
    }
}

/// A server that was started to be measured; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) target: Target,
    child: Child,
    _home: TempDir,
}

impl Server {
    /// Starts a gateway in a home of its own.
    pub(crate) fn gateway(path: &Path) -> io::Result<Self> {
        Self::start(|port| {
            let mut command = Command::new(path);
            command
                .args(["gateway", "run", "--allow-unconfigured", "--port", port])
                .env("OPENCLAW_GATEWAY_TOKEN", TOKEN);
            command
        })
    }

    /// Starts the floor; an answer of it has so many bytes.
    pub(crate) fn floor(answer: usize) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        Self::start(|port| {
            let mut command = Command::new(&own);
            command.args(["--floor", port, "--floor-answer", &answer.to_string()]);
            command
        })
    }

    /// Starts a command in which `{port}` and `{token}` are replaced.
    pub(crate) fn reference(template: &str) -> io::Result<Self> {
        Self::start(|port| {
            let line = template.replace("{port}", port).replace("{token}", TOKEN);
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exec {line}")]);
            command
        })
    }

    fn start(command: impl Fn(&str) -> Command) -> io::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = free.local_addr()?;
        drop(free);
        let home = tempfile::tempdir()?;
        let log = fs::File::create(home.path().join("log"))?;
        let child = command(&address.port().to_string())
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let target = Target {
            address,
            token: TOKEN.to_owned(),
            pid: Some(child.id()),
        };
        Ok(Self {
            target,
            child,
            _home: home,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
