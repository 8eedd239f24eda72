"""Cosine of a user's vector to the seeds' vectors, pooled over seeds: mean, max, mean of the best 5, log-sum-exp."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.popularity import Trend, log_recency
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.vectors import UserVectors, mean_of_seeds, unit_vectors, warm_seeds
from kinfolk.data.log import View

Pool = Literal["mean", "max", "top5", "lse"]
NEWEST = 300
"""Poolings other than the mean look at the newest seeds only, so that their cost is bounded."""
_SHARPNESS = 0.1


class Cosine:
    """Scores users without history, and all users of a candidate without warm seeds, as if the cosine were 0.

    Args:
        name, seed: see the registry.
        vectors: a name in `vectors.VECTORS`, or a representation.
        pool: over the warm seeds; all of them for "mean" (RALM with average, on these vectors), else the newest 300.
            "lse" is log mean exp((cosine - 1) / 0.1), between mean and max.
        shared: where fits are kept.
    """

    fresh = False

    def __init__(
        self,
        name: str = "als_mean_cosine",
        seed: int = 0,
        vectors: str | UserVectors = "als",
        pool: Pool = "mean",
        shared: Shared | None = None,
    ) -> None:
        self.name, self.seed, self.vectors, self.pool = name, seed, vectors, pool
        self.shared = shared or Shared()

    def fit(self, view: View) -> None:
        """Represent every user."""
        self.unit = unit_vectors(self.vectors, self.shared, view, self.seed)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]; a cosine in [-1, 1], for "lse" in [-20, 0]."""
        seeds, mine = warm_seeds(candidates.seeds, self.unit), self.unit[users]
        if self.pool == "mean":
            scores: NDArray[np.float32] = mine @ mean_of_seeds(seeds, self.unit).T
            return scores
        out = np.empty((len(users), len(candidates)), np.float32)
        for row in range(len(candidates)):
            newest = seeds[row][-NEWEST:]
            cosines = mine @ self.unit[newest].T if len(newest) else np.zeros((len(users), 1), np.float32)
            out[:, row] = _pool(cosines, self.pool)
        return out


class CosineLogRecency:
    """For the feed: mean cosine, standardised over a user's candidates, plus log recency (decay `tau` seconds) or, with
    `trend`, what the log teaches of how clicks follow upon clicks (`popularity.Trend`)."""

    fresh = True

    def __init__(
        self,
        name: str = "als_mean_cosine_z_log_recency",
        seed: int = 0,
        vectors: str | UserVectors = "als",
        tau: float = 10800.0,
        trend: bool = False,
        shared: Shared | None = None,
    ) -> None:
        self.name, self.seed, self.tau = name, seed, tau
        self.cosine = Cosine(name, seed, vectors, "mean", shared)
        self.trend = Trend(name, seed, tau, self.cosine.shared) if trend else None

    def fit(self, view: View) -> None:
        """Represent every user; learn the trend, if it counts."""
        self.cosine.fit(view)
        if self.trend is not None:
            self.trend.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]; depends on all candidates that are scored together."""
        scores = self.cosine.score(users, candidates, view)
        if len(candidates) == 0:
            return scores
        z = (scores - scores.mean(1, keepdims=True)) / np.maximum(scores.std(1, keepdims=True), 1e-6)
        now = view.now
        rates = log_recency(candidates, now, self.tau) if self.trend is None else self.trend.rates(candidates, now)
        blended: NDArray[np.float32] = (z + rates).astype(np.float32)
        return blended


def _pool(cosines: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """[U, s] -> [U]."""
    top: NDArray[np.float32] = cosines.max(1)
    if pool == "max":
        return top
    if pool == "top5":
        k = min(5, cosines.shape[1])
        best: NDArray[np.float32] = np.partition(cosines, -k, axis=1)[:, -k:].mean(1)
        return best
    spread = np.exp((cosines - top[:, None]) / _SHARPNESS).mean(1)
    soft: NDArray[np.float32] = ((top - 1) / _SHARPNESS + np.log(spread)).astype(np.float32)
    return soft
