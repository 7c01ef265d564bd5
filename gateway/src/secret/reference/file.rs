//! Secrets in files.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use super::path::{self, Closed};
use super::{FileProvider, PathProblem, Problem, SINGLE_VALUE};
use crate::environment::Environment;

/// Reads the secret that `id` names in the file of a provider.
pub(super) fn read(
    name: &str,
    provider: &FileProvider,
    id: &str,
    env: &Environment,
) -> Result<String, Problem> {
    if provider.single != (id == SINGLE_VALUE) {
        return Err(Problem::WrongId {
            provider: name.to_owned(),
            single: provider.single,
        });
    }
    let fault = |path: PathBuf| {
        move |problem| Problem::Path {
            path,
            what: "path",
            provider: name.to_owned(),
            problem,
        }
    };
    let path = path::expand(&provider.path, env).map_err(fault(provider.path.clone()))?;
    let text = read_in_time(&path, provider).map_err(fault(path.clone()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if provider.single {
        return Ok(text.to_owned());
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) | Err(_) => return Err(fault(path)(PathProblem::NotAnObject)),
    };
    match value.pointer(id) {
        Some(Value::String(secret)) => Ok(secret.clone()),
        Some(_) => Err(fault(path)(PathProblem::NotAString(id.to_owned()))),
        None => Err(fault(path)(PathProblem::NoMember(id.to_owned()))),
    }
}

/// Reads in a thread of its own: a file system on a network may never answer.
fn read_in_time(path: &Path, provider: &FileProvider) -> Result<String, PathProblem> {
    let (sender, receiver) = mpsc::channel();
    let (owned, limit) = (path.to_owned(), provider.limit);
    let reading = thread::Builder::new().spawn(move || {
        // Nobody listens any more when the time is over.
        let _ = sender.send(read_private(&owned, limit));
    });
    reading.map_err(|error| PathProblem::Unreadable(error.kind()))?;
    receiver
        .recv_timeout(provider.timeout)
        .map_err(|_| PathProblem::TimedOut(provider.timeout))?
}

fn read_private(path: &Path, limit: u64) -> Result<String, PathProblem> {
    let seen = path::look(path)?;
    let file = File::open(path).map_err(path::unreadable)?;
    let opened = file.metadata().map_err(path::unreadable)?;
    // Between the two looks somebody may have put another file in its place.
    if !path::is_same(&seen, &opened) {
        return Err(PathProblem::Link);
    }
    path::check(&opened, Closed::Private)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(path::unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(PathProblem::TooLarge(limit));
    }
    String::from_utf8(bytes).map_err(|_| PathProblem::NotText)
}
