"""Who read what before the view's moment, as a sparse matrix: `HistoryMatrix`, and its TF-IDF weighting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View


@dataclass(frozen=True)
class HistoryMatrix:
    """Args:
    matrix: float32 csr [N, k], 1 where a user clicked one of the k kept items.
    items: int64[k], log rows of the kept items, ascending.
    """

    matrix: sp.csr_matrix
    items: NDArray[np.int64]

    @property
    def degree(self) -> NDArray[np.int64]:
        """int64[N]: kept items in each user's history; 0 = the user is cold."""
        starts: NDArray[np.int64] = np.asarray(self.matrix.indptr, np.int64)
        return starts[1:] - starts[:-1]

    @property
    def support(self) -> NDArray[np.float32]:
        """float32[k]: users of each kept item."""
        return np.bincount(self.matrix.indices, minlength=len(self.items)).astype(np.float32)


def history_matrix(view: View, min_users: int = 5) -> HistoryMatrix:
    """Distinct (user, item) pairs of the view; items with fewer than `min_users` users are dropped."""
    pairs, log = view.pairs, view.log
    items = np.flatnonzero(np.bincount(pairs.item, minlength=log.n_items) >= min_users)
    column = np.full(log.n_items, -1, np.int32)
    column[items] = np.arange(len(items), dtype=np.int32)
    kept = column[pairs.item] >= 0
    users, columns = pairs.user[kept], column[pairs.item[kept]]
    ones = np.ones(len(users), np.float32)
    matrix = sp.csr_matrix((ones, (users, columns)), shape=(log.n_users, len(items)), dtype=np.float32)
    return HistoryMatrix(matrix, items)


def tf_idf(history: HistoryMatrix) -> sp.csr_matrix:
    """float32 csr [N, k]: log((warm users + 1) / (users of the item + 1)) where there was a click; rows of unit length,
    empty for cold users.
    """
    warm = np.count_nonzero(history.degree)
    idf = np.log((warm + 1) / (history.support + 1.0)).astype(np.float32)
    weighted = history.matrix.multiply(idf[None]).tocsr().astype(np.float32)
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return sp.csr_matrix(sp.diags(inverse.astype(np.float32)) @ weighted, dtype=np.float32)


def shared_history(shared: Shared, view: View) -> HistoryMatrix:
    """The view's matrix, built once."""
    return shared.get(view, "history", history_matrix)


def shared_tf_idf(shared: Shared, view: View) -> sp.csr_matrix:
    """The view's TF-IDF rows, built once."""
    return shared.get(view, "tf-idf", lambda v: tf_idf(shared_history(shared, v)))
