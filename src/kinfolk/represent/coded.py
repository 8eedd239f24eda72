"""A log in the codes of one model: `CodedLog`, made once a log and read for every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged, ranges
from kinfolk.data.log import Log, UserIndex
from kinfolk.data.order import first_of_pairs
from kinfolk.schema import History


@dataclass(frozen=True)
class CodedLog:
    """Args:
    static: Jagged of N · n_static rows of int32 table rows: field i of user u is row u · n_static + i; empty = missing.
    n_static: lookup fields from the users table.
    numbers: float32[N, c], the training mean where missing.
    has_numbers: bool[N], whether any is there.
    context: int32[n_context, events] codes of the events in the order of `events`, 0 = missing.
    events: every event by user and time; payload int32 item rows.
    histories: distinct pairs by user and time, one index a history; payload int32 item rows.
    item_codes: int32[M], 1 = unknown, 2 + rank.
    """

    static: Jagged
    n_static: int
    numbers: NDArray[np.float32]
    has_numbers: NDArray[np.bool_]
    context: NDArray[np.int32]
    events: UserIndex
    histories: tuple[UserIndex, ...]
    item_codes: NDArray[np.int32]


def interleave(columns: Sequence[Jagged], n: int) -> Jagged:
    """n rows of each of k columns -> n · k rows, row u · k + i being row u of column i. Values int32."""
    k = len(columns)
    lengths = np.stack([c.lengths for c in columns], axis=1) if k else np.zeros((n, 0), np.int64)
    offsets = np.zeros(n * k + 1, np.int64)
    np.cumsum(lengths.ravel(), out=offsets[1:])
    values = np.empty(offsets[-1], np.int32)
    for i, column in enumerate(columns):
        values[ranges(offsets[:-1][i::k], offsets[1:][i::k])] = column.values
    return Jagged(values, offsets)


def some(codes: NDArray[np.int32], row: int) -> Jagged:
    """A univalent column as bags of at most one value: row + code, nothing where the code is 0."""
    keep = codes != 0
    offsets = np.zeros(len(codes) + 1, np.int64)
    np.cumsum(keep, out=offsets[1:])
    return Jagged(codes[keep] + np.int32(row), offsets)


def first_of(column: Jagged, length: int) -> Jagged:
    """The first `length` values of every row."""
    if len(column.values) == 0 or column.lengths.max() <= length:
        return column
    return column.filter(np.arange(len(column.values)) - column.offsets[:-1][column.rows()] < length)


def history_index(log: Log, history: History) -> UserIndex:
    """Distinct items of every user by time of their first event of the kinds that count; payload int32 item rows."""
    if not history.kinds:
        index = log.by_user
        return UserIndex(index.offsets, index.time, index.payload.astype(np.int32, copy=False))
    wanted = np.array([kind in history.kinds for kind in log.kinds], bool)
    rows = np.flatnonzero(wanted[log.events.kind]) if len(wanted) else np.zeros(0, np.int64)
    user, item = log.events.user[rows], log.events.item[rows]
    first = first_of_pairs(user, item)
    return UserIndex.build(user[first], log.events.time[rows[first]], log.n_users, item[first].astype(np.int32))
