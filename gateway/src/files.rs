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

/// Tells whether other users of this host may get at a file; one that is not there is nobody's. It blocks.
#[cfg(unix)]
pub(crate) fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_exposed(_path: &Path) -> bool {
    false
}

/// Makes a folder and those above it, for their owner only where they are new. It blocks until they are on the disk.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    create_dirs(dir, sync_dir)
}

fn create_dirs(dir: &Path, mut sync: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let new: Vec<&Path> = dir
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir)?;
    for new in new.into_iter().rev() {
        let above = match new.parent() {
            Some(above) if above.as_os_str().is_empty() => Path::new("."),
            Some(above) => above,
            None => continue,
        };
        match sync(above) {
            // Who may make folders in a folder need not be allowed to open it, and not every file system syncs them.
            Err(error) if !may_not(&error) && error.kind() != io::ErrorKind::InvalidInput => {
                return Err(error);
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether somebody may not do a thing at all: it is forbidden, or the file system has no such thing.
fn may_not(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::PermissionDenied || kind == io::ErrorKind::Unsupported
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
    create_linked(path, content, |from, to| fs::hard_link(from, to))
}

fn create_linked(
    path: &Path,
    content: &[u8],
    link: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<bool> {
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
    let written = write_private(&temporary, content);
    let linked = written.and_then(|()| match link(&temporary, path) {
        // A file system without links: whoever makes the name writes the file.
        Err(error) if may_not(&error) => write_private(path, content),
        linked => linked,
    });
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
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // It is ours, and of no use to anybody.
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_new_folders_are_made_in_is_synced_from_the_top() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a/b/c");
        let synced = |dir: &Path| {
            let mut synced: Vec<PathBuf> = Vec::new();
            let sync = |above: &Path| {
                synced.push(above.to_owned());
                Ok(())
            };
            create_dirs(dir, sync).unwrap();
            synced
        };
        let above = [
            home.path().to_owned(),
            home.path().join("a"),
            home.path().join("a/b"),
        ];
        assert_eq!(synced(&dir), above);
        assert!(dir.is_dir());
        assert_eq!(synced(&dir), [] as [PathBuf; 0]);
        assert_eq!(synced(&home.path().join("a/d")), [home.path().join("a")]);
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_hindrance_unless_the_disk_fails() {
        let home = tempfile::tempdir().unwrap();
        for (number, (kind, is_fine)) in [
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::Unsupported, true),
            (io::ErrorKind::InvalidInput, true),
            (io::ErrorKind::StorageFull, false),
        ]
        .into_iter()
        .enumerate()
        {
            let dir = home.path().join(number.to_string());
            let created = create_dirs(&dir, |_| Err(kind.into()));
            assert_eq!(created.is_ok(), is_fine, "{kind}");
        }
    }

    #[test]
    fn without_links_a_file_is_written_under_its_name_and_never_over_another() {
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("file");
            let create = |content| create_linked(&path, content, |_, _| Err(kind.into()));
            assert!(create(b"first").unwrap());
            assert!(!create(b"second").unwrap());
            assert_eq!(fs::read(&path).unwrap(), b"first");
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn a_link_that_fails_otherwise_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let full = |_: &Path, _: &Path| Err(io::ErrorKind::StorageFull.into());
        assert!(create_linked(&path, b"content", full).is_err());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
