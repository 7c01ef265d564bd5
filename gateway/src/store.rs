//! What outlives the process: a SQLite database in the state directory.
//!
//! It is written ahead (`journal_mode=WAL`) and waits for the disk at every commit (`synchronous=FULL`), so that what
//! [`Store::write`] said it wrote is there after a power cut. One gateway has it for itself for as long as it runs. Everything
//! here blocks.
//!
//! What is written ahead comes into the main file at the start and every few dozen writes, so that a log that is lost is not
//! all there was.

mod log;
mod nodes;
mod rows;
mod schema;

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::files;
use crate::pairing::{Change, Contents};

/// How long a start waits for a gateway that is stopping to let go of the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many writes may be in the log alone.
const WRITES_AHEAD: usize = 32;

/// The database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// How many writes are in the log.
    ahead: usize,
    /// The files that it writes to.
    files: Files,
}

impl Store {
    /// Opens the database, makes it where there is none, brings an older one up to date, and reads what it holds.
    ///
    /// A new file, and the state directory if that is new, are for their owner only. A file that is damaged, that a newer
    /// release wrote or that is something else is left as it is.
    ///
    /// # Errors
    /// [`StoreError`], which names the path and says what to do.
    pub fn open(path: &Path) -> Result<(Self, Contents), StoreError> {
        let error = |kind| StoreError {
            path: path.to_owned(),
            kind,
        };
        check_parts(path).map_err(error)?;
        create(path).map_err(|cause| error(StoreFault::Unusable(cause)))?;
        let connection = prepare(path).map_err(error)?;
        let contents = rows::read(&connection).map_err(error)?;
        keep_log(&connection, false).map_err(error)?;
        let store = Self {
            path: path.to_owned(),
            open: Mutex::new(Open {
                connection,
                ahead: 0,
                files: Files::of(path),
            }),
        };
        store.empty_log(&mut store.lock());
        Ok((store, contents))
    }

    /// Makes changes, all or none, and returns when they are on the disk.
    ///
    /// Where the files are not under their names any more, nothing is written: the next start would not find it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut open = self.lock();
        open.check_place(&self.path)
            .map_err(|kind| self.error(kind))?;
        let written = open.connection.transaction().and_then(|transaction| {
            for change in changes {
                rows::write(&transaction, change)?;
            }
            transaction.commit()
        });
        if let Err(cause) = written {
            // What may be left of it in the log is not to stay there.
            open.ahead = WRITES_AHEAD;
            return Err(self.error(fault(cause)));
        }
        open.ahead += 1;
        if open.ahead >= WRITES_AHEAD {
            self.empty_log(&mut open);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what is in the log into the main file. Where that fails it stays in the log, which is as good until the next time.
    fn empty_log(&self, open: &mut Open) {
        let emptied = open
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        match emptied {
            Ok(false) => {}
            Ok(true) => ::log::warn!("somebody reads the database {}", self.path.display()),
            Err(cause) => ::log::warn!("{}", self.error(fault(cause))),
        }
        open.ahead = 0;
    }

    fn error(&self, kind: StoreFault) -> StoreError {
        StoreError {
            path: self.path.clone(),
            kind,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if open.check_place(&self.path).is_err() {
            // The log is removed by its name, and under that may be another gateway's.
            let _ = keep_log(&open.connection, true);
        }
    }
}

impl Open {
    /// Looks whether what is written is found under its name again.
    fn check_place(&self, path: &Path) -> Result<(), StoreFault> {
        if Files::of(path) == self.files {
            Ok(())
        } else {
            Err(StoreFault::Moved)
        }
    }
}

/// Which files a database and its log are; where that cannot be told, none.
#[derive(Debug, PartialEq, Eq)]
struct Files([Option<(u64, u64)>; 2]);

impl Files {
    #[cfg(unix)]
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let id = |path: &Path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        Self([id(path), id(&log_of(path))])
    }

    #[cfg(not(unix))]
    fn of(_path: &Path) -> Self {
        Self([None; 2])
    }
}

/// Looks whether there is a log and no database that it could belong to: SQLite would make a new one, and drop the log.
fn check_parts(path: &Path) -> Result<(), StoreFault> {
    let length = |path: &Path| match path.metadata() {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreFault::Unusable(error)),
    };
    // In this order: who makes a database has written to it before there is a log.
    let log = log_of(path);
    if length(&log)?.is_some() && length(path)?.is_none_or(|length| length == 0) {
        return Err(StoreFault::LogAlone(log));
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        files::create_private_dir(dir)?;
    }
    // Opening a pipe would wait for somebody to read from it.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other("not a regular file"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

fn prepare(path: &Path) -> Result<Connection, StoreFault> {
    let length = path.metadata().map_err(StoreFault::Unusable)?.len();
    if length == 1 {
        // Which SQLite takes for none.
        return Err(StoreFault::Damaged("it is one byte long".to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(PATIENCE).map_err(fault)?;
    // Held from here to the end of the process: of two that only read, neither could begin to write.
    set(&connection, "locking_mode", "EXCLUSIVE")?;
    let has_log = log_of(path).exists();
    // What is refused keeps it.
    keep_log(&connection, has_log)?;
    connection
        .execute_batch("BEGIN EXCLUSIVE; COMMIT")
        .map_err(fault)?;
    if let Some(damage) = log::find_damage(&log_of(path)).map_err(StoreFault::Unusable)? {
        return Err(StoreFault::Damaged(damage));
    }
    schema::check(&connection)?;
    if !has_log {
        schema::check_length(&connection, length)?;
    }
    set(&connection, "journal_mode", "WAL")?;
    set(&connection, "synchronous", "FULL")?;
    set(&connection, "foreign_keys", "ON")?;
    schema::bring_up_to_date(&mut connection)?;
    Ok(connection)
}

/// Where what is written ahead of a database lies.
pub(crate) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Whether what is written ahead stays where it is when the database is closed.
fn keep_log(connection: &Connection, keeps: bool) -> Result<(), StoreFault> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps)
        .map(drop)
        .map_err(fault)
}

fn set(connection: &Connection, pragma: &str, value: &str) -> Result<(), StoreFault> {
    let ignore = |_: &rusqlite::Row<'_>| Ok(());
    match connection.pragma_update_and_check(None, pragma, value, ignore) {
        // Some settings answer nothing.
        Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
        Err(cause) => Err(fault(cause)),
    }
}

/// Why the database is of no use.
#[derive(Debug)]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: StoreFault,
}

/// What is wrong with a database.
#[derive(Debug)]
pub enum StoreFault {
    /// The file cannot be made, opened, read or written.
    Unusable(io::Error),
    /// Another process has it.
    InUse,
    /// It is no database, or a damaged one.
    Damaged(String),
    /// It is not there or empty, and its log is.
    LogAlone(PathBuf),
    /// It was moved, removed or replaced while it was open.
    Moved,
    /// It is a database of another program.
    Foreign,
    /// A newer release wrote it.
    Newer {
        /// Its schema.
        found: i64,
        /// The newest schema that this release knows.
        known: i64,
    },
    /// SQLite failed in another way.
    Failed(rusqlite::Error),
}

fn fault(cause: rusqlite::Error) -> StoreFault {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreFault::InUse,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreFault::Damaged(cause.to_string())
        }
        _ => StoreFault::Failed(cause),
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            StoreFault::Unusable(error) => write!(
                f,
                "cannot use the database {path}: {error}; check the state directory's owner and permissions"
            ),
            StoreFault::InUse => write!(
                f,
                "another gateway uses the database {path}; stop it, or give this one a state directory of its own with --profile or OPENCLAW_STATE_DIR"
            ),
            StoreFault::Damaged(why) => write!(
                f,
                "the database {path} is damaged ({why}); restore a copy, or move it away with its -wal file to start without paired devices"
            ),
            StoreFault::LogAlone(log) => write!(
                f,
                "there is no database {path}, or an empty one, but its log {} is there; restore the database beside it, or move both away to start without paired devices",
                log.display()
            ),
            StoreFault::Moved => write!(
                f,
                "the database {path} or its -wal file was moved, removed or replaced while the gateway runs; nothing is written until it is back, or the gateway is started again"
            ),
            StoreFault::Foreign => {
                write!(f, "{path} is a database of another program; move it away")
            }
            StoreFault::Newer { found, known } => write!(
                f,
                "the database {path} was written by a newer release (schema {found}, this one knows {known}); run that release, or move the file away to start without paired devices"
            ),
            StoreFault::Failed(error) => write!(
                f,
                "the database {path} failed: {error}; check the disk's free space and the file's permissions"
            ),
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests;
