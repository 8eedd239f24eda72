"""What the seeds of candidates clicked, too, as of now: `Profiles` makes the co-click profiles of a model's snapshots.

A seed's history is that of training, or what was told of them, and the clicks that came since. How many users an item
has is what training saw and the clicks counted since.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.lookalike.coclick import Profile, profile_of
from kinfolk.online.clock import Clock
from kinfolk.online.counts import HOUR
from kinfolk.online.crowd import Crowd
from kinfolk.online.ports import Backend, CounterStore
from kinfolk.online.space import Space

SEEDS = 64
"""The newest so many of a candidate make its profile; more tell no more (decision 7)."""
LISTED = 2000
"""So many of a seed list."""
_EVERY_MS = 5000  # how old the clicks counted since training may be


class Profiles:
    """Of one model.

    Args:
        backend: the stores.
        space: the users of the model.
        clock: ms.
        trail_length: newest clicks of a seed since training; 0: none.
    """

    def __init__(self, backend: Backend, space: Space, clock: Clock, *, trail_length: int) -> None:
        self.space = space
        self._seeds, self._trail_length = backend.seeds, trail_length
        trained = int(space.bundle.provenance.trained_until * 1000)
        self._since = _Since(backend.counters, space, clock, trained)

    def of(self, crowds: Sequence[Crowd]) -> list[Profile]:
        """One a crowd; empty ones for a model whose score knows no co-clicks."""
        if not self.space.co_clicks or not crowds:
            return [Profile()] * len(crowds)
        newest = [crowd.seeds.user[-SEEDS:] for crowd in crowds]
        offsets = np.cumsum([0, *map(len, newest)])
        histories = self._histories(np.concatenate(newest))
        own = self.space.items.numbers([crowd.candidate for crowd in crowds]).tolist()
        return [
            profile_of(histories.take(np.arange(offsets[i], offsets[i + 1])), self._users, own=own[i])
            for i in range(len(crowds))
        ]

    def of_list(self, users: NDArray[np.uint64]) -> Profile:
        """Of a seed list that is no candidate's: at most `LISTED` of it, evenly spread, by their histories alone."""
        if not self.space.co_clicks:
            return Profile()
        return profile_of(self.space.clicked(users[:: max(1, -(-len(users) // LISTED))]), self._users)

    def _histories(self, users: NDArray[np.uint64]) -> Jagged:
        """Distinct item numbers of every user."""
        before = self.space.clicked(users)
        names, trails = self._seeds.trails(users, self._trail_length)
        if not len(trails.values):
            return before
        numbers = self.space.items.numbers(names)[np.asarray(trails.values, np.int64)]
        row = np.concatenate([before.rows(), trails.rows()])
        item = np.concatenate([np.asarray(before.values, np.int64), numbers])
        pairs = np.unique((row << 32) | (item & 0xFFFFFFFF))  # once a user
        return Jagged(
            (pairs & 0xFFFFFFFF).astype(np.uint32).view(np.int32),
            np.searchsorted(pairs >> 32, np.arange(len(users) + 1)).astype(np.int64),
        )

    def _users(self, numbers: NDArray[np.integer]) -> NDArray[np.int64]:
        """Of items."""
        return self.space.items.support(numbers) + self._since.clicks(numbers)


class _Since:
    """Clicks counted since training, by item number: hours that are over are read once, the hour that runs anew."""

    def __init__(self, counters: CounterStore, space: Space, clock: Clock, trained: int) -> None:
        self._counters, self._space, self._clock = counters, space, clock
        self._first = trained // HOUR if 0 < trained <= clock() else 0  # a log's times may be made up
        self._hour = -1
        self._before: dict[str, int] = {}
        self._read_at: int | None = None
        self._numbers, self._counts = np.zeros(0, np.int32), np.zeros(0, np.int64)

    def clicks(self, numbers: NDArray[np.integer]) -> NDArray[np.int64]:
        """int64[n]; 0 for an item that was not clicked since."""
        now = self._clock()
        if self._read_at is None or not 0 <= now - self._read_at < _EVERY_MS:
            self._read(now)
        if not len(self._numbers):
            return np.zeros(len(numbers), np.int64)
        at = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        return np.where(self._numbers[at] == numbers, self._counts[at], 0)

    def _read(self, now: int) -> None:
        hour = max(now // HOUR, self._first)
        current = self._everybody(hour)
        if hour != self._hour:
            every = self._everybody(self._first)
            self._before = {name: count - current.get(name, 0) for name, count in every.items()}
            self._hour = hour
        total = dict(self._before)
        for name, count in current.items():
            total[name] = total.get(name, 0) + count
        numbers = self._space.items.numbers(list(total))
        order = np.argsort(numbers, kind="stable")
        self._numbers, self._counts = numbers[order], np.fromiter(total.values(), np.int64, len(total))[order]
        self._read_at = now

    def _everybody(self, since: int) -> dict[str, int]:
        return {name: n for (segment, name), n in self._counters.totals("clicks", since).items() if not segment}
