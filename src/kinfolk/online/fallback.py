"""What stands in for a score that rests on few seeds: popularity in the user's segment, then overall (ralm.md §4).

A candidate with n seeds has weight n / (n + n0) on its score; the rest falls on the score that holds, among the
user's own scores, the place that the candidate's popularity holds among all. So the fall-back is on the scale of the
scores, whatever that is for this user, and where nothing was clicked everyone's fall-back is the user's median score.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clock import due
from kinfolk.online.counts import HOUR
from kinfolk.online.ports import CounterStore

F64 = NDArray[np.float64]


def places(popularity: F64) -> F64:
    """float64[C] in (0, 1): the share of candidates that are less popular, and half of those as popular."""
    _, code, count = np.unique(popularity, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    return np.asarray(middle[code] / max(len(popularity), 1))


def on_the_scale_of(scores: NDArray[np.floating], place: F64) -> F64:
    """float64[C]: the scores at the given places among `scores`, in between interpolated."""
    ordered = np.sort(np.asarray(scores, np.float64))
    n = len(ordered)
    return np.asarray(np.interp(place * n - 0.5, np.arange(n), ordered) if n else np.zeros(0), np.float64)


def smoothed(
    totals: Mapping[tuple[str, str], int], segment: str, candidates: Sequence[str], segment_total: int, prior: float
) -> F64:
    """float64[C]: share of the segment's clicks, with everybody's clicks added as if they were `prior` of its own."""
    overall = np.fromiter((totals.get(("", c), 0) for c in candidates), np.float64, len(candidates))
    share = overall / max(overall.sum(), 1)
    if not segment:
        return np.asarray(share)
    own = np.fromiter((totals.get((segment, c), 0) for c in candidates), np.float64, len(candidates))
    return np.asarray((own + prior * share) / max(segment_total + prior, 1e-300))


class Popularity:
    """Places of candidates by popularity, read from the CounterStore at most every `every_ms`.

    Args:
        counters: clicks by segment and hour.
        span_ms: clicks of about so long count.
        every_ms: how old what is used may be.
        prior: see `smoothed`.
        most: places of so many pairs of list and segment are kept.
    """

    def __init__(self, counters: CounterStore, *, span_ms: int, every_ms: int, prior: float, most: int = 64) -> None:
        self._counters, self._span, self._every, self._prior, self._most = counters, span_ms, every_ms, prior, most
        self._lock = threading.Lock()
        self._totals: dict[tuple[str, str], int] = {}
        self._segments: dict[str, int] = {}
        self._read_at: int | None = None
        self._places: OrderedDict[tuple[int, str], tuple[Sequence[str], F64]] = OrderedDict()

    def places(self, candidates: Sequence[str], segment: str, now: int) -> F64:
        """`places` of the candidates in a segment; a list is recognised by identity and must not change."""
        with self._lock:
            if due(self._read_at, self._every, now):
                self._totals = self._counters.totals("clicks", (now - self._span) // HOUR)
                self._segments = {}
                for (name, _), count in self._totals.items():
                    self._segments[name] = self._segments.get(name, 0) + count
                self._read_at = now
                self._places.clear()
            key = id(candidates), segment
            found = self._places.get(key)
            if found is not None and found[0] is candidates:
                self._places.move_to_end(key)
                return found[1]
            made = places(smoothed(self._totals, segment, candidates, self._segments.get(segment, 0), self._prior))
            self._places[key] = candidates, made
            if len(self._places) > self._most:
                self._places.popitem(last=False)
            return made
