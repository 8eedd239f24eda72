"""Questions of the past, as a new item will ask them: `Episodes` (decision 5).

An episode is an item at the moment of its n-th click: the first n clickers are the seeds, those of the time after are
to be found among the users on line then. Everybody is seen by their history before that moment, without the item.
"""

from __future__ import annotations

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
    """Draws episodes from what a view shows.

    Args:
        view: what may be learned from; nothing at or after its `now` is touched, nor its removed items.
        config: of episodes.
        items: int[any], rows of the only items to draw; None: all.

    Raises:
        DataError: no item has enough clickers.
    """

    def __init__(self, view: View, config: EpisodeConfig, items: NDArray[np.integer] | None = None) -> None:
        self.config = config
        pairs, events = view.pairs, view.log.events
        order = np.argsort(pairs.item, kind="stable")
        self._user, self._time = pairs.user[order], pairs.time[order]
        item, start, count = np.unique(pairs.item[order], return_index=True, return_counts=True)
        enough = count >= config.seeds_min + config.positives_min
        if items is not None:
            enough &= np.isin(item, items)
        if not enough.any():
            raise DataError(
                f"{view.log.name}: no item has {config.seeds_min + config.positives_min} clickers before "
                f"{view.now:.0f}; the most clicked has {int(count.max(initial=0))}",
                "train on a longer log",
            )
        self.item, self._start, self._count = item[enough], start[enough], count[enough]
        begin, self._end = float(pairs.time[0]), view.now
        self.window = min(config.window, config.window_share * (float(pairs.time[-1]) - begin))
        # an item that was there from the first moment was not born then
        self._born = self._time[self._start] > begin + 0.05 * (self._end - begin)
        weight = np.log(self._count / config.seeds_min)
        self._weight = np.cumsum(weight / weight.sum())
        seen = slice(0, int(np.searchsorted(events.time, view.now)))
        shown = ~view.is_removed[events.item[seen]]
        self._online, self._online_time = events.user[seen][shown], events.time[seen][shown]

    def draw(self, rng: np.random.Generator) -> Episode:
        """An episode: items by the logarithm of their clickers, n log-uniform.

        Raises:
            DataError: none was found in many tries.
        """
        for _ in range(_TRIES):
            found = self._try(rng)
            if found is not None:
                return found
        raise DataError(
            f"after {_TRIES} tries no item was found that {self.config.positives_min} users click within "
            f"{self.window:.0f} s of its first {self.config.seeds_min} clickers",
            "train on a longer log, or a denser one",
        )

    def _try(self, rng: np.random.Generator) -> Episode | None:
        c = self.config
        i = min(int(np.searchsorted(self._weight, rng.random(), side="right")), len(self.item) - 1)
        row = slice(self._start[i], self._start[i] + self._count[i])
        users, times = self._user[row], self._time[row]
        first = 0
        if not (self._born[i] and rng.random() < c.from_birth):
            first = int(rng.integers(0, len(users) - c.seeds_min - c.positives_min + 1))
        room = min(c.seeds_max, len(users) - first - c.positives_min)
        n = round(np.exp(rng.uniform(np.log(c.seeds_min), np.log(room))))
        now = float(times[first + n - 1])
        until = min(now + self.window, self._end)
        after, end = np.searchsorted(times, [now, until], side="right")
        low, high = np.searchsorted(self._online_time, [now, until], side="right")
        if until - now < self.window / 4 or end - after < c.positives_min or high == low:
            return None
        others = self._others(rng, int(low), int(high), users[:end])
        if len(others) == 0:
            return None
        seeds = users[first : first + n]
        return Episode(
            int(self.item[i]),
            now,
            rng.permutation(seeds)[: c.seeds_kept],
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
