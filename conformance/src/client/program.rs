//! The client under test: one process group, what it prints, and how it ends.

use std::cell::OnceCell;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::groups;
use crate::json::Value;
use crate::redact::{redact, shown};

/// The most bytes that a program may print; past it the program floods.
const MAX_PRINTED: usize = 1 << 20;
/// The name in the environment that holds the secret.
pub const TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
/// How much of what it says about its troubles is kept.
const TAIL: usize = 4_000;
/// How much of that is shown.
const SHOWN: usize = 400;
/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// How long what it printed may take to arrive after it has ended.
const ARRIVES: Duration = Duration::from_secs(3);

/// A program that runs; dropping it ends it and whatever it started.
#[derive(Debug)]
pub struct Program {
    child: Child,
    group: Option<Pid>,
    secret: String,
    stdout: Printed,
    stderr: Printed,
    exit: OnceCell<Exit>,
}

#[derive(Clone, Debug, Default)]
struct Printed(Arc<Mutex<Pipe>>);

#[derive(Debug, Default)]
struct Pipe {
    bytes: Vec<u8>,
    over: bool,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// The objects that it printed, one a line.
    pub printed: Vec<Value>,
    /// Whether it printed more than anybody reads.
    pub floods: bool,
    tail: String,
    secret: String,
}

impl Exit {
    /// Whether it ended well and printed these objects, each known by its `mark`.
    #[must_use]
    pub fn tells(&self, marks: &[&str]) -> bool {
        let printed = self.printed.iter().filter_map(|value| value.text("mark"));
        self.code == Some(0) && printed.eq(marks.iter().copied())
    }

    /// Whether it said that it failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.code.is_some_and(|code| code != 0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "the client ended with {code}")?,
            None => f.write_str("the client was ended by a signal")?,
        }
        for value in self.printed.iter().take(3) {
            let shown = shown(&value.to_string(), &self.secret, 200);
            write!(f, ", printed {shown}")?;
        }
        if !self.tail.is_empty() {
            write!(f, ", and said {:?}", self.tail)?;
        }
        Ok(())
    }
}

impl Program {
    /// Starts a command line in a process group of its own.
    ///
    /// # Errors
    /// Those of the operating system; a command that does not exist ends with 127 instead.
    pub fn start(command: &str, env: &[(&str, &str)]) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let (mut child, group) = groups::start(&mut shell)?;
        let secret = env.iter().find(|(name, _)| *name == TOKEN);
        let (stdout, stderr) = (Printed::default(), Printed::default());
        stdout.follow(child.stdout.take(), None);
        stderr.follow(child.stderr.take(), Some(TAIL));
        Ok(Self {
            child,
            group,
            secret: secret.map_or(String::new(), |(_, secret)| (*secret).to_owned()),
            stdout,
            stderr,
            exit: OnceCell::new(),
        })
    }

    /// How it ended, if it has.
    ///
    /// The process is left unreaped, so that nobody else is given its id before the group is ended.
    #[must_use]
    pub fn ended(&self) -> Option<Exit> {
        if self.exit.get().is_none()
            && let Some(exit) = self.look()
        {
            let _ = self.exit.set(exit);
        }
        self.exit.get().cloned()
    }

    fn look(&self) -> Option<Exit> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.group?), look).ok().flatten()?;
        let until = Instant::now() + ARRIVES;
        while !(self.stdout.lock().over && self.stderr.lock().over) && Instant::now() < until {
            thread::sleep(LOOK);
        }
        let (text, floods) = {
            let pipe = self.stdout.lock();
            let text = String::from_utf8_lossy(&pipe.bytes).into_owned();
            (text, pipe.bytes.len() > MAX_PRINTED)
        };
        let said = String::from_utf8_lossy(&self.stderr.lock().bytes).into_owned();
        let said = redact(&said, &self.secret);
        let over = said.chars().count().saturating_sub(SHOWN);
        let tail: String = said.chars().skip(over).collect();
        Some(Exit {
            code: status.exit_status(),
            printed: if floods { Vec::new() } else { objects(&text) },
            floods,
            tail: tail.trim().to_owned(),
            secret: self.secret.clone(),
        })
    }

    /// The objects that it has printed so far.
    #[must_use]
    pub fn printed(&self) -> Vec<Value> {
        objects(&String::from_utf8_lossy(&self.stdout.lock().bytes))
    }

    /// Whether it has printed more than anybody reads.
    #[must_use]
    pub fn floods(&self) -> bool {
        self.stdout.lock().bytes.len() > MAX_PRINTED
    }

    /// Waits for its end.
    #[must_use]
    pub fn end_by(&self, until: Instant) -> Option<Exit> {
        loop {
            if let Some(exit) = self.ended() {
                return Some(exit);
            }
            if Instant::now() >= until || self.floods() {
                return None;
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            groups::end(group);
        }
        let _: io::Result<ExitStatus> = self.child.wait();
    }
}

fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines().map(str::trim);
    lines
        .filter_map(|line| Value::parse(line).ok())
        .filter(Value::is_object)
        .collect()
}

impl Printed {
    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a pipe to its end: up to a limit, or only keeping its last bytes.
    fn follow(&self, pipe: Option<impl Read + Send + 'static>, keep: Option<usize>) {
        let Some(mut pipe) = pipe else { return };
        let printed = self.clone();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                let mut own = printed.lock();
                own.bytes.extend_from_slice(&chunk[..count]);
                let length = own.bytes.len();
                match keep {
                    Some(keep) if length > keep => drop(own.bytes.drain(..length - keep)),
                    None if length > MAX_PRINTED => break,
                    Some(_) | None => {}
                }
            }
            printed.lock().over = true;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn what_a_program_prints_and_how_it_ends_is_known() {
        let command = r#"echo noise; echo "{\"mark\":\"$MARK\"}"; echo why >&2; exit 3"#;
        let program = Program::start(command, &[("MARK", "m")]).unwrap();
        let exit = program.end_by(soon()).unwrap();
        assert_eq!(exit.code, Some(3));
        assert!(exit.failed() && !exit.tells(&["m"]));
        assert_eq!(exit.printed[0].text("mark"), Some("m"));
        assert!(exit.to_string().contains("why"), "{exit}");
    }

    #[test]
    fn whatever_a_program_started_ends_with_it() {
        let program = Program::start("sleep 600 & echo \"{\\\"pid\\\":$!}\"; wait", &[]).unwrap();
        let until = soon();
        while program.printed().is_empty() && Instant::now() < until {
            thread::sleep(LOOK);
        }
        let pid = program.printed()[0].integer("pid").unwrap();
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        assert!(alive());
        drop(program);
        let until = soon();
        while alive() && Instant::now() < until {
            thread::sleep(LOOK);
        }
        assert!(!alive());
    }

    #[test]
    fn a_program_that_prints_without_end_floods() {
        let program = Program::start("yes '{}'", &[]).unwrap();
        assert!(program.end_by(soon()).is_none_or(|exit| exit.floods));
        assert!(program.floods());
    }
}
