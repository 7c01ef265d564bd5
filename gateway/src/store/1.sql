-- Schema 1: devices, who waits, and setup codes. Times are milliseconds since 1970; lists are JSON arrays of strings.
CREATE TABLE device (
    id           TEXT PRIMARY KEY,
    public_key   TEXT NOT NULL,
    display_name TEXT,
    platform     TEXT NOT NULL,
    family       TEXT,
    client_id    TEXT NOT NULL,
    client_mode  TEXT NOT NULL,
    label        TEXT,
    remote_ip    TEXT,
    approved_via TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    approved_ms  INTEGER NOT NULL,
    seen_ms      INTEGER
) STRICT;

CREATE TABLE granted (
    device_id     TEXT NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    role          TEXT NOT NULL,
    scopes        TEXT NOT NULL,
    token_digest  BLOB,
    token_salt    BLOB,
    token_scopes  TEXT,
    token_created INTEGER,
    token_rotated INTEGER,
    token_revoked INTEGER,
    PRIMARY KEY (device_id, role)
) STRICT;

CREATE TABLE request (
    id           TEXT PRIMARY KEY,
    device_id    TEXT NOT NULL,
    public_key   TEXT NOT NULL,
    display_name TEXT,
    platform     TEXT NOT NULL,
    family       TEXT,
    client_id    TEXT NOT NULL,
    client_mode  TEXT NOT NULL,
    role         TEXT NOT NULL,
    roles        TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    remote_ip    TEXT,
    is_repair    INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    asked_ms     INTEGER NOT NULL
) STRICT;

CREATE TABLE setup (
    digest     BLOB PRIMARY KEY,
    id         TEXT NOT NULL,
    access     TEXT NOT NULL,
    device_id  TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;
