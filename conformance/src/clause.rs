//! The clauses: what the protocol asks of a gateway and of a client, one sentence each, with ids that
//! are never used again.

mod clients;
mod table;

pub use clients::CLIENTS;
pub use table::TABLE;

use std::fmt::{self, Write};

/// How much a clause asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Clients rely on it.
    Must,
    /// It is better so, but clients can do without; breaking it is a warning.
    Should,
    /// A liberty; not taking it is no fault.
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        })
    }
}

/// Whom a clause judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A gateway.
    Gateway,
    /// A client.
    Client,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Client => "client",
        })
    }
}

/// One numbered sentence of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Clause {
    /// Its id; the numbers of clauses for clients begin at 101.
    pub id: &'static str,
    /// Whom it judges.
    pub judges: Side,
    /// How much it asks for.
    pub level: Level,
    /// The oldest protocol version that has it.
    pub since: u32,
    /// The newest protocol version that has it, if that is not the newest of all.
    pub until: Option<u32>,
    /// What it asks for.
    pub says: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

impl Clause {
    /// Whether a protocol version has it.
    #[must_use]
    pub fn applies(&self, protocol: u32) -> bool {
        self.since <= protocol && self.until.is_none_or(|until| protocol <= until)
    }
}

/// The areas, in the order of their ids in the documents.
pub const AREAS: [(&str, &str); 14] = [
    ("TRN", "transport"),
    ("HSK", "handshake"),
    ("FRM", "framing"),
    ("REQ", "requests"),
    ("RUN", "two-stage requests"),
    ("EVT", "pushes and their numbers"),
    ("STA", "state versions and presence"),
    ("SCP", "scopes"),
    ("IDM", "idempotency"),
    ("LIM", "limits"),
    ("LIV", "liveness"),
    ("CLO", "closing"),
    ("HTP", "HTTP"),
    ("NOD", "nodes"),
];

/// The ids of clauses that are judged no more; none is given again.
pub const RETIRED: [&str; 0] = [];

/// Every clause, those for gateways first.
pub fn all() -> impl Iterator<Item = &'static Clause> {
    TABLE.iter().chain(&CLIENTS)
}

/// The clause of a check: what stands before the slash of its id.
#[must_use]
pub fn of(check: &str) -> Option<&'static Clause> {
    let id = check.split('/').next()?;
    all().find(|clause| clause.id == id)
}

/// The page that lists all clauses; `checks` are the ids of all checks.
#[must_use]
pub fn markdown(checks: &[&str]) -> String {
    let mut page = String::from(
        "# Clauses\n\n\
         What a gateway and a client of the protocol are held to. Written by `openclaw-conformance list --markdown`; a \
         test fails when this page differs.\nA clause whose last column is empty is not checked yet.\n\n\
         A source `observed: …` is what was observed on the releases 2026.9.6 and 2026.3.13 of the reference gateway, and \
         `runbook: …` is what the runbooks for its operators promise.\n",
    );
    for (area, name) in AREAS {
        let rows = all().filter(|clause| clause.id.starts_with(area));
        let _ = write!(
            page,
            "\n## {area}: {name}\n\n| id | judges | level | protocol | clause | source | checks |\n|---|---|---|---|---|---|---|\n"
        );
        for clause in rows {
            let versions = match (clause.since, clause.until) {
                (since, Some(until)) if since == until => since.to_string(),
                (since, Some(until)) => format!("{since}–{until}"),
                (since, None) => format!("{since}–"),
            };
            let names: Vec<String> = checks
                .iter()
                .filter_map(|check| check.strip_prefix(clause.id)?.strip_prefix('/'))
                .map(|name| format!("`{name}`"))
                .collect();
            let _ = writeln!(
                page,
                "| {} | {} | {} | {versions} | {} | {} | {} |",
                clause.id,
                clause.judges,
                clause.level,
                clause.says,
                clause.source,
                names.join(", ")
            );
        }
    }
    page
}
