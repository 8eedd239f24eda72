"""The SnapshotStore of the file: the latest snapshot of each candidate and model, numbered by a cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kinfolk.online.ports import Changes, FenceError, Snapshot
from kinfolk.online.stores import arrays
from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.writer import Transaction

_PART = 1000  # crowds that are told at once
_COLUMNS = "candidate, model, made_at, seeds_seen, seeds_used, generation, arrays, inertia"


def _snapshot(row: tuple[Any, ...]) -> Snapshot:
    candidate, model, made_at, seen, used, generation, data, inertia = row
    centroids, sizes, whole, *more = arrays.decode(data)
    return Snapshot(candidate, model, made_at, seen, used, generation, centroids, sizes, whole, inertia, *more)


class SqliteSnapshots:
    """See `kinfolk.online.ports.SnapshotStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def publish(self, snapshots: Sequence[Snapshot], fence: int | None) -> int:
        """All in one commit."""
        rows = [(s, arrays.encode(*s.arrays)) for s in snapshots]

        def put(transaction: Transaction) -> int:
            if fence is not None:
                (highest,) = transaction.execute("SELECT value FROM meta WHERE name = 'published_fence'").fetchone()
                if fence < highest:
                    raise FenceError(
                        f"snapshots were made under lease {fence}, but lease {highest} has published since",
                        "let the holder of the newer lease refresh",
                    )
                transaction.execute("UPDATE meta SET value = ? WHERE name = 'published_fence'", (fence,))
            for s, data in rows:
                if not self._wanted(transaction, s, fenced=fence is not None):
                    continue
                cursor = transaction.rise("cursor")
                transaction.execute(
                    f"INSERT OR REPLACE INTO snapshots ({_COLUMNS}, cursor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        s.candidate,
                        s.model,
                        s.made_at,
                        s.seeds_seen,
                        s.seeds_used,
                        s.generation,
                        data,
                        s.inertia,
                        cursor,
                    ),
                )
            return transaction.numbers.get("cursor", self.cursor())

        return self._db.write(put)

    @staticmethod
    def _wanted(transaction: Transaction, s: Snapshot, *, fenced: bool) -> bool:
        if transaction.execute("SELECT 1 FROM snapshots_retired WHERE candidate = ?", (s.candidate,)).fetchone():
            return False
        there = transaction.execute(
            "SELECT generation FROM snapshots WHERE candidate = ? AND model = ?", (s.candidate, s.model)
        ).fetchone()
        return there is None or there[0] < s.generation or (fenced and there[0] == s.generation)

    def latest(self, candidates: Sequence[str], model: str) -> list[Snapshot | None]:
        """One row each."""
        ask = f"SELECT {_COLUMNS} FROM snapshots WHERE candidate = ? AND model = ?"
        with self._db.read() as connection:
            rows = [connection.execute(ask, (candidate, model)).fetchone() for candidate in candidates]
        return [None if row is None else _snapshot(row) for row in rows]

    def cursor(self) -> int:
        """Read from memory."""
        return self._db.number("cursor")

    def since(self, cursor: int, model: str) -> Changes:
        """One state of the file, `_PART` crowds of it: 11 MB, which the next ones find warm."""
        with self._db.read() as connection:
            (now,) = connection.execute("SELECT value FROM meta WHERE name = 'cursor'").fetchone()
            rows = connection.execute(
                f"SELECT cursor, {_COLUMNS} FROM snapshots WHERE model = ? AND cursor > ? ORDER BY cursor LIMIT ?",
                (model, cursor, _PART),
            ).fetchall()
            until = rows[-1][0] if len(rows) == _PART else now
            retired = connection.execute(
                "SELECT candidate FROM snapshots_retired WHERE cursor > ? AND cursor <= ? ORDER BY cursor",
                (cursor, until),
            ).fetchall()
        return Changes([_snapshot(row[1:]) for row in rows], [name for (name,) in retired], until)

    def retire(self, candidate: str) -> int:
        """The candidate's name is kept, so that late snapshots of it are left out."""

        def remove(transaction: Transaction) -> int:
            cursor = transaction.rise("cursor")
            transaction.execute("DELETE FROM snapshots WHERE candidate = ?", (candidate,))
            transaction.execute("INSERT OR REPLACE INTO snapshots_retired VALUES (?, ?)", (candidate, cursor))
            return cursor

        return self._db.write(remove)

    def revive(self, candidate: str) -> None:
        """Forgets that name."""
        self._db.write(lambda t: t.execute("DELETE FROM snapshots_retired WHERE candidate = ?", (candidate,)) and None)

    def drop_models(self, keep: Sequence[str]) -> None:
        """With no `keep`, all go."""
        marks = ", ".join("?" * len(keep))
        self._db.write(lambda t: t.execute(f"DELETE FROM snapshots WHERE model NOT IN ({marks})", tuple(keep)) and None)
