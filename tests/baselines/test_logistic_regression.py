from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression as Oracle

from kinfolk.baselines.logistic_regression import LogisticRegression, fit_logistic


def test_weights_are_those_of_another_solver():
    rng = np.random.default_rng(0)
    x = sp.random(300, 40, 0.2, format="csr", random_state=1, dtype=np.float32)
    y = (rng.random(300) < 1 / (1 + np.exp(-4 * x[:, 0].toarray().ravel()))).astype(np.float32)
    got = fit_logistic(x, y, 1.0)
    # liblinear penalises the intercept as one more column of ones
    ones = np.c_[x.toarray(), np.ones(300)]
    want = Oracle(C=1.0, fit_intercept=False, tol=1e-8, max_iter=1000).fit(ones, y).coef_[0]
    np.testing.assert_allclose(got.dense(40), want[:-1], atol=2e-3)
    assert abs(got.intercept - want[-1]) < 2e-3


def test_columns_that_do_not_occur_weigh_nothing():
    x = sp.csr_matrix(np.array([[0, 1, 0, 0], [0, 0, 0, 2.0]], np.float32))
    model = fit_logistic(x, np.array([1, 0], np.float32), 1.0)
    assert model.columns.tolist() == [1, 3]
    dense = model.dense(4)
    assert dense[1] > 0 > dense[3]
    assert dense[0] == dense[2] == 0


def test_the_candidate_itself_is_no_feature(checkerboard):
    """All seeds clicked item 3 before `fit`, hardly anybody else of their group did."""
    view = checkerboard.seen
    readers = np.unique(view.pairs.user[view.pairs.item == 3])
    candidates = checkerboard.candidates((3, 33), n=20)
    seeds = candidates.seeds.values.copy()
    seeds[:20] = readers[:20]
    candidates = type(candidates)(
        candidates.item, type(candidates.seeds)(seeds, candidates.seeds.offsets), candidates.times, candidates.rng
    )
    method = LogisticRegression()
    method.fit(view)
    column = method.source.columns.spans["history"].start + 3
    assert method.train(candidates, 0, view).dense(method.source.size)[column] == 0


def test_scores_are_the_log_odds_of_the_model(checkerboard):
    method, view, candidates = LogisticRegression(), checkerboard.seen, checkerboard.candidates()
    method.fit(view)
    users = np.arange(0, 304, 7, dtype=np.int32)
    model = method.train(candidates, 1, view)
    want = method.source.rows(users, view) @ model.dense(method.source.size) + model.intercept
    np.testing.assert_allclose(method.score(users, candidates, view)[:, 1], want, rtol=1e-5, atol=1e-6)
