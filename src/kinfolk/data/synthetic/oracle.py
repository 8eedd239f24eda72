"""The Bayes score of a synthetic feed: the best anybody could do who sees what a look-alike method sees.

Known: the world's parameters, every user's fields, all clicks strictly before now, and the appeal of every item but the
candidate. Hidden: each user's taste, and the candidate's appeal, of which only its seeds speak. Then, with taste t and
appeal a,

    P(t | user)  ~ P(t) P(fields | t) prod over clicks (i, hour h) of interest(a_i, t) / pace(h, t)
    P(a | seeds) ~ P(a) prod over seeds s of E[interest(a, t) | s] / E[interest(a, t)]
    score(u, c)  = sum over a, t of P(a | seeds of c) P(t | u) interest(a, t)

`pace` is what makes a click say only *which* item was clicked, not that one was: how often somebody clicks is left to
their activity. A user's own click on the candidate never counts for their taste. Impressions without a click are not
used, as no method is given them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import softmax

from kinfolk.data.jagged import Jagged, ranges
from kinfolk.data.log import Log, View
from kinfolk.data.synthetic.config import EPOCH, HOUR
from kinfolk.data.synthetic.inhabitants import Truth
from kinfolk.data.synthetic.tables import Floats
from kinfolk.errors import DataError


class Oracle:
    """The truth laid beside the log made from it: row numbers may differ, outside ids may not.

    Raises:
        DataError: the log holds an id that the world does not.
    """

    def __init__(self, true: Truth, log: Log) -> None:
        self.true = true
        self.user_rows = _rows(log.user_ids, len(true.profile), log.name, "user")
        self.item_rows = _rows(log.item_ids, len(true.appeal), log.name, "item")
        w = true.world
        self._log_prior = np.log(w.prior)
        self._log_interest = np.log(w.interest)
        self._log_pace = np.log(true.pace)

    def tastes(self, view: View, users: NDArray[np.integer], without: int = -1) -> Floats:
        """float64[U, P]: posterior of each user's profile at `view.now`, their click on item row `without` left out."""
        row, item, hour = self._clicks(view, users)
        other = item != without
        row, item, hour = row[other], item[other], hour[other]
        appeal = self.true.appeal[self.item_rows[item]]
        out = self.true.evidence[self.user_rows[users]] + self._log_prior
        out += _count(row, appeal, (len(users), len(self._log_interest))) @ self._log_interest
        out -= _count(row, hour, (len(users), len(self._log_pace))) @ self._log_pace
        return np.asarray(softmax(out, axis=1), np.float64)

    def appeal(self, view: View, item: int, seeds: NDArray[np.integer]) -> Floats:
        """float64[A]: posterior of the appeal of item row `item` (-1: none, a bare list) given its seeds."""
        w = self.true.world
        likely = np.log(self.tastes(view, seeds, without=item) @ w.interest.T) - np.log(w.interest @ w.prior)
        return np.asarray(softmax(np.log(w.appeal_prior) + likely.sum(axis=0)), np.float64)

    def score(
        self, view: View, users: NDArray[np.integer], items: NDArray[np.integer], seeds: Jagged
    ) -> NDArray[np.float32]:
        """float32[U, C]: expected interest of each user in each candidate.

        Args:
            view: what may be known; `view.now` is the candidates' moment.
            users: int[U] log rows.
            items: int[C] log rows, -1 for a bare seed list; used only to leave the candidate out of histories.
            seeds: C rows of log rows of users.
        """
        tastes = self.tastes(view, users)
        row, item, _ = self._clicks(view, users)
        out = np.empty((len(users), len(items)), np.float32)
        for c, candidate in enumerate(items):
            wanted = self.appeal(view, int(candidate), np.asarray(seeds[c], np.int64)) @ self.true.world.interest
            out[:, c] = tastes @ wanted
            had = np.unique(row[item == candidate])
            if len(had):
                out[had, c] = self.tastes(view, np.asarray(users)[had], without=int(candidate)) @ wanted
        return out

    def taste_score(self, users: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.float32]:
        """float32[U, C]: the true interest, for somebody who knows everybody's taste: a bound no method can reach."""
        profile, appeal = self.true.profile[self.user_rows[users]], self.true.appeal[self.item_rows[items]]
        interest: Floats = self.true.world.interest[appeal[None, :], profile[:, None]]
        return interest.astype(np.float32)

    def _clicks(
        self, view: View, users: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """(row in `users`, item row, hour of the log) of every distinct click that `view` shows."""
        index, users = view.log.by_user, np.asarray(users, np.int64)
        starts, ends = index.offsets[users], index.ends(users, view.now)
        at = ranges(starts, ends)
        item = np.asarray(index.payload[at], np.int64)
        row = np.repeat(np.arange(len(users)), ends - starts)
        hour = ((np.asarray(index.time)[at] - EPOCH) // HOUR).astype(np.int64)
        keep = ~view.is_removed[item]
        return row[keep], item[keep], hour[keep]


def _count(row: NDArray[np.integer], column: NDArray[np.integer], shape: tuple[int, int]) -> csr_array:
    return csr_array((np.ones(len(row)), (row, column)), shape=shape)


def _rows(ids: NDArray[np.str_], size: int, name: str, side: str) -> NDArray[np.int64]:
    try:
        rows = np.asarray(ids).astype(np.int64)
    except ValueError:
        rows = np.array([-1])
    if len(rows) and (rows.min() < 0 or rows.max() >= size):
        raise DataError(
            f"{name}: holds {side} ids that the synthetic world of {size} {side}s does not",
            "give the oracle the config that made the log",
        )
    return rows
