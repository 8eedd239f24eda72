from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.baselines.feature_columns import Coded, Scale
from kinfolk.data.jagged import Jagged

CODES = st.lists(st.integers(0, 6), min_size=1, max_size=30)


@settings(deadline=None)
@given(CODES, CODES, st.integers(1, 3))
def test_one_hot_has_one_column_a_frequent_value_and_one_for_the_rest(learnt, asked, min_count):
    coded = Coded.learn("city", np.array(learnt, np.int32), 7, min_count)
    frequent = [c for c in range(1, 7) if learnt.count(c) >= min_count]
    want = np.zeros((len(asked), len(frequent) + 1))
    for row, code in enumerate(asked):
        if code != 0:
            want[row, frequent.index(code) if code in frequent else len(frequent)] = 1
    np.testing.assert_array_equal(coded.one_hot(np.array(asked, np.int32)).toarray(), want)


def test_mean_hot_averages_over_the_values_of_a_row_and_leaves_empty_rows_empty():
    coded = Coded.learn("tags", np.array([1, 2, 3]), 5, 1)
    rows = coded.mean_hot(Jagged.of([[1, 2], [], [3, 4, 4, 1]], np.int32)).toarray()
    np.testing.assert_allclose(rows, [[0.5, 0.5, 0, 0], [0, 0, 0, 0], [0.25, 0, 0.25, 0.5]])


def test_without_an_unknown_column_rare_values_are_dropped():
    coded = Coded.learn("history", np.array([1, 1, 2]), 4, 2, unknown=False)
    assert coded.one_hot(np.array([1, 2, 3], np.int32)).toarray().tolist() == [[1], [0], [0]]


def test_buckets_hold_equal_shares_of_what_was_learnt():
    numbers = np.arange(100, dtype=np.float32)
    rows = Scale.learn("age", numbers, log=False, n_buckets=4).rows(numbers).toarray()
    assert rows.sum(axis=0).tolist() == [25, 25, 25, 25]
    assert (rows.sum(axis=1) == 1).all()


@pytest.mark.parametrize("buckets", [0, 4])
@pytest.mark.parametrize("log", [False, True])
def test_missing_and_infinite_numbers_give_empty_rows(buckets, log):
    scale = Scale.learn("age", np.array([1, 2, np.nan, np.inf, 30], np.float32), log, buckets)
    rows = scale.rows(np.array([np.nan, np.inf, 2], np.float32)).toarray()
    assert rows.shape == (3, scale.size)
    assert not rows[:2].any()
    assert rows[2].any()


def test_scaled_numbers_lie_between_0_and_1_beyond_the_learnt_range_too():
    scale = Scale.learn("age", np.array([10, 20], np.float32), log=False, n_buckets=0)
    assert scale.rows(np.array([10, 15, 20, 99, -5], np.float32)).toarray()[:, 0].tolist() == [0, 0.5, 1, 1, 0]


def test_a_field_nobody_has_still_has_rows():
    scale = Scale.learn("age", np.full(3, np.nan, np.float32), log=False, n_buckets=4)
    assert scale.rows(np.array([1.0], np.float32)).shape == (1, scale.size)
