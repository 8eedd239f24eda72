"""Item nearest neighbours: a user is alike who read what the seeds read.

score(u, c) = 1 / sqrt(|H_u|) * sum over i in H_u of co(c, i) / sqrt(|seeds of c| |users of i|), with co(c, i) the seeds
of c that read i: the cosine between the two items' sets of users, summed over the user's history H_u.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.baselines.history_matrix import shared_history
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.vectors import seed_matrix
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import View

_AT_ONCE = 256  # candidates whose similarities to all items are held dense


class ItemKnn:
    """Histories as of the fit; items with fewer than 5 users are dropped; seeds without history do not count."""

    fresh = False

    def __init__(self, name: str = "item_knn", seed: int = 0, shared: Shared | None = None) -> None:
        self.name, self.seed = name, seed
        self.shared = shared or Shared()

    def fit(self, view: View) -> None:
        """Build the matrix of histories."""
        self.history = shared_history(self.shared, view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]; users without history score 0."""
        matrix, degree = self.history.matrix, self.history.degree
        seeds = candidates.seeds.filter(degree[candidates.seeds.values] > 0)
        together = sp.csr_matrix(seed_matrix(seeds, len(degree)) @ matrix)
        return _sum_over_history(matrix[users], together, seeds.lengths, self.history.support)


class FreshItemKnn:
    """Histories up to now, new items included; the candidate itself is not part of any history."""

    fresh = True
    needs_time = True

    def __init__(self, name: str = "item_knn_fresh", seed: int = 0) -> None:
        self.name, self.seed = name, seed

    def fit(self, view: View) -> None:
        """Nothing to learn: memory-based."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]; users without history score 0."""
        n_items = view.log.n_items
        seed_users, place = np.unique(candidates.seeds.values, return_inverse=True)
        seeds = seed_matrix(Jagged(place, candidates.seeds.offsets), len(seed_users))
        together = sp.csr_matrix(seeds @ _rows(view.history(seed_users), n_items))
        owner = np.repeat(np.arange(len(candidates)), np.diff(together.indptr))
        together.data[together.indices == candidates.item[owner]] = 0
        support = view.support.astype(np.float32)
        return _sum_over_history(_rows(view.history(users), n_items), together, candidates.seeds.lengths, support)


def _rows(histories: Jagged, n_items: int) -> sp.csr_matrix:
    ones = np.ones(len(histories.values), np.float32)
    return sp.csr_matrix((ones, histories.values, histories.offsets), shape=(len(histories), n_items), dtype=np.float32)


def _sum_over_history(
    mine: sp.csr_matrix, together: sp.csr_matrix, n_seeds: NDArray[np.int64], support: NDArray[np.float32]
) -> NDArray[np.float32]:
    """mine: csr [U, k] histories; together: csr [C, k] co; n_seeds: [C]; support: [k] users of each item."""
    out = np.zeros((mine.shape[0], together.shape[0]), np.float32)
    for first in range(0, together.shape[0], _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        scale = np.sqrt(np.maximum(n_seeds[some], 1))[:, None] * np.sqrt(np.maximum(support, 1))[None]
        out[:, some] = mine @ (together[some].toarray() / scale).T.astype(np.float32)
    out /= np.sqrt(np.maximum(np.diff(mine.indptr), 1))[:, None].astype(np.float32)
    return out
