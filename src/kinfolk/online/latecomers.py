"""Users put after training, by key: `Latecomers`, an immutable table over a matrix that only grows at its end.

A writer makes the next table; readers go on with the one they hold. Rows of the matrix that a table shows are never
written again: a user put a second time gets a new row, and what is left behind goes when the matrix is next enlarged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

_LEAST = 64


@dataclass(frozen=True, eq=False)
class Latecomers:
    """keys: uint64[n], sorted. slots: int64[n], rows of `matrix` float32[capacity, h], of which `used` are written."""

    keys: U64
    slots: I64
    matrix: F32
    used: int = 0

    @classmethod
    def empty(cls, h: int) -> Latecomers:
        """Nobody yet."""
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros((0, h), np.float32))

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: U64) -> I64:
        """int64[len(keys)]: the slot of each, -1 for those who are not here."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.slots[place], -1)

    def put(self, keys: U64, vectors: F32, limit: int) -> tuple[Latecomers, U64]:
        """With these users, and the keys of those who made room: at most `limit` remain, those put last.

        keys: uint64[b] distinct. vectors: float32[b, h].
        """
        table = self if self.used + len(keys) <= len(self.matrix) else self._enlarged(len(keys))
        table.matrix[table.used : table.used + len(keys)] = vectors
        order = np.argsort(keys)
        fresh, at = keys[order], table.used + order.astype(np.int64)
        place = np.searchsorted(table.keys, fresh)
        there = table.find(fresh) >= 0
        slots = table.slots.copy()
        slots[place[there]] = at[there]
        every = np.insert(table.keys, place[~there], fresh[~there])
        slots = np.insert(slots, place[~there], at[~there])
        out = np.zeros(0, np.uint64)
        if len(every) > limit:
            first = np.partition(slots, len(every) - limit)[len(every) - limit]
            out, every, slots = every[slots < first], every[slots >= first], slots[slots >= first]
        return Latecomers(every, slots, table.matrix, table.used + len(keys)), out

    def without(self, keys: U64) -> Latecomers:
        """Without these users. Their vectors stay in memory, unreachable, until the matrix is enlarged."""
        kept = ~np.isin(self.keys, keys)
        return self if kept.all() else Latecomers(self.keys[kept], self.slots[kept], self.matrix, self.used)

    def _enlarged(self, more: int) -> Latecomers:
        n = len(self.keys)
        matrix = np.zeros((max(_LEAST, 2 * (n + more)), self.matrix.shape[1]), np.float32)
        order = np.argsort(self.slots)  # who came first stays first
        matrix[:n] = self.matrix[self.slots[order]]
        slots = np.empty(n, np.int64)
        slots[order] = np.arange(n)
        return Latecomers(self.keys, slots, matrix, n)
