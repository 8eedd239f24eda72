from __future__ import annotations

import numpy as np
import pytest

from kinfolk.baselines.history_matrix import history_matrix, tf_idf
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.vectors import als_vectors, mean_of_seeds, svd_vectors, to_unit, unit_vectors, warm_seeds
from kinfolk.data.jagged import Jagged
from kinfolk.errors import OptionError
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


@pytest.mark.parametrize("vectors", ["als", "svd"])
def test_rows_have_length_one_or_are_zero_without_history(vectors, world):
    rows = unit_vectors(vectors, Shared(), world.seen, 0)
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(lengths[:120], 1, atol=1e-5)
    assert not lengths[120:].any()


def test_svd_keeps_the_inner_products_of_tf_idf(world):
    # 28 items and 27 dimensions: next to nothing is cut off
    rows = tf_idf(history_matrix(world.seen)).toarray()
    vectors = svd_vectors(Shared(), world.seen, 0)
    assert vectors.shape[1] == 27
    np.testing.assert_allclose(vectors @ vectors.T, rows @ rows.T, atol=0.2)
    assert not svd_vectors(Shared(), world.log.view(-1.0), 0).any()


def test_als_vectors_of_nobody_are_zero(world):
    assert not als_vectors(Shared(), world.log.view(-1.0), 0).any()


def test_mean_of_seeds_is_the_mean_row_and_zero_of_none():
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    means = mean_of_seeds(Jagged.of([[4, 1], [], [2]]), vectors)
    np.testing.assert_allclose(means, [vectors[[4, 1]].mean(0), np.zeros(3), vectors[2]], atol=1e-6)


def test_cold_seeds_are_left_out():
    vectors = np.array([[1.0, 0], [0, 0], [0, 2]], np.float32)
    kept = warm_seeds(Jagged.of([[2, 1, 0], [1]]), vectors)
    assert [kept[0].tolist(), kept[1].tolist()] == [[2, 0], []]


def test_to_unit_leaves_zeros_alone():
    np.testing.assert_allclose(to_unit(np.array([[3.0, 4.0], [0, 0]], np.float32)), [[0.6, 0.8], [0, 0]], atol=1e-7)


def test_a_representation_of_ones_own_and_an_unknown_name(world):
    def ones(shared, view, seed):
        return np.full((view.log.n_users, 4), seed, np.float32)

    np.testing.assert_allclose(unit_vectors(ones, Shared(), world.seen, 3), 0.5)
    with pytest.raises(OptionError, match="no user vectors are called 'w2v'"):
        unit_vectors("w2v", Shared(), world.seen, 0)
