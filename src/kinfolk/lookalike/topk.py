"""The best few of many scores, exactly: highest first, equal scores in the order of their positions."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import OptionError

_HEAP = 1000  # more than so many are first told apart by the least of their scores


def top(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Positions of the `count` highest scores, best first; the lower position first among equals.

    Args:
        scores: float32[n], no NaN.
        count: how many; all of them where n is smaller.

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
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    reaching = np.flatnonzero(scores >= least)
    fill_top(scores[reaching], out)
    best: NDArray[np.int64] = reaching[out]
    return best


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
