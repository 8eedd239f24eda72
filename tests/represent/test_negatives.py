from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from kinfolk.errors import OptionError
from kinfolk.represent.negatives import LogUniform
from kinfolk.testing.counts import examples


@settings(deadline=None, max_examples=examples(40))
@given(st.integers(1, 200_000))
def test_probabilities_sum_to_one_and_fall_with_rank(size: int) -> None:
    p = LogUniform(size).probability(np.arange(size))
    assert abs(p.sum() - 1) < 1e-9
    assert (np.diff(p) < 0).all()


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_draws_follow_the_formula(size: int) -> None:
    draws = LogUniform(size).sample((200_000,), np.random.default_rng(0))
    seen = np.bincount(draws, minlength=size)
    r = np.arange(size)
    expected = (np.log(r + 2) - np.log(r + 1)) / np.log(size + 1)
    assert len(seen) == size
    if size > 1:
        assert chisquare(seen, expected / expected.sum() * len(draws)).pvalue > 0.001


def test_the_largest_draw_is_still_an_item() -> None:
    class Edge:
        def random(self, shape: tuple[int, ...]) -> np.ndarray:
            return np.full(shape, np.nextafter(1.0, 0))

    for size in (1, 3, 1000, 100_000):
        assert LogUniform(size).sample((2,), Edge()).max() == size - 1  # type: ignore[arg-type]  # a generator at its edge


@settings(deadline=None, max_examples=examples(30))
@given(st.integers(1, 60), st.integers(0, 100))
def test_unique_draws_are_distinct_first_draws(size: int, seed: int) -> None:
    n = max(size // 2, 1)
    ranks, tries = LogUniform(size).sample_unique(n, np.random.default_rng(seed))
    assert len(set(ranks.tolist())) == n
    assert tries >= n
    assert ranks.max() < size


def test_all_of_few_items_can_be_drawn_and_no_more() -> None:
    ranks, _ = LogUniform(6).sample_unique(6, np.random.default_rng(0))
    assert sorted(ranks.tolist()) == list(range(6))
    with pytest.raises(OptionError, match="7 distinct negatives of 6 items"):
        LogUniform(6).sample_unique(7, np.random.default_rng(0))


def test_expected_counts_are_what_sampling_gives() -> None:
    dist, rng = LogUniform(12), np.random.default_rng(0)
    ranks = np.arange(12)
    draws = dist.sample((20_000, 5), rng)
    counts = np.bincount(draws.ravel(), minlength=12) / 20_000
    np.testing.assert_allclose(np.exp(dist.log_expected(ranks, 5)), counts, rtol=0.06)
    among = np.mean([np.isin(ranks, row) for row in draws], axis=0)  # the distinct ones of 5 tries
    np.testing.assert_allclose(np.exp(dist.log_expected_unique(ranks, 5)), among, rtol=0.06)


def test_one_item_is_always_drawn() -> None:
    assert LogUniform(1).log_expected_unique(np.array([0]), 3).tolist() == [0.0]
