"""The oracles of the synthetic feed as methods: what is left to gain, and what is out of reach. Nothing is learned.

`BayesOracle` sees what a method may see and knows the world's parameters; `TasteOracle` knows everybody's taste.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.data.log import Log, View
from kinfolk.data.synthetic import Oracle, Truth
from kinfolk.errors import DataError


class BayesOracle:
    """Expected interest given fields, clicks before now and seeds; see `kinfolk.data.synthetic.oracle`."""

    name = "bayes_oracle"
    fresh = True

    def __init__(self, true: Truth) -> None:
        self.true = true
        self._beside: tuple[Log, Oracle] | None = None

    def fit(self, view: View) -> None:
        """Nothing to learn; lays the truth beside the log."""
        self._oracle(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C], expected interest. A candidate's own clicks say nothing of its seeds' tastes."""
        return self._oracle(view).score(view, users, candidates.item, candidates.seeds)

    def _oracle(self, view: View) -> Oracle:
        if self._beside is None or self._beside[0] is not view.log:
            self._beside = view.log, Oracle(self.true, view.log)
        return self._beside[1]


class TasteOracle(BayesOracle):
    """The true interest, for reference: no method can know it."""

    name = "taste_oracle"

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C], true interest.

        Raises:
            DataError: a candidate is a bare seed list, of which there is no truth.
        """
        if np.any(candidates.item < 0):
            raise DataError("a bare seed list has no true appeal", "ask the Bayes oracle")
        return self._oracle(view).taste_score(users, candidates.item)
