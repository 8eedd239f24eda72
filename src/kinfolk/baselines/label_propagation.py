"""Label propagation on a graph of users: Zhou et al. 2004, "Learning with Local and Global Consistency".

    F <- alpha S F + (1 - alpha) Y,   S = D^-1/2 W D^-1/2,   Y = 1 / n for each of a candidate's n seeds

W is a social graph where the log has one, else the nearest neighbours by features as of `fit`. The graph is made once,
so a candidate that was known at `fit` is still among the histories its edges come from; hide it with `Log.view`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.baselines.feature_columns import Csr
from kinfolk.baselines.feature_vectors import FeatureVectors
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.user_graph import edges_of, nearest_neighbours
from kinfolk.baselines.vectors import seed_matrix
from kinfolk.data.log import View
from kinfolk.errors import OptionError

_AT_ONCE = 32  # candidates propagated together


class LabelPropagation:
    """Args:
    name, seed: see the registry; the seed is that of the vectors and of the search for neighbours.
    edges_field: a multivalent user field that holds user ids; None builds the graph from features.
    neighbours: of each user, in the graph from features.
    alpha: share of a user's label that comes from neighbours, in [0, 1).
    iterations: steps; what is left out is at most alpha^iterations.
    size: of the vectors.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.

    Raises:
        OptionError: alpha outside [0, 1), or no neighbours or iterations.
    """

    fresh = False

    def __init__(
        self,
        name: str = "label_propagation",
        seed: int = 0,
        edges_field: str | None = None,
        neighbours: int = 10,
        alpha: float = 0.85,
        iterations: int = 20,
        size: int = 64,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        if not 0 <= alpha < 1 or min(neighbours, iterations) < 1:
            raise OptionError(
                f"alpha = {alpha}, neighbours = {neighbours}, iterations = {iterations}",
                "give 0 <= alpha < 1 and at least one neighbour and iteration",
            )
        self.name, self.seed, self.edges_field = name, seed, edges_field
        self.neighbours, self.alpha, self.iterations = neighbours, alpha, iterations
        self.vectors = FeatureVectors(shared, False, size, seed, **features)

    def fit(self, view: View) -> None:
        """Build the graph.

        Raises:
            SchemaError: `edges_field` is not a multivalent field of users.
        """
        if self.edges_field is not None:
            graph = edges_of(view.log, self.edges_field)
        else:
            self.vectors.fit(view)
            unit = self.vectors.rows(np.arange(view.log.n_users), view)
            key = ("user graph", self.vectors.key, self.neighbours)
            graph = self.vectors.source.shared.get(
                view, key, lambda _: nearest_neighbours(unit, self.neighbours, self.seed)
            )
        self.graph = normalised(graph)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C] >= 0; 0 for a user whom no path joins to a seed."""
        out = np.zeros((len(users), len(candidates)), np.float32)
        labels = seed_matrix(candidates.seeds, self.graph.shape[0])
        for start in range(0, len(candidates), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            counts = np.maximum(candidates.seeds.lengths[some], 1).astype(np.float32)
            Y = labels[some].toarray().T / counts
            F = Y
            for _ in range(self.iterations):
                F = self.alpha * (self.graph @ F) + (1 - self.alpha) * Y
            out[:, some] = F[users]
        return out


def normalised(graph: Csr) -> Csr:
    """D^-1/2 W D^-1/2 of a symmetric csr[N, N] of weights >= 0; users without edges keep empty rows."""
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scale = sp.diags(np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0))
    return sp.csr_matrix(scale @ graph @ scale, dtype=np.float32)
