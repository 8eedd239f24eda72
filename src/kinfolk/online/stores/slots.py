"""Open addressing: a table of row numbers that finds the row of a 64-bit key, for kernels of the stores.

A table has a power of two of places, -1 where nobody is; it holds numbers alone, the keys lie in a column beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def home(key: np.uint64, places: int) -> np.uint64:
    """Where the search for a key starts. Multiplied first: keys of users may be as regular as one likes."""
    return ((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & np.uint64(places - 1)


@njit(cache=True, nogil=True)
def slot(table: NDArray[Any], keys: NDArray[np.uint64], key: np.uint64) -> np.uint64:
    """The place in `table` (integers, -1: free) of the row of `keys` that is `key`, or the free one for it."""
    mask = np.uint64(len(table) - 1)
    at = home(key, len(table))
    while table[at] >= 0 and keys[table[at]] != key:
        at = (at + np.uint64(1)) & mask
    return at


@njit(cache=True, nogil=True)
def empty_table(rows: int) -> NDArray[np.int64]:
    """int64[places] for so many rows, at most half full."""
    size = 16
    while size < 2 * rows:
        size *= 2
    return np.full(size, -1, np.int64)
