"""Loops over rows of an embedding table: gather and sum, gather and dot, and the transposition for their gradients.

A bag is a set of (row, weight); B bags lie jagged in `index`, `weight`, `offsets`. The sum over bags and the sum over
what each row was used for (its gradient) are the same loop on a structure and on its transpose, so one kernel does both
and nothing of size [values, m] is ever made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinfolk.data.prefetch import fetch_row

F = NDArray[np.floating[Any]]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
_AHEAD = 6  # rows from the one that is read to the one that is asked for: bags are short


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def sum_rows(table: F, index: I32, offsets: I64, mean: bool, out: F, first: int, last: int) -> None:
    """out[b] = Σ table[index[k]] over bag b, or the mean; 0 for an empty bag.

    Args:
        table: float[V, m].
        index: int32[values], rows of the table.
        offsets: int64[B + 1].
        mean: divide by the number of values.
        out: float[B, m], written for first <= b < last.
    """
    m = table.shape[1]
    for b in range(first, last):
        o = out[b]
        start, end = offsets[b], offsets[b + 1]
        if start == end:
            for c in range(m):
                o[c] = 0.0
            continue
        t = table[index[start]]
        for c in range(m):
            o[c] = t[c]
        k = start + 1
        while k + 4 <= end:  # four rows at a time: the cost is waiting for memory
            t0, t1, t2, t3 = table[index[k]], table[index[k + 1]], table[index[k + 2]], table[index[k + 3]]
            for c in range(m):
                o[c] += (t0[c] + t1[c]) + (t2[c] + t3[c])
            k += 4
        while k < end:
            t = table[index[k]]
            for c in range(m):
                o[c] += t[c]
            k += 1
        if mean:
            scale = o.dtype.type(1.0 / (end - start))
            for c in range(m):
                o[c] *= scale


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def weighted_sum_rows(table: F, index: I32, weight: F, offsets: I64, out: F, first: int, last: int) -> None:
    """out[b] = Σ weight[k] · table[index[k]] over bag b; weight: float[values], the rest as `sum_rows`."""
    m = table.shape[1]
    for b in range(first, last):
        o = out[b]
        for c in range(m):
            o[c] = 0.0
        k, end = offsets[b], offsets[b + 1]
        while k + 2 <= end:
            for ahead in range(k + _AHEAD, min(k + _AHEAD + 2, len(index))):
                fetch_row(table, index[ahead])  # type: ignore[call-arg]
            t0, t1, w0, w1 = table[index[k]], table[index[k + 1]], weight[k], weight[k + 1]
            for c in range(m):
                o[c] += w0 * t0[c] + w1 * t1[c]
            k += 2
        if k < end:
            t, w = table[index[k]], weight[k]
            for c in range(m):
                o[c] += w * t[c]


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def dot_rows(table: F, x: F, index: I32, out: F, first: int, last: int) -> None:
    """out[b, j] = x[b] · table[index[b, j]]; x: float[B, m], index: int32[B, K], out: float[B, K]."""
    m, uses = table.shape[1], index.ravel()
    for b in range(first, last):
        a = x[b]
        for j in range(index.shape[1]):
            ahead = b * index.shape[1] + j + _AHEAD
            if ahead < len(uses):
                fetch_row(table, uses[ahead])  # type: ignore[call-arg]
            t = table[index[b, j]]
            s = a.dtype.type(0.0)
            for c in range(m):
                s += a[c] * t[c]
            out[b, j] = s


@njit(nogil=True, cache=True)
def distinct(index: I32, slot: I32, rows: I64) -> int:
    """Write the distinct rows of `index` in order of first use, and return how many there are.

    Args:
        index: int32[values].
        slot: int32[V] of -1; becomes 0 at every row found, `place_uses` sets it back.
        rows: int64[values], written.
    """
    n = 0
    for k in range(len(index)):
        row = index[k]
        if slot[row] < 0:
            slot[row] = 0
            rows[n] = row
            n += 1
    return n


@njit(nogil=True, cache=True)
def place_uses(index: I32, slot: I32, rows: I64, counts: I64, place: I32) -> None:
    """Number the rows in the order given, and count the uses of each.

    Args:
        index: int32[values].
        slot: as `distinct` left it; all -1 again afterwards.
        rows: int64[r], the distinct rows.
        counts: int64[r + 1] of 0; counts[s + 1] receives the uses of rows[s].
        place: int32[values], receives the number of each value's row.
    """
    for s in range(len(rows)):
        slot[rows[s]] = s
    for k in range(len(index)):
        s = slot[index[k]]
        place[k] = s
        counts[s + 1] += 1
    for s in range(len(rows)):
        slot[rows[s]] = -1


@njit(nogil=True, cache=True)
def transpose(offsets: I64, place: I32, starts: I64, bag: I32) -> None:
    """bag[starts[s]:starts[s + 1]]: the bags that use row s, in order.

    Args:
        offsets: int64[B + 1] of the bags.
        place: int32[values], as `place_uses` wrote it.
        starts: int64[rows + 1], where each row's uses begin.
        bag: int32[values], written.
    """
    next_ = starts.copy()
    for b in range(len(offsets) - 1):
        for k in range(offsets[b], offsets[b + 1]):
            s = place[k]
            bag[next_[s]] = b
            next_[s] += 1


@njit(nogil=True, cache=True)
def transpose_weighted(offsets: I64, place: I32, weight: F, starts: I64, bag: I32, weight_out: F) -> None:
    """As `transpose`, carrying one weight a value along."""
    next_ = starts.copy()
    for b in range(len(offsets) - 1):
        for k in range(offsets[b], offsets[b + 1]):
            s = place[k]
            bag[next_[s]] = b
            weight_out[next_[s]] = weight[k]
            next_[s] += 1


@njit(nogil=True, cache=True)
def share_bags(index: I32, offsets: I64, slot: I32, out_index: I32, out_offsets: I64, place: I64) -> int:
    """Bags without repetition: each row that is alone in a bag once, then the bags of several values.

    Args:
        index: int32[values].
        offsets: int64[bags + 1].
        slot: int32[V] of -1, which it is again afterwards.
        out_index: int32[values], written: the values of the bags that are left.
        out_offsets: int64[bags + 1], written: where they begin.
        place: int64[bags], written: which of them stands for a bag; 0 for an empty one.

    Returns:
        How many are left.
    """
    r = 0
    for b in range(len(place)):
        place[b] = 0
        if offsets[b + 1] - offsets[b] == 1:
            row = index[offsets[b]]
            if slot[row] < 0:
                slot[row] = r
                out_index[r] = row
                r += 1
            place[b] = slot[row]
    for s in range(r):
        slot[out_index[s]] = -1
        out_offsets[s] = s
    at, found = r, r
    for b in range(len(place)):
        if offsets[b + 1] - offsets[b] > 1:
            out_offsets[found] = at
            place[b] = found
            found += 1
            for k in range(offsets[b], offsets[b + 1]):
                out_index[at] = index[k]
                at += 1
    out_offsets[found] = at
    return found
