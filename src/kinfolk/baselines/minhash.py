"""MinHash with banding: sets with Jaccard similarity J share one of b buckets with probability 1 - (1 - J^r)^b.

Broder 1997, "On the resemblance and containment of documents"; Indyk and Motwani 1998.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.feature_columns import Csr


def band_keys(sets: Csr, bands: int, rows: int, seed: int) -> NDArray[np.uint64]:
    """uint64[n, bands]: the bucket of every set in every band; 0 for an empty set.

    Args:
        sets: csr[n, features], what is stored is in the set.
        bands, rows: b and r; b r hash functions.
        seed: of the hash functions.
    """
    rng = np.random.default_rng([seed, sets.shape[1]])
    some = np.diff(sets.indptr) > 0
    starts = np.asarray(sets.indptr[:-1])[some]
    keys = np.zeros((sets.shape[0], bands), np.uint64)
    for band in range(bands):
        key = np.zeros(len(starts), np.uint64)
        for _ in range(rows):
            values = rng.integers(1, 2**63, size=sets.shape[1], dtype=np.uint64)  # a random order of the features
            if len(starts):
                least = np.minimum.reduceat(values[sets.indices], starts)
                key = (key ^ least) * np.uint64(0x9E3779B97F4A7C15)  # odd: mixes without losing bits
        keys[some, band] = key
    return keys


def share_band(keys: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """bool[n]: which rows of uint64[n, bands] share a bucket with a row of uint64[m, bands]; key 0 is no bucket."""
    out = np.zeros(len(keys), bool)
    for band in range(keys.shape[1]):
        buckets = np.unique(others[:, band])
        buckets = buckets[buckets != 0]
        if len(buckets):
            at = np.minimum(np.searchsorted(buckets, keys[:, band]), len(buckets) - 1)
            out |= buckets[at] == keys[:, band]
    return out
