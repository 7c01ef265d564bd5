//! The `openclaw` command: runs a gateway, and talks to one.

use std::process::ExitCode;

mod args;
mod commands;
mod exit;
mod failure;
mod logger;
mod node;
mod output;
mod target;

fn main() -> ExitCode {
    #[cfg(unix)]
    let _handled = survive_file_limit();
    let typed = args::Typed::new(std::env::args_os().skip(1));
    let json = typed.json;
    exit::finish(typed.read().and_then(commands::run), json)
}

/// Has a write past the limit on a file's size (`ulimit -f`) fail, where otherwise it would end the process.
#[cfg(unix)]
fn survive_file_limit() -> Option<async_signal::Signals> {
    // Somebody who wants to know of the signal is enough, whether or not they ever ask.
    async_signal::Signals::new([async_signal::Signal::Xfsz]).ok()
}
