"""Profile and tag rules: who shares the values that are over-represented among the seeds.

What an advertiser's targeting rules do by hand. A value is a rule if its lift, share among the seeds / share among all
users, is high and enough seeds have it. A rule weighs log lift x share among the seeds; a user scores the share of a
candidate's weights that they meet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.feature_columns import Csr
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.user_features import FeatureSource, as_sets
from kinfolk.data.log import View


class TagRules:
    """Single history items are no tags: they count only where the log has no field at all.

    Args:
        name, seed: see the registry; nothing is random.
        min_lift: below this a value is no rule.
        min_share: of the seeds that must have the value.
        fresh: features as of the scoring view instead of as of `fit`.
        shared: where fits are kept.
    """

    def __init__(
        self,
        name: str = "tag_rules",
        seed: int = 0,
        min_lift: float = 1.2,
        min_share: float = 0.05,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.min_lift, self.min_share, self.fresh = name, seed, min_lift, min_share, fresh
        self.source = FeatureSource(shared, fresh, **{"history": False, **features})

    def fit(self, view: View) -> None:
        """Learn the columns and the share of known users that have each value."""
        self.source.fit(view)
        self.shares = column_shares(as_sets(self.source.known_rows()))

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: the share of a candidate's rules, by weight, that a user meets."""
        weights = np.zeros((self.source.size, len(candidates)), np.float32)
        for c in range(len(candidates)):
            seeds = np.asarray(candidates.seeds[c], np.int64)
            if len(seeds):
                rows = as_sets(self.source.rows(seeds, view, int(candidates.item[c])))
                weights[:, c] = self.rules(rows)
        weights /= np.maximum(weights.sum(axis=0), 1e-9)
        out: NDArray[np.float32] = as_sets(self.source.rows(users, view)) @ weights
        return out

    def rules(self, seeds: Csr) -> NDArray[np.float32]:
        """float32[features]: the weight of every value, 0 where it is no rule; seeds: csr[n, features] of ones.

        One prior seed that is like everybody keeps the lift of few seeds finite and modest.
        """
        n = seeds.shape[0]
        share = (np.asarray(seeds.sum(axis=0)).ravel() + self.shares) / (n + 1)
        lift = share / np.maximum(self.shares, 1e-9)
        rule = (lift >= self.min_lift) & (share >= self.min_share) & (self.shares > 0)
        return np.where(rule, np.log(np.maximum(lift, 1e-9)) * share, 0).astype(np.float32)


def column_shares(sets: Csr) -> NDArray[np.float64]:
    """float64[features]: share of the rows of csr[n, features] that have each feature."""
    counts = np.bincount(sets.indices, minlength=sets.shape[1])
    return np.asarray(counts / max(sets.shape[0], 1), np.float64)
