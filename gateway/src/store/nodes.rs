//! Nodes, and what waits for them, as rows.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, ToSql, Transaction};

use super::rows::{face, list, names, strange, time, whole, word};
use crate::nodes::{
    Action, Legacy, LegacyRequest, Node, NodeChange, NodeFace, NodesContents, Priority, Surface,
    Waiting, Wanted, Work, WorkKind,
};

/// Reads everything.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<NodesContents> {
    Ok(NodesContents {
        nodes: all(connection, "node", node)?,
        waiting: all(connection, "node_request", waiting)?,
        work: all(connection, "node_work", work)?,
        actions: all(connection, "node_action", action)?,
        legacy: all(connection, "legacy_node", legacy)?,
        legacy_requests: all(connection, "legacy_request", legacy_request)?,
    })
}

/// Makes one change.
pub(super) fn write(transaction: &Transaction<'_>, change: &NodeChange) -> rusqlite::Result<()> {
    match change {
        NodeChange::Put(node) => put_node(transaction, node),
        NodeChange::Drop(id) => {
            delete(transaction, "node", "id", id)?;
            delete(transaction, "node_work", "node_id", id)?;
            delete(transaction, "node_action", "node_id", id)
        }
        NodeChange::PutWaiting(waiting) => put_waiting(transaction, waiting),
        NodeChange::DropWaiting(node_id) => delete(transaction, "node_request", "node_id", node_id),
        NodeChange::PutWork(work, _) => put(
            transaction,
            "node_work",
            &[
                ("id", &work.id),
                ("node_id", &work.node_id),
                ("kind", &work.kind.word()),
                ("priority", &work.priority.word()),
                ("created_ms", &whole(work.created_ms)),
                ("expires_ms", &whole(work.expires_ms)),
            ],
        ),
        NodeChange::DropWork(_, ids, _) => ids
            .iter()
            .try_for_each(|id| delete(transaction, "node_work", "id", id)),
        NodeChange::PutAction(action) => put(
            transaction,
            "node_action",
            &[
                ("id", &action.id),
                ("node_id", &action.node_id),
                ("command", &action.command),
                ("params", &action.params_json),
                ("key", &action.key),
                ("queued_ms", &whole(action.queued_ms)),
            ],
        ),
        NodeChange::DropActions(ids) => ids
            .iter()
            .try_for_each(|id| delete(transaction, "node_action", "id", id)),
        NodeChange::PutLegacy(legacy) => put_legacy(transaction, legacy),
        NodeChange::DropLegacy(id) => delete(transaction, "legacy_node", "id", id),
        NodeChange::PutLegacyRequest(request) => put_legacy_request(transaction, request),
        NodeChange::DropLegacyRequest(id) => delete(transaction, "legacy_request", "id", id),
    }
}

fn put_node(transaction: &Transaction<'_>, node: &Node) -> rusqlite::Result<()> {
    let alive = node.alive.as_ref();
    let told = Told::of(&node.face, &node.surface);
    let mut columns = told.columns();
    let created = whole(node.created_ms);
    let approved = whole(node.approved_ms);
    let alive_ms = alive.map(|(at, _)| whole(*at));
    let alive_reason = alive.map(|(_, reason)| reason);
    columns.extend::<[(&str, &dyn ToSql); 7]>([
        ("id", &node.id),
        ("label", &node.label),
        ("remote_ip", &node.remote_ip),
        ("created_ms", &created),
        ("approved_ms", &approved),
        ("alive_ms", &alive_ms),
        ("alive_reason", &alive_reason),
    ]);
    put(transaction, "node", &columns)
}

fn put_waiting(transaction: &Transaction<'_>, waiting: &Waiting) -> rusqlite::Result<()> {
    let told = Told::of(&waiting.face, &waiting.surface);
    let mut columns = told.columns();
    let created = whole(waiting.created_ms);
    columns.extend::<[(&str, &dyn ToSql); 6]>([
        ("id", &waiting.id),
        ("node_id", &waiting.node_id),
        ("remote_ip", &waiting.remote_ip),
        ("is_silent", &waiting.is_silent),
        ("is_rejected", &waiting.is_rejected),
        ("created_ms", &created),
    ]);
    put(transaction, "node_request", &columns)
}

fn put_legacy(transaction: &Transaction<'_>, legacy: &Legacy) -> rusqlite::Result<()> {
    let told = Told::of(&legacy.face, &legacy.surface);
    let mut columns = told.columns();
    let created = whole(legacy.created_ms);
    let approved = whole(legacy.approved_ms);
    columns.extend::<[(&str, &dyn ToSql); 5]>([
        ("id", &legacy.id),
        ("remote_ip", &legacy.remote_ip),
        ("digest", &legacy.digest),
        ("created_ms", &created),
        ("approved_ms", &approved),
    ]);
    put(transaction, "legacy_node", &columns)
}

fn put_legacy_request(
    transaction: &Transaction<'_>,
    request: &LegacyRequest,
) -> rusqlite::Result<()> {
    let wanted = &request.wanted;
    let told = Told::of(&wanted.face, &wanted.surface);
    let mut columns = told.columns();
    let created = whole(request.created_ms);
    columns.extend::<[(&str, &dyn ToSql); 6]>([
        ("id", &request.id),
        ("node_id", &wanted.node_id),
        ("remote_ip", &wanted.remote_ip),
        ("silent", &wanted.silent),
        ("is_repair", &request.is_repair),
        ("created_ms", &created),
    ]);
    put(transaction, "legacy_request", &columns)
}

/// The columns of what a node says of itself.
struct Told<'a> {
    face: &'a NodeFace,
    caps: String,
    commands: String,
    permissions: String,
}

impl<'a> Told<'a> {
    fn of(face: &'a NodeFace, surface: &Surface) -> Self {
        Self {
            face,
            caps: list(&surface.caps),
            commands: list(&surface.commands),
            permissions: serde_json::to_string(&surface.permissions)
                .unwrap_or_else(|_| "{}".to_owned()),
        }
    }

    fn columns(&self) -> Vec<(&'static str, &dyn ToSql)> {
        let of_device = &self.face.face;
        vec![
            ("display_name", &of_device.display_name),
            ("platform", &of_device.platform),
            ("family", &of_device.device_family),
            ("client_id", &of_device.client_id),
            ("client_mode", &of_device.client_mode),
            ("version", &self.face.version),
            ("core_version", &self.face.core_version),
            ("ui_version", &self.face.ui_version),
            ("model_identifier", &self.face.model_identifier),
            ("caps", &self.caps),
            ("commands", &self.commands),
            ("permissions", &self.permissions),
        ]
    }
}

fn put(
    transaction: &Transaction<'_>,
    table: &str,
    columns: &[(&str, &dyn ToSql)],
) -> rusqlite::Result<()> {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<&dyn ToSql> = columns.iter().map(|(_, value)| *value).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let sql = format!(
        "INSERT OR REPLACE INTO {table} ({}) VALUES ({marks})",
        names.join(", ")
    );
    transaction.execute(&sql, &values[..]).map(drop)
}

fn delete(
    transaction: &Transaction<'_>,
    table: &str,
    column: &str,
    value: &str,
) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
    transaction.execute(&sql, [value]).map(drop)
}

fn all<T>(
    connection: &Connection,
    table: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection
        .prepare(&format!("SELECT * FROM {table} ORDER BY 1"))?
        .query_map([], read)?
        .collect()
}

fn node(row: &Row<'_>) -> rusqlite::Result<Node> {
    let alive = time(row, "alive_ms")?;
    let reason: Option<String> = row.get("alive_reason")?;
    Ok(Node {
        id: row.get("id")?,
        face: node_face(row)?,
        surface: surface(row)?,
        label: row.get("label")?,
        remote_ip: row.get("remote_ip")?,
        created_ms: time(row, "created_ms")?.unwrap_or(0),
        approved_ms: time(row, "approved_ms")?.unwrap_or(0),
        alive: alive.zip(reason),
    })
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        id: row.get("id")?,
        node_id: row.get("node_id")?,
        face: node_face(row)?,
        surface: surface(row)?,
        remote_ip: row.get("remote_ip")?,
        is_silent: row.get("is_silent")?,
        is_rejected: row.get("is_rejected")?,
        created_ms: time(row, "created_ms")?.unwrap_or(0),
    })
}

fn work(row: &Row<'_>) -> rusqlite::Result<Work> {
    Ok(Work {
        id: row.get("id")?,
        node_id: row.get("node_id")?,
        kind: word(row, "kind", WorkKind::from_word)?,
        priority: word(row, "priority", Priority::from_word)?,
        created_ms: time(row, "created_ms")?.unwrap_or(0),
        expires_ms: time(row, "expires_ms")?.unwrap_or(0),
    })
}

fn action(row: &Row<'_>) -> rusqlite::Result<Action> {
    Ok(Action {
        id: row.get("id")?,
        node_id: row.get("node_id")?,
        command: row.get("command")?,
        params_json: row.get("params")?,
        key: row.get("key")?,
        queued_ms: time(row, "queued_ms")?.unwrap_or(0),
    })
}

fn legacy(row: &Row<'_>) -> rusqlite::Result<Legacy> {
    Ok(Legacy {
        id: row.get("id")?,
        face: node_face(row)?,
        surface: surface(row)?,
        remote_ip: row.get("remote_ip")?,
        digest: row.get("digest")?,
        created_ms: time(row, "created_ms")?.unwrap_or(0),
        approved_ms: time(row, "approved_ms")?.unwrap_or(0),
    })
}

fn legacy_request(row: &Row<'_>) -> rusqlite::Result<LegacyRequest> {
    Ok(LegacyRequest {
        id: row.get("id")?,
        wanted: Wanted {
            node_id: row.get("node_id")?,
            face: node_face(row)?,
            surface: surface(row)?,
            remote_ip: row.get("remote_ip")?,
            silent: row.get("silent")?,
        },
        is_repair: row.get("is_repair")?,
        created_ms: time(row, "created_ms")?.unwrap_or(0),
    })
}

fn node_face(row: &Row<'_>) -> rusqlite::Result<NodeFace> {
    Ok(NodeFace {
        face: face(row)?,
        version: row.get("version")?,
        core_version: row.get("core_version")?,
        ui_version: row.get("ui_version")?,
        model_identifier: row.get("model_identifier")?,
    })
}

fn surface(row: &Row<'_>) -> rusqlite::Result<Surface> {
    let permissions: String = row.get("permissions")?;
    let permissions: BTreeMap<String, bool> = serde_json::from_str(&permissions)
        .map_err(|_| strange("permissions", "no object of booleans"))?;
    Ok(Surface {
        caps: names(row, "caps")?,
        commands: names(row, "commands")?,
        permissions,
    })
}
