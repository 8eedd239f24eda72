"""The clicks of the test: first clicks since T1 by item, and who clicks in a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import Log, Pairs, UserIndex, View

MIN_ITEM_USERS = 5
"""Items with fewer users before T1 do not count as history."""


@dataclass(frozen=True)
class Since:
    """First clicks at or after t1, by item and by time. Make one by `clicks_since`.

    Args:
        pairs: sorted by time, ties as in the events.
        offsets: int64[M + 1]; `order[offsets[i]:offsets[i+1]]` are the rows of `pairs` of item i, in time order.
        order: int64[len(pairs)].
    """

    pairs: Pairs
    offsets: NDArray[np.int64]
    order: NDArray[np.int64]

    def clickers(self, item: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """int32[c], float64[c]: distinct users in the order of their first click since t1, and its time."""
        rows = self.order[self.offsets[item] : self.offsets[item + 1]]
        return self.pairs.user[rows], self.pairs.time[rows]

    def counts(self) -> NDArray[np.int64]:
        """int64[M]: clickers of every item."""
        return np.diff(self.offsets)


def clicks_since(log: Log, t1: float) -> Since:
    """The first click since t1 of every (user, item), whatever they did before."""
    start = int(np.searchsorted(log.events.time, t1, side="left"))
    user, item = log.events.user[start:], log.events.item[start:]
    key = user.astype(np.int64) * log.n_items + item
    _, first = np.unique(key, return_index=True)
    first.sort()
    pairs = Pairs(user[first], item[first], np.asarray(log.events.time[start:])[first])
    offsets = np.zeros(log.n_items + 1, np.int64)
    np.cumsum(np.bincount(pairs.item, minlength=log.n_items), out=offsets[1:])
    return Since(pairs, offsets, np.argsort(pairs.item, kind="stable"))


def born(log: Log) -> NDArray[np.float64]:
    """float64[M]: time of every item's first click; infinite where there is none."""
    times = np.full(log.n_items, np.inf)
    np.minimum.at(times, log.pairs.item, log.pairs.time)
    return times


def met_before(log: Log, t1: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(users, items) int32[p] sorted by item: pairs that met before t1, as a click or in `log.prior`."""
    end = int(np.searchsorted(log.pairs.time, t1, side="left"))
    users, items = log.pairs.user[:end], log.pairs.item[:end]
    if log.prior is not None:
        users, items = np.r_[users, log.prior[0]], np.r_[items, log.prior[1]]
    order = np.argsort(items, kind="stable")
    return users[order], items[order]


def history_degree(view: View) -> NDArray[np.int64]:
    """int64[N]: usable history items of every user: distinct, with at least `MIN_ITEM_USERS` users in the view."""
    pairs = view.pairs
    usable = np.bincount(pairs.item, minlength=view.log.n_items) >= MIN_ITEM_USERS
    return np.bincount(pairs.user[usable[pairs.item]], minlength=view.log.n_users)


def activity_index(log: Log, t1: float, simulated: NDArray[np.integer]) -> UserIndex:
    """Distinct items by user and time, without what happened to simulated items before t1."""
    events = log.events
    if len(simulated) == 0:
        return log.by_user
    mask = np.zeros(log.n_items, bool)
    mask[simulated] = True
    kept = np.flatnonzero(~(mask[events.item] & (events.time < t1)))
    key = events.user[kept].astype(np.int64) * log.n_items + events.item[kept]
    _, first = np.unique(key, return_index=True)
    first = kept[np.sort(first)]
    return UserIndex.build(events.user[first], events.time[first], log.n_users, events.item[first])
