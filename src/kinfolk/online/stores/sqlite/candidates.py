"""The CandidateStore of the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kinfolk.online.ports import Candidate
from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.writer import Transaction

_COLUMNS = "id, created_at, expires_at, retired_at, meta"


def _candidate(row: tuple[Any, ...]) -> Candidate:
    id, created_at, expires_at, retired_at, meta = row
    return Candidate(id, created_at, expires_at, retired_at, json.loads(meta))


class SqliteCandidates:
    """See `kinfolk.online.ports.CandidateStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(self, candidates: Sequence[Candidate]) -> int:
        """All in one commit."""
        return self._write("INSERT OR REPLACE", candidates)

    def add(self, candidates: Sequence[Candidate]) -> int:
        """All in one commit."""
        return self._write("INSERT OR IGNORE", candidates)

    def _write(self, verb: str, candidates: Sequence[Candidate]) -> int:
        rows = [(c.id, c.created_at, c.expires_at, c.retired_at, json.dumps(dict(c.meta))) for c in candidates]

        def write(transaction: Transaction) -> int:
            version = transaction.rise("candidates")
            transaction.executemany(
                f"{verb} INTO candidates ({_COLUMNS}, version) VALUES (?, ?, ?, ?, ?, ?)",
                [(*row, version) for row in rows],
            )
            return version

        return self._db.write(write) if rows else self.version()

    def get(self, ids: Sequence[str]) -> list[Candidate | None]:
        """One look-up each."""
        with self._db.read() as connection:
            rows = [
                connection.execute(f"SELECT {_COLUMNS} FROM candidates WHERE id = ?", (id,)).fetchone() for id in ids
            ]
        return [None if row is None else _candidate(row) for row in rows]

    def page(self, after: str, limit: int, *, live: bool = True) -> list[Candidate]:
        """By the primary key."""
        only = "AND retired_at IS NULL" if live else ""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM candidates WHERE id > ? {only} ORDER BY id LIMIT ?", (after, limit)
            )
            return [_candidate(row) for row in rows]

    def retire(self, ids: Sequence[str], now: int) -> int:
        """Those retired before keep their time; unknown ids are passed over."""

        def write(transaction: Transaction) -> int:
            version = transaction.rise("candidates")
            transaction.executemany(
                "UPDATE candidates SET retired_at = ?, version = ? WHERE id = ? AND retired_at IS NULL",
                [(now, version, id) for id in ids],
            )
            return version

        return self._db.write(write) if ids else self.version()

    def expire(self, ids: Sequence[str], now: int) -> list[str]:
        """See the port; looked at and marked in one transaction."""

        def write(transaction: Transaction) -> list[str]:
            due = "id = ? AND retired_at IS NULL AND expires_at <= ?"
            found = [
                id for id in ids if transaction.execute(f"SELECT 1 FROM candidates WHERE {due}", (id, now)).fetchone()
            ]
            if found:
                version = transaction.rise("candidates")
                transaction.executemany(
                    "UPDATE candidates SET retired_at = ?, version = ? WHERE id = ?",
                    [(now, version, id) for id in found],
                )
            return found

        return self._db.write(write) if ids else []

    def version(self) -> int:
        """Read from memory."""
        return self._db.number("candidates")

    def since(self, version: int) -> tuple[list[Candidate], int]:
        """By an index of versions."""
        only = "AND retired_at IS NULL" if version == 0 else ""
        with self._db.read() as connection:
            (now,) = connection.execute("SELECT value FROM meta WHERE name = 'candidates'").fetchone()
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM candidates WHERE version > ? {only} ORDER BY version, id", (version,)
            )
            return [_candidate(row) for row in rows], now
