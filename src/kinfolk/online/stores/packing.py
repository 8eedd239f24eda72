"""Blocks of many items out of one pile of clicks, by kernels: what a fold does for thousands of items at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinfolk.online.stores.blocks import Block, last_of_each

U64 = NDArray[np.uint64]
U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]


def pack_each(item: I32, user: U64, time: I64) -> Iterator[tuple[int, Block]]:
    """`blocks.pack` of the clicks of each item, items ascending.

    item: int32[n] from 0, small numbers. user: uint64[n]. time: int64[n] milliseconds, rounded down.
    """
    if len(item):
        second = np.clip(time // 1000, 0, 0xFFFFFFFF).astype(np.uint32)
        items, ends, users, seconds = _pack_each(item, user, second)
        start = 0
        for number, end in zip(items.tolist(), ends.tolist(), strict=True):
            yield number, Block(users[start:end], seconds[start:end])
            start = end


@njit(cache=True, nogil=True)
def _pack_each(item: I32, user: U64, second: U32) -> tuple[I64, I64, U64, U32]:
    """Items that occur, where the block of each ends, and the blocks one after the other."""
    bounds = np.zeros(item.max() + 2, np.int64)
    for i in item:
        bounds[i + 1] += 1
    for i in range(1, len(bounds)):
        bounds[i] += bounds[i - 1]
    free = bounds[:-1].copy()
    users, seconds = np.empty_like(user), np.empty_like(second)
    for row in range(len(item)):
        at = free[item[row]]
        users[at], seconds[at] = user[row], second[row]
        free[item[row]] = at + 1
    spare_users, spare_seconds = np.empty_like(user), np.empty_like(second)
    items, ends = np.empty(len(bounds) - 1, np.int64), np.empty(len(bounds) - 1, np.int64)
    n, found = 0, 0
    for i in range(len(bounds) - 1):
        a, b = bounds[i], bounds[i + 1]
        if a == b:
            continue
        _sort(users[a:b], seconds[a:b], spare_users[a:b], spare_seconds[a:b])
        keep = last_of_each(users[a:b])
        for row in range(a, b):
            if keep[row - a]:
                users[n], seconds[n] = users[row], seconds[row]
                n += 1
        items[found], ends[found] = i, n
        found += 1
    return items[:found], ends[:found], users[:n], seconds[:n]


@njit(cache=True, nogil=True)
def _sort(user: U64, second: U32, spare_user: U64, spare_second: U32) -> None:
    """By (second, user), in place: merges of ever longer runs. Clicks come nearly in order, so many need none."""
    n, width = len(user), 1
    while width < n:
        for low in range(0, n - width, 2 * width):
            middle, high = low + width, min(low + 2 * width, n)
            if not _before(second, user, middle, middle - 1):
                continue
            spare_user[low:middle], spare_second[low:middle] = user[low:middle], second[low:middle]
            i, j, at = low, middle, low
            while i < middle:
                if j < high and (
                    second[j] < spare_second[i] or (second[j] == spare_second[i] and user[j] < spare_user[i])
                ):
                    user[at], second[at] = user[j], second[j]
                    j += 1
                else:
                    user[at], second[at] = spare_user[i], spare_second[i]
                    i += 1
                at += 1
        width *= 2


@njit(cache=True, nogil=True)
def _before(second: U32, user: U64, i: int, j: int) -> bool:
    return bool(second[i] < second[j] or (second[i] == second[j] and user[i] < user[j]))
