"""Clicks of one commit as one row: packed columns, 16 bytes a click (24 where identities were given by `event_id`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clicks import identities
from kinfolk.online.stores import arrays
from kinfolk.online.stores.sqlite.writer import Transaction

Columns = tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint64]]


def joined(parts: Sequence[Columns]) -> Columns:
    """Several batches, at least one, behind each other."""
    if len(parts) == 1:
        return parts[0]
    item, user, time, identity = (np.concatenate(column) for column in zip(*parts, strict=True))
    return item, user, time, identity


def encode(
    item: NDArray[np.int32],
    user: NDArray[np.uint64],
    time: NDArray[np.int64],
    identity: NDArray[np.uint64],
    item_keys: NDArray[np.uint64],
) -> bytes:
    """item: int32[n] numbers of this file's items. user: uint64[n]. time: int64[n] ms. identity: uint64[n].

    item_keys: uint64[n], `candidate_key` of each item: identities that follow from the rest are not written.
    """
    start = int(time.min())
    since = time - start
    narrow = since.astype(np.uint32) if int(since.max()) < 2**32 else since
    columns: list[NDArray[Any]] = [np.array([start], np.int64), item, user, narrow]
    if not np.array_equal(identity, identities(user, item_keys, time)):
        columns.append(identity)
    return arrays.encode(*columns)


def decode(data: bytes, item_key: NDArray[np.uint64]) -> Columns:
    """Items, users, times, identities. item_key: by item number."""
    start, item, user, since, *given = arrays.decode(data)
    time = since.astype(np.int64) + start[0]
    return item, user, time, given[0] if given else identities(user, item_key[item], time)


def users(data: bytes) -> NDArray[np.uint64]:
    """Users alone, with less work."""
    return arrays.decode(data)[2]


def remove(transaction: Transaction, gone: NDArray[np.uint64], item_key: NDArray[np.uint64]) -> None:
    """Take users out of every row. gone: uint64[n]. item_key: as for `decode`."""
    for (generation,) in transaction.execute("SELECT generation FROM journal").fetchall():
        (data,) = transaction.execute("SELECT clicks FROM journal WHERE generation = ?", (generation,)).fetchone()
        keep = ~np.isin(users(data), gone)
        if keep.all():
            continue
        if keep.any():
            item, user, time, identity = decode(data, item_key)
            item, user, time, identity = item[keep], user[keep], time[keep], identity[keep]
            data = encode(item, user, time, identity, item_key[item])
            transaction.execute(
                "UPDATE journal SET n = ?, clicks = ? WHERE generation = ?", (len(item), data, generation)
            )
        else:
            transaction.execute("DELETE FROM journal WHERE generation = ?", (generation,))
