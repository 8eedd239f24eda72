"""The tables of the file, and how a file is known to be one of ours.

Times are ms. User keys are unsigned; SQLite's integers are signed, so keys are stored less 2^63, which keeps order.
"""

from __future__ import annotations

import sqlite3

from kinfolk.online.ports import StoreError

FORMAT = 1
APPLICATION = 0x4B494E46  # "KINF"
PAGE_SIZE = 8192

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    changed INTEGER NOT NULL DEFAULT 0, cleaned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE journal (generation INTEGER PRIMARY KEY, arrived INTEGER NOT NULL, n INTEGER NOT NULL,
    clicks BLOB NOT NULL);
CREATE TABLE runs (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, block BLOB NOT NULL);

CREATE TABLE snapshots (candidate TEXT NOT NULL, model TEXT NOT NULL, cursor INTEGER NOT NULL,
    generation INTEGER NOT NULL, made_at INTEGER NOT NULL, seeds_seen INTEGER NOT NULL, seeds_used INTEGER NOT NULL,
    inertia REAL NOT NULL, arrays BLOB NOT NULL, PRIMARY KEY (candidate, model));
CREATE INDEX snapshots_by_cursor ON snapshots (model, cursor);
CREATE TABLE snapshots_retired (candidate TEXT PRIMARY KEY, cursor INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX snapshots_retired_by_cursor ON snapshots_retired (cursor);

CREATE TABLE candidates (id TEXT PRIMARY KEY, version INTEGER NOT NULL, created_at INTEGER NOT NULL,
    expires_at INTEGER, retired_at INTEGER, meta TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX candidates_by_version ON candidates (version);
CREATE INDEX candidates_live ON candidates (id) WHERE retired_at IS NULL;

CREATE TABLE users (key INTEGER PRIMARY KEY, version INTEGER NOT NULL, id TEXT NOT NULL, features TEXT NOT NULL,
    updated_at INTEGER NOT NULL);
CREATE INDEX users_by_version ON users (version);
CREATE TABLE tombstones (key INTEGER PRIMARY KEY, version INTEGER NOT NULL, wished_at INTEGER NOT NULL,
    purged_at INTEGER);
CREATE INDEX tombstones_by_version ON tombstones (version);
CREATE TABLE recalled (key INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE INDEX recalled_by_version ON recalled (version);

CREATE TABLE audiences (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, question TEXT NOT NULL,
    created_at INTEGER NOT NULL, facts TEXT NOT NULL, parts INTEGER NOT NULL DEFAULT 0, worker TEXT,
    claimed_until INTEGER);
CREATE INDEX audiences_open ON audiences (seq) WHERE state IN ('pending', 'running');
CREATE TABLE audience_parts (audience INTEGER NOT NULL, part INTEGER NOT NULL, ids TEXT NOT NULL, arrays BLOB NOT NULL,
    PRIMARY KEY (audience, part));
CREATE TABLE audience_keys (audience INTEGER NOT NULL, first INTEGER NOT NULL, keys BLOB NOT NULL,
    PRIMARY KEY (audience, first));

CREATE TABLE counters (what TEXT NOT NULL, hour INTEGER NOT NULL, segment TEXT NOT NULL, candidate TEXT NOT NULL,
    n INTEGER NOT NULL, PRIMARY KEY (what, hour, segment, candidate)) WITHOUT ROWID;
CREATE TABLE keys (digest TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, created_at INTEGER NOT NULL,
    per_second REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL, fence INTEGER NOT NULL)
    WITHOUT ROWID;
"""

COUNTERS = ("generation", "folded", "cursor", "candidates", "users", "settings", "pings", "published_fence")


def signed(key: int) -> int:
    """As stored."""
    return int(key) - 2**63


def unsigned(stored: int) -> int:
    """The user key."""
    return stored + 2**63


def check(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the file holds tables of ours, of this format; False if it is empty. Changes nothing.

    Raises StoreError if it is no database, or one of somebody else or of another format.
    """
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise StoreError(f"{name} is no SQLite database", "name another file, or move this one away") from error
        raise StoreError(f"{name} cannot be read: {error}", "restore it from a backup") from error
    if application == 0 and version == 0 and tables == 0:
        return False
    if application != APPLICATION:
        raise StoreError(f"{name} is the database of another program", "name another file")
    if version != FORMAT:
        raise StoreError(
            f"{name} has format {version}, this kinfolk reads and writes {FORMAT}",
            "open it with the version of kinfolk that wrote it, or restore a backup of this format",
        )
    return True


def create(connection: sqlite3.Connection) -> None:
    """All tables, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.executemany("INSERT INTO meta VALUES (?, 0)", [(name,) for name in COUNTERS])
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
