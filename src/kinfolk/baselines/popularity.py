"""Rankings that know no user: chance, number of seeds, recent seeds, age."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View
from kinfolk.lookalike.trend import features, learn_trend

_OWN_STREAM = 1  # whoever draws users from the same seed sequence must not get the same numbers


class Random:
    """A score by chance: what no method may fall below."""

    fresh = False

    def __init__(self, name: str = "random", seed: int = 0) -> None:
        self.name, self.seed = name, seed

    def fit(self, view: View) -> None:
        """Nothing to learn."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C], uniform in [0, 1), drawn from the candidate's own seed sequence."""
        columns = [np.random.default_rng([*row, self.seed, _OWN_STREAM]).random(len(users)) for row in candidates.rng]
        return np.array(columns, np.float32).reshape(len(candidates), len(users)).T


class Popularity:
    """Number of seeds. The same for every user, so it ranks candidates (the feed), not users."""

    fresh = False

    def __init__(self, name: str = "popularity", seed: int = 0) -> None:
        self.name, self.seed = name, seed

    def fit(self, view: View) -> None:
        """Nothing to learn."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]."""
        return same_for_all(users, candidates.seeds.lengths)


class RecencyPopularity:
    """Seeds that count exp(-age of the click / tau)."""

    fresh = True

    def __init__(self, name: str = "recency_popularity", seed: int = 0, tau: float = 10800.0) -> None:
        self.name, self.seed, self.tau = name, seed, tau

    def fit(self, view: View) -> None:
        """Nothing to learn."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]."""
        return same_for_all(users, recency(candidates, view.now, self.tau))


class Trend:
    """Clicks as a feed of kinfolk counts them (`lookalike.trend`): over four decays, weighed as the log taught.

    Args:
        name, seed: see the registry.
        tau: seconds, the decay of `log_recency`, which stands in where the log is too short to learn from.
        shared: where fits are kept.
    """

    fresh = True

    def __init__(self, name: str = "trend", seed: int = 0, tau: float = 10800.0, shared: Shared | None = None) -> None:
        self.name, self.seed, self.tau, self.shared = name, seed, tau, shared or Shared()

    def fit(self, view: View) -> None:
        """Learn the weights."""
        self.weights = self.shared.get(view, ("trend", self.seed), lambda v: learn_trend(v, seed=self.seed))

    def rates(self, candidates: Candidates, now: float) -> NDArray[np.float64]:
        """float64[C]: log rates of clicks, but for a constant."""
        if self.weights is None:
            return np.asarray(log_recency(candidates, now, self.tau), np.float64)
        return np.asarray(features(candidates.times, now) @ self.weights, np.float64)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]."""
        return same_for_all(users, self.rates(candidates, view.now))


class Newest:
    """The later a candidate's first click, the better: minus its age in seconds."""

    fresh = True

    def __init__(self, name: str = "newest", seed: int = 0) -> None:
        self.name, self.seed = name, seed

    def fit(self, view: View) -> None:
        """Nothing to learn."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]; a candidate without a click ranks last."""
        first = np.full(len(candidates), np.inf)
        np.minimum.at(first, candidates.times.rows(), candidates.times.values.astype(np.float64))
        ages = np.where(np.isfinite(first), view.now - first, np.finfo(np.float32).max)
        return same_for_all(users, -ages)


def recency(candidates: Candidates, now: float, tau: float) -> NDArray[np.float64]:
    """float64[C]: sum over the seeds of exp(-(now - click time) / tau)."""
    weights = np.exp(-(now - candidates.times.values.astype(np.float64)) / tau)
    return np.bincount(candidates.times.rows(), weights=weights, minlength=len(candidates)).astype(np.float64)


def log_recency(candidates: Candidates, now: float, tau: float) -> NDArray[np.float64]:
    """float64[C]: log(recency + 0.1), what the feed adds to a personal score."""
    return np.log(recency(candidates, now, tau) + 0.1)


def same_for_all(users: NDArray[np.int32], values: NDArray[np.generic]) -> NDArray[np.float32]:
    """values [C] -> float32[U, C], every row the same."""
    return np.tile(values.astype(np.float32), (len(users), 1))
