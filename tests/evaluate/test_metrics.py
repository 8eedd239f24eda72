from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from kinfolk.data.jagged import Jagged
from kinfolk.evaluate import metrics
from kinfolk.testing.counts import examples

N = 40
coarse = hnp.arrays(np.float64, N, elements=st.integers(0, 6).map(float))
labels = hnp.arrays(np.bool_, N).filter(lambda y: 0 < y.sum() < N)
weights = hnp.arrays(np.float64, N, elements=st.floats(0.5, 9))
groups = hnp.arrays(np.int64, N, elements=st.integers(0, 4))
many = settings(deadline=None, max_examples=examples(60))


@many
@given(coarse, labels, weights)
def test_auc_counts_ties_one_half_like_scikit_learn(scores, y, w):
    assert metrics.auc(scores, y) == pytest.approx(roc_auc_score(y, scores))
    expected = roc_auc_score(y, scores, sample_weight=np.where(y, 1.0, w))
    assert metrics.weighted_auc(scores, y, w) == pytest.approx(expected)


@many
@given(coarse, labels, groups)
def test_auc_within_groups_is_the_weighted_mean_of_scikit_learns(scores, y, group):
    parts = [(group == g) for g in np.unique(group) if 0 < y[group == g].sum() < (group == g).sum()]
    values = [roc_auc_score(y[m], scores[m]) for m in parts]
    if not parts:
        assert math.isnan(metrics.grouped_auc(scores, y, group))
        return
    hits, sizes = [y[m].sum() for m in parts], [m.sum() for m in parts]
    assert metrics.stratified_auc(scores, y, group) == pytest.approx(np.average(values, weights=hits))
    assert metrics.grouped_auc(scores, y, group) == pytest.approx(np.average(values, weights=sizes))
    assert metrics.grouped_auc(scores, y, group, weight="equal") == pytest.approx(np.mean(values))


def test_auc_is_nan_without_both_kinds_and_on_nothing():
    assert math.isnan(metrics.auc([1.0, 2.0], [True, True]))
    assert math.isnan(metrics.auc([1.0, 2.0], [False, False]))
    assert math.isnan(metrics.auc([], []))
    assert math.isnan(metrics.weighted_auc([1.0, 2.0], [True, False], [1.0, 0.0]))


@many
@given(st.permutations(list(range(N))), labels, weights, groups)
def test_ranking_metrics_agree_with_the_tie_exact_ones_where_nothing_ties(order, y, w, strata):
    scores = np.array(order, np.float32)
    got = metrics.ranking_metrics(scores, y, w, strata)
    assert got["auc"] == pytest.approx(metrics.auc(scores, y))
    assert got["eauc"] == pytest.approx(metrics.weighted_auc(scores, y, w))
    assert got["sauc"] == pytest.approx(metrics.stratified_auc(scores, y, strata), nan_ok=True)


def test_top_of_a_ranking_by_hand():
    scores = np.arange(250, 0, -1).astype(float)  # already ranked
    y = np.zeros(250, bool)
    y[[0, 2, 5, 99, 100, 240]] = True
    got = metrics.ranking_metrics(scores, y, np.ones(250), np.zeros(250, int))
    assert got["prec_100"] == pytest.approx(4 / 100)
    assert got["recall_1"] == pytest.approx(2 / 6)  # the top three of 250
    assert got["lift_1"] == pytest.approx((2 / 3) / (6 / 250))


def test_equal_scores_keep_the_order_given():
    y = np.array([True, False, False])
    first = metrics.ranking_metrics(np.zeros(3), y, np.ones(3), np.zeros(3, int))
    last = metrics.ranking_metrics(np.zeros(3), y[::-1], np.ones(3), np.zeros(3, int))
    assert (first["auc"], last["auc"]) == (1.0, 0.0)


@many
@given(st.integers(0, 10_000))
def test_rankings_of_users_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    users, items = 6, 15
    scores = rng.permuted(np.tile(np.arange(items, dtype=float), (users, 1)), axis=1)
    wanted, out = rng.random((users, items)) < 0.3, rng.random((users, items)) < 0.2
    weight = rng.integers(0, 4, (users, items)).astype(float)
    got = metrics.rank_users(scores, wanted, out, weight, ks=(3, 10))
    for u in range(users):
        live = [c for c in np.argsort(-scores[u]) if not out[u, c]]
        s_u = {c for c in live if wanted[u, c]}
        if not s_u:
            assert all(math.isnan(v[u]) for v in got.values())
            continue
        for k in (3, 10):
            assert got[f"prec_{k}"][u] == pytest.approx(len(s_u & set(live[:k])) / min(k, len(s_u)))
        y = wanted[u][live]
        assert got["auc"][u] == pytest.approx(metrics.auc(scores[u][live], y), nan_ok=True)
        assert got["pauc"][u] == pytest.approx(metrics.weighted_auc(scores[u][live], y, weight[u][live]), nan_ok=True)


def test_equation_12_by_hand():
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    wanted = np.array([[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    got = metrics.precision_at_k(scores, wanted, 2, np.random.default_rng(0))
    assert got == pytest.approx((1 / 2 + 0 / 1) / 2)  # the user who wants nothing does not count


def test_equation_12_breaks_ties_at_random():
    wanted = np.zeros((1, 10), bool)
    wanted[0, 0] = True
    hits = [metrics.precision_at_k(np.zeros((1, 10)), wanted, 5, np.random.default_rng(s)) for s in range(400)]
    assert np.mean(hits) == pytest.approx(0.5, abs=0.1)


@many
@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 9)).filter(lambda x: x.sum() > 0))
def test_gini_is_half_the_relative_mean_difference(clicks):
    x = clicks.astype(float)
    expected = np.abs(x[:, None] - x[None]).mean() / (2 * x.mean())
    assert metrics.gini(clicks) == pytest.approx(expected)


def test_gini_counts_items_without_a_click():
    assert metrics.gini([5, 5, 5]) == pytest.approx(0.0)
    assert metrics.gini([9, 0, 0]) == pytest.approx(2 / 3)
    assert math.isnan(metrics.gini([0, 0]))
    assert math.isnan(metrics.gini([]))


def test_diversity_counts_distinct_values_a_user_and_day():
    users, days = [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]
    assert metrics.diversity(users, days, [7, 7, 8, 7, 0]) == pytest.approx((2 + 1 + 0) / 3)
    tags = Jagged.of([[1, 2], [2, 3], [], [5], [1, 1]])
    assert metrics.diversity(users, days, tags) == pytest.approx((3 + 1 + 1) / 3)
    assert math.isnan(metrics.diversity([], [], []))


def test_coverage():
    assert metrics.coverage([3, 3, 1], 8) == pytest.approx(0.25)
    assert math.isnan(metrics.coverage([], 0))
