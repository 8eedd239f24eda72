from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from kinfolk.baselines.user_features import as_sets
from kinfolk.baselines.yahoo_lookalike import OUTSIDE, YahooLookalike, information_value
from kinfolk.errors import OptionError

USERS = np.arange(304, dtype=np.int32)


def test_information_value_is_the_two_bin_sum_of_a_scorecard():
    """IV = sum over the bins "has it" and "has it not" of (p - q) ln(p / q), p among seeds, q among all."""
    seeds = sp.csr_matrix(np.array([[1, 1, 0, 0]] * 3 + [[1, 0, 0, 0]], np.float32))
    q = np.array([0.2, 0.5, 0.3, 0.9])
    got = information_value(seeds, q)
    for j in range(4):
        p = (seeds.toarray()[:, j].sum() + q[j]) / 5
        want = (p - q[j]) * np.log(p / q[j]) + (q[j] - p) * np.log((1 - p) / (1 - q[j])) if p > q[j] else 0
        assert got[j] == pytest.approx(want)
    assert got[2] == 0  # rarer among seeds than among all


def test_only_features_above_the_threshold_weigh_unless_too_few_are(checkerboard):
    method = YahooLookalike(min_features=1)
    method.fit(checkerboard.seen)
    seeds = as_sets(method.source.rows(checkerboard.group(0)[:20], checkerboard.seen))
    values, weights = information_value(seeds, method.shares), method.weights(seeds)
    np.testing.assert_allclose(weights, np.where(values > 0.5, values, 0), rtol=1e-6)
    assert 0 < (weights > 0).sum() < (values > 0).sum()
    few = YahooLookalike(threshold=1e9, min_features=4)
    few.fit(checkerboard.seen)
    kept = few.weights(seeds)
    assert (kept > 0).sum() == 4
    assert kept[kept > 0].min() >= np.sort(values)[-5]


@pytest.mark.parametrize("reading", ["iv", "probability"])
def test_users_who_share_no_bucket_with_a_seed_rank_last(checkerboard, reading):
    method = YahooLookalike(positive_filter=reading)
    method.fit(checkerboard.seen)
    scores = method.score(USERS, checkerboard.candidates(), checkerboard.later)
    assert (scores[150:300, 0] == OUTSIDE).all()  # the groups have no feature in common
    assert (scores[300:] == OUTSIDE).all()  # nor have users without features
    assert (scores[:150, 0] >= 0).mean() > 0.9


def test_the_other_reading_keeps_probabilities_above_the_threshold_and_ties_the_rest(checkerboard):
    method = YahooLookalike(positive_filter="probability", threshold=0.6)
    method.fit(checkerboard.seen)
    scores = method.score(USERS, checkerboard.candidates(), checkerboard.later)
    positive = scores[scores > 0]
    assert len(positive) > 0
    assert positive.min() > 0.6
    assert positive.max() <= 1


def test_impossible_options_are_refused():
    with pytest.raises(OptionError, match="positive_filter"):
        YahooLookalike(positive_filter="both")
    with pytest.raises(OptionError, match="bands"):
        YahooLookalike(bands=0)
