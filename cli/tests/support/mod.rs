//! Runs the built command in a home of its own.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test that cannot go on fails; not every test file uses everything"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) mod node;

/// Long enough for a busy machine; nothing that works takes as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A user with nothing set up, and a port that was free a moment ago.
pub(crate) struct Home {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    /// Where programs are looked for before everywhere else.
    pub(crate) programs: Option<PathBuf>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            port: free_port(),
            programs: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn token_path(&self) -> PathBuf {
        self.path(".openclaw/gateway-token")
    }

    pub(crate) fn write_config(&self, text: &str) {
        let dir = self.path(".openclaw");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("openclaw.json"), text).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// The command with nothing of the tester's own set-up.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OPENCLAW_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.dir.path())
            .env("OPENCLAW_GATEWAY_PORT", self.port.to_string())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .args(args);
        if let Some(programs) = &self.programs {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let places = [programs.clone()]
                .into_iter()
                .chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(places).unwrap());
        }
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Done {
        Done::of(self.command(args))
    }

    /// Runs the command line, which has no spaces but those between its arguments.
    pub(crate) fn run_line(&self, line: &str) -> Done {
        self.run(line.split_whitespace())
    }

    /// Starts a gateway and waits until it listens; on another port if somebody was faster.
    pub(crate) fn gateway(&mut self, flags: &[&str]) -> Gateway {
        for _ in 0..5 {
            let args = ["gateway"].iter().chain(flags);
            match Gateway::start(self.command(args)) {
                Ok(gateway) => return gateway,
                Err(stderr) if stderr.contains("EADDRINUSE") => self.port = free_port(),
                Err(stderr) => panic!("the gateway does not start: {stderr}"),
            }
        }
        panic!("no port to be had");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Done {
    pub(crate) fn of(command: Command) -> Self {
        Running::start(command).wait()
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Checks that there is no secret in what was written.
    #[track_caller]
    pub(crate) fn hides(self, secret: &str) -> Self {
        assert!(!self.stdout.contains(secret), "{self:#?}");
        assert!(!self.stderr.contains(secret), "{self:#?}");
        self
    }

    /// Checks that one JSON document is all that was written, and returns it.
    #[track_caller]
    pub(crate) fn document(&self) -> Value {
        assert_eq!(self.stderr, "", "{self:#?}");
        match serde_json::from_str(&self.stdout) {
            Ok(document) => document,
            Err(error) => panic!("{error}: {self:#?}"),
        }
    }
}

/// A command that may still run; dropping it ends it.
pub(crate) struct Running {
    child: Child,
    began: Instant,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self::with_stdout(command.stdout(Stdio::piped()))
    }

    /// Starts a command whose standard output is somebody else's business.
    pub(crate) fn with_stdout(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        Self {
            began: Instant::now(),
            stdout: child.stdout.take().map(read_all),
            stderr: child.stderr.take().map(read_all),
            child,
        }
    }

    pub(crate) fn wait(mut self) -> Done {
        let code = wait(&mut self.child);
        let text = |reader: Option<JoinHandle<String>>| {
            reader.map_or_else(String::new, |reader| reader.join().unwrap())
        };
        Done {
            code,
            took: self.began.elapsed(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    })
}

fn wait(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    panic!("the command does not end");
}

/// A gateway that listens; dropping it ends it.
pub(crate) struct Gateway {
    child: Child,
    log: Receiver<String>,
    reads_log: Arc<Mutex<()>>,
    logged: Vec<String>,
    /// What it printed when it was ready.
    pub(crate) announcement: String,
}

impl Gateway {
    fn start(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let reads_log = Arc::default();
        let printed = lines(child.stdout.take().unwrap(), Arc::default());
        let log = lines(child.stderr.take().unwrap(), Arc::clone(&reads_log));
        let mut gateway = Self {
            child,
            log,
            reads_log,
            logged: Vec::new(),
            announcement: String::new(),
        };
        while let Ok(line) = printed.recv_timeout(PATIENCE) {
            gateway.announcement += &format!("{line}\n");
            if line.starts_with("try it: ") {
                return Ok(gateway);
            }
        }
        Err(gateway.log.iter().collect::<Vec<_>>().join("\n"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Nobody reads its log while the guard is kept.
    pub(crate) fn leave_log(&self) -> MutexGuard<'_, ()> {
        self.reads_log.lock().unwrap()
    }

    /// Waits for a line of its log.
    pub(crate) fn wait_for(&mut self, text: &str) {
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            let found = line.contains(text);
            self.logged.push(line);
            if found {
                return;
            }
        }
        panic!("never said {text:?}: {:#?}", self.logged);
    }

    /// Waits for its end; returns the exit code and all that it printed.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = wait(&mut self.child);
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            self.logged.push(line);
        }
        let said = format!("{}{}", self.announcement, self.logged.join("\n"));
        (code, said)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines, one after the other, whenever `may` can be had.
fn lines(from: impl Read + Send + 'static, may: Arc<Mutex<()>>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
            drop(may.lock());
        }
    });
    receiver
}
