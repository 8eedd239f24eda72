"""Centroids as T(mean of x) when scoring too (`InputRalm`), for models trained so (`TrainingConfig.centroids`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.ralm import Ralm
from kinfolk.data.log import View
from kinfolk.errors import OptionError
from kinfolk.lookalike.clusters_many import kmeans_many
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.weights import Snapshot, Weights
from kinfolk.represent.embed import embed
from kinfolk.represent.represented import Represented


class InputRalm(Ralm):
    """RALM whose centroids are the transformed means of universal embeddings; for presets with static vectors."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[len(users), len(candidates)], eq. 2."""
        e, _, rows, offsets = self.vectors(users, candidates, view)
        crowds = input_crowds(self.weights, self.universal, self.static, rows, offsets, seed=self.seed)
        return np.asarray(score_users(self.weights.index(crowds), e, self.weights.queries(e)), np.float32)

    def _ready(self, represented: Represented, weights: Weights, view: View) -> None:
        if self.fresh or weights.co_click:
            raise OptionError("fresh vectors or co-clicks with centroids of inputs", "use the preset paper")
        super()._ready(represented, weights, view)
        self.universal = embed(represented, view, np.arange(view.log.n_users, dtype=np.int32))


def input_crowds(
    weights: Weights,
    x: NDArray[np.float32],
    e: NDArray[np.float32],
    rows: NDArray[np.int64],
    offsets: NDArray[np.int64],
    *,
    seed: int,
) -> Snapshot:
    """Crowds of C candidates, clustered in the transformed space, each centroid T(mean of its members' x).

    Args:
        weights: of stage 2.
        x, e: float32[N, m] and [N, h], universal and look-alike embeddings.
        rows, offsets: candidate c's seeds are rows[offsets[c]:offsets[c + 1]].
        seed: of the clustering.
    """
    k, count = weights.config.k, np.diff(offsets)
    found = kmeans_many(e, offsets, k, rows=rows, seed=seed, iterations=15)
    cell = np.repeat(np.arange(len(count)), count) * k + found.assignment
    sums = np.zeros((len(count) * k, x.shape[1]), np.float64)
    np.add.at(sums, cell, x[rows])
    means = (sums / np.maximum(found.sizes.reshape(-1, 1), 1)).astype(np.float32)
    centroids = weights.transform(means).reshape(len(count), k, -1) * (found.sizes > 0)[..., None]
    return weights.crowds(np.ascontiguousarray(centroids, np.float32), found.sizes, count)
