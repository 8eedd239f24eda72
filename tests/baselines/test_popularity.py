from __future__ import annotations

import numpy as np
import pytest

from kinfolk.baselines import popularity
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.popularity import Newest, Popularity, Random, RecencyPopularity, log_recency
from kinfolk.data.jagged import Jagged
from kinfolk.lookalike.trend import features
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


USERS = np.arange(3, dtype=np.int32)


@pytest.fixture
def candidates():
    """One old and popular, one young, one without seeds; seen at 1000."""
    times = [[100.0, 200.0, 300.0], [900.0, 990.0], []]
    return Candidates(
        np.arange(3, dtype=np.int32),
        Jagged.of([[0, 1, 2], [3, 4], []], np.int32),
        Jagged.of(times, np.float64),
        np.array([[0, 1], [0, 2], [0, 3]]),
    )


def scores(method, candidates, world):
    out = method.score(USERS, candidates, world.log.view(1000.0))
    assert (out == out[:1]).all()  # the same for every user
    return out[0]


def test_popularity_counts_seeds(candidates, world):
    assert scores(Popularity(), candidates, world).tolist() == [3, 2, 0]


def test_recency_prefers_the_young_and_a_long_memory_counts(candidates, world):
    short = scores(RecencyPopularity(tau=50.0), candidates, world)
    np.testing.assert_allclose(short[1], np.exp(-2) + np.exp(-0.2), rtol=1e-5)
    assert short.argsort().tolist() == [2, 0, 1]
    long = scores(RecencyPopularity(tau=1e9), candidates, world)
    np.testing.assert_allclose(long, [3, 2, 0], atol=1e-4)
    np.testing.assert_allclose(np.exp(log_recency(candidates, 1000.0, 1e9)), [3.1, 2.1, 0.1], atol=1e-4)


def test_newest_goes_by_the_first_click_and_none_is_last(candidates, world):
    newest = scores(Newest(), candidates, world)
    assert newest[:2].tolist() == [-900, -100]
    assert newest.argsort().tolist() == [2, 0, 1]
    assert np.isfinite(newest).all()


def test_newest_tells_seconds_apart_in_unix_time(world):
    times = Jagged.of([[1.5e9], [1.5e9 + 1]], np.float64)
    two = Candidates(np.array([0, 1], np.int32), Jagged.of([[0], [1]], np.int32), times, np.zeros((2, 1), np.int64))
    young = Newest().score(USERS, two, world.log.view(1.5e9 + 100))
    assert (young[:, 1] == young[:, 0] + 1).all()


def test_random_depends_on_candidate_and_seed_alone(candidates, world):
    view, users = world.seen, np.arange(100, dtype=np.int32)
    a, b = Random(seed=0).score(users, candidates, view), Random(seed=0).score(users, candidates, world.later)
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, Random(seed=1).score(users, candidates, view))
    assert not np.allclose(a[:, 0], a[:, 1])
    assert not np.allclose(a[:, 0], np.random.default_rng([0, 1]).random(100))  # others draw from that stream


def test_a_trend_weighs_clicks_of_four_decays_as_the_log_taught(candidates, world, monkeypatch):
    weights = np.array([0.5, 1.0, 0.0, 0.25], np.float32)
    monkeypatch.setattr(popularity, "learn_trend", lambda view, seed: weights)
    method = popularity.Trend()
    method.fit(world.log.view(1000.0))
    np.testing.assert_allclose(
        scores(method, candidates, world), features(candidates.times, 1000.0) @ weights, rtol=1e-5
    )
    monkeypatch.setattr(popularity, "learn_trend", lambda view, seed: None)
    short = popularity.Trend(tau=50.0)
    short.fit(world.log.view(1000.0))
    np.testing.assert_allclose(scores(short, candidates, world), log_recency(candidates, 1000.0, 50.0), rtol=1e-5)
