"""Scores at given ranks are those of a sorted list, whatever their signs, ties and distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kinfolk.lookalike import topk
from kinfolk.lookalike.topk import at_ranks
from kinfolk.testing.counts import examples


@settings(deadline=None, max_examples=examples(100))
@given(arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False)), st.data())
def test_scores_at_ranks_are_those_of_a_sorted_list(scores: np.ndarray, data: st.DataObject) -> None:
    ranks = np.unique(data.draw(st.lists(st.integers(1, len(scores)), min_size=1)))
    np.testing.assert_array_equal(at_ranks(scores, ranks), np.sort(scores)[::-1][ranks - 1])


@pytest.mark.parametrize("spread", [1.0, 1e-4, 1e30])
def test_many_scores_close_together_are_told_apart(spread: float) -> None:
    rng = np.random.default_rng(0)
    scores = (0.5 + spread * rng.standard_normal(300_000)).astype(np.float32)
    ranks = np.array([1, 2, 3, 1000, 1001, 150_000, 299_999, 300_000])
    np.testing.assert_array_equal(at_ranks(scores, ranks), np.sort(scores)[::-1][ranks - 1])


@pytest.mark.parametrize("threads", [2, 3, None])
def test_threads_count_the_same(threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topk, "_MANY", 100)
    scores = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
    ranks = np.array([1, 7, 2500, 5000])
    np.testing.assert_array_equal(at_ranks(scores, ranks, threads), np.sort(scores)[::-1][ranks - 1])
