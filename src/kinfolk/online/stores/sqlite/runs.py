"""Seeds in the file: of each item a few runs (packed blocks), each at least twice as long as the next.

New seeds become a run and swallow the shorter ones before them, so a seed is rewritten some log2(seeds) times in its
life and a small batch of clicks never rewrites a crowd of millions. What a reader gets is all runs merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from kinfolk.online.stores import blocks
from kinfolk.online.stores.blocks import Block

_PLACES = 256


def _ids(item: int) -> tuple[int, int]:
    return item * _PLACES, item * _PLACES + _PLACES - 1


def read(connection: sqlite3.Connection, item: int, limit: int) -> list[Block]:
    """The newest `limit` seeds of each run; together they hold the newest `limit` of the item."""
    rows = connection.execute("SELECT block FROM runs WHERE id BETWEEN ? AND ?", _ids(item))
    return [blocks.trim(blocks.decode(data), limit) for (data,) in rows]


def without(connection: sqlite3.Connection) -> list[int]:
    """Items that have none."""
    rows = connection.execute("SELECT id FROM items EXCEPT SELECT id / ? FROM runs", (_PLACES,))
    return [item for (item,) in rows]


def add(connection: sqlite3.Connection, item: int, block: Block, max_seeds: int) -> None:
    """Put seeds to those of an item."""
    first, last = _ids(item)
    there = connection.execute("SELECT id, n FROM runs WHERE id BETWEEN ? AND ? ORDER BY id", (first, last)).fetchall()
    swallow, length = [], len(block)
    overfull = sum(n for _, n in there) + length > max_seeds + max_seeds // 4
    while there and (overfull or there[-1][1] <= 2 * length):
        swallow.append(there[-1][0])
        length += there.pop()[1]
    parts = [
        blocks.decode(connection.execute("SELECT block FROM runs WHERE id = ?", (id,)).fetchone()[0]) for id in swallow
    ]
    merged = blocks.trim(blocks.merge(block, *parts), max_seeds)
    for id in swallow:
        connection.execute("DELETE FROM runs WHERE id = ?", (id,))
    place = there[-1][0] + 1 if there else first
    connection.execute("INSERT INTO runs VALUES (?, ?, ?)", (place, len(merged), blocks.encode(merged)))


def replace(connection: sqlite3.Connection, item: int, block: Block) -> None:
    """Put these seeds in the place of all of an item."""
    connection.execute("DELETE FROM runs WHERE id BETWEEN ? AND ?", _ids(item))
    if len(block):
        connection.execute("INSERT INTO runs VALUES (?, ?, ?)", (_ids(item)[0], len(block), blocks.encode(block)))


def each(connection: sqlite3.Connection) -> Iterator[tuple[int, Block]]:
    """All runs with their items."""
    for id, data in connection.execute("SELECT id, block FROM runs ORDER BY id"):
        yield id // _PLACES, blocks.decode(data)
