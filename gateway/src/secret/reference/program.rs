//! Secrets that programs know.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::path::{self, Closed};
use super::{ExecProvider, PathProblem, Problem, RunProblem};
use crate::environment::Environment;

/// The version of what is said to a program and back.
const PROTOCOL: u64 = 1;
/// The codes of a program's errors that may be shown; everything else may hold secrets.
const SHOWN_CODES: [&str; 2] = ["NOT_FOUND", "AMBIGUOUS_DUPLICATE_KEY"];
/// How often a program that has said everything is looked at, until it has ended.
const LOOK: Duration = Duration::from_millis(2);

/// Asks the program of a provider for the secret `id`.
pub(super) fn ask(
    name: &str,
    provider: &ExecProvider,
    id: &str,
    env: &Environment,
) -> Result<String, Problem> {
    let at = |path: PathBuf| {
        move |problem| Problem::Path {
            path,
            what: "command",
            provider: name.to_owned(),
            problem,
        }
    };
    let command = path::expand(&provider.command, env).map_err(at(provider.command.clone()))?;
    check(&command, provider, env).map_err(at(command.clone()))?;
    let run = |problem| Problem::Run {
        command: command.clone(),
        provider: name.to_owned(),
        problem,
    };
    let request = json!({"protocolVersion": PROTOCOL, "provider": name, "ids": [id]}).to_string();
    let said = run_in_time(&command, provider, env, &request).map_err(run)?;
    answer(&said, id, provider.json_only).map_err(run)
}

fn check(command: &Path, provider: &ExecProvider, env: &Environment) -> Result<(), PathProblem> {
    let metadata = path::look(command)?;
    if !provider.trusted_dirs.is_empty() {
        let real = command.canonicalize().map_err(path::unreadable)?;
        let mut trusted = provider.trusted_dirs.iter();
        let holds = |dir: &PathBuf| {
            let dir = path::expand(dir, env).ok();
            let dir = dir.and_then(|dir| dir.canonicalize().ok());
            dir.is_some_and(|dir| real.starts_with(dir))
        };
        if !trusted.any(holds) {
            return Err(PathProblem::Outside);
        }
    }
    path::check(&metadata, Closed::Unwritable)
}

/// Runs the program with nothing but its own environment, and returns what it says.
fn run_in_time(
    command: &Path,
    provider: &ExecProvider,
    env: &Environment,
    request: &str,
) -> Result<Vec<u8>, RunProblem> {
    let begun = Instant::now();
    let mut building = Command::new(command);
    building
        .args(&provider.args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What it complains of may hold secrets.
        .stderr(Stdio::null());
    for name in &provider.pass_env {
        if let Some(value) = env.raw(name) {
            building.env(name, value);
        }
    }
    building.envs(&provider.env);
    if let Some(dir) = command.parent() {
        building.current_dir(dir);
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        building.process_group(0);
    }
    let child = building
        .spawn()
        .map_err(|error| RunProblem::NotStarted(error.kind()))?;
    let mut running = Running { child, ended: None };
    if let Some(mut stdin) = running.child.stdin.take() {
        // The request fits into the pipe; a program that does not want it is free not to read it.
        let _ = stdin.write_all(request.as_bytes());
    }
    let said = running.listen(provider, begun)?;
    let status = running.wait(provider.timeout, begun)?;
    match status.code() {
        Some(0) => Ok(said),
        Some(code) => Err(RunProblem::Failed(code)),
        None => Err(RunProblem::Killed),
    }
}

/// A program that is ended, with all that it started, when nobody waits for it any more.
struct Running {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Running {
    fn listen(&mut self, provider: &ExecProvider, begun: Instant) -> Result<Vec<u8>, RunProblem> {
        let Some(stdout) = self.child.stdout.take() else {
            return Ok(Vec::new());
        };
        let chunks = pump(stdout)?;
        let silence = provider.silence.unwrap_or(provider.timeout);
        let mut said = Vec::new();
        loop {
            let left = provider.timeout.saturating_sub(begun.elapsed());
            match chunks.recv_timeout(left.min(silence)) {
                Ok(chunk) => said.extend_from_slice(&chunk),
                Err(RecvTimeoutError::Disconnected) => return Ok(said),
                Err(RecvTimeoutError::Timeout) if left <= silence => {
                    return Err(RunProblem::TimedOut(provider.timeout));
                }
                Err(RecvTimeoutError::Timeout) => return Err(RunProblem::Silent(silence)),
            }
            if said.len() as u64 > provider.limit {
                return Err(RunProblem::TooMuch(provider.limit));
            }
        }
    }

    fn wait(&mut self, timeout: Duration, begun: Instant) -> Result<ExitStatus, RunProblem> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.ended = Some(status);
                    return Ok(status);
                }
                Ok(None) if begun.elapsed() >= timeout => {
                    return Err(RunProblem::TimedOut(timeout));
                }
                Ok(None) => thread::sleep(LOOK),
                Err(error) => return Err(RunProblem::NotStarted(error.kind())),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        #[cfg(unix)]
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on what comes out of a program, as far as somebody takes it.
fn pump(mut stdout: impl Read + Send + 'static) -> Result<Receiver<Vec<u8>>, RunProblem> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let reading = thread::Builder::new().spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    reading.map_err(|error| RunProblem::NotStarted(error.kind()))?;
    Ok(receiver)
}

/// Finds the secret in what a program said.
fn answer(said: &[u8], id: &str, json_only: bool) -> Result<String, RunProblem> {
    let said = std::str::from_utf8(said).map_err(|_| RunProblem::NotText)?;
    let said = said.trim();
    if said.is_empty() {
        return Err(RunProblem::Nothing);
    }
    let document = match serde_json::from_str(said) {
        Ok(Value::Object(document)) => document,
        Ok(Value::String(secret)) if !json_only => return Ok(secret),
        Ok(_) => return Err(RunProblem::NotAnAnswer),
        Err(_) if json_only => return Err(RunProblem::NotAnAnswer),
        Err(_) => return Ok(said.to_owned()),
    };
    if document.get("protocolVersion").and_then(Value::as_u64) != Some(PROTOCOL) {
        return Err(RunProblem::NotAnAnswer);
    }
    let Some(Value::Object(values)) = document.get("values") else {
        return Err(RunProblem::NotAnAnswer);
    };
    if let Some(error) = document.get("errors").and_then(|errors| errors.get(id)) {
        let code = error.get("code").and_then(Value::as_str);
        let shown = SHOWN_CODES.into_iter().find(|shown| code == Some(*shown));
        return Err(RunProblem::Refused {
            id: id.to_owned(),
            code: shown,
        });
    }
    match values.get(id) {
        Some(Value::String(secret)) => Ok(secret.clone()),
        Some(_) | None => Err(RunProblem::NoValue(id.to_owned())),
    }
}
