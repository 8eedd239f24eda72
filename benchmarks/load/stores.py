"""Clicks a second behind a store's port, and of raw SQLite with the same clicks and PRAGMAs."""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinfolk.online.clicks import Clicks, candidate_key
from kinfolk.online.ports import StoreOptions
from kinfolk.online.stores.open import open_backend
from kinfolk.online.stores.sqlite import journal
from kinfolk.testing.redis_server import binary, redis_server

NOW = 1_700_000_000_000


def store_rates(folder: Path, n: int, rounds: int = 3) -> dict[str, Any]:
    """Behind each port and of SQLite alone: medians of rounds in which all take turns, `n` batches of 1,000 clicks.

    executemany_ratio: one caller behind the port over `packed_rows`, which starts from the same clicks in hand and
    fills the same table with the same PRAGMAs, a commit a batch. executemany_ratio_four_callers: four callers, whose
    batches share commits, over the same with a commit every four batches. All rates are in `store_detail`.
    """
    work = batches(n, 1000, 2000, 200_000)
    found: dict[str, list[float]] = {}
    for i in range(rounds):
        store, url = folder / f"one-{i}.db", f"sqlite:///{folder}/one-{i}.db"
        one = behind_port(url, work, 1)
        four = behind_port(f"sqlite:///{folder}/four-{i}.db", work, 4)
        packed, prepacked = packed_rows(store, folder / f"packed-{i}.db", work), raw_rows(store, folder / f"raw-{i}.db")
        packed_four = packed_rows(store, folder / f"packed-four-{i}.db", work, together=4)
        rates = {
            "one_caller": one,
            "four_callers": four,
            "executemany_prepacked_rows": prepacked,
            "executemany_packing_inside": packed,
            "executemany_packing_inside_commit_of_four": packed_four,
            "executemany_row_a_click_unique_identity": raw_clicks(folder / f"rows-{i}.db", work),
            "ratio": one / packed,
            "ratio_four": four / packed_four,
            "ratio_prepacked": one / prepacked,
        }
        for name, rate in rates.items():
            found.setdefault(name, []).append(rate)
    middle = {name: statistics.median(values) for name, values in found.items()}
    out: dict[str, Any] = {
        "store_clicks_per_s": round(max(middle["one_caller"], middle["four_callers"])),
        "executemany_ratio": round(middle.pop("ratio"), 3),
        "executemany_ratio_four_callers": round(middle.pop("ratio_four"), 3),
        "executemany_ratio_prepacked": round(middle.pop("ratio_prepacked"), 3),
        "store_detail": {name: round(rate) for name, rate in middle.items()},
    }
    if binary() is not None:
        for fsync in ("always", "everysec"):
            with redis_server(appendfsync=fsync) as server:
                out[f"redis_clicks_per_s_{fsync}"] = round(behind_port(server.url, work, 4))
    return out


def batches(n: int, size: int, candidates: int, users: int, seed: int = 0) -> list[Clicks]:
    """`n` batches of `size` clicks on names of candidates; no two clicks are one."""
    rng = np.random.default_rng(seed)
    names = [f"c{i:05}" for i in range(candidates)]
    keys = rng.integers(0, 2**64, users, np.uint64)
    out = []
    for i in range(n):
        picked = [names[j] for j in rng.integers(0, candidates, size).tolist()]
        time_ms = NOW + 1000 * i + np.arange(size, dtype=np.int64) % 1000
        out.append(Clicks.of(keys[rng.integers(0, users, size)], picked, time_ms))
    return out


def behind_port(url: str, work: list[Clicks], threads: int) -> float:
    """Clicks a second, every append durable before it returns; `threads` callers."""
    backend = open_backend(url, StoreOptions())
    try:
        half = len(work) // 4
        for b in work[:half]:  # names are known, kernels compiled
            backend.seeds.append(b, NOW)
        rest = work[half:]
        start = time.perf_counter()
        callers = [
            threading.Thread(target=lambda i=i: [backend.seeds.append(b, NOW) for b in rest[i::threads]])
            for i in range(threads)
        ]
        for c in callers:
            c.start()
        for c in callers:
            c.join()
        took = time.perf_counter() - start
        kept = backend.seeds.stats()["seeds"]
        if not kept:
            raise SystemExit(f"{url} kept nothing")
        return sum(map(len, rest)) / took
    finally:
        backend.close()


def raw_rows(store: Path, copy: Path) -> float:
    """Clicks a second of `executemany` of the very journal rows of a store, packed beforehand, into a table and file of
    the same PRAGMAs, a commit a row: what SQLite costs alone, to a caller who has its blobs already."""
    source = sqlite3.connect(store)
    rows = source.execute("SELECT generation, arrived, n, clicks FROM journal ORDER BY generation").fetchall()
    (sql,) = source.execute("SELECT sql FROM sqlite_master WHERE name = 'journal'").fetchone()
    source.close()
    return _timed(copy, sql, "INSERT INTO journal VALUES (?, ?, ?, ?)", [[r] for r in rows], sum(r[2] for r in rows))


def packed_rows(store: Path, copy: Path, work: list[Clicks], together: int = 1) -> float:
    """Clicks a second of `executemany` into the same table, `together` batches a commit, by a caller who has what a
    caller of the port has: clicks as `Clicks`. Items become numbers and columns become a row inside the time; nothing
    else is done: no click delivered twice is noticed, nobody can read anything back."""
    source = sqlite3.connect(store)
    (sql,) = source.execute("SELECT sql FROM sqlite_master WHERE name = 'journal'").fetchone()
    number = dict(source.execute("SELECT name, id FROM items"))
    source.close()
    keys = np.zeros(max(number.values()) + 1, np.uint64)
    for name, n in number.items():
        keys[n] = candidate_key(name)

    def rows() -> Iterator[list[tuple[object, ...]]]:
        waiting: list[tuple[object, ...]] = []
        for generation, b in enumerate(work, 1):
            item = np.array([number[name] for name in b.candidates], np.int32)[b.candidate]
            waiting.append((generation, NOW, len(b), journal.encode(item, b.user, b.time, b.identity, keys[item])))
            if len(waiting) == together or generation == len(work):
                yield waiting
                waiting = []

    return _timed(copy, sql, "INSERT INTO journal VALUES (?, ?, ?, ?)", rows(), sum(map(len, work)))


def raw_clicks(copy: Path, work: list[Clicks]) -> float:
    """The same clicks, a row each, with an index that finds a click delivered twice, a commit a batch."""
    table = "CREATE TABLE clicks (identity INTEGER PRIMARY KEY, candidate INTEGER, user INTEGER, time INTEGER)"
    rows: list[list[tuple[object, ...]]] = [
        list(
            zip(
                b.identity.view(np.int64).tolist(), b.candidate.tolist(), b.user.view(np.int64).tolist(),
                b.time.tolist(), strict=True,
            )
        )
        for b in work
    ]  # fmt: skip
    return _timed(copy, table, "INSERT OR IGNORE INTO clicks VALUES (?, ?, ?, ?)", rows, sum(map(len, work)))


def _timed(path: Path, table: str, insert: str, transactions: Iterable[list[tuple[object, ...]]], clicks: int) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "page_size = 8192", "journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "secure_delete = ON",
        "cache_size = -16000", "wal_autocheckpoint = 4000",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute(table)
    start = time.perf_counter()
    for rows in transactions:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - start
    connection.close()
    return clicks / took
