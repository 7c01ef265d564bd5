//! Small files that operators keep: read whole, within a bound.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
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
