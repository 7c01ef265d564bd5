//! Devices, requests and setup codes as rows.

use openclaw_protocol_core::scope::Role;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, Row, Transaction, params};

use super::{StoreFault, fault, nodes};
use crate::pairing::{
    Access, ApprovedVia, Change, Contents, Device, Face, Granted, Request, Setup, Token,
};

/// Reads everything.
pub(super) fn read(connection: &Connection) -> Result<Contents, StoreFault> {
    let read = || -> rusqlite::Result<Contents> {
        let mut devices: Vec<Device> = connection
            .prepare("SELECT * FROM device ORDER BY id")?
            .query_map([], device)?
            .collect::<Result<_, _>>()?;
        let mut of_device =
            connection.prepare("SELECT * FROM granted WHERE device_id = ?1 ORDER BY rowid")?;
        for device in &mut devices {
            device.granted = of_device
                .query_map([&device.id], granted)?
                .collect::<Result<_, _>>()?;
        }
        Ok(Contents {
            devices,
            requests: connection
                .prepare("SELECT * FROM request ORDER BY id")?
                .query_map([], request)?
                .collect::<Result<_, _>>()?,
            setups: connection
                .prepare("SELECT * FROM setup ORDER BY digest")?
                .query_map([], setup)?
                .collect::<Result<_, _>>()?,
            nodes: nodes::read(connection)?,
        })
    };
    read().map_err(|cause| {
        let is_strange = matches!(
            cause,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnName(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        );
        // A table or a column that is not there has no code of its own.
        if is_strange || cause.sqlite_error_code() == Some(ErrorCode::Unknown) {
            StoreFault::Damaged(cause.to_string())
        } else {
            fault(cause)
        }
    })
}

/// Makes one change.
pub(super) fn write(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::PutDevice(device) => put_device(transaction, device),
        Change::DropDevice(id) => transaction
            .execute("DELETE FROM device WHERE id = ?1", [id])
            .map(drop),
        Change::PutRequest(request) => put_request(transaction, request),
        Change::DropRequest(id) => transaction
            .execute("DELETE FROM request WHERE id = ?1", [id])
            .map(drop),
        Change::PutSetup(setup) => transaction
            .execute(
                "INSERT OR REPLACE INTO setup (digest, id, access, device_id, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    setup.digest,
                    setup.id,
                    setup.access.word(),
                    setup.device_id,
                    whole(setup.created_ms),
                    whole(setup.expires_ms)
                ],
            )
            .map(drop),
        Change::DropSetup(digest) => transaction
            .execute("DELETE FROM setup WHERE digest = ?1", [digest])
            .map(drop),
        Change::Node(change) => nodes::write(transaction, change),
    }
}

fn put_device(transaction: &Transaction<'_>, device: &Device) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM device WHERE id = ?1", [&device.id])?;
    transaction.execute(
        "INSERT INTO device (id, public_key, display_name, platform, family, client_id, client_mode, label, remote_ip, approved_via, created_ms, approved_ms, seen_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            device.id,
            device.public_key,
            device.face.display_name,
            device.face.platform,
            device.face.device_family,
            device.face.client_id,
            device.face.client_mode,
            device.label,
            device.remote_ip,
            device.approved_via.word(),
            whole(device.created_ms),
            whole(device.approved_ms),
            device.seen_ms.map(whole),
        ],
    )?;
    for granted in &device.granted {
        let token = granted.token.as_ref();
        transaction.execute(
            "INSERT INTO granted (device_id, role, scopes, token_digest, token_salt, token_scopes, token_created, token_rotated, token_revoked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                device.id,
                granted.role.as_str(),
                list(&granted.scopes),
                token.map(|token| token.digest),
                token.map(|token| token.salt),
                token.map(|token| list(&token.scopes)),
                token.map(|token| whole(token.created_ms)),
                token.and_then(|token| token.rotated_ms).map(whole),
                token.and_then(|token| token.revoked_ms).map(whole),
            ],
        )?;
    }
    Ok(())
}

fn put_request(transaction: &Transaction<'_>, request: &Request) -> rusqlite::Result<()> {
    let roles: Vec<String> = request
        .roles
        .iter()
        .map(|role| role.as_str().to_owned())
        .collect();
    transaction
        .execute(
            "INSERT OR REPLACE INTO request (id, device_id, public_key, display_name, platform, family, client_id, client_mode, role, roles, scopes, remote_ip, is_repair, created_ms, asked_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                request.id,
                request.device_id,
                request.public_key,
                request.face.display_name,
                request.face.platform,
                request.face.device_family,
                request.face.client_id,
                request.face.client_mode,
                request.role.as_str(),
                list(&roles),
                list(&request.scopes),
                request.remote_ip,
                request.is_repair,
                whole(request.created_ms),
                whole(request.asked_ms),
            ],
        )
        .map(drop)
}

fn device(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        id: row.get("id")?,
        public_key: row.get("public_key")?,
        face: face(row)?,
        label: row.get("label")?,
        remote_ip: row.get("remote_ip")?,
        approved_via: word(row, "approved_via", ApprovedVia::from_word)?,
        granted: Vec::new(),
        created_ms: time(row, "created_ms")?.unwrap_or(0),
        approved_ms: time(row, "approved_ms")?.unwrap_or(0),
        seen_ms: time(row, "seen_ms")?,
    })
}

fn granted(row: &Row<'_>) -> rusqlite::Result<Granted> {
    let digest: Option<[u8; 32]> = row.get("token_digest")?;
    let token = match digest {
        Some(digest) => Some(Token {
            digest,
            salt: row.get("token_salt")?,
            scopes: names(row, "token_scopes")?,
            created_ms: time(row, "token_created")?.unwrap_or(0),
            rotated_ms: time(row, "token_rotated")?,
            revoked_ms: time(row, "token_revoked")?,
        }),
        None => None,
    };
    Ok(Granted {
        role: word(row, "role", Role::from_name)?,
        scopes: names(row, "scopes")?,
        token,
    })
}

fn request(row: &Row<'_>) -> rusqlite::Result<Request> {
    let roles = names(row, "roles")?;
    Ok(Request {
        id: row.get("id")?,
        device_id: row.get("device_id")?,
        public_key: row.get("public_key")?,
        face: face(row)?,
        role: word(row, "role", Role::from_name)?,
        roles: roles
            .iter()
            .map(|name| {
                Role::from_name(name).ok_or_else(|| strange("roles", "a role that is not known"))
            })
            .collect::<rusqlite::Result<_>>()?,
        scopes: names(row, "scopes")?,
        remote_ip: row.get("remote_ip")?,
        is_repair: row.get("is_repair")?,
        created_ms: time(row, "created_ms")?.unwrap_or(0),
        asked_ms: time(row, "asked_ms")?.unwrap_or(0),
    })
}

fn setup(row: &Row<'_>) -> rusqlite::Result<Setup> {
    Ok(Setup {
        digest: row.get("digest")?,
        id: row.get("id")?,
        access: word(row, "access", Access::from_word)?,
        device_id: row.get("device_id")?,
        created_ms: time(row, "created_ms")?.unwrap_or(0),
        expires_ms: time(row, "expires_ms")?.unwrap_or(0),
    })
}

pub(super) fn face(row: &Row<'_>) -> rusqlite::Result<Face> {
    Ok(Face {
        display_name: row.get("display_name")?,
        platform: row.get("platform")?,
        device_family: row.get("family")?,
        client_id: row.get("client_id")?,
        client_mode: row.get("client_mode")?,
    })
}

pub(super) fn word<T>(
    row: &Row<'_>,
    column: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    read(&word).ok_or_else(|| strange(column, "a word that is not known"))
}

pub(super) fn names(row: &Row<'_>, column: &str) -> rusqlite::Result<Vec<String>> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|_| strange(column, "no list of names"))
}

pub(super) fn strange(column: &str, what: &str) -> rusqlite::Error {
    let why = format!("the column {column} holds {what}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, why.into())
}

pub(super) fn list(names: &[String]) -> String {
    serde_json::to_string(names).unwrap_or_else(|_| "[]".to_owned())
}

pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let time: Option<i64> = row.get(column)?;
    Ok(time.map(|time| u64::try_from(time).unwrap_or(0)))
}

/// SQLite's numbers have a sign.
pub(super) fn whole(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
