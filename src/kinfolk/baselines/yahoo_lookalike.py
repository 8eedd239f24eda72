"""Yahoo's look-alike: Ma, Wen, Xia, Chen, "A Sub-linear, Massive-scale Look-alike Audience Extension System", 2016.

Two steps. (1) A graph of similar users, held as MinHash/LSH buckets of their feature sets: the candidate users are
those who share a bucket with a seed. (2) Per campaign, features are selected by information value and summed in a
linear score. For a feature with share p among the seeds and q among all users, the information value of having it or
not is

    IV = (p - q) ln(p (1 - q) / ((1 - p) q))

Liu et al., KDD 2019, choose "information value as feature selection" and take "> 0.5 as positive filter". That can be
read in two ways, and both are here:

* `positive_filter="iv"` (default): features with IV > 0.5 that are more frequent among seeds (p > q) are kept, and
  their IVs are the weights. A candidate with fewer than `min_features` such features keeps its best `min_features`
  instead, or nobody could be ranked.
* `positive_filter="probability"`: all features with p > q go into a class-balanced logistic regression of seeds against
  sampled others, and users with a probability above 0.5 are the positives, ranked by it; the others tie.

Users outside the LSH set rank last.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.contrast import contrast
from kinfolk.baselines.feature_columns import Csr
from kinfolk.baselines.logistic_regression import fit_logistic
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.minhash import MinHash, share_band
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.tag_rules import column_shares
from kinfolk.baselines.user_features import FeatureSource, as_sets
from kinfolk.data.log import View
from kinfolk.errors import OptionError

OUTSIDE = -1.0
"""Score of a user who shares no bucket with a seed; everybody else scores at least 0."""


class YahooLookalike:
    """Args:
    name, seed: see the registry; the seed is that of the hash functions.
    positive_filter: the reading of "> 0.5", see above.
    threshold: the 0.5.
    min_features: kept in any case, by "iv".
    bands, rows: two users share one of `bands` buckets with probability 1 - (1 - J^rows)^bands, J their Jaccard.
    max_seeds: newest seeds used.
    negatives: sampled others, by "probability".
    fresh: features as of the scoring view instead of as of `fit`.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "yahoo_lookalike",
        seed: int = 0,
        positive_filter: Literal["iv", "probability"] = "iv",
        threshold: float = 0.5,
        min_features: int = 20,
        bands: int = 32,
        rows: int = 2,
        max_seeds: int = 20_000,
        negatives: int = 2000,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        if positive_filter not in ("iv", "probability"):
            raise OptionError(f"positive_filter is {positive_filter!r}", "use 'iv' or 'probability'")
        if min(bands, rows) < 1:
            raise OptionError(f"bands = {bands}, rows = {rows}", "give both a value of at least 1")
        self.name, self.seed, self.fresh = name, seed, fresh
        self.positive_filter, self.threshold, self.min_features = positive_filter, threshold, min_features
        self.bands, self.hashes, self.max_seeds, self.negatives = bands, rows, max_seeds, negatives
        self.source = FeatureSource(shared, fresh, **features)

    def fit(self, view: View) -> None:
        """Learn the columns and the share of known users that have each feature; without `fresh`, hash all users."""
        self.source.fit(view)
        self.shares = column_shares(as_sets(self.source.known_rows()))
        self._hashes = MinHash(self.source.size, self.bands, self.hashes, self.seed)
        self._keys: NDArray[np.uint64] | None = None
        if not self.fresh:
            self._keys = self._hashes.keys(self.source.rows(np.arange(view.log.n_users), view))

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: -1 outside the LSH set, else in [0, 1].

        By "iv" it is the share of the candidate's weights that a user meets: sums alone would favour, in every user's
        ranking of candidates, those with few and peculiar seeds. The order of users within a candidate is the same.
        """
        out = np.full((len(users), len(candidates)), OUTSIDE, np.float32)
        mine = as_sets(self.source.rows(users, view))
        keys = self._hashes.keys(mine) if self._keys is None else self._keys[users]
        for c in range(len(candidates)):
            seeds = np.asarray(candidates.seeds[c], np.int64)[-self.max_seeds :]
            item = int(candidates.item[c])
            rows = as_sets(self.source.rows(seeds, view, item))
            inside = share_band(keys, self._hashes.keys(rows))
            if inside.any():
                near = mine[inside]
                if self.positive_filter == "iv":
                    weights = self.weights(rows)
                    out[inside, c] = near @ weights / max(weights.sum(), 1e-9)
                else:
                    out[inside, c] = self._probabilities(near, candidates, c, view, rows)
        return out

    def weights(self, seeds: Csr) -> NDArray[np.float32]:
        """float32[features] >= 0: IV of the features kept; seeds: csr[n, features] of ones."""
        values = information_value(seeds, self.shares)
        kept = values > self.threshold
        if kept.sum() < self.min_features:
            kept = np.zeros(len(values), bool)
            kept[np.argsort(-values, kind="stable")[: self.min_features]] = True
        return np.where(kept, values, 0).astype(np.float32)

    def _probabilities(
        self, near: Csr, candidates: Candidates, row: int, view: View, seeds: Csr
    ) -> NDArray[np.float32]:
        """float32[len(near)]: the probability above the threshold, 0 below it."""
        sample = contrast(candidates, row, self.source.known, self.negatives, self.max_seeds)
        if not sample.usable:
            return np.zeros(near.shape[0], np.float32)
        rows = as_sets(self.source.rows(sample.users, view, int(candidates.item[row])))
        keep = (information_value(seeds, self.shares) > 0).astype(np.float32)
        rows.data *= keep[rows.indices]
        rows.eliminate_zeros()
        model = fit_logistic(rows, sample.labels, 1.0, balanced=True)
        logit = near @ model.dense(self.source.size) + model.intercept
        probability = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        return np.where(probability > self.threshold, probability, 0).astype(np.float32)


def information_value(seeds: Csr, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[features]: IV where seeds have the feature more often than all users do, else 0.

    Args:
        seeds: csr[n, features] of ones.
        shares: float64[features], q. One prior seed that is like everybody keeps p away from 0 and 1.
    """
    q = np.clip(shares, 1e-9, 1 - 1e-9)
    p = np.clip((np.asarray(seeds.sum(axis=0)).ravel() + q) / (seeds.shape[0] + 1), 1e-9, 1 - 1e-9)
    return np.where(p > q, (p - q) * np.log(p * (1 - q) / ((1 - p) * q)), 0.0)
