"""Gradient boosted trees per candidate on dense feature vectors: Friedman 2001, in scikit-learn's histogram form.

Nothing beyond the core install is needed; trees on ALS vectors, activity and field codes with LightGBM are in `gbm.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from kinfolk.baselines.contrast import Trained
from kinfolk.baselines.feature_vectors import FeatureVectors
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View

F32 = NDArray[np.float32]


class GradientBoosting:
    """Args:
    name, seed: see the registry; the seed is that of the vectors.
    rounds, leaves, learning_rate, min_leaf: of the trees.
    negatives: sampled for each candidate.
    max_seeds: newest seeds used.
    size: of the vectors.
    fresh: features as of the scoring view instead of as of `fit`.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "gradient_boosting",
        seed: int = 0,
        rounds: int = 50,
        leaves: int = 7,
        learning_rate: float = 0.1,
        min_leaf: int = 5,
        negatives: int = 1000,
        max_seeds: int = 20_000,
        size: int = 32,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.fresh = name, seed, fresh
        self.vectors = FeatureVectors(shared, fresh, size, seed, **features)
        self._trained: Trained[F32, HistGradientBoostingClassifier | None] = Trained(self.vectors, negatives, max_seeds)
        self._trees: dict[str, Any] = {
            "max_iter": rounds,
            "max_leaf_nodes": leaves,
            "learning_rate": learning_rate,
            "min_samples_leaf": min_leaf,
            "early_stopping": False,
        }

    def fit(self, view: View) -> None:
        """Learn the vectors; the trees are per candidate, in `score`."""
        self._trained.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> F32:
        """float32[U, C]: log-odds; 0 for everybody where a candidate has no seed or nobody is left to compare with."""
        out = np.zeros((len(users), len(candidates)), np.float32)
        with threadpool_limits(1, "openmp"):  # so few rows that threads only wait for each other
            models = self._trained.each(candidates, view, self.train)
            if len(users) == 0:
                return out
            mine = self.vectors.rows(users, view)
            for c, model in enumerate(models):
                if model is not None:
                    out[:, c] = model.decision_function(mine)
        return out

    def train(self, candidates: Candidates, row: int, view: View) -> HistGradientBoostingClassifier | None:
        """The trees of one candidate; None where there is nothing to tell apart."""
        sample = self._trained.sample(candidates, row)
        if not sample.usable:
            return None
        x = self._trained.features(sample, candidates, row, view)
        # leaves as large as usual could not hold very few seeds alone
        trees = {**self._trees, "min_samples_leaf": min(self._trees["min_samples_leaf"], sample.n_seeds)}
        model = HistGradientBoostingClassifier(**trees, random_state=int(sample.rng.integers(2**31)))
        return model.fit(x, sample.labels)
