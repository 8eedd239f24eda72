"""The SeedStore of the file: a journal of whole batches, folded into runs in the background, and memory before both.

An append is one row in the journal, committed; everything kept in memory is rebuilt from journal and runs at the start.
Rows stay in the journal until they are folded and older than `remember`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.online.clicks import Clicks, Seeds
from kinfolk.online.ports import Appended, StoreOptions
from kinfolk.online.stores import blocks
from kinfolk.online.stores.blocks import Block
from kinfolk.online.stores.packing import pack_each
from kinfolk.online.stores.sqlite import journal, runs
from kinfolk.online.stores.sqlite.bare import Bare
from kinfolk.online.stores.sqlite.click_log import ClickLog
from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.identities import Identities
from kinfolk.online.stores.sqlite.items import Items
from kinfolk.online.stores.sqlite.writer import Job, Transaction

FOLD_AT = 340_000  # clicks in memory that are not in runs yet: just as many as the log holds without growing past 2^19
WALK = 64  # clicks of a user looked at for each that is asked for: one person may click one item all day


class SqliteSeeds:
    """See `kinfolk.online.ports.SeedStore`."""

    def __init__(self, database: Database, options: StoreOptions, *, fold_at: int = FOLD_AT) -> None:
        self._db, self._options, self._fold_at = database, options, fold_at
        self._identities = Identities(options.remember_ms)
        self._log = ClickLog(options.remember_ms)
        self._lock = threading.Lock()  # of the log
        self._counted: dict[int, tuple[int, int]] = {}  # item -> generation, seeds
        self._folding = False
        with database.read() as connection:
            self._items = Items(connection.execute("SELECT id, name, changed, cleaned FROM items").fetchall())
            self._bare = Bare(self._items, runs.without(connection))
            self._replay(connection)

    def _replay(self, connection: sqlite3.Connection) -> None:
        folded, number = self._db.number("folded"), 0
        rows = connection.execute("SELECT generation, arrived, clicks FROM journal ORDER BY generation")
        for number, arrived, data in rows:
            item, user, time, identity = journal.decode(data, self._items.key)
            self._identities.admit(identity, arrived)
            self._log.append(item, user, time, arrived)
            if number <= folded:
                self._log.folded = self._log.n
            self._items.changed[item] = np.maximum(self._items.changed[item], number)
        self._db.reached("generation", number)

    def append(self, clicks: Clicks, now: int) -> Appended:
        """One row in the journal, flushed to the disk before this returns; several callers share a flush."""
        if not len(clicks):
            return Appended(0, 0, self.generation())
        appended: Appended = self._db.write.submit(Job(self._append, load=(clicks, now), gather=True)).result()
        return appended

    def _append(self, transaction: Transaction, loads: Sequence[tuple[Clicks, int]]) -> list[Appended]:
        """Batches of several callers as one row. On the writer's thread."""
        now = max(now for _, now in loads)
        columns: list[journal.Columns] = []
        new: list[int] = []
        for clicks, at in loads:
            fresh = self._identities.admit(clicks.identity, at)
            transaction.undone.append(partial(self._revoke, clicks.identity, fresh))  # before anything else can fail
            clicks = clicks if fresh.all() else clicks.take(fresh)
            new.append(len(clicks))
            if len(clicks):
                numbers = self._items.ensure(transaction, clicks.candidates)
                columns.append((numbers[clicks.candidate], clicks.user, clicks.time, clicks.identity))
        if columns:
            item, user, time, identity = journal.joined(columns)
            generation = self.generation() + 1  # `meta` learns it with the next fold; until then the journal tells it
            transaction.numbers["generation"] = generation
            data = journal.encode(item, user, time, identity, self._items.key[item])
            transaction.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", (generation, now, len(item), data))
            transaction.committed.append(lambda: self._publish(item, user, time, now, generation))
            transaction.answered.append(self._link)
        else:
            generation = self.generation()
        return [Appended(n, len(load[0]) - n, generation) for n, load in zip(new, loads, strict=True)]

    def _revoke(self, identity: NDArray[np.uint64], fresh: NDArray[np.bool_]) -> None:
        self._identities.revoke(identity[fresh])

    def _publish(
        self, item: NDArray[np.int32], user: NDArray[np.uint64], time: NDArray[np.int64], now: int, generation: int
    ) -> None:
        with self._lock:
            self._log.append(item, user, time, now)
            waiting = self._log.n - self._log.folded
        self._items.changed[item] = generation
        if waiting >= self._fold_at and not self._folding:
            self._folding = True
            fold = Job(self._fold, alone=True)
            fold.done.add_done_callback(self._fold_ended)  # however it ends
            self._db.write.later(fold)

    def _link(self) -> None:
        """Work that no caller has to wait for; a reader who comes first does it."""
        with self._lock:
            self._log.link()

    def _fold(self, transaction: Transaction) -> None:
        """Move what is only in the journal into runs. On the writer's thread, alone, so the log holds all commits."""
        numbers = []
        for number, block in pack_each(*self._log.unfolded()):
            runs.add(transaction.connection, number, block, self._options.max_seeds)
            numbers.append(number)
        transaction.executemany(
            "UPDATE items SET changed = ? WHERE id = ?", [(int(self._items.changed[n]), n) for n in numbers]
        )
        transaction.executemany(
            "UPDATE meta SET value = ? WHERE name = ?", [(self.generation(), n) for n in ("folded", "generation")]
        )
        transaction.execute(
            "DELETE FROM journal WHERE arrived <= (SELECT max(arrived) FROM journal) - ?", (self._options.remember_ms,)
        )
        transaction.committed.append(self._folded)

    def _folded(self) -> None:
        with self._lock:
            self._log.folded = self._log.n

    def _fold_ended(self, _: Future[object]) -> None:
        self._folding = False

    def fold(self) -> None:
        """Move all seeds from the journal into runs now."""
        self._db.write(self._fold, alone=True)

    def _block(self, number: int, limit: int) -> Block:
        limit = min(limit, self._options.max_seeds)
        with self._lock:  # first: what is folded after this is in the file, and merging it twice does no harm
            user, time = self._log.of_item(number)
        with self._db.read() as connection:
            there = runs.read(connection, number, limit)
        return blocks.trim(blocks.merge(blocks.pack(user, time), *there), limit)

    def recent(self, candidate: str, limit: int) -> Seeds:
        """From runs and memory; 12 bytes are read for every seed kept."""
        number = self._items.number(candidate)
        return blocks.to_seeds(blocks.EMPTY if number is None else self._block(number, limit))

    def count(self, candidate: str) -> int:
        """Exact; counted again only after a change."""
        number = self._items.number(candidate)
        return 0 if number is None else self._count(number)

    def _count(self, number: int) -> int:
        generation = int(self._items.changed[number])
        known, n = self._counted.get(number, (-1, 0))
        if known != generation:
            n = len(self._block(number, self._options.max_seeds))
            self._counted[number] = generation, n
        return n

    def trail(self, user: int, limit: int) -> tuple[list[str], NDArray[np.int64]]:
        """Of the last 2 million clicks of all users, and of one user the last 64 × `limit`."""
        limit = min(limit, self._options.trail_length)
        with self._lock:
            items, times = self._log.of_user(user, WALK * limit)
        newest: dict[int, int] = {}
        for item, time in zip(items.tolist(), times.tolist(), strict=True):
            newest[item] = max(newest.get(item, time), time)
        names = sorted((newest[i], name) for i, name in self._items.names(newest).items())[-limit:] if limit else []
        return [name for _, name in names], np.array([t for t, _ in names], np.int64)

    def trails(self, users: NDArray[np.uint64], limit: int) -> tuple[list[str], Jagged]:
        """Of the last `limit` clicks that came of each."""
        limit = min(limit, self._options.trail_length)
        with self._lock:
            items, offsets = self._log.of_users(np.ascontiguousarray(users, np.uint64), max(limit, 0))
        numbers, place = np.unique(items, return_inverse=True)
        named = self._items.names(numbers.tolist())
        names, ours = list(named.values()), np.full(len(numbers), -1, np.int32)
        ours[np.isin(numbers, np.fromiter(named, np.int64, len(named)))] = np.arange(len(names))
        rows = Jagged(ours[place], offsets)
        return names, rows.filter(np.asarray(rows.values) >= 0)

    def generation(self) -> int:
        """Read from memory."""
        return self._db.number("generation")

    def dirty(self) -> dict[str, int]:
        """Read from memory."""
        return self._items.dirty()

    def clean(self, seen: Mapping[str, int]) -> None:
        """One commit, of what says something new."""
        numbered = [(self._items.number(candidate), generation) for candidate, generation in seen.items()]
        news = [(n, generation) for n, generation in numbered if n is not None and self._items.cleaned[n] < generation]
        if not news:
            return

        def note(transaction: Transaction) -> None:
            transaction.executemany(
                "UPDATE items SET cleaned = max(cleaned, ?) WHERE id = ?", [(generation, n) for n, generation in news]
            )
            transaction.committed.append(lambda: self._cleaned(news))

        self._db.write(note)

    def _cleaned(self, seen: Iterable[tuple[int, int]]) -> None:
        for number, generation in seen:
            self._items.cleaned[number] = max(self._items.cleaned[number], generation)

    def drop(self, candidate: str, still: Callable[[], bool] | None = None) -> None:
        """Folds first, so that no journal row brings the seeds back. No append comes between `still` and the end."""

        def remove(transaction: Transaction) -> None:
            number = self._items.number(candidate)
            if number is None or (still is not None and not still()):
                return
            self._fold(transaction)
            runs.replace(transaction.connection, number, blocks.EMPTY)
            generation = transaction.rise("generation")
            self._mark(transaction, [number], generation, cleaned=generation)
            transaction.committed.append(lambda: self._bare.add(number))
            self._bare.free_if_many(transaction, self._log, self._freed)

        self._db.write(remove, alone=True)

    def _freed(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._counted.pop(number, None)

    def _mark(self, transaction: Transaction, numbers: list[int], generation: int, *, cleaned: int = 0) -> None:
        transaction.execute("UPDATE meta SET value = ? WHERE name = 'folded'", (generation,))
        transaction.executemany(
            "UPDATE items SET changed = ?, cleaned = max(cleaned, ?) WHERE id = ?",
            [(generation, cleaned, n) for n in numbers],
        )

        def publish() -> None:
            for n in numbers:
                self._items.changed[n] = generation
                self._cleaned([(n, cleaned)])

        transaction.committed.append(publish)

    def forget(self, users: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> list[str]:
        """Looks through the whole file before it stops the writer for what it found."""
        if not len(users):
            return []
        self.fold()
        looked_at = self.generation()
        with self._db.read() as connection:
            holding = set()
            for n, block in runs.each(connection):
                if meanwhile is not None:
                    meanwhile()
                if blocks.remove(block, users) is not block:
                    holding.add(n)

        def remove(transaction: Transaction) -> list[str]:
            self._fold(transaction)
            held = []
            for number in sorted(holding | set(np.flatnonzero(self._items.changed > looked_at).tolist())):
                whole = blocks.trim(
                    blocks.merge(*runs.read(transaction.connection, number, self._options.max_seeds)),
                    self._options.max_seeds,
                )
                left = blocks.remove(whole, users)
                runs.replace(transaction.connection, number, left)
                if left is not whole:
                    held.append(number)
            generation = transaction.rise("generation")
            self._mark(transaction, held, generation)
            journal.remove(transaction, users, self._items.key)
            transaction.committed.append(lambda: self._remove_from_log(users))
            return [self._items.name(n) for n in held]

        return self._db.write(remove, alone=True)

    def _remove_from_log(self, users: NDArray[np.uint64]) -> None:
        with self._lock:
            self._log.remove(users)

    def stats(self) -> dict[str, int]:
        """As the port asks; counts again only what changed since the last call."""
        numbers = [n for n in np.flatnonzero(self._items.changed > 0).tolist() if self._count(n)]
        with self._db.read() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        with self._lock:
            waiting = self._log.n - self._log.folded
        return {
            "candidates": len(numbers),
            "seeds": sum(self._count(n) for n in numbers),
            "bytes": (pages - free) * size,
            "waiting": waiting,
        }
