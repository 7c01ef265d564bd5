-- Schema 2: nodes, what they ask for, and what waits for them. Lists are JSON arrays of strings, permissions a JSON object of booleans.
CREATE TABLE node (
    id               TEXT PRIMARY KEY,
    display_name     TEXT,
    platform         TEXT NOT NULL,
    family           TEXT,
    client_id        TEXT NOT NULL,
    client_mode      TEXT NOT NULL,
    version          TEXT,
    core_version     TEXT,
    ui_version       TEXT,
    model_identifier TEXT,
    caps             TEXT NOT NULL,
    commands         TEXT NOT NULL,
    permissions      TEXT NOT NULL,
    label            TEXT,
    remote_ip        TEXT,
    created_ms       INTEGER NOT NULL,
    approved_ms      INTEGER NOT NULL,
    alive_ms         INTEGER,
    alive_reason     TEXT
) STRICT;

CREATE TABLE node_request (
    node_id          TEXT PRIMARY KEY,
    id               TEXT NOT NULL,
    display_name     TEXT,
    platform         TEXT NOT NULL,
    family           TEXT,
    client_id        TEXT NOT NULL,
    client_mode      TEXT NOT NULL,
    version          TEXT,
    core_version     TEXT,
    ui_version       TEXT,
    model_identifier TEXT,
    caps             TEXT NOT NULL,
    commands         TEXT NOT NULL,
    permissions      TEXT NOT NULL,
    remote_ip        TEXT,
    is_silent        INTEGER NOT NULL,
    is_rejected      INTEGER NOT NULL,
    created_ms       INTEGER NOT NULL
) STRICT;

CREATE TABLE node_work (
    id         TEXT PRIMARY KEY,
    node_id    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    priority   TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE node_action (
    id        TEXT PRIMARY KEY,
    node_id   TEXT NOT NULL,
    command   TEXT NOT NULL,
    params    TEXT,
    key       TEXT NOT NULL,
    queued_ms INTEGER NOT NULL
) STRICT;

-- Nodes of protocol 3, which have a name and a token and are no devices.
CREATE TABLE legacy_node (
    id               TEXT PRIMARY KEY,
    display_name     TEXT,
    platform         TEXT NOT NULL,
    family           TEXT,
    client_id        TEXT NOT NULL,
    client_mode      TEXT NOT NULL,
    version          TEXT,
    core_version     TEXT,
    ui_version       TEXT,
    model_identifier TEXT,
    caps             TEXT NOT NULL,
    commands         TEXT NOT NULL,
    permissions      TEXT NOT NULL,
    remote_ip        TEXT,
    digest           BLOB NOT NULL,
    created_ms       INTEGER NOT NULL,
    approved_ms      INTEGER NOT NULL
) STRICT;

CREATE TABLE legacy_request (
    id               TEXT PRIMARY KEY,
    node_id          TEXT NOT NULL,
    display_name     TEXT,
    platform         TEXT NOT NULL,
    family           TEXT,
    client_id        TEXT NOT NULL,
    client_mode      TEXT NOT NULL,
    version          TEXT,
    core_version     TEXT,
    ui_version       TEXT,
    model_identifier TEXT,
    caps             TEXT NOT NULL,
    commands         TEXT NOT NULL,
    permissions      TEXT NOT NULL,
    remote_ip        TEXT,
    silent           INTEGER,
    is_repair        INTEGER NOT NULL,
    created_ms       INTEGER NOT NULL
) STRICT;
