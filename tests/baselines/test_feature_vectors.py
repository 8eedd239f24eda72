from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from kinfolk.baselines.feature_vectors import FeatureVectors, right_singular_vectors
from kinfolk.baselines.shared import Shared


@pytest.mark.parametrize("columns", [40, 700])
def test_directions_span_the_leading_right_singular_space(columns):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((120, 6)) @ rng.standard_normal((6, columns))
    got = right_singular_vectors(sp.csr_matrix(dense.astype(np.float32)), 6, seed=0).astype(np.float64)
    want = np.linalg.svd(dense)[2][:6].T
    np.testing.assert_allclose(got.T @ got, np.eye(6), atol=1e-4)
    np.testing.assert_allclose(got @ got.T, want @ want.T, atol=1e-3)


@pytest.mark.parametrize("fresh", [False, True])
def test_rows_are_unit_vectors_or_zero(checkerboard, fresh):
    vectors = FeatureVectors(Shared(), fresh, size=16)
    vectors.fit(checkerboard.seen)
    x = vectors.rows(np.arange(304), checkerboard.seen)
    assert x.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(x[:300], axis=1), 1, rtol=1e-5)
    assert not x[300:].any()


def test_the_candidate_is_taken_out_and_the_kept_vectors_stay(checkerboard):
    vectors, users = FeatureVectors(size=16), np.arange(40)
    vectors.fit(checkerboard.seen)
    before = vectors.rows(users, checkerboard.seen)
    got = vectors.rows(users, checkerboard.seen, without=3)
    clickers = vectors.source.clicked(users, 3)
    want = vectors.project(vectors.source.columns.matrix(users, checkerboard.seen, without=3))
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert (got[clickers] != before[clickers]).any()
    np.testing.assert_array_equal(vectors.rows(users, checkerboard.seen), before)


def test_fewer_columns_than_asked_for_are_enough(no_fields):
    vectors = FeatureVectors(size=1000)
    vectors.fit(no_fields.seen)
    assert vectors.size == 60


def test_nobody_has_features(no_fields):
    vectors = FeatureVectors(size=8)
    vectors.fit(no_fields.log.view(0.0))
    assert not vectors.rows(np.arange(304), no_fields.seen).any()
