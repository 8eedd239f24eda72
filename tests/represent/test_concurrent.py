"""Negatives from the same moment: batches of neighbours in time, and nobody's own items among their negatives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.represent.concurrent import blocks_in_time, concurrent


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 40), st.integers(0, 2**31))
def test_an_order_in_blocks_is_a_permutation_of_neighbours(n, size, seed):
    order = blocks_in_time(n, size, np.random.default_rng(seed))
    assert sorted(order) == list(range(n))
    for start in range(0, (n // size) * size, size):
        block = order[start : start + size]
        assert (np.diff(block) == 1).all(), "a batch is a stretch of time"


def test_blocks_change_from_draw_to_draw():
    rng = np.random.default_rng(0)
    assert not np.array_equal(blocks_in_time(100, 7, rng), blocks_in_time(100, 7, rng))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=30))
def test_negatives_are_the_items_of_others(pairs):
    user, rank = (np.array(c, np.int32) for c in zip(*pairs, strict=True))
    got = concurrent(user, rank)
    items = got.negative.tolist()
    assert items == sorted(set(rank.tolist()))
    for row, who in enumerate(user):
        mine = {int(r) for u, r in pairs if u == who}
        assert {i for i, own in zip(items, got.consumed[row].tolist(), strict=True) if own} == mine
    shares = {i: np.log(np.mean(rank == i)) for i in items}
    np.testing.assert_allclose(got.negative_log.numpy(), [shares[i] for i in items], rtol=1e-5)
    np.testing.assert_allclose(got.positive_log.numpy(), [shares[int(r)] for r in rank], rtol=1e-5)
