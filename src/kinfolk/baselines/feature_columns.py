"""Columns for the values of one field: `Coded` (categories, tags, items) and `Scale` (numbers); rows are sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import MISSING

Csr = Any  # scipy.sparse.csr_matrix, float32; scipy ships no types


@dataclass(frozen=True)
class Coded:
    """Columns for the codes of one field.

    Args:
        name: of the field; fields of history items are called "history.NAME".
        column: int32[codes], column of every code or -1; code 0 is a missing value.
        size: number of columns. Rare and unseen values share the last one of a user's field, and are dropped from
            a history's.
    """

    name: str
    column: NDArray[np.int32]
    size: int

    @classmethod
    def learn(
        cls, name: str, codes: NDArray[np.generic], n_codes: int, min_count: int, *, unknown: bool = True
    ) -> Coded:
        """codes: those of the users (or clicks) learnt from; values seen less than `min_count` times are rare."""
        counts = np.bincount(np.asarray(codes, np.int64), minlength=n_codes)
        keep = counts >= max(min_count, 1)
        keep[MISSING] = False
        column = np.where(keep, np.cumsum(keep) - 1, -1).astype(np.int32)
        size = int(keep.sum())
        if unknown:
            column[~keep] = size
            column[MISSING] = -1
            size += 1
        return cls(name, column, size)

    def one_hot(self, codes: NDArray[np.int32]) -> Csr:
        """csr[len(codes), size]."""
        return csr(Jagged(self.column[codes], np.arange(len(codes) + 1)), None, self.size)

    def mean_hot(self, codes: Jagged) -> Csr:
        """csr[len(codes), size]: each row the mean over its values."""
        return mean_rows(csr(Jagged(self.column[codes.values], codes.offsets), None, self.size))


@dataclass(frozen=True)
class Scale:
    """A continuous field: buckets between quantiles (`edges`), or two columns: scaled to [0, 1], and 1 if known."""

    name: str
    edges: NDArray[np.float64]
    log: bool
    buckets: bool

    @classmethod
    def learn(cls, name: str, numbers: NDArray[np.float32], log: bool, n_buckets: int) -> Scale:
        """numbers: float32 of the users learnt from; n_buckets = 0 scales instead."""
        known = _transform(numbers, log)
        known = known[np.isfinite(known)]
        if n_buckets == 0:
            ends = [known.min(), known.max()] if len(known) else [0.0, 1.0]
            return cls(name, np.array(ends, np.float64), log, False)
        inner = np.linspace(0, 1, n_buckets + 1)[1:-1]
        edges = np.unique(np.quantile(known, inner)) if len(known) else np.zeros(0)
        return cls(name, edges.astype(np.float64), log, True)

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.edges) + 1 if self.buckets else 2

    def rows(self, numbers: NDArray[np.float32]) -> Csr:
        """csr[len(numbers), size]; a missing or infinite number gives an empty row."""
        x = _transform(numbers, self.log)
        there = np.isfinite(x)
        if self.buckets:
            bucket = np.where(there, np.searchsorted(self.edges, np.where(there, x, 0.0), side="right"), -1)
            return csr(Jagged(bucket, np.arange(len(x) + 1)), None, self.size)
        low, high = self.edges
        scaled = np.clip((np.where(there, x, low) - low) / max(high - low, 1e-12), 0, 1)
        return sp.csr_matrix(np.column_stack([scaled * there, there]).astype(np.float32))


def _transform(numbers: NDArray[np.float32], log: bool) -> NDArray[np.float64]:
    x = np.asarray(numbers, np.float64)
    return np.log1p(np.maximum(x, 0)) if log else x  # maximum keeps NaN


def csr(columns: Jagged, weights: NDArray[np.float32] | None, size: int) -> Csr:
    """csr[len(columns), size] with `weights[column]` (default 1); column -1 is left out, repeats are added up."""
    kept = columns.filter(np.asarray(columns.values, np.int64) >= 0)
    index = np.asarray(kept.values, np.int64)
    data = np.ones(len(index), np.float32) if weights is None else weights[index]
    out = sp.csr_matrix((data, index.astype(np.int32), kept.offsets), shape=(len(columns), size), dtype=np.float32)
    out.sum_duplicates()
    return out


def mean_rows(rows: Csr) -> Csr:
    """Rows divided by their sums, in place; empty rows stay."""
    return _divide_rows(rows, np.asarray(rows.sum(axis=1)).ravel())


def unit_rows(rows: Csr) -> Csr:
    """Rows divided by their lengths, in place; empty rows stay."""
    return _divide_rows(rows, np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel()))


def _divide_rows(rows: Csr, by: NDArray[np.float32]) -> Csr:
    rows.data /= np.repeat(np.where(by > 0, by, 1).astype(np.float32), np.diff(rows.indptr))
    return rows
