"""Members drawn of clusters are the clusters' own, none twice, as many as asked for, each as often as the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinfolk.lookalike.members import draw_members, gather_rows
from kinfolk.testing.counts import examples


def clusters_of(size: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.random.default_rng(seed).permutation(1000)[: size.sum()].astype(np.int64)
    return order, np.concatenate([[0], np.cumsum(size.ravel())[:-1]]).reshape(size.shape)


@settings(deadline=None, max_examples=examples(50))
@given(st.lists(st.integers(0, 9), min_size=2, max_size=12), st.integers(1, 6), st.integers(0, 2**31))
def test_members_are_their_clusters_own(sizes: list[int], most: int, seed: int) -> None:
    size = np.array(sizes[: len(sizes) // 2 * 2], np.int64).reshape(2, -1)
    order, start = clusters_of(size, seed)
    rows, offsets = draw_members(order, start, size, most, np.random.default_rng(seed))
    assert np.array_equal(np.diff(offsets), np.minimum(size, most).ravel())
    for s, (first, n) in enumerate(zip(start.ravel(), size.ravel(), strict=True)):
        drawn = rows[offsets[s] : offsets[s + 1]]
        assert set(drawn) <= set(order[first : first + n])
        assert len(set(drawn)) == len(drawn)


def test_every_member_is_drawn_as_often() -> None:
    size = np.full((1, 3000), 5, np.int64)
    order = np.tile(np.arange(5), 3000)
    rows, _ = draw_members(order, np.arange(3000)[None] * 5, size, 2, np.random.default_rng(0))
    assert np.bincount(rows, minlength=5) / 6000 == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("n", [0, 5, 512, 700])
def test_rows_are_followed_by_zeros_up_to_a_round_number(n: int) -> None:
    rng = np.random.default_rng(1)
    table, rows = rng.standard_normal((50, 7)).astype(np.float32), rng.integers(0, 50, n)
    found = gather_rows(table, rows).numpy()
    assert np.array_equal(found[:n], table[rows])
    assert len(found) % 512 == 0
    assert len(found) < n + 512
    assert not found[n:].any()
