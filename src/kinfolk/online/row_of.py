"""User key -> row of the bundle: `RowOf`, a sorted copy of the keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]


class RowOf:
    """keys: uint64[N], of every row; of rows that share one, the first has it."""

    def __init__(self, keys: U64) -> None:
        self.keys = keys
        order = np.argsort(keys)
        self._sorted = keys[order]
        if (self._sorted[1:] == self._sorted[:-1]).any():  # hardly ever; to keep them in order is four times the work
            order = np.argsort(keys, kind="stable")
        self._order = order.astype(np.int32)

    def __call__(self, keys: U64) -> NDArray[np.int64]:
        """int64[n], -1 for users who are not there."""
        if not len(self._sorted):
            return np.full(len(keys), -1, np.int64)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[place] == keys, self._order[place], -1).astype(np.int64)
