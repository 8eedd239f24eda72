"""User features as dense vectors of length 1, by truncated SVD: for methods that need distances, or few columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.utils.extmath import randomized_svd

from kinfolk.baselines.feature_columns import Csr
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.user_features import FeatureSource
from kinfolk.baselines.vectors import to_unit
from kinfolk.data.log import View

F32 = NDArray[np.float32]
_EXACT = 500  # columns up to which the Gram matrix is decomposed exactly


class FeatureVectors:
    """x = unit(f V - mean(f V)) for a row of features f; V from known users; a user without features gets zeros.

    The mean is taken off because the first direction of non-negative features is what everybody has in common.

    Args:
        shared, fresh, options: as of `FeatureSource`.
        size: d, at most; fewer where there are fewer users or columns.
        seed: of the randomised SVD.
    """

    def __init__(
        self, shared: Shared | None = None, fresh: bool = False, size: int = 64, seed: int = 0, **options: Any
    ) -> None:
        self.source = FeatureSource(shared, fresh, **options)
        self._d, self.seed = size, seed
        self.key = ("feature vectors", size, seed, tuple(sorted(options.items())))

    def fit(self, view: View) -> None:
        """Learn the columns and the projection; without `fresh` make the vectors of all users."""
        source, shared = self.source, self.source.shared
        source.fit(view)
        self._directions, self._mean = shared.get(view, self.key, lambda _: self._learn())
        self._all: F32 | None = None
        if not source.fresh:
            everybody = np.arange(view.log.n_users)
            self._all = shared.get(view, (*self.key, "all"), lambda v: self.project(source.rows(everybody, v)))

    def _learn(self) -> tuple[F32, F32]:
        rows = self.source.known_rows()
        size = min(self._d, *rows.shape)
        if size == 0 or rows.nnz == 0:
            return np.zeros((rows.shape[1], 1), np.float32), np.zeros(1, np.float32)
        directions = right_singular_vectors(rows, size, self.seed)
        mean = np.asarray(rows.mean(axis=0), np.float32).ravel() @ directions
        return directions, mean

    @property
    def size(self) -> int:
        """d."""
        return int(self._directions.shape[1])

    @property
    def known(self) -> NDArray[np.int64]:
        """int64: users learnt from, ascending."""
        return self.source.known

    def project(self, rows: Csr) -> F32:
        """float32[n, d] for rows of features."""
        some = np.diff(rows.indptr) > 0
        return to_unit(np.asarray((rows @ self._directions - self._mean) * some[:, None], np.float32))

    def rows(self, users: NDArray[np.integer], view: View, without: int = -1) -> F32:
        """float32[len(users), d]; `without` as of `FeatureSource.rows`."""
        if self._all is None:
            return self.project(self.source.rows(users, view, without))
        out: F32 = self._all[users]
        changed = np.flatnonzero(self.source.clicked(users, without))
        if len(changed):
            out[changed] = self.project(self.source.rows(users[changed], view, without))
        return out


def right_singular_vectors(rows: Csr, size: int, seed: int) -> F32:
    """float32[F, size], of csr[n, F]: exact for few columns, else randomised (Halko et al. 2011)."""
    columns = rows.shape[1]
    if columns <= _EXACT:
        _, vectors = eigh((rows.T @ rows).toarray().astype(np.float64), subset_by_index=(columns - size, columns - 1))
        return np.ascontiguousarray(vectors[:, ::-1], np.float32)
    _, _, right = randomized_svd(rows, size, n_iter=3, random_state=seed)
    return np.ascontiguousarray(right.T, np.float32)
