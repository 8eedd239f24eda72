import numpy as np
import pytest

from kinfolk.lookalike.rerank import reranked


def test_pctr_times_one_plus_the_weighted_score():
    got = reranked(np.array([0.1, 0.2]), np.array([0.5, -0.5]), 2.0)
    assert got.tolist() == pytest.approx([0.2, 0.0])


def test_an_item_without_a_score_counts_with_the_mean_of_its_list():
    score = np.array([[0.2, np.nan, 0.6], [np.nan, np.nan, np.nan]])
    got = reranked(np.full((2, 3), 0.5), score, 1.0)
    np.testing.assert_allclose(got, [[0.6, 0.7, 0.8], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize("lam", [0.0, 0.5, 3.0])
def test_new_items_are_not_passed_by_every_scored_one(lam):
    pctr = np.array([0.3, 0.3, 0.3])
    order = np.argsort(-reranked(pctr, np.array([0.9, np.nan, 0.1]), lam), kind="stable")
    assert order.tolist() == [0, 1, 2]
