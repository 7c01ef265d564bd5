//! The `openclaw` command: runs a gateway, and talks to one.

use std::process::ExitCode;

mod args;
mod commands;
mod exit;
mod failure;
mod logger;
mod output;
mod target;

fn main() -> ExitCode {
    let typed = args::Typed::new(std::env::args_os().skip(1));
    let json = typed.json;
    exit::finish(typed.read().and_then(commands::run), json)
}
