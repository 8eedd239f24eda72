import numpy as np
import pytest

from kinfolk.lookalike.score import score_users
from kinfolk.simulate.shown import Shown
from kinfolk.simulate.weighting import Lookalike, _newest


@pytest.fixture
def lookalike(small_bundle):
    return Lookalike(small_bundle, n_items=6)


def clicks(users, item, step=0):
    users = np.asarray(users)
    return Shown.of(users, np.full((len(users), 1), item), step, np.ones((len(users), 1), bool))


def test_an_item_without_seeds_has_no_score(lookalike):
    lookalike.observe(clicks(range(12), 2))
    lookalike.refresh(np.arange(6))
    scores = lookalike.scores(np.arange(30), np.arange(6))
    assert np.isfinite(scores[:, 2]).all()
    assert np.isnan(np.delete(scores, 2, axis=1)).all()


def test_scores_are_those_of_a_snapshot_of_the_seeds(small_bundle, lookalike):
    k = small_bundle.weights.config.k
    seeds = np.arange(3, 3 + k)  # as many as clusters: every seed is its own centroid, in any clustering
    lookalike.observe(clicks(seeds, 1))
    lookalike.refresh(np.arange(6))
    vectors, weights = np.asarray(small_bundle.lookalike), small_bundle.weights
    index = weights.index(weights.snapshot(vectors[seeds], seed=0))
    wanted = score_users(index, vectors[:40], weights.queries(vectors[:40]))
    np.testing.assert_allclose(lookalike.scores(np.arange(40), np.array([1]))[:, 0], wanted[:, 0], atol=1e-5)


def test_new_seeds_count_from_the_next_refresh_on(lookalike):
    lookalike.observe(clicks(range(20), 0))
    lookalike.refresh(np.arange(6))
    before = lookalike.scores(np.arange(30), np.array([0]))
    lookalike.observe(clicks(range(200, 300), 0))
    np.testing.assert_array_equal(lookalike.scores(np.arange(30), np.array([0])), before)
    lookalike.refresh(np.arange(6))
    assert (lookalike.scores(np.arange(30), np.array([0])) != before).any()


def test_what_was_only_shown_is_no_seed(lookalike):
    users = np.arange(5)
    lookalike.observe(Shown.of(users, np.zeros((5, 1), np.int64), 0, np.zeros((5, 1), bool)))
    lookalike.refresh(np.arange(6))
    assert np.isnan(lookalike.scores(users, np.arange(6))).all()


def test_a_second_click_moves_to_the_front():
    np.testing.assert_array_equal(_newest(np.array([4, 7, 4, 9, 7])), [4, 9, 7])
