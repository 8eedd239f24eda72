"""The Lease of the file, which guards against threads of the one process that has it open, and against its own past.

Nobody can have held on to a lease from before: the file's lock falls with the process that had it, and only then does
the next one open the file. So what is held when it is opened is held by nobody, and a restart after a kill need not
wait for the lease to run out. Numbers of processes, which are given out again, play no part in it.
"""

from __future__ import annotations

from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.writer import Transaction


def outlive(database: Database) -> None:
    """Free what processes that had the file before held: leases, whose fences go on rising, and audience jobs."""
    held = "SELECT 1 FROM leases WHERE until > -1 UNION ALL SELECT 1 FROM audiences WHERE claimed_until > -1 LIMIT 1"

    def free(transaction: Transaction) -> None:
        transaction.execute("UPDATE leases SET until = -1")
        transaction.execute("UPDATE audiences SET claimed_until = -1 WHERE claimed_until > -1")

    with database.read() as connection:
        if connection.execute(held).fetchone() is None:
            return
    database.write(free)


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
        """Not what was released, or held by a process before this one."""
        return self._db.write(
            lambda t: (
                t.execute(
                    "UPDATE leases SET until = ? WHERE name = ? AND owner = ? AND until > -1",
                    (now + ttl, name, owner),
                ).rowcount
                > 0
            )
        )

    def release(self, name: str, owner: str) -> None:
        """The row stays, so that fences never fall."""
        self._db.write(
            lambda t: t.execute("UPDATE leases SET until = -1 WHERE name = ? AND owner = ?", (name, owner)) and None
        )
