use super::*;

/// Checks that a file is refused with its path and what to do, and stays as it is.
#[track_caller]
pub(super) fn is_refused(home: &Home, advice: &str) -> StoreFault {
    let before = everything_in(home);
    let error = Store::open(&home.path()).unwrap_err();
    let said = error.to_string();
    let path = home.path().display().to_string();
    assert!(said.contains(&path) && said.contains(advice), "{said}");
    assert!(before == everything_in(home), "it was touched: {said}");
    error.kind
}

fn everything_in(home: &Home) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(home.path().parent().unwrap()).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    files.sort();
    files
}

#[track_caller]
fn is_damaged(bytes: &[u8]) {
    let kind = is_refused(
        &Home::with_file(bytes),
        "restore a copy, or move it away with its -wal file",
    );
    assert!(matches!(kind, StoreFault::Damaged(_)), "{kind:?}");
}

fn written() -> Vec<u8> {
    let home = Home::new();
    home.open().0.write(&changes(&everything())).unwrap();
    home.bytes()
}

/// Changes a database by other means than ours, and leaves a file and no log.
fn tamper(home: &Home, sql: &str) {
    let connection = Connection::open(home.path()).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn of_ours(sql: &str) -> Home {
    let home = Home::with_file(&written());
    tamper(&home, sql);
    home
}

#[test]
fn what_is_no_database_is_refused_and_left() {
    let random: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for bytes in [
        b"x".as_slice(),
        b"{}\n",
        b"SQLite format 3\0",
        &[0; 100],
        &[0; 8_192],
        &random,
        &random[..100],
    ] {
        is_damaged(bytes);
    }
}

#[test]
fn what_was_cut_off_is_refused_and_left() {
    let whole = written();
    for length in (1..whole.len()).step_by(509) {
        is_damaged(&whole[..length]);
    }
    is_damaged(&whole[..whole.len() - 1]);
}

#[test]
fn a_page_that_was_overwritten_is_found_and_left() {
    let whole = written();
    let size = 4_096;
    assert!(whole.len() / size >= 5, "{}", whole.len());
    for page in 0..whole.len() / size {
        let mut damaged = whole.clone();
        damaged[page * size..][..size].fill(0xa5);
        is_damaged(&damaged);
    }
}

#[test]
fn rows_that_no_release_of_ours_writes_are_found_and_left() {
    for sql in [
        "UPDATE device SET approved_via = 'magic'",
        "UPDATE granted SET role = 'king' WHERE device_id = 'desk'",
        "UPDATE granted SET scopes = 'operator.read'",
        "UPDATE granted SET token_scopes = NULL WHERE token_digest IS NOT NULL",
        "UPDATE granted SET token_digest = x'00' WHERE token_digest IS NOT NULL",
        "UPDATE granted SET token_salt = NULL WHERE token_digest IS NOT NULL",
        "UPDATE request SET role = ''",
        "UPDATE request SET roles = '{}'",
        "UPDATE request SET roles = '[\"king\"]'",
        "UPDATE setup SET access = 'half'",
        "UPDATE setup SET digest = x'' WHERE access = 'full'",
        "DROP TABLE setup",
        "ALTER TABLE device DROP COLUMN label",
        "PRAGMA user_version = -1",
        "PRAGMA user_version = 0",
    ] {
        let kind = is_refused(&of_ours(sql), "restore a copy");
        assert!(matches!(kind, StoreFault::Damaged(_)), "{sql}: {kind:?}");
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left() {
    for sql in [
        "CREATE TABLE device (id TEXT PRIMARY KEY)",
        "PRAGMA application_id = 42; CREATE TABLE t (x); PRAGMA user_version = 1",
        "PRAGMA application_id = 42",
        "PRAGMA user_version = 1",
        "PRAGMA journal_mode = WAL; CREATE VIEW v AS SELECT 1",
    ] {
        let home = Home::with_file(b"");
        tamper(&home, sql);
        let kind = is_refused(&home, "is a database of another program; move it away");
        assert!(matches!(kind, StoreFault::Foreign), "{sql}: {kind:?}");
    }
}

#[test]
fn a_database_of_a_newer_release_is_refused_and_left() {
    let newest = schema::NEWEST;
    let newer = newest + 1;
    for more in ["", "; CREATE TABLE more (x)", "; DROP TABLE setup"] {
        let home = of_ours(&format!("PRAGMA user_version = {newer}{more}"));
        let advice = format!("(schema {newer}, this one knows {newest}); run that release");
        let kind = is_refused(&home, &advice);
        assert!(
            matches!(kind, StoreFault::Newer { found, known } if (found, known) == (newer, newest)),
            "{kind:?}"
        );
    }
}

/// A release that was killed leaves what it wrote in the log.
#[test]
fn what_is_refused_keeps_its_log() {
    let newer = schema::NEWEST + 1;
    let home = Home::new();
    home.open().0.write(&changes(&everything())).unwrap();
    let connection = Connection::open(home.path()).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = {newer}; CREATE TABLE more (x)"
        ))
        .unwrap();
    let killed = Home::with_file(&fs::read(home.path()).unwrap());
    fs::copy(home.log(), killed.log()).unwrap();
    drop(connection);
    let kind = is_refused(&killed, "run that release");
    assert!(matches!(kind, StoreFault::Newer { .. }), "{kind:?}");
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = Home::new();
    fs::create_dir_all(folder.path()).unwrap();
    let error = Store::open(&folder.path()).unwrap_err();
    assert!(matches!(error.kind, StoreFault::Unusable(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("check the state directory's owner"), "{said}");

    let in_the_way = Home::new();
    fs::write(in_the_way.dir.path().join("state"), "").unwrap();
    let error = Store::open(&in_the_way.path()).unwrap_err();
    assert!(matches!(error.kind, StoreFault::Unusable(_)), "{error:?}");
}

/// Opening a pipe to write into it waits for somebody who reads.
#[cfg(unix)]
#[test]
fn a_pipe_is_refused_at_once() {
    let home = Home::with_file(b"");
    fs::remove_file(home.path()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let here = rustix::fs::CWD;
    rustix::fs::mknodat(here, home.path(), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let error = Store::open(&home.path()).unwrap_err();
    assert!(matches!(error.kind, StoreFault::Unusable(_)), "{error:?}");
}
