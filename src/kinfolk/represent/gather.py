"""Loops that put users' fields into jagged batches, each user as of a moment of their own.

Every source of fields is read twice: once to count its values, once to write them where the counts said. All loops are
serial and release the GIL; `kinfolk.nn.spread` runs them over ranges of users.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@njit(nogil=True, cache=True)
def _before(time: NDArray[np.float64], low: int, high: int, now: float) -> int:
    """First entry of time[low:high] that is not before `now`."""
    while low < high:
        middle = (low + high) >> 1
        if time[middle] < now:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def count_static(users: I32, offsets: I64, lengths: I64, n_static: int, first: int, last: int) -> None:
    """lengths[b, :n_static] from the users' own fields; offsets: int64[N · n_static + 1]."""
    for b in range(first, last):
        at = np.int64(users[b]) * n_static
        for i in range(n_static):
            lengths[b, i] = offsets[at + i + 1] - offsets[at + i]


@njit(nogil=True, cache=True)
def copy_static(
    users: I32, offsets: I64, values: I32, n_static: int, n: int, starts: I64, out: I32, first: int, last: int
) -> None:
    """Write the users' own fields; starts: int64[B · n + 1], where each field of each user begins in `out`."""
    for b in range(first, last):
        at = np.int64(users[b]) * n_static
        to = starts[b * n]
        for k in range(offsets[at], offsets[at + n_static]):
            out[to] = values[k]
            to += 1


@njit(nogil=True, cache=True)
def last_event(
    users: I32,
    now: NDArray[np.float64],
    without: I32,
    offsets: I64,
    time: NDArray[np.float64],
    items: I32,
    removed: NDArray[np.bool_],
    out: I64,
    first: int,
    last: int,
) -> None:
    """out[b]: place of the user's last event before now[b], not of item without[b] nor a removed one; else -1."""
    for b in range(first, last):
        start = offsets[users[b]]
        k = _before(time, start, offsets[users[b] + 1], now[b]) - 1
        while k >= start and (items[k] == without[b] or removed[items[k]]):
            k -= 1
        out[b] = k if k >= start else -1


@njit(nogil=True, cache=True)
def count_history(
    users: I32,
    now: NDArray[np.float64],
    without: I32,
    offsets: I64,
    time: NDArray[np.float64],
    items: I32,
    codes: I32,
    length: int,
    lengths: I64,
    column: int,
    first: int,
    last: int,
) -> None:
    """lengths[b, column]: how many of the user's items before now[b] are used: those with a code, at most `length`."""
    for b in range(first, last):
        start = offsets[users[b]]
        k = _before(time, start, offsets[users[b] + 1], now[b]) - 1
        n = 0
        while k >= start and n < length:
            if codes[items[k]] != 0 and items[k] != without[b]:
                n += 1
            k -= 1
        lengths[b, column] = n


@njit(nogil=True, cache=True)
def copy_history(
    users: I32,
    now: NDArray[np.float64],
    without: I32,
    offsets: I64,
    time: NDArray[np.float64],
    items: I32,
    codes: I32,
    row: int,
    column: int,
    n: int,
    starts: I64,
    out: I32,
    first: int,
    last: int,
) -> None:
    """Write row + code of the newest items, newest last, where `count_history` made room."""
    for b in range(first, last):
        k = _before(time, offsets[users[b]], offsets[users[b] + 1], now[b]) - 1
        begin = starts[b * n + column]
        to = starts[b * n + column + 1] - 1
        while to >= begin:
            code = codes[items[k]]
            if code != 0 and items[k] != without[b]:
                out[to] = row + code
                to -= 1
            k -= 1
