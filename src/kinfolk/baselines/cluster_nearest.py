"""k-means of all users, then the nearest seed centroid: the clustering look-alike of the industry's first systems.

All users are clustered once. A candidate's seeds make one centroid in every cluster that holds some of them; a user
scores the cosine to the nearest of these centroids plus the share of the seeds in the user's own cluster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.feature_vectors import FeatureVectors
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.vectors import to_unit
from kinfolk.data.log import View
from kinfolk.lookalike.clusters import kmeans

_SAMPLE = 50_000  # users that the steps of k-means look at


class ClusterNearest:
    """Args:
    name, seed: see the registry; the seed is that of the vectors and of k-means.
    clusters: of users, at most.
    size: of the vectors.
    share_weight: of the share of seeds in the user's cluster against the cosine.
    fresh: features as of the scoring view instead of as of `fit`.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "cluster_nearest",
        seed: int = 0,
        clusters: int = 100,
        size: int = 64,
        share_weight: float = 1.0,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.clusters, self.share_weight, self.fresh = name, seed, clusters, share_weight, fresh
        self.vectors = FeatureVectors(shared, fresh, size, seed, **features)

    def fit(self, view: View) -> None:
        """Cluster the users that the view knows."""
        self.vectors.fit(view)
        x = self.vectors.rows(self.vectors.known, view)
        x = x[x.any(axis=1)]
        if len(x) == 0:
            self.centroids = np.zeros((1, self.vectors.size), np.float32)
            return
        found = kmeans(x, self.clusters, seed=self.seed, sample_limit=_SAMPLE)
        self.centroids = found.centroids[found.valid]

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]; 0 for users without features and for candidates none of whose seeds has any."""
        out = np.zeros((len(users), len(candidates)), np.float32)
        mine = self.vectors.rows(users, view)
        cluster, some = self._assign(mine), mine.any(axis=1)
        for c in range(len(candidates)):
            seeds = self.vectors.rows(np.asarray(candidates.seeds[c], np.int64), view, int(candidates.item[c]))
            seeds = seeds[seeds.any(axis=1)]
            if len(seeds) == 0:
                continue
            homes, home, count = np.unique(self._assign(seeds), return_inverse=True, return_counts=True)
            sums = np.zeros((len(homes), seeds.shape[1]), np.float32)
            np.add.at(sums, home, seeds)
            share = np.zeros(len(self.centroids), np.float32)
            share[homes] = count / len(seeds)
            nearest = (mine @ to_unit(sums).T).max(axis=1)
            out[:, c] = (nearest + self.share_weight * share[cluster]) * some
        return out

    def _assign(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """int64[n]: the nearest centroid."""
        squares = (self.centroids**2).sum(axis=1)
        nearest: NDArray[np.int64] = np.argmin(squares - 2 * (x @ self.centroids.T), axis=1)
        return nearest
