"""ALS fold-in: a new item's factor is what ALS would give it with its seeds as clicks, users' factors being fixed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.als import shared_als
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.vectors import seed_matrix, to_unit
from kinfolk.data.log import View
from kinfolk.represent.als import HalfSweep


class FoldIn:
    """Args:
    name, seed: see the registry.
    cosine: between the user's and the folded-in factor; False: their dot product, which grows with activity.
    shared: where fits are kept.
    """

    fresh = False

    def __init__(
        self, name: str = "als_fold_in", seed: int = 0, cosine: bool = True, shared: Shared | None = None
    ) -> None:
        self.name, self.seed, self.cosine = name, seed, cosine
        self.shared = shared or Shared()

    def fit(self, view: View) -> None:
        """Factorise the view's clicks."""
        als = shared_als(self.shared, view, self.seed)
        self.users = to_unit(als.users) if self.cosine else als.users
        self.half_sweep = self.shared.get(
            view, ("fold-in", self.seed), lambda _: HalfSweep.given(als.users, als.config)
        )

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]; users without history and candidates without warm seeds score 0."""
        items = self.half_sweep.solve(seed_matrix(candidates.seeds, len(self.users)))
        scores: NDArray[np.float32] = self.users[users] @ (to_unit(items) if self.cosine else items).T
        return scores
