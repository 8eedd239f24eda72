"""Orders in linear time against those of numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data import order
from kinfolk.data.order import first_of_pairs, stable_order
from kinfolk.testing.counts import examples


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
@pytest.mark.parametrize("largest", [1, 300, 2**15 - 1, 2**16, 2**31 - 1, 2**40])
@settings(deadline=None, max_examples=examples(20))
@given(data=st.data())
def test_a_stable_order_is_that_of_numpy(dtype, largest, data):
    largest = min(largest, int(np.iinfo(dtype).max))
    few = st.integers(0, largest) | st.sampled_from([0, largest])
    codes = np.array(data.draw(st.lists(few, max_size=30)), dtype)
    assert np.array_equal(stable_order(codes), np.argsort(codes, kind="stable"))


@settings(deadline=None, max_examples=examples(100))
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 70_000])), max_size=30))
def test_first_of_pairs_against_a_set(pairs):
    a, b = (np.array([p[i] for p in pairs], np.int32) for i in (0, 1))
    seen: set[tuple[int, int]] = set()
    first = [i for i, p in enumerate(pairs) if not (p in seen or seen.add(p))]
    assert first_of_pairs(a, b).tolist() == first


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
@pytest.mark.parametrize("largest", [0, 1, 30, 110, 5000])  # counted while a counter for each number pays
def test_many_numbers_have_the_same_order(dtype, largest, monkeypatch):
    monkeypatch.setattr(order, "_MANY", 1)
    rng = np.random.default_rng(largest)
    for n in (1, 2, 33):
        codes = rng.integers(0, largest + 1, n).astype(dtype)
        assert np.array_equal(stable_order(codes), np.argsort(codes, kind="stable"))


@pytest.mark.parametrize("largest", [0, 3, 40, 10_000])
def test_first_of_many_pairs_against_a_set(largest, monkeypatch):
    monkeypatch.setattr(order, "_MANY", 1)
    rng = np.random.default_rng(largest)
    a, b = rng.integers(0, 7, 60).astype(np.int32), rng.integers(0, largest + 1, 60).astype(np.int32)
    seen: set[tuple[int, int]] = set()
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    first = [i for i, p in enumerate(pairs) if not (p in seen or seen.add(p))]
    assert first_of_pairs(a, b).tolist() == first
