from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from kinfolk.baselines.tag_rules import TagRules, column_shares


def test_a_rule_weighs_log_lift_times_share_with_one_prior_seed():
    method = TagRules(min_lift=1.5, min_share=0.3)
    method.shares = np.array([0.1, 0.8, 0.01, 0.0])
    seeds = sp.csr_matrix(np.array([[1, 1, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 0, 1]], np.float32))
    share = 3.1 / 5
    # common everywhere; too few seeds have it; nobody known has it
    np.testing.assert_allclose(method.rules(seeds), [np.log(share / 0.1) * share, 0, 0, 0], rtol=1e-6)


def test_shares_count_rows():
    assert column_shares(sp.csr_matrix(np.array([[1, 0], [1, 1.0]]))).tolist() == [1, 0.5]


def test_single_items_are_no_tags_unless_there_is_nothing_else(checkerboard, no_fields):
    for world, has in ((checkerboard, False), (no_fields, True)):
        method = TagRules()
        method.fit(world.seen)
        assert ("history" in method.source.columns.spans) is has


def test_users_of_the_other_group_meet_no_rule(checkerboard):
    method = TagRules()
    method.fit(checkerboard.seen)
    scores = method.score(np.arange(304, dtype=np.int32), checkerboard.candidates(), checkerboard.later)
    assert (scores[:150, 0] > 0).all()
    assert (scores[150:, 0] == 0).all()


def test_a_user_who_meets_every_rule_scores_1(checkerboard):
    method = TagRules()
    method.fit(checkerboard.seen)
    one_seed = checkerboard.candidates(n=1)
    scores = method.score(np.arange(304, dtype=np.int32), one_seed, checkerboard.later)
    np.testing.assert_allclose(scores[[0, 150], [0, 1]], 1, rtol=1e-5)
    assert scores.max() <= 1 + 1e-5
