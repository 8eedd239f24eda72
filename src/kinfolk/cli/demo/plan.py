"""What the demo plays live: the held-out clicks, one item among them that training has not seen, and when to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import Log
from kinfolk.evaluate.cases import new_items
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.since import clicks_since, met_before

if TYPE_CHECKING:
    from kinfolk.cli.replaying import Played

LOOKS = (10, 20, 50, 100, 200, 500, 1000)
LEAST_LATER = 10
ENOUGH = 120


@dataclass(frozen=True)
class Look:
    """A moment to look at the item: right after its click of the `clicks`-th user.

    row: one past that click among the held-out clicks. later: those who click it afterwards and can be scored.
    """

    clicks: int
    row: int
    later: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """The held-out clicks, and the item that is followed.

    Args:
        item: its outside id.
        looks: when to look at it, in order; none if too few people click it.
        met: outside ids of users who met the item before the test (where new items are simulated): never asked about.
        user, item_row: int32[n] rows of the log, of the held-out clicks that are played, in order. time: float64[n] s.
        total: held-out clicks in all.
    """

    item: str
    looks: tuple[Look, ...]
    met: tuple[str, ...]
    user: NDArray[np.int32]
    item_row: NDArray[np.int32]
    time: NDArray[np.float64]
    total: int

    def played(self, log: Log, first: int, end: int, shift: float) -> Played:
        """Rows `first` to before `end`, their times moved by `shift` seconds."""
        import polars as pl

        from kinfolk.cli.replaying import Played

        rows = slice(first, end)
        return Played(
            pl.Series(log.user_ids[self.user[rows]].astype(str)),
            pl.Series(log.item_ids[self.item_row[rows]].astype(str)),
            np.rint(1000 * (self.time[rows] + shift)).astype(np.int64),
            np.ones(end - first, bool),
        )


def plan(log: Log, terms: Protocol, scored: NDArray[np.str_], most: int) -> Plan:
    """The first `most` clicks of the test, and a new item that is clicked often enough in them to be followed.

    scored: outside ids of the users who have an embedding. Raises ProtocolError if there is no new item.
    """
    start = int(np.searchsorted(log.events.time, terms.t1, side="left"))
    stop = min(len(log.events), start + most)
    user, items = log.events.user[start:stop], log.events.item[start:stop]
    since = clicks_since(log, terms.t1)
    new = new_items(log, terms, since)
    firsts = _firsts(user, items, log.n_items)
    item = _typical(new, np.bincount(items[firsts], minlength=log.n_items)[new])
    at = firsts[items[firsts] == item]  # the click of each new user of the item
    met_users, met_items = met_before(log, terms.t1)
    met = met_users[met_items == item]
    later = since.clickers(item)[0]
    later = later[~np.isin(later, met)]
    can_be_scored = np.isin(log.user_ids[later], scored)
    looks = []
    for n in LOOKS:
        if n > len(at):
            break
        still = can_be_scored & ~np.isin(later, user[at[:n]])
        if still.sum() < LEAST_LATER:
            break
        looks.append(Look(n, int(at[n - 1]) + 1, frozenset(log.user_ids[later[still]].tolist())))
    return Plan(
        str(log.item_ids[item]),
        tuple(looks),
        tuple(log.user_ids[np.unique(met)].tolist()),
        user,
        items,
        np.asarray(log.events.time[start:stop]),
        len(log.events) - start,
    )


def _typical(items: NDArray[np.int64], clickers: NDArray[np.int64]) -> int:
    """The middle one, by clickers, of the items that have enough of them; where none has, the one with the most."""
    order = np.argsort(clickers, kind="stable")
    enough = order[clickers[order] >= ENOUGH]
    return int(items[enough[len(enough) // 2] if len(enough) else order[-1]])


def _firsts(user: NDArray[np.int32], item: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    """int64: positions of the first click of every (user, item), rising."""
    _, first = np.unique(user.astype(np.int64) * n_items + item, return_index=True)
    return np.sort(first).astype(np.int64)
