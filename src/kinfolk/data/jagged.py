"""Rows of different lengths in two flat arrays, `Jagged(values, offsets)`: row i is values[offsets[i]:offsets[i+1]]."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Jagged:
    """Args:
    values: [sum of lengths], any dtype, may be memory-mapped.
    offsets: int64[n + 1], non-decreasing, offsets[0] = 0, offsets[-1] = len(values).
    """

    values: NDArray[np.generic]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.generic]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64[n]."""
        return np.diff(self.offsets)

    def rows(self) -> NDArray[np.int64]:
        """int64[sum of lengths]: the row of every value."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: NDArray[np.integer]) -> Jagged:
        """The given rows, in the given order."""
        return slices(self.values, self.offsets[rows], self.offsets[np.asarray(rows) + 1])

    def filter(self, keep: NDArray[np.bool_]) -> Jagged:
        """Without the values where `keep` (bool[sum of lengths]) is False."""
        counts = np.zeros(len(self.values) + 1, np.int64)
        np.cumsum(keep, out=counts[1:])
        return Jagged(self.values[keep], counts[self.offsets])

    @classmethod
    def of(cls, rows: Iterable[Iterable[object]], dtype: np.dtype | type = np.int64) -> Jagged:
        """From Python lists; for tests and small inputs."""
        lists = [np.asarray(list(r), dtype) for r in rows]
        return cls.concatenate(lists, dtype)

    @classmethod
    def concatenate(cls, rows: Sequence[NDArray[np.generic]], dtype: np.dtype | type) -> Jagged:
        """From one array a row."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(r) for r in rows], out=offsets[1:])
        values = np.concatenate(rows).astype(dtype) if rows else np.zeros(0, dtype)
        return cls(values, offsets)


def slices(values: NDArray[np.generic], starts: NDArray[np.integer], ends: NDArray[np.integer]) -> Jagged:
    """Rows `values[starts[i]:ends[i]]`; starts, ends: int[n]."""
    return Jagged(values[ranges(starts, ends)], _offsets(ends - starts))


def ranges(starts: NDArray[np.integer], ends: NDArray[np.integer]) -> NDArray[np.int64]:
    """The concatenation of `arange(starts[i], ends[i])`."""
    offsets = _offsets(ends - starts)
    return np.arange(offsets[-1]) + np.repeat(np.asarray(starts, np.int64) - offsets[:-1], np.diff(offsets))


def _offsets(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
