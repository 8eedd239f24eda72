"""Linear discriminant analysis in closed form: seeds against everybody, one shared covariance (Fisher 1936).

score = (u - mu) . w - m . w / 2 with m = shrink (mean of the seeds - mu), w = S^-1 m, mu and S the mean and covariance
of all users' unit vectors, S with a ridge of a tenth of its mean variance. shrink = n / (n + 20) for n warm seeds and
the last term make candidates comparable (the feed); neither changes the order of users within one candidate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.popularity import Trend, log_recency
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.vectors import UserVectors, mean_of_seeds, unit_vectors, warm_seeds
from kinfolk.data.log import View

RIDGE = 0.1
SHRINK_SEEDS = 20.0


class Discriminant:
    """A user without history scores as the mean user; a candidate without warm seeds scores 0.

    Args:
        name, seed: see the registry.
        vectors: a name in `vectors.VECTORS`, or a representation.
        log_recency: add log recency of the seeds' clicks (the feed).
        tau: seconds, decay of recency.
        trend: add what the log teaches of how clicks follow upon clicks instead (`popularity.Trend`).
        shared: where fits are kept.
    """

    def __init__(
        self,
        name: str = "als_lda",
        seed: int = 0,
        vectors: str | UserVectors = "als",
        log_recency: bool = False,
        tau: float = 10800.0,
        trend: bool = False,
        shared: Shared | None = None,
    ) -> None:
        self.name, self.seed, self.vectors, self.log_recency, self.tau = name, seed, vectors, log_recency, tau
        self.fresh = log_recency or trend
        self.shared = shared or Shared()
        self.trend = Trend(name, seed, tau, self.shared) if trend else None

    def fit(self, view: View) -> None:
        """Represent every user; mean and covariance over those with history."""
        self.unit = unit_vectors(self.vectors, self.shared, view, self.seed)
        if self.trend is not None:
            self.trend.fit(view)
        warm = self.unit[self.unit.any(1)].astype(np.float64)
        size = self.unit.shape[1]
        self.mean = warm.mean(0) if len(warm) else np.zeros(size)
        covariance = np.atleast_2d(np.cov(warm.T)) if len(warm) > 1 else np.eye(size)
        ridge = max(RIDGE * np.trace(covariance) / size, np.finfo(np.float64).tiny)
        self.precision = np.linalg.inv(covariance + ridge * np.eye(size))

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]."""
        seeds, mine = warm_seeds(candidates.seeds, self.unit), self.unit[users]
        shrink = seeds.lengths / (seeds.lengths + SHRINK_SEEDS)
        difference = (mean_of_seeds(seeds, self.unit) - self.mean) * shrink[:, None]
        weights = difference @ self.precision
        centred = (mine - self.mean) * np.any(mine, axis=1, keepdims=True)
        scores = centred @ weights.T - 0.5 * (weights * difference).sum(1)
        if self.trend is not None:
            scores = scores + self.trend.rates(candidates, view.now)
        elif self.log_recency:
            scores = scores + log_recency(candidates, view.now, self.tau)
        out: NDArray[np.float32] = scores.astype(np.float32)
        return out
