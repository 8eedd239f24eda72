"""User key -> row of the bundle: `RowOf`, a sorted copy of the keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clicks import user_keys

U64 = NDArray[np.uint64]

_CHUNK = 1 << 16


class RowOf:
    """keys: uint64[N], of every row."""

    def __init__(self, keys: U64) -> None:
        self.keys = keys
        self._order = np.argsort(keys, kind="stable").astype(np.int32)
        self._sorted = keys[self._order]

    def __call__(self, keys: U64) -> NDArray[np.int64]:
        """int64[n], -1 for users who are not there."""
        if not len(self._sorted):
            return np.full(len(keys), -1, np.int64)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[place] == keys, self._order[place], -1).astype(np.int64)


def keys_of(secret: bytes, ids: NDArray[np.str_]) -> U64:
    """uint64[N], made of the deployment's secret: about two thirds of a second a million users."""
    keys = np.empty(len(ids), np.uint64)
    for first in range(0, len(ids), _CHUNK):
        keys[first : first + _CHUNK] = user_keys(secret, ids[first : first + _CHUNK].tolist())
    return keys
