"""Gradient boosted trees for every candidate (LightGBM, an optional extra): what trees gain over a linear model."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.feature_blocks import Asked, FeatureBlocks
from kinfolk.baselines.logistic import training_set
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View
from kinfolk.errors import OptionError

ROUNDS = 50


class Gbm:
    """The training set of `Logistic`; ALS vectors, activity and field codes (as numbers) as features.

    Args:
        name, seed: see the registry.
        window: seconds; users with an event in the last `window` are active.
        shared: where fits are kept.

    Raises:
        OptionError: LightGBM is not installed.
    """

    fresh = True

    def __init__(
        self,
        name: str = "gbm_als_fields_activity",
        seed: int = 0,
        window: float = 86400.0,
        shared: Shared | None = None,
    ) -> None:
        self.name, self.seed, self.window = name, seed, window
        self.shared = shared or Shared()
        try:
            self._lightgbm: Any = importlib.import_module("lightgbm")
        except ImportError as e:
            raise OptionError(f"baseline {name!r} needs LightGBM", 'pip install "kinfolk[lightgbm]"') from e

    def fit(self, view: View) -> None:
        """Prepare the features."""
        self.features = FeatureBlocks(self.shared, view, self.seed, self.window)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: log-odds; 0 for a candidate without seeds or without anybody to set against them."""
        settings = {
            "objective": "binary",
            "num_leaves": 7,
            "learning_rate": 0.1,
            "min_data_in_leaf": 10,
            "feature_fraction": 0.5,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed,
            "verbosity": -1,
        }
        out = np.zeros((len(users), len(candidates)), np.float32)
        for row in range(len(candidates)):
            train, labels = training_set(candidates, row, view, self.window)
            if len(users) == 0 or labels.all() or not labels.any():
                continue
            data = self._lightgbm.Dataset(self._matrix(train, view), labels.astype(np.float32))
            model = self._lightgbm.train(settings, data, ROUNDS)
            asked = Asked(users, np.full(len(users), view.now))
            out[:, row] = model.predict(self._matrix(asked, view), raw_score=True, num_threads=1)
        return out

    def _matrix(self, asked: Asked, view: View) -> NDArray[np.float32]:
        activity, (codes, _) = self.features.activity(asked, view), self.features.codes(asked, view)
        return np.concatenate([self.features.als[asked.users], activity, codes], axis=1, dtype=np.float32)
