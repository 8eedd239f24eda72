"""The Lease of the file. One process writes the file, so it guards against that process's own past and its threads."""

from __future__ import annotations

from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.writer import Transaction


class SqliteLeases:
    """See `kinfolk.online.ports.Lease`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def acquire(self, name: str, owner: str, now: int, ttl: int) -> int | None:
        """An expired lease gets a new number, its last holder's too."""

        def write(transaction: Transaction) -> int | None:
            row = transaction.execute("SELECT owner, until, fence FROM leases WHERE name = ?", (name,)).fetchone()
            holder, until, fence = row or ("", now, 0)
            live = until > now
            if live and holder != owner:
                return None
            fence = int(fence) + (0 if live else 1)
            transaction.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (name, owner, now + ttl, fence))
            return fence

        return self._db.write(write)

    def renew(self, name: str, owner: str, now: int, ttl: int) -> bool:
        """Not once it has expired."""
        return self._db.write(
            lambda t: (
                t.execute(
                    "UPDATE leases SET until = ? WHERE name = ? AND owner = ? AND until > ?",
                    (now + ttl, name, owner, now),
                ).rowcount
                > 0
            )
        )

    def release(self, name: str, owner: str) -> None:
        """The row stays, so that fences never fall."""
        # the row stays: fences never fall
        self._db.write(
            lambda t: t.execute("UPDATE leases SET until = -1 WHERE name = ? AND owner = ?", (name, owner)) and None
        )
