"""Questions of the past, as a new item will ask them: `Episodes` (decision 5).

An episode is an item at the moment of its n-th click: the first n clickers are the seeds, those of the time after are
to be found among the users on line then. Everybody is seen by their history before that moment, without the item.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import View
from kinfolk.errors import DataError
from kinfolk.lookalike.config import EpisodeConfig

_TRIES = 200


@dataclass(frozen=True)
class Episode:
    """One question with its answer.

    Args:
        item: log row, to be left out of every history.
        now: seconds, the moment of the n-th click; histories end before it.
        seeds, positives, negatives: int32 user rows; the three share nobody.
    """

    item: int
    now: float
    seeds: NDArray[np.int32]
    positives: NDArray[np.int32]
    negatives: NDArray[np.int32]


class Episodes:
    """Draws episodes from what a view shows, of the items `item` (int, log rows).

    Args:
        view: what may be learned from; nothing at or after its `now` is touched, nor its removed items.
        config: of episodes.

    Raises:
        DataError: no item has enough clickers, or none who come close enough together.
    """

    def __init__(self, view: View, config: EpisodeConfig) -> None:
        self.view, self.config = view, config
        pairs, events = view.pairs, view.log.events
        order = np.argsort(pairs.item, kind="stable")
        self._user, self._time = pairs.user[order], pairs.time[order]
        item, start, count = np.unique(pairs.item[order], return_index=True, return_counts=True)
        enough = count >= config.seeds_min + config.positives_min
        if not enough.any():
            raise DataError(
                f"{view.log.name}: no item has {config.seeds_min + config.positives_min} clickers before "
                f"{view.now:.0f}; the most clicked has {int(count.max(initial=0))}",
                "train on a longer log",
            )
        begin, self._end = float(pairs.time[0]), min(view.now, float(pairs.time[-1]))
        self.window = min(config.window, config.window_share * (self._end - begin))
        start, count = start[enough], count[enough]
        moments = [self._moments(int(s), int(s + c)) for s, c in zip(start, count, strict=True)]
        asked = np.array([len(m) > 0 for m in moments])
        if not asked.any():
            raise DataError(
                f"{view.log.name}: no item has {config.positives_min} clickers within {self.window:.0f} s of its first "
                f"{config.seeds_min}",
                "train on a longer log, or a denser one",
            )
        self.item, self._start, self._count = item[enough][asked], start[asked], count[asked]
        self._answered = [m for m in moments if len(m)]
        # an item that was there from the first moment was not born then
        self._born = self._time[self._start] > begin + 0.05 * (self._end - begin)
        self._weigh()
        seen = slice(0, int(np.searchsorted(events.time, view.now)))
        shown = ~view.is_removed[events.item[seen]]
        self._online, self._online_time = events.user[seen][shown], events.time[seen][shown]

    def only(self, items: NDArray[np.integer]) -> Episodes:
        """Those of some of the items: int[any], log rows, at least one of them among `item`."""
        found, kept = copy.copy(self), np.flatnonzero(np.isin(self.item, items))
        for name in ("item", "_start", "_count", "_born"):
            setattr(found, name, getattr(self, name)[kept])
        found._answered = [self._answered[i] for i in kept]
        found._weigh()
        return found

    def _weigh(self) -> None:
        weight = np.log(self._count / self.config.seeds_min)
        self._weight = np.cumsum(weight / weight.sum())

    def draw(self, rng: np.random.Generator) -> Episode:
        """An episode: items by the logarithm of their clickers, n log-uniform.

        Raises:
            DataError: in many tries nobody was on line who had not clicked.
        """
        for _ in range(_TRIES):
            found = self._ask(rng)
            if found is not None:
                return found
        raise DataError(
            "everybody who is on line after an item's first clickers clicks it too: there is nobody to tell them from",
            "train on a log with more users, or with more than one kind of item",
        )

    def _moments(self, start: int, end: int) -> NDArray[np.int64]:
        """Clicks of an item (0 is its first) at which one can ask: enough come after it, in time that was watched."""
        c, times = self.config, self._time[start:end]
        until = np.searchsorted(times, times + self.window, side="right")
        later = until - np.searchsorted(times, times, side="right")
        watched = self._end - times >= self.window / 4
        at = np.arange(end - start)
        return np.flatnonzero((later >= c.positives_min) & watched & (at >= c.seeds_min - 1))

    def _ask(self, rng: np.random.Generator) -> Episode | None:
        c = self.config
        i = min(int(np.searchsorted(self._weight, rng.random(), side="right")), len(self.item) - 1)
        row = slice(self._start[i], self._start[i] + self._count[i])
        users, times, moments = self._user[row], self._time[row], self._answered[i]
        last, first = int(rng.choice(moments)), -1
        if self._born[i] and rng.random() < c.from_birth:
            n = _log_uniform(rng, c.seeds_min, min(c.seeds_max, int(moments[-1]) + 1))
            last, first = int(moments[np.abs(moments - (n - 1)).argmin()]), 0
        if first < 0 or last >= c.seeds_max:
            first = last + 1 - _log_uniform(rng, c.seeds_min, min(c.seeds_max, last + 1))
        now = float(times[last])
        until = min(now + self.window, self._end)
        after, end = np.searchsorted(times, [now, until], side="right")
        low, high = np.searchsorted(self._online_time, [now, until], side="right")
        others = self._others(rng, int(low), int(high), users[:end])
        if len(others) == 0:
            return None
        return Episode(
            int(self.item[i]),
            now,
            rng.permutation(users[first : last + 1])[: c.seeds_kept],
            rng.permutation(users[after:end])[: c.positives],
            others,
        )

    def _others(self, rng: np.random.Generator, low: int, high: int, clickers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Users on line who did not click: half drawn by their events, half drawn evenly; one may be drawn twice."""
        wanted = self.config.negatives
        by_event = self._online[rng.integers(low, high, wanted)]
        there = np.unique(self._online[rng.integers(low, high, 40 * wanted)])
        drawn = np.stack([by_event, rng.choice(there, wanted)], axis=1).ravel()
        return drawn[~np.isin(drawn, clickers)][:wanted]


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    return int(np.rint(np.exp(rng.uniform(np.log(low), np.log(max(low, high))))))
