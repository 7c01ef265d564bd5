//! Small files that operators keep: read whole, within a bound.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write as _};
use std::path::Path;

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// It cannot be opened or read.
    Unreadable(io::Error),
    /// It is a folder, a pipe or a device.
    NotAFile,
    /// It is larger than is read.
    TooLarge,
}

/// Reads a file of at most `limit` bytes; `None` if there is none. It blocks.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<(Vec<u8>, Metadata)>, ReadFault> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadFault::Unreadable(error)),
    };
    // Opening a pipe would wait for somebody to write into it.
    if !metadata.is_file() {
        return Err(ReadFault::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(ReadFault::Unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(ReadFault::TooLarge);
    }
    Ok(Some((bytes, metadata)))
}

/// Makes a folder and those above it, for their owner only where they are new. It blocks.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// Waits until what was made, renamed or removed in a folder is on the disk.
#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a file that only its owner may read, whole or not at all; says whether this did it, or a file was there already.
///
/// It blocks until the file is on the disk. A folder that is not there is made for its owner only.
pub(crate) fn create_whole(path: &Path, content: &[u8]) -> io::Result<bool> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path names no file",
        ));
    };
    create_private_dir(dir)?;
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix)
        .map_err(|_| io::Error::other("no random bytes for a temporary name"))?;
    let temporary = dir.join(format!(
        ".{}-{:016x}",
        name.to_string_lossy(),
        u64::from_ne_bytes(suffix)
    ));
    // A link, unlike a rename, never replaces what another process has just written.
    let linked = write_private(&temporary, content).and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => sync_dir(dir).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_file() => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
