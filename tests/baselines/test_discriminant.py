from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from kinfolk.baselines import popularity
from kinfolk.baselines.cosine import Cosine
from kinfolk.baselines.discriminant import Discriminant
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.popularity import log_recency
from kinfolk.lookalike.trend import features
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def cloud(shared, view, seed):
    """Unit vectors around one point; the last four users cold."""
    vectors = np.random.default_rng(seed).normal([2, 0, 0, 0, 0], size=(view.log.n_users, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[-4:] = 0
    return vectors.astype(np.float32)


def fitted(world, **options):
    method = Discriminant(vectors=cloud, seed=2, **options)
    method.fit(world.seen)
    return method


def weights(world, seeds):
    """The plain formula in float64: covariance^-1 (mean of the seeds - mean of all)."""
    vectors = cloud(None, world.seen, 2).astype(np.float64)
    warm = vectors[:-4]
    covariance = np.cov(warm.T)
    covariance += 0.1 * np.trace(covariance) / 5 * np.eye(5)
    return np.linalg.solve(covariance, vectors[seeds].mean(0) - warm.mean(0)), warm.mean(0), vectors


def test_score_is_the_closed_form(world):
    seeds, cold, users = np.array([3, 17, 40, 99]), np.array([121]), np.arange(120, dtype=np.int32)
    one = Candidates.one(28, np.r_[seeds, cold], np.zeros(5), (0,))
    w, mean, vectors = weights(world, seeds)
    shrink = 4 / 24
    constant = 0.5 * shrink**2 * (vectors[seeds].mean(0) - mean) @ w
    expected = shrink * (vectors[users] - mean) @ w - constant
    scores = fitted(world).score(users, one, world.later)[:, 0]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_cold_user_is_the_mean_user_and_cold_seeds_say_nothing(world):
    users = np.array([5, 122], np.int32)
    method = fitted(world)
    some = method.score(users, Candidates.one(28, np.array([3, 17]), np.zeros(2), (0,)), world.later)
    w, mean, vectors = weights(world, [3, 17])
    np.testing.assert_allclose(some[1, 0], -0.5 * (2 / 22) ** 2 * (vectors[[3, 17]].mean(0) - mean) @ w, atol=1e-5)
    none = method.score(users, Candidates.one(28, np.array([121]), np.zeros(1), (0,)), world.later)
    np.testing.assert_array_equal(none, 0)


def test_log_recency_is_added_to_every_user(world):
    two, users, view = world.candidates(), np.arange(30, dtype=np.int32), world.later
    plain = fitted(world).score(users, two, view)
    recent = fitted(world, log_recency=True, tau=300.0)
    assert recent.fresh
    expected = plain + log_recency(two, view.now, 300.0)
    np.testing.assert_allclose(recent.score(users, two, view), expected, atol=1e-5)


def test_a_loud_direction_that_says_nothing_is_scaled_down(world):
    """The first axis is noise, the second is quiet and tells the groups: cosines hear the noise."""
    vectors = np.random.default_rng(0).normal(0, [1, 0.1, 0], size=(124, 3)).astype(np.float32)
    vectors[:, 2] = 2
    vectors[:60, 1] += 0.4

    def noisy(shared, view, seed):
        return vectors

    users, one = np.arange(20, 120, dtype=np.int32), Candidates.one(28, np.arange(20), np.zeros(20), (0,))
    aucs = []
    for method in (Discriminant(vectors=noisy), Cosine(vectors=noisy)):
        method.fit(world.seen)
        aucs.append(roc_auc_score(users < 60, method.score(users, one, world.later)[:, 0]))
    assert aucs[0] > 0.95
    assert aucs[1] < 0.75


def test_nobody_warm_scores_zero(world):
    def nothing(shared, view, seed):
        return np.zeros((view.log.n_users, 3), np.float32)

    method = Discriminant(vectors=nothing)
    method.fit(world.seen)
    scores = method.score(np.arange(4, dtype=np.int32), world.candidates(), world.later)
    np.testing.assert_array_equal(scores, 0)


def test_a_trend_is_added_to_every_user(world, monkeypatch):
    two, users, view = world.candidates(), np.arange(30, dtype=np.int32), world.later
    weights = np.array([0.5, 0.0, 0.25, 0.0], np.float32)
    monkeypatch.setattr(popularity, "learn_trend", lambda view, seed: weights)
    trendy = fitted(world, trend=True)
    assert trendy.fresh
    expected = fitted(world).score(users, two, view) + features(two.times, view.now) @ weights
    np.testing.assert_allclose(trendy.score(users, two, view), expected, atol=1e-5)
