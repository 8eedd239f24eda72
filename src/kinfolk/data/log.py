"""A log in memory-mapped arrays: `Log`, and what may be known of it at a moment: `View`.

`Log` holds everything, in rows of its own numbering. Whatever learns or scores gets a `View`, which shows only events
strictly before `now` and none of the `removed` items; so point-in-time correctness is a property of the type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged, slices
from kinfolk.data.order import first_of_pairs, stable_order
from kinfolk.schema import Schema

MISSING = 0
"""Code of a missing value in every coded column; value codes start at 1."""


@dataclass(frozen=True)
class Codes:
    """A categorical column. codes: int32[n], 0 = missing, else 1 + index into `values` (the outside values)."""

    codes: NDArray[np.int32]
    values: NDArray[np.str_]


@dataclass(frozen=True)
class JaggedCodes:
    """A multivalent column. codes.values: int32, 1 + index into `values`; an empty row is missing."""

    codes: Jagged
    values: NDArray[np.str_]


@dataclass(frozen=True)
class Numbers:
    """A continuous column. numbers: float32[n], NaN = missing."""

    numbers: NDArray[np.float32]


Column = Codes | JaggedCodes | Numbers


@dataclass(frozen=True)
class Events:
    """Rows sorted by time, ties in a seeded random order (never by id).

    Args:
        user, item: int32[n] rows of the log.
        time: float64[n] seconds since 1970 UTC (or pseudo-time, where a data set has none).
        kind: int16[n] index into `Log.kinds`.
        context: name -> int32[n] codes (0 = missing) of `Log.context_values[name]`.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.float64]
    kind: NDArray[np.int16]
    context: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Impressions:
    """What was shown, sorted by time: label int8[n], 1 = consumed; position, dwell: float32[n] or None."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.float64]
    label: NDArray[np.int8]
    position: NDArray[np.float32] | None = None
    dwell: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Pairs:
    """Distinct (user, item) pairs with the time of the first event, sorted by time (ties as in the events)."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Log:
    """Everything known of a data set.

    Args:
        name: for messages and reports.
        schema: which columns there are.
        user_ids, item_ids: str[N], str[M], outside id of every row.
        kinds: names of the behaviour kinds.
        events: everything that counts as consumption (label 1, or no label column), repeats included.
        impressions: every row of the events table with its label, if it has labels; else None.
        users, items: name -> column of N resp. M rows.
        context_values: name -> str[v], outside value of code - 1.
        prior: (user int32[p], item int32[p]): pairs known to have met before the first window, whatever the outcome;
            such users are never asked about such items.
    """

    name: str
    schema: Schema
    user_ids: NDArray[np.str_]
    item_ids: NDArray[np.str_]
    kinds: tuple[str, ...]
    events: Events
    impressions: Impressions | None = None
    users: Mapping[str, Column] = field(default_factory=dict)
    items: Mapping[str, Column] = field(default_factory=dict)
    context_values: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    prior: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None

    @property
    def n_users(self) -> int:
        """N."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """M."""
        return len(self.item_ids)

    @cached_property
    def pairs(self) -> Pairs:
        """First event of every (user, item) pair over the whole log."""
        first = first_of_pairs(self.events.user, self.events.item)  # events are sorted by time
        return Pairs(self.events.user[first], self.events.item[first], np.asarray(self.events.time[first]))

    @cached_property
    def by_user(self) -> UserIndex:
        """Distinct pairs by user, then time."""
        return UserIndex.build(self.pairs.user, self.pairs.time, self.n_users, self.pairs.item)

    @cached_property
    def events_by_user(self) -> UserIndex:
        """Every event by user, then time; payload: the event's row."""
        return UserIndex.build(
            self.events.user, self.events.time, self.n_users, np.arange(len(self.events), dtype=np.int64)
        )

    def view(self, now: float, removed: NDArray[np.integer] | None = None) -> View:
        """What may be known at `now`, as if the `removed` item rows had never been clicked."""
        return View(self, float(now), np.asarray([] if removed is None else removed, np.int64))


@dataclass(frozen=True)
class UserIndex:
    """Entries sorted by (user, time). offsets: int64[N + 1]; time: float64[n]; payload: [n]."""

    offsets: NDArray[np.int64]
    time: NDArray[np.float64]
    payload: NDArray[np.generic]

    @classmethod
    def build(
        cls, user: NDArray[np.int32], time: NDArray[np.float64], n_users: int, payload: NDArray[np.generic]
    ) -> UserIndex:
        """user, time, payload: [n], sorted by time."""
        order = stable_order(user)
        offsets = np.zeros(n_users + 1, np.int64)
        np.cumsum(np.bincount(user, minlength=n_users), out=offsets[1:])
        return cls(offsets, np.asarray(time)[order], payload[order])

    def ends(self, users: NDArray[np.integer], now: float | NDArray[np.float64]) -> NDArray[np.int64]:
        """int64[len(users)]: one past the user's last entry strictly before `now` (a scalar or one a user)."""
        users = np.asarray(users, np.int64)
        low: NDArray[np.int64] = self.offsets[users].copy()
        high = self.offsets[users + 1].copy()
        now = np.broadcast_to(np.asarray(now, np.float64), users.shape)
        while True:  # bisection, all users at once
            open_ = low < high
            if not open_.any():
                return low
            middle = (low + high) >> 1
            before = np.zeros(len(users), bool)
            before[open_] = self.time[middle[open_]] < now[open_]
            low = np.where(open_ & before, middle + 1, low)
            high = np.where(open_ & ~before, middle, high)

    def counts(self, users: NDArray[np.integer], now: float | NDArray[np.float64]) -> NDArray[np.int64]:
        """int64[len(users)]: number of entries strictly before `now`."""
        return self.ends(users, now) - self.offsets[np.asarray(users, np.int64)]


@dataclass(frozen=True)
class View:
    """A log as of `now`: events strictly before it, without the `removed` items. Make one by `Log.view`."""

    log: Log
    now: float
    removed: NDArray[np.int64]

    @cached_property
    def is_removed(self) -> NDArray[np.bool_]:
        """bool[M]."""
        mask = np.zeros(self.log.n_items, bool)
        mask[self.removed] = True
        return mask

    @cached_property
    def pairs(self) -> Pairs:
        """Distinct (user, item) pairs first clicked before `now`, sorted by time."""
        p = self.log.pairs
        end = int(np.searchsorted(p.time, self.now, side="left"))
        if len(self.removed) == 0:
            return Pairs(p.user[:end], p.item[:end], p.time[:end])
        keep = ~self.is_removed[p.item[:end]]
        return Pairs(p.user[:end][keep], p.item[:end][keep], p.time[:end][keep])

    @cached_property
    def support(self) -> NDArray[np.int64]:
        """int64[M]: users of every item before `now`; removed items keep theirs."""
        end = int(np.searchsorted(self.log.pairs.time, self.now, side="left"))
        return np.bincount(self.log.pairs.item[:end], minlength=self.log.n_items)

    def history(self, users: NDArray[np.integer], length: int | None = None) -> Jagged:
        """Distinct items of each user before `now`, oldest first; the newest `length` of them if given."""
        index = self.log.by_user
        users = np.asarray(users, np.int64)
        starts, ends = index.offsets[users], index.ends(users, self.now)
        if len(self.removed) == 0:
            starts = starts if length is None else np.maximum(starts, ends - length)
            return slices(index.payload, starts, ends)
        rows = slices(index.payload, starts, ends)
        rows = rows.filter(~self.is_removed[rows.values])
        if length is None:
            return rows
        return slices(rows.values, np.maximum(rows.offsets[:-1], rows.offsets[1:] - length), rows.offsets[1:])

    def n_items(self, users: NDArray[np.integer]) -> NDArray[np.int64]:
        """int64[len(users)]: distinct items clicked before `now`: how active a user was."""
        if len(self.removed) == 0:
            return self.log.by_user.counts(users, self.now)
        return self.history(users).lengths

    def n_events(self, users: NDArray[np.integer], window: float) -> NDArray[np.int64]:
        """int64[len(users)]: events (repeats included) in [now - window, now)."""
        index = self.log.events_by_user
        return index.counts(users, self.now) - index.counts(users, self.now - window)

    def context(self, users: NDArray[np.integer]) -> dict[str, NDArray[np.int32]]:
        """name -> int32[len(users)]: context codes of the user's last event before `now`; 0 where there is none.

        An event on a removed item does not count.
        """
        index = self.log.events_by_user
        users = np.asarray(users, np.int64)
        ends = index.ends(users, self.now)
        some = ends > index.offsets[users]
        if len(self.removed):
            hidden = some.copy()
            while True:  # step back past removed items, all users at once
                hidden[hidden] = self.is_removed[self.log.events.item[index.payload[ends[hidden] - 1]]]
                if not hidden.any():
                    break
                ends[hidden] -= 1
                some = ends > index.offsets[users]
                hidden &= some
        last = index.payload[np.where(some, ends - 1, 0)] if len(index.payload) else np.zeros(len(users), np.int64)
        return {
            name: np.where(some, codes[last] if len(codes) else 0, MISSING).astype(np.int32)
            for name, codes in self.log.events.context.items()
        }
