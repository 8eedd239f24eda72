from __future__ import annotations

import numpy as np

from kinfolk.baselines.gradient_boosting import GradientBoosting
from kinfolk.baselines.method import Candidates


def test_scores_differ_even_for_one_seed_and_are_those_of_the_trees(checkerboard):
    method, view = GradientBoosting(), checkerboard.seen
    method.fit(view)
    candidates = Candidates.one(-1, np.array([4], np.int32), np.array([1.0]), (9,))
    users = np.arange(300, dtype=np.int32)
    scores = method.score(users, candidates, view)[:, 0]
    assert scores[4] == scores.max()
    assert scores[4] > np.median(scores)
    want = method.train(candidates, 0, view).decision_function(method.vectors.rows(users, view))
    np.testing.assert_allclose(scores, want, rtol=1e-5)


def test_nothing_to_tell_apart_scores_zero(checkerboard):
    method = GradientBoosting()
    method.fit(checkerboard.seen)
    all_seeds = np.arange(300, dtype=np.int32)
    candidates = Candidates.one(-1, all_seeds, np.arange(300.0), (9,))
    assert not method.score(all_seeds, candidates, checkerboard.seen).any()
