"""The AudienceStore of the file: jobs, members in parts, and of finished ones the sorted keys.

A user is looked up by one short read an audience, not by reading its members.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.ports import Audience, FenceError, JobState, Json, Members, StoreError
from kinfolk.online.stores import arrays
from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.schema import signed
from kinfolk.online.stores.sqlite.writer import Transaction

_COLUMNS = "id, state, question, created_at, facts, parts"
CHUNK = 4096  # keys read to find one


def _audience(row: tuple[Any, ...]) -> Audience:
    id, state, question, created_at, facts, parts = row
    return Audience(id, state, json.loads(question), created_at, json.loads(facts), parts)


def _members(row: tuple[str, bytes]) -> Members:
    keys, scores = arrays.decode(row[1])
    return Members(tuple(json.loads(row[0])), keys, scores)


def _row(members: Members) -> tuple[str, bytes]:
    return json.dumps(members.ids), arrays.encode(
        np.asarray(members.keys, np.uint64), np.asarray(members.scores, np.float32)
    )


class SqliteAudiences:
    """See `kinfolk.online.ports.AudienceStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, audience: Audience) -> None:
        """One row."""
        a = audience
        row = (a.id, a.state, json.dumps(dict(a.question)), a.created_at, json.dumps(dict(a.facts)), a.parts)

        def write(transaction: Transaction) -> None:
            if transaction.execute("SELECT 1 FROM audiences WHERE id = ?", (a.id,)).fetchone():
                raise StoreError(f"there is an audience {a.id} already", "choose another id")
            transaction.execute(f"INSERT INTO audiences ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)

        self._db.write(write)

    def claim(self, worker: str, now: int, ttl: int) -> Audience | None:
        """Asks without a commit whether there is anything to do."""

        def write(transaction: Transaction) -> Audience | None:
            found = transaction.execute(
                "SELECT seq FROM audiences WHERE state IN ('pending', 'running') AND"
                " (state = 'pending' OR claimed_until <= ?) ORDER BY seq LIMIT 1",
                (now,),
            ).fetchone()
            if found is None:
                return None
            transaction.execute("DELETE FROM audience_parts WHERE audience = ?", found)
            transaction.execute(
                "UPDATE audiences SET state = 'running', parts = 0, worker = ?, claimed_until = ? WHERE seq = ?",
                (worker, now + ttl, *found),
            )
            return _audience(transaction.execute(f"SELECT {_COLUMNS} FROM audiences WHERE seq = ?", found).fetchone())

        with self._db.read() as connection:  # mostly there is nothing to do, and asking costs no commit
            if not connection.execute(
                "SELECT 1 FROM audiences WHERE state IN ('pending', 'running') LIMIT 1"
            ).fetchone():
                return None
        return self._db.write(write)

    def renew(self, id: str, worker: str, now: int, ttl: int) -> bool:
        """Not once the claim has run out."""
        return self._db.write(
            lambda t: (
                t.execute(
                    "UPDATE audiences SET claimed_until = ?"
                    " WHERE id = ? AND worker = ? AND state = 'running' AND claimed_until > ?",
                    (now + ttl, id, worker, now),
                ).rowcount
                > 0
            )
        )

    @staticmethod
    def _claimed(transaction: Transaction, id: str, worker: str) -> tuple[int, int]:
        """Sequence number and parts so far; raises FenceError unless the job is this worker's."""
        row = transaction.execute(
            "SELECT seq, parts FROM audiences WHERE id = ? AND worker = ? AND state = 'running'", (id, worker)
        ).fetchone()
        if row is None:
            raise FenceError(f"audience {id} is not this worker's any more", "drop the work, another does it")
        return int(row[0]), int(row[1])

    def write_part(self, id: str, worker: str, part: int, members: Members) -> None:
        """One row; raises StoreError out of order."""
        row = _row(members)

        def write(transaction: Transaction) -> None:
            seq, parts = self._claimed(transaction, id, worker)
            if part != parts:
                raise StoreError(f"audience {id} has {parts} parts, part {part} does not come next", "write in order")
            transaction.execute("INSERT INTO audience_parts VALUES (?, ?, ?, ?)", (seq, part, *row))
            transaction.execute("UPDATE audiences SET parts = parts + 1 WHERE seq = ?", (seq,))

        self._db.write(write)

    def finish(self, id: str, worker: str, state: JobState, facts: Json) -> None:
        """Sorts the keys of the members, 8 bytes each, for `of_user`."""
        text = json.dumps(dict(facts))

        def write(transaction: Transaction) -> None:
            seq, _ = self._claimed(transaction, id, worker)
            transaction.execute(
                "UPDATE audiences SET state = ?, facts = ?, worker = NULL, claimed_until = NULL WHERE seq = ?",
                (state, text, seq),
            )
            self._index(transaction, seq)

        self._db.write(write)

    @staticmethod
    def _index(transaction: Transaction, seq: int) -> None:
        """Write the sorted keys of an audience again."""
        transaction.execute("DELETE FROM audience_keys WHERE audience = ?", (seq,))
        rows = transaction.execute("SELECT arrays FROM audience_parts WHERE audience = ?", (seq,))
        parts = [arrays.decode(data)[0] for (data,) in rows]
        keys = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)
        transaction.executemany(
            "INSERT INTO audience_keys VALUES (?, ?, ?)",
            (
                (seq, signed(int(keys[at])), arrays.encode(keys[at : at + CHUNK]))
                for at in range(0, len(keys), CHUNK)
                if at == 0 or keys[at] != keys[at - 1]  # equal keys must not end one chunk and start the next
            ),
        )

    def get(self, id: str) -> Audience | None:
        """One row."""
        with self._db.read() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM audiences WHERE id = ?", (id,)).fetchone()
        return None if row is None else _audience(row)

    def page(self, after: str, limit: int) -> list[Audience]:
        """By the index of ids."""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM audiences WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            )
            return [_audience(row) for row in rows]

    def part(self, id: str, part: int) -> Members | None:
        """One row."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT p.ids, p.arrays FROM audiences a JOIN audience_parts p ON p.audience = a.seq"
                " WHERE a.id = ? AND p.part = ?",
                (id, part),
            ).fetchone()
        return None if row is None else _members(row)

    def of_user(self, key: int) -> list[str]:
        """Reads one chunk of sorted keys an audience."""
        with self._db.read() as connection:
            ready = connection.execute("SELECT seq, id FROM audiences WHERE state = 'ready' ORDER BY id").fetchall()
            return [id for seq, id in ready if _holds(connection, seq, np.array([key], np.uint64))]

    def forget(self, keys: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> int:
        """Rewrites the parts that held one, in one transaction, so `meanwhile` is not called."""

        def write(transaction: Transaction) -> int:
            gone = 0
            audiences = transaction.execute("SELECT seq, state FROM audiences WHERE parts > 0").fetchall()
            for seq, state in audiences:
                if state != "running" and not _holds(transaction.connection, seq, keys):
                    continue
                found = self._remove(transaction, seq, keys)
                if found and state != "running":
                    self._index(transaction, seq)
                gone += found
            return gone

        return self._db.write(write) if len(keys) else 0

    @staticmethod
    def _remove(transaction: Transaction, seq: int, keys: NDArray[np.uint64]) -> int:
        """From all parts; returns how many rows went."""
        gone = 0
        parts = [p for (p,) in transaction.execute("SELECT part FROM audience_parts WHERE audience = ?", (seq,))]
        for part in parts:
            where = (seq, part)
            members = _members(
                transaction.execute(
                    "SELECT ids, arrays FROM audience_parts WHERE audience = ? AND part = ?", where
                ).fetchone()
            )
            keep = np.flatnonzero(~np.isin(members.keys, keys))
            if len(keep) < len(members.keys):
                left = Members(tuple(members.ids[i] for i in keep), members.keys[keep], members.scores[keep])
                transaction.execute(
                    "UPDATE audience_parts SET ids = ?, arrays = ? WHERE audience = ? AND part = ?",
                    (*_row(left), *where),
                )
                gone += len(members.keys) - len(keep)
        return gone

    def delete(self, id: str) -> bool:
        """With all members."""

        def write(transaction: Transaction) -> bool:
            row = transaction.execute("DELETE FROM audiences WHERE id = ? RETURNING seq", (id,)).fetchone()
            if row is not None:
                transaction.execute("DELETE FROM audience_parts WHERE audience = ?", row)
                transaction.execute("DELETE FROM audience_keys WHERE audience = ?", row)
            return row is not None

        return self._db.write(write)


def _holds(connection: sqlite3.Connection, seq: int, keys: NDArray[np.uint64]) -> bool:
    """Whether a finished audience has one of these users."""
    for key in keys.tolist():
        row = connection.execute(
            "SELECT keys FROM audience_keys WHERE audience = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            (seq, signed(key)),
        ).fetchone()
        if row is not None:
            (chunk,) = arrays.decode(row[0])
            at = int(np.searchsorted(chunk, np.uint64(key)))
            if at < len(chunk) and chunk[at] == np.uint64(key):
                return True
    return False
