"""The KeyStore of the file, and its SettingStore."""

from __future__ import annotations

import builtins

from kinfolk.online.ports import Key
from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.writer import Transaction


class SqliteKeys:
    """See `kinfolk.online.ports.KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(self, key: Key) -> None:
        """By digest, or by name for a setting."""
        row = (key.digest, key.name, key.role, key.created_at, key.per_second)
        self._db.write(lambda t: t.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", row) and None)

    def find(self, digest: str) -> Key | None:
        """One row."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT digest, name, role, created_at, per_second FROM keys WHERE digest = ?", (digest,)
            ).fetchone()
        return None if row is None else Key(*row)

    def list(self) -> builtins.list[Key]:
        """Sorted by name, then digest."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT digest, name, role, created_at, per_second FROM keys ORDER BY name, digest"
            )
            return [Key(*row) for row in rows]

    def revoke(self, name: str) -> bool:
        """All keys of the name."""
        return self._db.write(lambda t: t.execute("DELETE FROM keys WHERE name = ?", (name,)).rowcount > 0)


class SqliteSettings:
    """See `kinfolk.online.ports.SettingStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, name: str) -> str | None:
        """One row."""
        with self._db.read() as connection:
            row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, name: str, value: str) -> int:
        """By digest, or by name for a setting."""

        def write(transaction: Transaction) -> int:
            transaction.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))
            return transaction.rise("settings")

        return self._db.write(write)

    def version(self) -> int:
        """Read from memory."""
        return self._db.number("settings")
