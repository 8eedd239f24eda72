"""Seeds against sampled others: the training set of every classifier that is trained for one candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.data.log import View

T = TypeVar("T")
X = TypeVar("X", covariant=True)


@dataclass(frozen=True)
class Contrast:
    """Users and labels of one candidate's training set.

    Args:
        users: int64[n], positives first.
        labels: float32[n], 1 = seed.
        rng: what else is drawn for this candidate.
    """

    users: NDArray[np.int64]
    labels: NDArray[np.float32]
    rng: np.random.Generator

    @property
    def n_seeds(self) -> int:
        """Number of positives."""
        return int(self.labels.sum())

    @property
    def usable(self) -> bool:
        """Both classes are there."""
        return 0 < self.n_seeds < len(self.labels)


def contrast(
    candidates: Candidates, row: int, pool: NDArray[np.integer], negatives: int, max_seeds: int | None = None
) -> Contrast:
    """The newest `max_seeds` seeds of a candidate against at most `negatives` users of `pool` that are not seeds.

    `pool` is drawn from without replacement; the draw depends on `candidates.rng[row]` alone.
    """
    rng = np.random.default_rng(candidates.rng[row])
    seeds = np.asarray(candidates.seeds[row], np.int64)
    # drawing as many more as there are seeds leaves enough after the seeds among them are dropped
    drawn = rng.choice(pool, size=min(len(pool), negatives + len(seeds)), replace=False)
    others = drawn[~np.isin(drawn, seeds)][:negatives].astype(np.int64)
    positives = seeds if max_seeds is None else seeds[-max_seeds:]
    labels = np.zeros(len(positives) + len(others), np.float32)
    labels[: len(positives)] = 1
    return Contrast(np.concatenate([positives, others]), labels, rng)


class Rows(Protocol[X]):
    """Features of users: `FeatureSource` (sparse) or `FeatureVectors` (dense)."""

    @property
    def known(self) -> NDArray[np.int64]:
        """Users learnt from."""

    def fit(self, view: View) -> None:
        """Learn the columns."""

    def rows(self, users: NDArray[np.integer], view: View, without: int = -1) -> X:
        """[len(users), columns]."""


class Trained(Generic[X, T]):
    """One model a candidate, kept for the candidates scored last: users scored in batches cost one training.

    Args:
        source: features.
        negatives: sampled for each candidate.
        max_seeds: newest seeds used.
    """

    def __init__(self, source: Rows[X], negatives: int, max_seeds: int) -> None:
        self.source, self.negatives, self.max_seeds = source, negatives, max_seeds
        self._candidates: Candidates | None = None
        self._view: View | None = None
        self._models: list[T] = []

    def fit(self, view: View) -> None:
        """Learn the features; forget the models."""
        self.source.fit(view)
        self._candidates, self._view, self._models = None, None, []

    def sample(self, candidates: Candidates, row: int) -> Contrast:
        """Who a candidate's model is trained on."""
        return contrast(candidates, row, self.source.known, self.negatives, self.max_seeds)

    def features(self, sample: Contrast, candidates: Candidates, row: int, view: View) -> X:
        """Of the users of a candidate's sample, who are not seen by their click on it."""
        return self.source.rows(sample.users, view, int(candidates.item[row]))

    def get(self, candidates: Candidates, view: View, train: Callable[[], list[T]]) -> list[T]:
        """What `train` makes, one a candidate; called anew for other candidates or another view (as objects)."""
        if candidates is not self._candidates or view is not self._view:
            self._models = train()
            self._candidates, self._view = candidates, view
        return self._models

    def each(self, candidates: Candidates, view: View, train: Callable[[Candidates, int, View], T]) -> list[T]:
        """As `get`, of a `train` that makes one."""
        return self.get(candidates, view, lambda: [train(candidates, row, view) for row in range(len(candidates))])
