"""MinHash with banding: sets with Jaccard similarity J share one of b buckets with probability 1 - (1 - J^r)^b.

Broder 1997, "On the resemblance and containment of documents"; Indyk and Motwani 1998.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.feature_columns import Csr

U64 = NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying by it loses no bits


class MinHash:
    """Hash functions, drawn once.

    Args:
        size: features there are.
        bands, rows: b and r; b r hash functions.
        seed: of the hash functions.
    """

    def __init__(self, size: int, bands: int, rows: int, seed: int) -> None:
        self.bands, self.rows = bands, rows
        rng = np.random.default_rng([seed, size])
        orders = [rng.integers(1, 2**63, size=size, dtype=np.uint64) for _ in range(bands * rows)]
        self._orders = np.ascontiguousarray(np.array(orders, np.uint64).reshape(bands * rows, size).T)

    def keys(self, sets: Csr) -> U64:
        """uint64[n, bands]: the bucket of every set in every band; 0 for an empty set.

        sets: csr[n, size], what is stored is in the set.
        """
        out = np.zeros((sets.shape[0], self.bands), np.uint64)
        _fill_keys(self._orders, sets.indptr.astype(np.int64), sets.indices.astype(np.int64), self.rows, out)
        return out


def share_band(keys: U64, others: U64) -> NDArray[np.bool_]:
    """bool[n]: which rows of uint64[n, bands] share a bucket with a row of uint64[m, bands]; key 0 is no bucket."""
    return _shared(np.ascontiguousarray(keys), np.ascontiguousarray(others))


@numba.njit(nogil=True, cache=True)
def _fill_keys(orders: U64, offsets: NDArray[np.int64], features: NDArray[np.int64], rows: int, out: U64) -> None:
    """orders uint64[size, bands · rows]: a random order of the features in every column."""
    functions = orders.shape[1]
    least = np.empty(functions, np.uint64)
    for i in range(len(out)):
        if offsets[i] == offsets[i + 1]:
            continue
        least[:] = np.uint64(2**63)
        for at in range(offsets[i], offsets[i + 1]):
            order = orders[features[at]]
            for f in range(functions):
                least[f] = min(least[f], order[f])
        for band in range(out.shape[1]):
            key = np.uint64(0)
            for f in range(band * rows, (band + 1) * rows):
                key = (key ^ least[f]) * _MIX
            out[i, band] = key


@numba.njit(nogil=True, cache=True)
def _shared(keys: U64, others: U64) -> NDArray[np.bool_]:
    """By a table of all buckets of all bands of `others`, at most half full."""
    n, bands = keys.shape
    size = 64
    while size < 2 * others.size:
        size *= 2
    table, of_band = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    for i in range(len(others)):
        for band in range(bands):
            if others[i, band] != 0:
                slot = _slot(table, of_band, others[i, band], band)
                table[slot], of_band[slot] = others[i, band], band
    out = np.zeros(n, np.bool_)
    for i in range(n):
        for band in range(bands):
            if keys[i, band] != 0 and table[_slot(table, of_band, keys[i, band], band)] != 0:
                out[i] = True
                break
    return out


@numba.njit(nogil=True, cache=True)
def _slot(table: U64, of_band: NDArray[np.int32], key: np.uint64, band: int) -> int:
    """Where a band's bucket is, or would be; linear probing."""
    last = len(table) - 1
    slot = int(((key + np.uint64(band)) * _MIX) >> np.uint64(20)) & last
    while table[slot] != 0 and (table[slot] != key or of_band[slot] != band):
        slot = (slot + 1) & last
    return slot
