"""Stable orders of whole numbers in linear time: `stable_order`, `first_of_pairs`."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_BITS = 16  # numpy sorts numbers of 16 bits by radix, wider ones by comparison
_MANY = 1 << 16  # numbers from which a loop of our own pays
_SPARSE = 4  # numbers that may be taken for each that is there, where each has a counter


def stable_order(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64[n]: `np.argsort(codes, kind="stable")` of whole numbers from 0 to 2**48, many times as fast."""
    largest = int(codes.max(initial=0))
    if _countable(codes, largest):
        return _by_counting(np.ascontiguousarray(codes), np.zeros(largest + 2, np.int64))
    order = np.argsort(codes.astype(np.uint16), kind="stable")  # the lowest 16 bits
    for shift in range(_BITS, largest.bit_length(), _BITS):
        order = order[np.argsort((codes[order] >> shift).astype(np.uint16), kind="stable")]
    return order


def _countable(codes: NDArray[np.integer], largest: int) -> bool:
    """Whether a counter for each number up to the largest pays, and none is negative: the loops trust in it."""
    return len(codes) >= _MANY and largest < _SPARSE * len(codes) and int(codes.min()) >= 0


@numba.njit(nogil=True, cache=True, fastmath=False)
def _by_counting(codes: NDArray[np.integer], next_: NDArray[np.int64]) -> NDArray[np.int64]:
    """next_: a zero for each number up to the largest, and one more; becomes where the next of each comes to stand."""
    for i in range(len(codes)):
        next_[codes[i] + 1] += 1
    for c in range(1, len(next_)):
        next_[c] += next_[c - 1]
    order = np.empty(len(codes), np.int64)
    for i in range(len(codes)):
        c = codes[i]
        order[next_[c]] = i
        next_[c] += 1
    return order


def first_of_pairs(a: NDArray[np.integer], b: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rising positions at which a pair (a[i], b[i]) stands for the first time. a, b: int[n], not negative."""
    largest = int(b.max(initial=0))
    if _countable(b, largest):
        first = np.empty(len(b), np.bool_)
        _first_within(stable_order(a), a, b, np.full(largest + 1, -1, np.int64), first)
        return np.flatnonzero(first)
    order = stable_order(b)
    order = order[stable_order(a[order])]
    again = np.zeros(len(order), bool)
    again[1:] = (a[order[1:]] == a[order[:-1]]) & (b[order[1:]] == b[order[:-1]])
    first = np.ones(len(order), bool)
    first[order[again]] = False
    return np.flatnonzero(first)


@numba.njit(nogil=True, cache=True, fastmath=False)
def _first_within(
    order: NDArray[np.int64],
    a: NDArray[np.integer],
    b: NDArray[np.integer],
    met_by: NDArray[np.int64],
    first: NDArray[np.bool_],
) -> None:
    """first[i]: whether no pair before i equals it. order: by a, stable; met_by: -1 for each b, the last a with it."""
    for i in order:
        first[i] = met_by[b[i]] != a[i]
        met_by[b[i]] = a[i]
