//! Whether a file on this host can be trusted with a secret.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::PathProblem;
use crate::environment::Environment;

/// What others must not be able to do to a file.
#[derive(Clone, Copy)]
pub(super) enum Closed {
    /// Read or change it.
    Private,
    /// Change it.
    Unwritable,
}

/// Puts the home directory in the place of a leading `~`.
pub(super) fn expand(path: &Path, env: &Environment) -> Result<PathBuf, PathProblem> {
    match path.strip_prefix("~") {
        Ok(rest) => {
            let home = env.home().ok_or(PathProblem::NoHome)?;
            Ok(home.join(rest))
        }
        Err(_) => Ok(path.to_owned()),
    }
}

/// Looks at a path itself: a regular file and no link.
pub(super) fn look(path: &Path) -> Result<Metadata, PathProblem> {
    let metadata = path.symlink_metadata().map_err(unreadable)?;
    if metadata.is_symlink() {
        return Err(PathProblem::Link);
    }
    if !metadata.is_file() {
        return Err(PathProblem::NotAFile);
    }
    Ok(metadata)
}

pub(super) fn unreadable(error: io::Error) -> PathProblem {
    if error.kind() == io::ErrorKind::NotFound {
        PathProblem::Missing
    } else {
        PathProblem::Unreadable(error.kind())
    }
}

/// Checks that a file belongs to this user or to root, and is closed to everybody else.
#[cfg(unix)]
pub(super) fn check(metadata: &Metadata, closed: Closed) -> Result<(), PathProblem> {
    use std::os::unix::fs::MetadataExt as _;
    let bits = match closed {
        Closed::Private => 0o077,
        Closed::Unwritable => 0o022,
    };
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(PathProblem::NotOwned { user });
    }
    if metadata.mode() & bits != 0 {
        return Err(match closed {
            Closed::Private => PathProblem::Exposed,
            Closed::Unwritable => PathProblem::Writable,
        });
    }
    if matches!(closed, Closed::Private) && metadata.nlink() > 1 {
        return Err(PathProblem::HardLinked);
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn check(_: &Metadata, _: Closed) -> Result<(), PathProblem> {
    Err(PathProblem::Unverifiable)
}

/// Tells whether two looks were at the same file.
#[cfg(unix)]
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
pub(super) fn is_same(_: &Metadata, _: &Metadata) -> bool {
    false
}
