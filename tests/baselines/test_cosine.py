from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from kinfolk.baselines import popularity
from kinfolk.baselines.cosine import NEWEST, Cosine, CosineLogRecency
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.popularity import log_recency
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


POOLS = {
    "mean": lambda s: s.mean(1),
    "max": lambda s: s.max(1),
    "top5": lambda s: np.sort(s, 1)[:, -5:].mean(1),
    "lse": lambda s: np.log(np.exp((s - 1) / 0.1).mean(1)),
}


def gaussian(shared, view, seed):
    """Vectors that are not unit, the last 24 users cold."""
    vectors = np.random.default_rng(seed).normal(size=(view.log.n_users, 6)).astype(np.float32)
    vectors[-24:] = 0
    return vectors


@pytest.mark.parametrize("pool", POOLS)
def test_is_the_pooled_cosine_to_the_warm_seeds(pool, world):
    method = Cosine(vectors=gaussian, pool=pool, seed=1)
    method.fit(world.seen)
    users, vectors = np.arange(90, dtype=np.int32), gaussian(None, world.seen, 1).astype(np.float64)
    seeds = [8, 121, 3, 44, 57, 13, 90, 2]  # one cold
    scores = method.score(users, Candidates.one(28, np.array(seeds), np.arange(8.0), (0,)), world.later)
    warm = [s for s in seeds if vectors[s].any()]
    expected = POOLS[pool](cosine_similarity(vectors[users], vectors[warm]))
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-5)


def test_only_the_newest_seeds_count_but_for_the_mean(world):
    far = np.zeros((world.log.n_users, 2), np.float32)
    far[:, 0], far[0] = 1, [0, 1]

    def vectors(shared, view, seed):
        return far

    seeds = np.r_[0, np.resize(np.arange(1, 100), NEWEST)]
    one = Candidates.one(28, seeds, np.arange(len(seeds), dtype=float), (0,))
    for pool, sees_the_first in (("max", False), ("mean", True)):
        method = Cosine(vectors=vectors, pool=pool)
        method.fit(world.seen)
        assert (method.score(np.array([0], np.int32), one, world.later)[0, 0] > 0) == sees_the_first


def test_without_warm_seeds_everybody_is_at_cosine_zero(world):
    cold = Candidates.one(28, np.array([121]), np.zeros(1), (0,))
    for pool, expected in (("mean", 0), ("max", 0), ("top5", 0), ("lse", -10)):
        method = Cosine(vectors=gaussian, pool=pool)
        method.fit(world.seen)
        np.testing.assert_allclose(method.score(np.arange(5, dtype=np.int32), cold, world.later), expected)


def test_z_log_recency_standardises_each_user_and_adds_recency(world):
    view, users, two = world.later, np.array([12, 75], np.int32), world.candidates()
    method, plain = CosineLogRecency(vectors="svd", tau=50.0), Cosine(vectors="svd")
    method.fit(world.seen)
    plain.fit(world.seen)
    z = method.score(users, two, view) - log_recency(two, view.now, 50.0)
    np.testing.assert_allclose(z, [[1, -1], [-1, 1]], atol=1e-4)
    assert (np.sign(plain.score(users, two, view) - 0.1) == [[1, -1], [-1, 1]]).all()


def test_z_trend_adds_what_a_log_too_short_to_teach_has_as_recency(world, monkeypatch):
    view, users, two = world.later, np.array([12, 75], np.int32), world.candidates()
    monkeypatch.setattr(popularity, "learn_trend", lambda view, seed: None)
    trendy, recent = (CosineLogRecency(vectors="svd", tau=50.0, trend=t) for t in (True, False))
    for method in (trendy, recent):
        method.fit(world.seen)
    np.testing.assert_allclose(trendy.score(users, two, view), recent.score(users, two, view), atol=1e-6)
