"""What the seeds of candidates clicked, too, as of now: `Profiles` makes the co-click profiles of a model's snapshots.

A seed's history is that of training, or what was told of them, and the clicks that came since. How many users an item
has is what training saw and the clicks counted since.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.lookalike.coclick import Profile, Support, profiles_of
from kinfolk.online.clock import Clock, due
from kinfolk.online.counts import HOUR
from kinfolk.online.crowd import Crowd
from kinfolk.online.options import EngineSettings
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
        settings: `follow_users`: whether clicks since training count, `trail_length`: how many of a seed.
        clock: ms.
    """

    def __init__(self, backend: Backend, space: Space, settings: EngineSettings, clock: Clock) -> None:
        self.space = space
        self._seeds, self._trail_length = backend.seeds, settings.trail_length if settings.follow_users else 0
        trained = int(space.bundle.provenance.trained_until * 1000)
        self._since = _Since(backend.counters, space, clock, trained)

    def of(self, crowds: Sequence[Crowd]) -> list[Profile]:
        """One a crowd; empty ones for a model whose score knows no co-clicks."""
        if not self.space.co_clicks or not crowds:
            return [Profile()] * len(crowds)
        newest = [crowd.seeds.user[-SEEDS:] for crowd in crowds]
        users, offsets = np.concatenate(newest), np.cumsum([0, *map(len, newest)])
        names, trails = self._seeds.trails(users, self._trail_length)
        numbers = self.space.items.numbers(names)
        since = Jagged(numbers[np.asarray(trails.values, np.int64)], trails.offsets)
        own = self.space.items.numbers([crowd.candidate for crowd in crowds])
        return profiles_of(self.space.clicked(users), since, offsets, own, self._supports())

    def of_list(self, users: NDArray[np.uint64]) -> Profile:
        """Of a seed list that is no candidate's: at most `LISTED` of it, evenly spread, by their histories alone."""
        if not self.space.co_clicks:
            return Profile()
        some = users[:: max(1, -(-len(users) // LISTED))]
        nothing = Jagged(np.zeros(0, np.int32), np.zeros(len(some) + 1, np.int64))
        whole, nobody = np.array([0, len(some)], np.int64), np.zeros(1, np.int32)
        return profiles_of(self.space.clicked(some), nothing, whole, nobody, self._supports())[0]

    def _supports(self) -> tuple[Support, Support]:
        return self.space.items.support, self._since.clicks()


class _Since:
    """Clicks counted since training, by item number: hours that are over are read once, the hour that runs anew."""

    def __init__(self, counters: CounterStore, space: Space, clock: Clock, trained: int) -> None:
        self._counters, self._space, self._clock = counters, space, clock
        self._first = trained // HOUR if 0 < trained <= clock() else 0  # a log's times may be made up
        self._hour = -1
        self._before: dict[str, int] = {}
        self._read_at: int | None = None
        self._found = Support()

    def clicks(self) -> Support:
        """As of a few seconds ago at most."""
        now = self._clock()
        if due(self._read_at, _EVERY_MS, now):
            self._read(now)
        return self._found

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
        self._found = Support(numbers[order], np.fromiter(total.values(), np.int64, len(total))[order])
        self._read_at = now

    def _everybody(self, since: int) -> dict[str, int]:
        return {name: n for (segment, name), n in self._counters.totals("clicks", since).items() if not segment}
