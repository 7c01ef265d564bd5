//! A program that runs for somebody else: with its own process group, a clean environment and an end.

use std::env;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::task::Poll;
use std::time::Duration;

use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::node::{Answer, Denial};
use serde::Serialize;
use smol::Timer;
use smol::future::{Future, zip};
use smol::io::{AsyncRead, AsyncReadExt as _};
use smol::process::{Child, Command};

use super::order::Run;

/// How long a program may take where nobody says, and at most.
const LONGEST: Duration = Duration::from_secs(600);
/// How much earlier than the gateway stops waiting a program ends, so that what it said so far is still heard.
const MARGIN: Duration = Duration::from_millis(250);
/// How long what a program left behind may keep its output open.
const LEFT_BEHIND: Duration = Duration::from_millis(500);
/// How much is kept of each output, in bytes.
const MOST: usize = 200_000;
/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a program is told of this process's own environment.
const PASSED_ON: [&str; 7] = ["HOME", "LANG", "LC_ALL", "LOGNAME", "TMPDIR", "TZ", "USER"];

/// What `system.run` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ran {
    exit_code: Option<i32>,
    timed_out: bool,
    success: bool,
    stdout: String,
    stderr: String,
    error: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// Runs a program to its end; whoever stops waiting ends it, and all that it started.
pub(super) async fn answer(order: Run, program: PathBuf, budget: Option<Duration>) -> Answer {
    let within = limit(order.timeout, budget);
    let ran = run(order, program, within).await?;
    let ran = Json::of(&ran).map_err(|error| Denial::new("UNAVAILABLE", error.to_string()))?;
    Ok(Some(ran))
}

/// How long a program may take.
fn limit(own: Option<Duration>, budget: Option<Duration>) -> Duration {
    let budget = budget.map(|budget| budget - MARGIN.min(budget / 10));
    let limits = [own, budget, Some(LONGEST)];
    limits.into_iter().flatten().min().unwrap_or(LONGEST)
}

async fn run(order: Run, program: PathBuf, within: Duration) -> Result<Ran, Denial> {
    // A child that nobody waits for any more ends with its group.
    let (mut child, group) = smol::unblock(move || start(&order, &program)).await?;
    let (mut out, mut err) = (Captured::default(), Captured::default());
    let pipes = child.stdout.take().zip(child.stderr.take());
    let ended = {
        let drained = async {
            if let Some((stdout, stderr)) = pipes {
                zip(out.drain(stdout), err.drain(stderr)).await;
            }
        };
        follow(&mut child, pin!(drained), within).await
    };
    drop(group);
    let mut ran = Ran {
        exit_code: None,
        timed_out: false,
        success: false,
        truncated: out.truncated || err.truncated,
        stdout: out.text(),
        stderr: err.text(),
        error: None,
    };
    match ended {
        Ended::WithOutput(status) | Ended::LeavingSomebody(status) => match status {
            Ok(status) => {
                ran.exit_code = status.code();
                ran.success = status.success();
                ran.error = status
                    .code()
                    .is_none()
                    .then(|| format!("ended by {status}"));
            }
            Err(error) => ran.error = Some(error.to_string()),
        },
        Ended::Late => {
            ran.timed_out = true;
            ran.error = Some(format!("timed out after {} ms", within.as_millis()));
        }
    }
    Ok(ran)
}

fn start(order: &Run, program: &Path) -> Result<(Child, Group), Denial> {
    let cwd = order.cwd.clone().or_else(env::home_dir);
    let cwd = cwd.unwrap_or_else(|| PathBuf::from("/"));
    if !cwd.is_dir() {
        return Err(Denial::new(
            "INVALID_REQUEST",
            "cwd is not a directory of this node",
        ));
    }
    let mut building = std::process::Command::new(program);
    building
        .args(&order.args)
        .current_dir(cwd)
        .env_clear()
        .env("PATH", PATH);
    let own = PASSED_ON
        .iter()
        .filter_map(|name| Some((name, env::var_os(name)?)));
    building.envs(own).envs(&order.env);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        building.process_group(0);
    }
    let mut command = Command::from(building);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn().map_err(|error| {
        Denial::new(
            "UNAVAILABLE",
            format!("the program cannot be started: {error}"),
        )
    })?;
    let group = Group::of(&child);
    Ok((child, group))
}

/// How a program ended.
enum Ended {
    /// It is gone, and nobody can write more.
    WithOutput(io::Result<ExitStatus>),
    /// It is gone, and somebody it started is not.
    LeavingSomebody(io::Result<ExitStatus>),
    /// It took too long.
    Late,
}

async fn follow(
    child: &mut Child,
    mut drained: Pin<&mut impl Future<Output = ()>>,
    within: Duration,
) -> Ended {
    let mut exit = pin!(child.status());
    let mut late = Timer::after(within);
    let mut patience = Timer::never();
    let mut status = None;
    let mut is_drained = false;
    poll_fn(|cx| {
        is_drained = is_drained || drained.as_mut().poll(cx).is_ready();
        if status.is_none()
            && let Poll::Ready(gone) = exit.as_mut().poll(cx)
        {
            status = Some(gone);
            patience.set_after(LEFT_BEHIND);
        }
        if is_drained && let Some(status) = status.take() {
            return Poll::Ready(Ended::WithOutput(status));
        }
        if Pin::new(&mut patience).poll(cx).is_ready()
            && let Some(status) = status.take()
        {
            return Poll::Ready(Ended::LeavingSomebody(status));
        }
        Pin::new(&mut late).poll(cx).map(|_| Ended::Late)
    })
    .await
}

/// What a program said, as far as it is kept.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    truncated: bool,
}

impl Captured {
    /// Reads to the end, so that the program is never held up.
    async fn drain(&mut self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = match from.read(&mut buffer).await {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let room = MOST - self.bytes.len();
            self.truncated |= count > room;
            self.bytes.extend_from_slice(&buffer[..count.min(room)]);
        }
    }

    fn text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// A program and all that it starts, unless they leave it; dropping this ends them.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = i32::try_from(child.id()).ok();
        Self {
            leader: id.and_then(rustix::process::Pid::from_raw),
        }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::Instant;

    use smol::future::FutureExt as _;

    use super::*;

    fn sh(script: &str) -> Run {
        Run {
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            cwd: None,
            env: [("TZ".to_owned(), "UTC".to_owned())].into(),
            timeout: None,
        }
    }

    fn ran(order: Run, within: Duration) -> Ran {
        smol::block_on(run(order, "/bin/sh".into(), within)).unwrap()
    }

    fn is_alive(pid: &str) -> bool {
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    }

    fn wait_for_end(pid: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while is_alive(pid) {
            assert!(Instant::now() < until, "{pid} still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_end_of_a_program_is_told_as_it_was() {
        let ran = ran(sh("echo out; echo err >&2; exit 3"), LONGEST);
        let text = Json::of(&ran).unwrap();
        let expected = r#"{"exitCode":3,"timedOut":false,"success":false,"stdout":"out\n","stderr":"err\n","error":null}"#;
        assert_eq!(text.as_str(), expected);
    }

    #[test]
    fn nothing_of_this_environment_is_seen_but_what_is_harmless() {
        let ran = ran(sh("export -p"), LONGEST);
        let names: Vec<&str> = ran
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("export "))
            .filter_map(|line| line.split('=').next())
            .collect();
        let known = ["PATH", "PWD", "OLDPWD", "SHLVL", "_"];
        for name in &names {
            assert!(PASSED_ON.contains(name) || known.contains(name), "{name}");
        }
        assert!(
            ran.stdout.contains("TZ='UTC'") || ran.stdout.contains("TZ=\"UTC\""),
            "{}",
            ran.stdout
        );
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some());
    }

    #[test]
    fn what_takes_too_long_ends_with_all_that_it_started() {
        let ran = ran(sh("sleep 1000 & echo $!; wait"), Duration::from_millis(300));
        assert!(
            ran.timed_out && !ran.success && ran.exit_code.is_none(),
            "{ran:?}"
        );
        wait_for_end(&ran.stdout);
    }

    #[test]
    fn what_is_left_behind_ends_too_and_holds_nobody_up() {
        for script in [
            "sleep 1000 & echo $!",
            "sleep 1000 >/dev/null 2>&1 & echo $!",
        ] {
            let ran = ran(sh(script), LONGEST);
            assert!(ran.success && ran.exit_code == Some(0), "{ran:?}");
            wait_for_end(&ran.stdout);
        }
    }

    #[test]
    fn whoever_stops_waiting_ends_it() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("pid");
        let order = Run {
            cwd: Some(home.path().to_owned()),
            ..sh("echo $$ > pid.new; mv pid.new pid; exec sleep 1000")
        };
        let running = async { drop(run(order, "/bin/sh".into(), LONGEST).await) };
        let begun = async {
            while !file.exists() {
                Timer::after(Duration::from_millis(2)).await;
            }
        };
        smol::block_on(running.or(begun));
        wait_for_end(&std::fs::read_to_string(&file).unwrap());
    }

    #[test]
    fn only_so_much_is_kept_and_the_rest_is_read_all_the_same() {
        let ran = ran(
            sh("head -c 300000 /dev/zero | tr '\\0' x; echo done >&2"),
            LONGEST,
        );
        assert_eq!(ran.stdout.len(), MOST);
        assert!(ran.truncated && ran.success);
        assert_eq!(ran.stderr, "done\n");
    }

    #[test]
    fn what_cannot_be_started_is_denied() {
        let at = |cwd: &str| Run {
            cwd: Some(cwd.into()),
            ..sh("")
        };
        for (order, program, code) in [
            (at("/nonesuch"), "/bin/sh", "INVALID_REQUEST"),
            (at("/"), "/etc/passwd", "UNAVAILABLE"),
        ] {
            let denied = smol::block_on(run(order, program.into(), LONGEST));
            assert_eq!(denied.unwrap_err().code, code);
        }
    }

    #[test]
    fn the_shortest_limit_counts_and_leaves_time_to_answer() {
        let ms = Duration::from_millis;
        for (own, budget, expected) in [
            (None, None, LONGEST),
            (Some(ms(5)), None, ms(5)),
            (Some(ms(60_000)), Some(ms(30_000)), ms(29_750)),
            (None, Some(ms(1_000)), ms(900)),
            (Some(ms(u64::MAX)), None, LONGEST),
        ] {
            assert_eq!(limit(own, budget), expected);
        }
    }
}
