"""Jaccard similarity of feature sets: |A n B| / |A u B| of a user's set and each seed's, averaged or the largest.

The similarity-based look-alike of Ma et al. 2016 and of the related work in Liu et al., KDD 2019.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.feature_columns import Csr
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.user_features import FeatureSource, as_sets
from kinfolk.data.log import View

_CELLS = 4_000_000  # user-seed pairs held at once


class Jaccard:
    """Args:
    name, seed: see the registry; nothing is random.
    pool: over the seeds.
    max_seeds: newest seeds compared with.
    fresh: features as of the scoring view instead of as of `fit`.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "jaccard",
        seed: int = 0,
        pool: Literal["mean", "max"] = "mean",
        max_seeds: int = 300,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.pool, self.max_seeds, self.fresh = name, seed, pool, max_seeds, fresh
        self.source = FeatureSource(shared, fresh, **features)

    def fit(self, view: View) -> None:
        """Learn the feature columns."""
        self.source.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C] in [0, 1]; 0 for a user or a candidate without features."""
        out = np.zeros((len(users), len(candidates)), np.float32)
        mine = as_sets(self.source.rows(users, view))
        for c in range(len(candidates)):
            seeds = np.asarray(candidates.seeds[c], np.int64)[-self.max_seeds :]
            if len(seeds) == 0:
                continue
            theirs = as_sets(self.source.rows(seeds, view, int(candidates.item[c])))
            step = max(_CELLS // len(seeds), 1)
            for start in range(0, len(users), step):
                similarity = jaccard(mine[start : start + step], theirs)
                pooled = similarity.mean(1) if self.pool == "mean" else similarity.max(1)
                out[start : start + step, c] = pooled
        return out


def jaccard(a: Csr, b: Csr) -> NDArray[np.float32]:
    """float32[n, m] between the rows of csr[n, F] and csr[m, F], both with values 1; 0 between two empty rows."""
    shared: NDArray[np.float32] = (a @ b.T).toarray()
    union = np.diff(a.indptr)[:, None].astype(np.float32) + np.diff(b.indptr)[None].astype(np.float32) - shared
    out = np.zeros_like(shared)
    np.divide(shared, union, out=out, where=union > 0)
    return out
