"""Inner products and distances of float32 vectors, one or two at once, as loops that compile to vector instructions.

Serial, so that the same bits come out whatever the thread count. Sixteen vectors at once: `tiles`.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
# Sums may be reordered and fused, so that they vectorise; NaN and infinity keep their meaning.
FAST = {"reassoc", "nsz", "arcp", "contract"}


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
