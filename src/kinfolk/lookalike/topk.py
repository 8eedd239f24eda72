"""The best few of many scores, exactly: highest first, equal scores in the order of their positions; scores by rank."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.data.threads import ranges, spread, usable
from kinfolk.errors import OptionError

_HALF, _BINS, _SIGN = np.uint32(16), 1 << 16, np.uint32(1 << 31)
_MANY = 1 << 20  # scores from which a second thread pays for being woken
_HEAP = 1000  # more than so many are first told apart by the least of their scores


def top(scores: NDArray[np.float32], count: int, least: float | None = None) -> NDArray[np.int64]:
    """Positions of the `count` highest scores, best first; the lower position first among equals.

    Args:
        scores: float32[n], no NaN.
        count: how many; all of them where n is smaller.
        least: the lowest of these scores, for callers that know it.

    Returns:
        int64[min(count, n)].

    Raises:
        OptionError: count below 0.
    """
    if count < 0:
        raise OptionError(f"asked for the best {count}, expected 0 or more", "ask for a positive number")
    scores = np.ascontiguousarray(scores, np.float32)
    out = np.empty(min(count, len(scores)), np.int64)
    if not _HEAP < count < len(scores):
        fill_top(scores, out)
        return out
    if least is None:
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
    reaching = np.flatnonzero(scores >= least)
    fill_top(scores[reaching], out)
    best: NDArray[np.int64] = reaching[out]
    return best


def at_ranks(scores: NDArray[np.float32], ranks: NDArray[np.int64], threads: int | None = None) -> NDArray[np.float32]:
    """The scores at the given ranks, 1 for the highest: of all of them counted by their bits, twice 16 of the 32.

    Many times as fast as partitioning where there are millions of scores and dozens of ranks.

    Args:
        scores: float32[n], no NaN.
        ranks: int64[r] from 1 to n, rising.
        threads: many scores are counted on so many; None is one a core.

    Returns:
        float32[r].
    """
    # Whole numbers in the order of the numbers whose bits they are: those below zero turned over, the others above.
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    parts = [bits[a:b] for a, b in ranges(len(bits), usable(threads) if len(bits) >= _MANY else 1)]
    high: NDArray[np.int64] = np.sum(spread(_count_high, parts, threads), axis=0)
    bins = high[::-1].cumsum()
    found = np.searchsorted(bins, ranks)  # the bin, from the highest, that a rank falls into
    wanted, slot = np.unique(found, return_inverse=True)
    rows = (_BINS - 1 - wanted).astype(np.int64)
    counts: NDArray[np.int32] = np.sum(spread(lambda part: _count_low(part, rows), parts, threads), axis=0)
    out = np.empty(len(ranks), np.uint32)
    for i, (bin_, row) in enumerate(zip(found, slot, strict=True)):
        above = int(bins[bin_ - 1]) if bin_ else 0
        low = int(np.searchsorted(counts[row, ::-1].cumsum(), ranks[i] - above))
        out[i] = (_BINS - 1 - int(bin_)) << _HALF | (_BINS - 1 - low)
    below = out < _SIGN
    numbers: NDArray[np.float32] = np.where(below, ~out, out ^ _SIGN).astype(np.uint32).view(np.float32)
    return numbers


@numba.njit(nogil=True, cache=True)
def _ordered(bits: np.uint32) -> np.uint32:
    return ~bits if bits & _SIGN else bits ^ _SIGN


@numba.njit(nogil=True, cache=True)
def _count_high(bits: NDArray[np.uint32]) -> NDArray[np.int64]:
    """How many share each value of the upper 16 bits, int64[_BINS]."""
    counts = np.zeros(_BINS, np.int64)
    for i in range(len(bits)):
        counts[_ordered(bits[i]) >> _HALF] += 1
    return counts


@numba.njit(nogil=True, cache=True)
def _count_low(bits: NDArray[np.uint32], wanted: NDArray[np.int64]) -> NDArray[np.int32]:
    """Of those with each of the wanted upper 16 bits, how many share each value of the lower, int32[w, _BINS]."""
    slot = np.full(_BINS, -1, np.int16)
    slot[wanted] = np.arange(len(wanted))
    counts = np.zeros((len(wanted), _BINS), np.int32)
    for i in range(len(bits)):
        key = _ordered(bits[i])
        row = slot[key >> _HALF]
        if row >= 0:
            counts[row, key & np.uint32(_BINS - 1)] += 1
    return counts


@numba.njit(nogil=True, cache=True)
def fill_top(scores: NDArray[np.float32], out: NDArray[np.int64]) -> None:
    """Write the best len(out) positions into out int64[count <= n]: a heap with the worst of the kept on top."""
    count = len(out)
    if count == 0:
        return
    for i in range(count):
        out[i] = i
    for at in range(count // 2 - 1, -1, -1):
        _sink(scores, out, at, count)
    for i in range(count, len(scores)):
        if scores[i] > scores[out[0]]:  # an equal score comes later, so it is worse
            out[0] = i
            _sink(scores, out, 0, count)
    for end in range(count - 1, 0, -1):
        out[0], out[end] = out[end], out[0]
        _sink(scores, out, 0, end)


@numba.njit(nogil=True, cache=True)
def _sink(scores: NDArray[np.float32], heap: NDArray[np.int64], at: int, end: int) -> None:
    item = heap[at]
    while True:
        child = 2 * at + 1
        if child >= end:
            break
        if child + 1 < end and _worse(scores, heap[child + 1], heap[child]):
            child += 1
        if not _worse(scores, heap[child], item):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = item


@numba.njit(nogil=True, cache=True)
def _worse(scores: NDArray[np.float32], a: int, b: int) -> bool:
    return bool(scores[a] < scores[b] or (scores[a] == scores[b] and a > b))
