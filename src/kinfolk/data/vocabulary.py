"""Outside ids <-> rows, values <-> model codes, frequency ranks, and the scale of continuous fields.

`FieldVocabulary` and `ContinuousScale` are what a trained model keeps of a field: they match by value, so they read the
columns of any later log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import MISSING, Codes, JaggedCodes, Numbers
from kinfolk.errors import DataError

UNKNOWN = 1
"""Model code of a value that training did not see (often enough); known values start at 2."""

_CHUNK = 1 << 18
_DIGITS = 19  # of the largest int64


def as_str(values: ArrayLike | pl.Series) -> NDArray[np.str_]:
    """str[n] of ids or values of any type; no Python object outlives a chunk of them.

    Raises:
        DataError: a text ends in a NUL character, which fixed-width text cannot hold.
    """
    if not isinstance(values, pl.Series):
        return np.asarray(values).astype(np.str_)
    if values.dtype.is_integer():
        longest = max((len(str(v)) for v in (values.min(), values.max())), default=1)
        return values.to_numpy().astype(f"U{longest}")
    ends = values.str.ends_with("\0").fill_null(False)
    if ends.any():
        raise DataError(f"the value {values.filter(ends)[0]!r} ends in a NUL character", "strip it")
    longest = values.str.len_chars().to_numpy().max(initial=1)
    out = np.empty(len(values), f"U{longest}")
    for start in range(0, len(values), _CHUNK):
        out[start : start + _CHUNK] = values[start : start + _CHUNK].to_list()
    return out


def integers(ids: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(int64[n] numbers, bool[n] whether the id is one): a plain int64 without leading zeros or a plus sign."""
    ids = np.ascontiguousarray(ids)
    width = ids.dtype.itemsize // 4
    n = len(ids)
    if n == 0 or width == 0:
        return np.zeros(n, np.int64), np.zeros(n, bool)
    chars = ids.view(np.uint32).reshape(n, width)
    negative = chars[:, 0] == ord("-")
    value, length, good = np.zeros(n, np.uint64), np.zeros(n, np.int64), np.ones(n, bool)
    for j in range(min(width, _DIGITS + 2)):
        used = (chars[:, j] != 0) & ~(negative & (j == 0))
        digit = chars[:, j].astype(np.uint64) - np.uint64(ord("0"))  # wraps around below "0": not <= 9 either
        good &= ~used | ((digit <= 9) & ~((length > 0) & (value == 0)) & (length < _DIGITS))
        value = np.where(used & good, value * np.uint64(10) + digit, value)
        length += used
    good &= (
        (length > 0)
        & (value <= np.uint64(np.iinfo(np.int64).max) + negative.astype(np.uint64))
        & ~(negative & (value == 0))
    )
    number = np.where(good, value, np.uint64(0)).astype(np.int64)
    return np.where(negative, -number, number), good


def sort_ids(ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """Distinct ids in the order of rows: by number if every one is an integer, else by text."""
    ids = np.unique(ids)
    numbers, good = integers(ids)
    return ids[np.argsort(numbers)] if good.all() else ids


def factorize(values: ArrayLike | pl.Series) -> tuple[NDArray[np.int32], NDArray[np.str_]]:
    """(rows int32[n], ids str[distinct]) with `ids[rows] == values`, ids in the order of `sort_ids`."""
    texts = as_str(values)
    ids = sort_ids(texts)
    return rows_of(ids, texts), ids


def rows_of(ids: NDArray[np.str_], wanted: ArrayLike | pl.Series) -> NDArray[np.int32]:
    """Rows of outside ids: bisection, no pass over `ids` (which may be memory-mapped).

    Args:
        ids: str[N], in the order of `sort_ids`.
        wanted: [n] ids, text or integers.

    Returns:
        int32[n], -1 for an id that is not there.
    """
    texts = as_str(wanted)
    out = np.full(len(texts), -1, np.int32)
    if len(ids) == 0 or len(texts) == 0:
        return out
    # Ids are sorted either as text or as numbers. Both searches are tried and each hit is verified, which is cheaper
    # than finding out which order it is.
    place = np.minimum(np.searchsorted(ids, texts), len(ids) - 1)
    hit = ids[place] == texts
    out[hit] = place[hit]
    rest = np.flatnonzero(~hit)
    if len(rest):
        out[rest] = _by_number(ids, texts[rest])
    return out


def _by_number(ids: NDArray[np.str_], texts: NDArray[np.str_]) -> NDArray[np.int32]:
    out = np.full(len(texts), -1, np.int32)
    numbers, good = integers(texts)
    wanted, target = np.flatnonzero(good), numbers[good]
    low, high = np.zeros(len(wanted), np.int64), np.full(len(wanted), len(ids), np.int64)
    while (low < high).any():
        middle = np.minimum((low + high) >> 1, len(ids) - 1)
        at, are_numbers = integers(ids[middle])
        if not are_numbers.all():  # ids are sorted as text, where the first search has found what there is
            return out
        less = (at < target) & (low < high)
        high = np.where(less | (low >= high), high, middle)
        low = np.where(less, middle + 1, low)
    place = np.minimum(low, len(ids) - 1)
    hit = ids[place] == texts[wanted]
    out[wanted[hit]] = place[hit]
    return out


def frequency_rank(counts: ArrayLike) -> NDArray[np.int64]:
    """int64[n]: rank of each entry by count, 0 = most frequent, ties by row."""
    counts = np.asarray(counts)
    order = np.lexsort((np.arange(len(counts)), -counts.astype(np.float64)))
    rank = np.empty(len(counts), np.int64)
    rank[order] = np.arange(len(counts))
    return rank


@dataclass(frozen=True)
class FieldVocabulary:
    """The values of a field that a model knows. Model codes: 0 missing, 1 unknown, 2 + index into `values`.

    values: str[v], sorted as text, distinct.
    """

    values: NDArray[np.str_]

    @classmethod
    def fit(
        cls, column: Codes | JaggedCodes, rows: NDArray[np.integer] | None = None, min_count: int = 1
    ) -> FieldVocabulary:
        """The values seen on at least `min_count` of the training rows (int[r], repeats count; None: all rows)."""
        if isinstance(column, Codes):
            codes = column.codes if rows is None else column.codes[rows]
        else:
            jagged = column.codes if rows is None else column.codes.take(rows)
            pairs = np.unique(jagged.rows() * (len(column.values) + 1) + jagged.values.astype(np.int64))
            codes = (pairs % (len(column.values) + 1)).astype(np.int32)  # a value counts once a row
        counts = np.bincount(codes, minlength=len(column.values) + 1)[1:]
        return cls(np.sort(column.values[counts >= max(min_count, 1)]))

    def __len__(self) -> int:
        """Number of model codes, missing and unknown included: the rows of an embedding table."""
        return len(self.values) + 2

    def table(self, values: NDArray[np.str_]) -> NDArray[np.int32]:
        """int32[1 + v]: the model code of every code of a column with these outside values."""
        out = np.full(len(values) + 1, UNKNOWN, np.int32)
        out[0] = MISSING
        if len(self.values) and len(values):
            place = np.minimum(np.searchsorted(self.values, values), len(self.values) - 1)
            out[1:] = np.where(self.values[place] == values, place + 2, UNKNOWN)
        return out

    def apply(self, column: Codes) -> NDArray[np.int32]:
        """int32[n] model codes of a column of any log."""
        return self.table(column.values)[column.codes]

    def apply_jagged(self, column: JaggedCodes) -> Jagged:
        """Model codes (int32) of a multivalent column of any log, same layout."""
        return Jagged(self.table(column.values)[column.codes.values], column.codes.offsets)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """What to store; `from_arrays` is the inverse."""
        return {"values": self.values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> FieldVocabulary:
        """The inverse of `to_arrays`."""
        return cls(np.asarray(arrays["values"]).astype(np.str_))


@dataclass(frozen=True)
class ContinuousScale:
    """[low, high] of the training rows -> [0, 1], clipped; after log(1 + x) if `log`."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def fit(cls, column: Numbers, rows: NDArray[np.integer] | None = None, log: bool = False) -> ContinuousScale:
        """Smallest and largest number of the training rows (None: all); 0 and 1 if every one is missing."""
        numbers = _logged(column.numbers if rows is None else column.numbers[rows], log)
        numbers = numbers[~np.isnan(numbers)]
        if len(numbers) == 0:
            return cls(0.0, 1.0, log)
        return cls(float(numbers.min()), float(numbers.max()), log)

    def apply(self, column: Numbers) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(float32[n] in [0, 1], 0 where missing; bool[n], True where missing)."""
        numbers = _logged(column.numbers, self.log)
        missing = np.isnan(numbers)
        width = self.high - self.low
        scaled = (numbers - self.low) / (width if width > 0 else 1.0)
        return np.where(missing, 0.0, np.clip(scaled, 0.0, 1.0)).astype(np.float32), missing

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """What to store; `from_arrays` is the inverse."""
        return {"scale": np.array([self.low, self.high, float(self.log)], np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> ContinuousScale:
        """The inverse of `to_arrays`."""
        low, high, log = np.asarray(arrays["scale"], np.float64)
        return cls(float(low), float(high), bool(log))


def _logged(numbers: NDArray[np.float32], log: bool) -> NDArray[np.float64]:
    wide = np.asarray(numbers, np.float64)
    return np.log1p(np.maximum(wide, 0.0)) if log else wide
