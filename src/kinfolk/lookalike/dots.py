"""Inner products of a vector or two with a few others: the inner loop of clustering and of scoring.

At 20 rows of 128 this beats a matrix product from BLAS (the matrix is too thin for it) and, being serial, gives the
same bits whatever the thread count.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
# Sums may be reordered and fused, so that they vectorise; NaN and infinity keep their meaning.
FAST = {"reassoc", "nsz", "arcp", "contract"}


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def dots(x: F32, rows: F32, count: int, out: F32) -> None:
    """out[j] = x · rows[j] for j < count, four rows at a time. x float32[d], rows float32[k, d], out float32[k]."""
    d = x.shape[0]
    for j in range(0, count - 3, 4):
        a, b, c, e = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        s0 = s1 = s2 = s3 = np.float32(0)
        for t in range(d):
            value = x[t]
            s0 += value * a[t]
            s1 += value * b[t]
            s2 += value * c[t]
            s3 += value * e[t]
        out[j], out[j + 1], out[j + 2], out[j + 3] = s0, s1, s2, s3
    for j in range(count - count % 4, count):
        out[j] = dot(x, rows[j])


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def pair_dots(x: F32, y: F32, rows: F32, count: int, with_x: F32, with_y: F32) -> None:
    """with_x[j] = x · rows[j] and with_y[j] = y · rows[j] for j < count, four rows at a time, as `dots` twice.

    Eight sums for six loads: for rows that stay in the processor's cache.
    """
    for j in range(0, count - 3, 4):
        a, b, c, e = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        s0 = s1 = s2 = s3 = r0 = r1 = r2 = r3 = np.float32(0)
        for t in range(x.shape[0]):
            p, q = x[t], y[t]
            s0 += p * a[t]
            s1 += p * b[t]
            s2 += p * c[t]
            s3 += p * e[t]
            r0 += q * a[t]
            r1 += q * b[t]
            r2 += q * c[t]
            r3 += q * e[t]
        with_x[j], with_x[j + 1], with_x[j + 2], with_x[j + 3] = s0, s1, s2, s3
        with_y[j], with_y[j + 1], with_y[j + 2], with_y[j + 3] = r0, r1, r2, r3
    for j in range(count - count % 4, count):
        with_x[j], with_y[j] = dot(x, rows[j]), dot(y, rows[j])


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def two_dots(x: F32, y: F32, rows: F32, count: int, with_x: F32, with_y: F32) -> None:
    """with_x[j] = x · rows[j] and with_y[j] = y · rows[j] for j < count, reading rows float32[k, d] once.

    Row by row: an index of candidates comes from memory, which is twice as fast read straight on as in four
    places at once.
    """
    for j in range(count):
        row = rows[j]
        s = r = np.float32(0)
        for t in range(row.shape[0]):
            s += row[t] * x[t]
            r += row[t] * y[t]
        with_x[j] = s
        with_y[j] = r


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def dot(x: F32, y: F32) -> np.float32:
    """x · y, both float32[d]."""
    s = np.float32(0)
    for t in range(x.shape[0]):
        s += x[t] * y[t]
    return s


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def squared_distance(x: F32, y: F32) -> np.float32:
    """|x - y|², both float32[d]; exactly 0 for equal vectors, which |x|² - 2 x·y + |y|² is not."""
    s = np.float32(0)
    for t in range(x.shape[0]):
        gap = x[t] - y[t]
        s += gap * gap
    return s


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def squared_distances(x: F32, rows: F32, count: int, out: F32) -> None:
    """out[j] = |x - rows[j]|² for j < count, two rows at a time. x float32[d], rows float32[k, d], out float32[k]."""
    for j in range(0, count - 1, 2):
        a, b = rows[j], rows[j + 1]
        s0 = s1 = np.float32(0)
        for t in range(x.shape[0]):
            p, q = x[t] - a[t], x[t] - b[t]
            s0 += p * p
            s1 += q * q
        out[j], out[j + 1] = s0, s1
    if count % 2:
        out[count - 1] = squared_distance(x, rows[count - 1])
