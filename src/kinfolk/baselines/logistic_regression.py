"""Logistic regression per candidate on user features: the LR of Table 1.

Liu et al., KDD 2019, section 6.2, after Qu et al. 2014. Seeds are positive, sampled other users negative; the score is
the linear one (the log-odds), which ranks as the probability does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as Solver

from kinfolk.baselines.contrast import Trained
from kinfolk.baselines.feature_columns import Csr
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.user_features import FeatureSource
from kinfolk.data.log import View

_AT_ONCE = 64  # candidates whose dense weights are held together


class LogisticRegression:
    """Args:
    name, seed: see the registry; `fit` draws nothing.
    negatives: sampled for each candidate.
    inverse_penalty: C, inverse strength of the L2 penalty.
    max_seeds: newest seeds used.
    fresh: features as of the scoring view instead of as of `fit`.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "lr",
        seed: int = 0,
        negatives: int = 2000,
        inverse_penalty: float = 1.0,
        max_seeds: int = 20_000,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.fresh = name, seed, fresh
        self.inverse_penalty = inverse_penalty
        self.source = FeatureSource(shared, fresh, **features)
        self._trained: Trained[Csr, Linear] = Trained(self.source, negatives, max_seeds)

    def fit(self, view: View) -> None:
        """Learn the feature columns; the regressions are per candidate, in `score`."""
        self._trained.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: log-odds; 0 for everybody where a candidate has no seed or nobody is left to compare with."""
        models = self._trained.each(candidates, view, self.train)
        out = np.zeros((len(users), len(candidates)), np.float32)
        rows = self.source.rows(users, view)
        for start in range(0, len(models), _AT_ONCE):
            some = models[start : start + _AT_ONCE]
            weights = np.zeros((self.source.size, len(some)), np.float32)
            for column, model in enumerate(some):
                weights[model.columns, column] = model.weights
            out[:, start : start + len(some)] = rows @ weights + np.array([m.intercept for m in some], np.float32)
        return out

    def train(self, candidates: Candidates, row: int, view: View) -> Linear:
        """The regression of one candidate; all zero where there is nothing to tell apart."""
        sample = self._trained.sample(candidates, row)
        if not sample.usable or self.source.size == 0:
            return Linear(np.zeros(0, np.int64), np.zeros(0, np.float32), 0.0)
        x = self._trained.features(sample, candidates, row, view)
        return fit_logistic(x, sample.labels, self.inverse_penalty)


@dataclass(frozen=True)
class Linear:
    """columns: int64[k] with a weight float32[k] each; the others weigh nothing."""

    columns: NDArray[np.int64]
    weights: NDArray[np.float32]
    intercept: float

    def dense(self, size: int) -> NDArray[np.float32]:
        """float32[size]."""
        out = np.zeros(size, np.float32)
        out[self.columns] = self.weights
        return out


def fit_logistic(rows: Csr, labels: NDArray[np.float32], inverse_penalty: float, balanced: bool = False) -> Linear:
    """L2-penalised logistic regression.

    Args:
        rows: csr[n, features].
        labels: float32[n], 0 or 1, both present.
        inverse_penalty: C, inverse strength of the penalty.
        balanced: both classes weigh the same in the loss.
    """
    # only the columns that occur: the others' weights are 0, and there may be 100,000 of them
    used, compact = np.unique(rows.indices, return_inverse=True)
    small = type(rows)((rows.data, compact.astype(np.int32), rows.indptr), shape=(rows.shape[0], max(len(used), 1)))
    weighting = "balanced" if balanced else None
    model = Solver(solver="liblinear", C=inverse_penalty, max_iter=200, random_state=0, class_weight=weighting)
    model.fit(small, labels)
    return Linear(used.astype(np.int64), model.coef_[0][: len(used)].astype(np.float32), float(model.intercept_[0]))
