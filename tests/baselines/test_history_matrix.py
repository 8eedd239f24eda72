from __future__ import annotations

import numpy as np
import pytest

from kinfolk.baselines.history_matrix import history_matrix, tf_idf
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def test_holds_the_pairs_of_items_with_enough_users(world):
    view = world.log.view(400.0)
    dense = np.zeros((world.log.n_users, world.log.n_items))
    dense[view.pairs.user, view.pairs.item] = 1
    least = int(np.median(dense.sum(0)))
    history = history_matrix(view, least)
    assert history.items.tolist() == np.flatnonzero(dense.sum(0) >= least).tolist()
    assert 0 < len(history.items) < world.log.n_items
    np.testing.assert_array_equal(history.matrix.toarray(), dense[:, history.items])
    np.testing.assert_array_equal(history.degree, dense[:, history.items].sum(1))
    np.testing.assert_array_equal(history.support, dense[:, history.items].sum(0))


def test_removed_items_and_later_clicks_are_missing(world):
    history = history_matrix(world.log.view(np.inf, np.array([0, 28])), 1)
    assert 0 not in history.items
    assert 28 not in history.items
    assert 29 in history.items
    assert 29 not in history_matrix(world.log.view(1000.0), 1).items


def test_tf_idf_has_unit_rows_and_rare_items_weigh_more(world):
    history = history_matrix(world.log.view(400.0))
    rows = tf_idf(history).toarray()
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(lengths, history.degree > 0, atol=1e-6)
    warm = (history.degree > 0).sum()
    weights = history.matrix.toarray() * np.log((warm + 1) / (history.support + 1))
    expected = weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-30)
    np.testing.assert_allclose(rows, expected, atol=1e-6)
