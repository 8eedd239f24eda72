"""The UserStore of the file: records, tombstones, and who was recalled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kinfolk.online.ports import UserChanges, UserRecord
from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.schema import signed, unsigned
from kinfolk.online.stores.sqlite.writer import Transaction

_COLUMNS = "key, id, features, updated_at"


def _record(row: tuple[Any, ...]) -> UserRecord:
    return UserRecord(unsigned(row[0]), row[1], json.loads(row[2]), row[3])


class SqliteUsers:
    """See `kinfolk.online.ports.UserStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(self, users: Sequence[UserRecord]) -> int:
        """All in one commit."""
        rows = [(signed(u.key), u.id, json.dumps(dict(u.features)), u.updated_at) for u in users]

        def write(transaction: Transaction) -> int:
            version = transaction.rise("users")
            transaction.executemany(
                f"INSERT OR REPLACE INTO users ({_COLUMNS}, version) VALUES (?, ?, ?, ?, ?)",
                [(*row, version) for row in rows],
            )
            return version

        return self._db.write(write) if rows else self.version()

    def get(self, key: int) -> UserRecord | None:
        """One row."""
        with self._db.read() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM users WHERE key = ?", (signed(key),)).fetchone()
        return None if row is None else _record(row)

    def page(self, after: int, limit: int) -> list[UserRecord]:
        """By the primary key; keys count as unsigned."""
        beyond = signed(after) if after >= 0 else None
        only = "" if beyond is None else f"WHERE key > {beyond}"
        with self._db.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM users {only} ORDER BY key LIMIT ?", (limit,))
            return [_record(row) for row in rows]

    def forget(self, key: int, now: int) -> int:
        """A second wish keeps the time of the first, but is to be purged again."""

        def write(transaction: Transaction) -> int:
            version = transaction.rise("users")
            transaction.execute("DELETE FROM users WHERE key = ?", (signed(key),))
            transaction.execute("DELETE FROM recalled WHERE key = ?", (signed(key),))
            transaction.execute(  # a second wish keeps the time of the first, but what came since must go too
                "INSERT INTO tombstones VALUES (?, ?, ?, NULL) ON CONFLICT (key) DO UPDATE SET"
                " version = excluded.version, purged_at = NULL",
                (signed(key), version, now),
            )
            return version

        return self._db.write(write)

    def recall(self, key: int) -> int:
        """Nothing happens without a tombstone."""

        def write(transaction: Transaction) -> int:
            version = transaction.rise("users")
            if transaction.execute("DELETE FROM tombstones WHERE key = ?", (signed(key),)).rowcount:
                transaction.execute("INSERT OR REPLACE INTO recalled VALUES (?, ?)", (signed(key), version))
            return version

        return self._db.write(write)

    def tombstones(self) -> dict[int, tuple[int, int | None]]:
        """One for each user who left."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT key, wished_at, purged_at FROM tombstones")
            return {unsigned(key): (wished, purged) for key, wished, purged in rows}

    def purged(self, keys: Sequence[int], now: int) -> None:
        """Tombstones stay."""
        rows = [(now, signed(key)) for key in keys]
        self._db.write(lambda t: t.executemany("UPDATE tombstones SET purged_at = ? WHERE key = ?", rows) and None)

    def version(self) -> int:
        """Read from memory."""
        return self._db.number("users")

    def since(self, version: int) -> UserChanges:
        """By an index of versions."""
        with self._db.read() as connection:
            (now,) = connection.execute("SELECT value FROM meta WHERE name = 'users'").fetchone()
            put = connection.execute(f"SELECT {_COLUMNS} FROM users WHERE version > ? ORDER BY version", (version,))
            records = [_record(row) for row in put]
            forgotten, recalled = (
                [
                    unsigned(key)
                    for (key,) in connection.execute(
                        f"SELECT key FROM {table} WHERE version > ? ORDER BY version", (version,)
                    )
                ]
                for table in ("tombstones", "recalled")
            )
            return UserChanges(records, forgotten, recalled, now)
