"""Rows of different lengths: everything against Python lists."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.jagged import Jagged, ranges, slices
from kinfolk.testing.counts import examples

ROWS = st.lists(st.lists(st.integers(-5, 5), max_size=4), max_size=6)
SETTINGS = settings(deadline=None, max_examples=examples(60))


def as_lists(jagged):
    return [jagged[i].tolist() for i in range(len(jagged))]


@SETTINGS
@given(ROWS)
def test_of_keeps_every_row(rows):
    jagged = Jagged.of(rows)
    assert as_lists(jagged) == rows
    assert jagged.lengths.tolist() == [len(r) for r in rows]
    assert jagged.rows().tolist() == [i for i, r in enumerate(rows) for _ in r]


@SETTINGS
@given(ROWS.filter(bool), st.data())
def test_take_picks_rows_in_order_and_repeats_them(rows, data):
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    assert as_lists(Jagged.of(rows).take(np.array(wanted, np.int64))) == [rows[i] for i in wanted]


@SETTINGS
@given(ROWS, st.integers(-5, 5))
def test_filter_drops_values_but_no_row(rows, limit):
    jagged = Jagged.of(rows)
    assert as_lists(jagged.filter(jagged.values > limit)) == [[v for v in r if v > limit] for r in rows]


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=6))
def test_slices_and_ranges(spans):
    starts = np.array([s for s, _ in spans], np.int64)
    ends = starts + np.array([n for _, n in spans], np.int64)
    values = np.arange(100, 130)
    assert ranges(starts, ends).tolist() == [i for s, n in spans for i in range(s, s + n)]
    assert as_lists(slices(values, starts, ends)) == [values[s : s + n].tolist() for s, n in spans]


def test_concatenate_of_nothing_has_no_row():
    assert len(Jagged.concatenate([], np.int32)) == 0
    assert Jagged.concatenate([], np.int32).values.dtype == np.int32
