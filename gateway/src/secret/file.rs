//! The file a generated token lives in.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Secret;
use crate::files::{self, ReadFault};

/// How large a token file may be, in bytes.
pub const TOKEN_FILE_LIMIT: u64 = 4096;

/// A token that was read from its file.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// The file.
    pub path: PathBuf,
    /// The token.
    pub secret: Secret,
    /// Whether other users of this host may read the file.
    pub exposed: bool,
}

/// Reads the token file; `None` if there is none.
///
/// It blocks. White space around the token is dropped.
pub fn read(path: &Path) -> Result<Option<TokenFile>, TokenFileFault> {
    let fault = |kind| TokenFileFault {
        path: path.to_owned(),
        kind,
    };
    let read = files::read(path, TOKEN_FILE_LIMIT).map_err(|read| {
        fault(match read {
            ReadFault::Unreadable(error) => FaultKind::Unreadable(error),
            ReadFault::NotAFile => FaultKind::NotAFile,
            ReadFault::TooLarge => FaultKind::TooLarge,
        })
    })?;
    let Some((bytes, _)) = read else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| fault(FaultKind::NotText))?;
    let secret = Secret::new(text).ok_or_else(|| fault(FaultKind::Empty))?;
    Ok(Some(TokenFile {
        path: path.to_owned(),
        secret,
        exposed: files::is_exposed(path),
    }))
}

/// Writes the token file, readable by its owner only, whole or not at all; says whether this did it.
///
/// It blocks until the file is on the disk. A state directory that is not there is created for its owner only. A file that
/// is there stays: of two gateways that start at once, both use the token of the one that was first.
pub fn create(path: &Path, secret: &Secret) -> Result<bool, TokenFileFault> {
    let text = format!("{}\n", secret.expose());
    files::create_whole(path, text.as_bytes()).map_err(|error| TokenFileFault {
        path: path.to_owned(),
        kind: FaultKind::Unwritable(error),
    })
}

/// Why the token file is of no use.
#[derive(Debug)]
pub struct TokenFileFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a token file.
#[derive(Debug)]
pub enum FaultKind {
    /// It is a directory, a pipe or a device.
    NotAFile,
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is larger than [`TOKEN_FILE_LIMIT`].
    TooLarge,
    /// It is not UTF-8.
    NotText,
    /// There is nothing in it.
    Empty,
    /// It cannot be written.
    Unwritable(io::Error),
}

impl fmt::Display for TokenFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            FaultKind::NotAFile => write!(
                f,
                "the token file {path} is not a regular file; move it away"
            ),
            FaultKind::Unreadable(error) => {
                write!(
                    f,
                    "cannot read the token file {path}: {error}; check its owner and permissions"
                )
            }
            FaultKind::TooLarge => write!(
                f,
                "the token file {path} is larger than {TOKEN_FILE_LIMIT} bytes; it must hold one token and nothing else"
            ),
            FaultKind::NotText => write!(
                f,
                "the token file {path} is not UTF-8 text; remove it or write a token into it"
            ),
            FaultKind::Empty => write!(
                f,
                "the token file {path} is empty; remove it or write a token into it"
            ),
            FaultKind::Unwritable(error) => {
                write!(
                    f,
                    "cannot write the token file {path}: {error}; check the state directory's owner and permissions"
                )
            }
        }
    }
}

impl std::error::Error for TokenFileFault {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    fn fault(path: &Path) -> FaultKind {
        read(path).expect_err("a faulty file").kind
    }

    #[test]
    fn a_token_is_read_back_as_it_was_written() {
        let dir = dir();
        let path = dir.path().join("state/deeper/gateway-token");
        assert!(read(&path).expect("no fault").is_none());
        assert!(create(&path, &Secret::new("first").expect("not blank")).expect("written"));
        assert!(!create(&path, &Secret::new("second").expect("not blank")).expect("not replaced"));
        let found = read(&path).expect("no fault").expect("a file");
        assert_eq!(found.secret.expose(), "first", "it stays");
        assert!(!found.exposed);
        let names: Vec<_> = fs::read_dir(path.parent().expect("a parent"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["gateway-token"], "no temporary file is left");
    }

    #[cfg(unix)]
    #[test]
    fn file_and_directory_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = dir();
        let path = dir.path().join("state/gateway-token");
        create(&path, &Secret::new("abc").expect("not blank")).expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&dir.path().join("state")), 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_told_apart() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = dir();
        let path = dir.path().join("gateway-token");
        fs::write(&path, " abc\r\n").expect("written");
        for (mode, exposed) in [(0o600, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
            let found = read(&path).expect("no fault").expect("a file");
            assert_eq!(found.exposed, exposed, "{mode:o}");
            assert_eq!(found.secret.expose(), "abc");
        }
    }

    #[test]
    fn what_is_no_token_file_is_refused_by_its_cause() {
        let dir = dir();
        let path = dir.path().join("gateway-token");
        assert!(matches!(fault(dir.path()), FaultKind::NotAFile));
        fs::write(&path, " \n").expect("written");
        assert!(matches!(fault(&path), FaultKind::Empty));
        fs::write(&path, [0xff, 0xfe]).expect("written");
        assert!(matches!(fault(&path), FaultKind::NotText));
        fs::write(&path, vec![b'a'; 4097]).expect("written");
        assert!(matches!(fault(&path), FaultKind::TooLarge));
        fs::write(&path, vec![b'a'; 4096]).expect("written");
        assert!(read(&path).expect("no fault").is_some());
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = dir();
        let path = dir.path().join("gateway-token");
        fs::create_dir(&path).expect("a directory in the way");
        let fault =
            create(&path, &Secret::new("hunter2").expect("not blank")).expect_err("in the way");
        assert!(matches!(fault.kind, FaultKind::Unwritable(_)));
        assert!(!format!("{fault} {fault:?}").contains("hunter2"));
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }
}
