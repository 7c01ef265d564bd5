//! The process groups that were started, so that a judge that is interrupted leaves none behind.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::{self, Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use async_signal::{Signal, Signals};
use futures_lite::stream;
use rustix::process::{Pid, kill_process_group};

/// The exit code of a judge that was interrupted: it has not judged.
const INTERRUPTED: i32 = 2;

/// The groups that run; whoever starts or ends one holds the lock meanwhile.
static GROUPS: Mutex<Groups> = Mutex::new(Groups {
    running: BTreeSet::new(),
    over: false,
});

struct Groups {
    running: BTreeSet<i32>,
    /// Whether no more are started.
    over: bool,
}

fn lock() -> MutexGuard<'static, Groups> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a command that leads a group of its own.
pub(super) fn start(command: &mut Command) -> io::Result<(Child, Option<Pid>)> {
    let mut groups = lock();
    if groups.over {
        return Err(io::Error::other("the judge was interrupted"));
    }
    let child = command.spawn()?;
    let id = i32::try_from(child.id()).ok();
    groups.running.extend(id);
    Ok((child, id.and_then(Pid::from_raw)))
}

/// Ends a group whose leader is not reaped yet.
pub(super) fn end(group: Pid) {
    let mut groups = lock();
    kill(group);
    groups.running.remove(&group.as_raw_nonzero().get());
}

fn kill(group: Pid) {
    // What has ended already needs no end.
    let _ = kill_process_group(group, rustix::process::Signal::KILL);
}

/// Ends this process and every group at the first signal that interrupts.
///
/// # Errors
/// Those of the operating system.
pub fn end_when_interrupted() -> io::Result<()> {
    let signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup])?;
    let watch = move || {
        let Some(Ok(signal)) = stream::block_on(signals).next() else {
            return;
        };
        let mut groups = lock();
        groups.over = true;
        for group in groups.running.iter().filter_map(|id| Pid::from_raw(*id)) {
            kill(group);
        }
        let name = if signal == Signal::Int {
            "SIGINT"
        } else if signal == Signal::Hup {
            "SIGHUP"
        } else {
            "SIGTERM"
        };
        let told = format!(
            "openclaw-conformance: interrupted by {name}; the clients that ran were ended\n"
        );
        // A terminal that has gone is not written to.
        let _ = io::stderr().write_all(told.as_bytes());
        process::exit(INTERRUPTED);
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)
        .map(drop)
}
