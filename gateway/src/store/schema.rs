//! Which tables there are, and how an older database gets them.

use rusqlite::Connection;

use super::{StoreFault, fault};

/// What tells our databases from those of other programs: `Oclw`.
pub(super) const APPLICATION: i64 = 0x4f63_6c77;

/// What brings a database from each schema to the next, from none to the newest.
pub(super) const STEPS: [&str; 2] = [include_str!("1.sql"), include_str!("2.sql")];

/// The newest schema.
pub(super) const NEWEST: i64 = STEPS.len() as i64;

/// Looks at a file and changes nothing.
pub(super) fn check(connection: &Connection) -> Result<(), StoreFault> {
    let tables: i64 = number(connection, "SELECT count(*) FROM sqlite_schema")?;
    let application = number(connection, "PRAGMA application_id")?;
    let found = number(connection, "PRAGMA user_version")?;
    if application != APPLICATION && (tables, application, found) != (0, 0, 0) {
        return Err(StoreFault::Foreign);
    }
    if found < 0 || found == 0 && tables > 0 {
        return Err(StoreFault::Damaged(format!("its schema is {found}")));
    }
    if found > NEWEST {
        return Err(StoreFault::Newer {
            found,
            known: NEWEST,
        });
    }
    let sound: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(fault)?;
    if sound == "ok" {
        Ok(())
    } else {
        Err(StoreFault::Damaged(sound))
    }
}

/// Looks whether a file without a log was cut off in the middle of a page, which SQLite fills up with nothing.
pub(super) fn check_length(connection: &Connection, length: u64) -> Result<(), StoreFault> {
    let page = number(connection, "PRAGMA page_size")?;
    match u64::try_from(page).map(|page| length.checked_rem(page)) {
        Ok(Some(0)) => Ok(()),
        _ => Err(StoreFault::Damaged(format!(
            "its {length} bytes are no whole pages of {page}"
        ))),
    }
}

/// Takes every step that is left, in one transaction.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> Result<(), StoreFault> {
    let found = number(connection, "PRAGMA user_version")?;
    if found == NEWEST {
        return Ok(());
    }
    let transaction = connection.transaction().map_err(fault)?;
    let taken = usize::try_from(found).unwrap_or(0);
    for step in STEPS.iter().skip(taken) {
        transaction.execute_batch(step).map_err(fault)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION)
        .and_then(|()| transaction.pragma_update(None, "user_version", NEWEST))
        .and_then(|()| transaction.commit())
        .map_err(fault)
}

fn number(connection: &Connection, question: &str) -> Result<i64, StoreFault> {
    connection
        .query_row(question, [], |row| row.get(0))
        .map_err(fault)
}
