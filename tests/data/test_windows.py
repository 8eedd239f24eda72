"""The three windows are in order, cover the shares asked for, and never reach past the view."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.log import Events, Log
from kinfolk.data.windows import Windows
from kinfolk.errors import DataError
from kinfolk.schema import Schema
from kinfolk.testing.counts import examples


def log_at(times):
    """A log of one event a pair at the given times."""
    n = len(times)
    users = np.arange(n, dtype=np.int32)
    events = Events(users, np.zeros(n, np.int32), np.sort(np.asarray(times, np.float64)), np.zeros(n, np.int16))
    return Log("timed", Schema(), users.astype(str), np.array(["item"]), ("event",), events)


@pytest.mark.parametrize("moments", [(1, 1, 2), (1, 3, 2), (2, 1, 3)])
def test_windows_out_of_order_are_refused(moments):
    with pytest.raises(DataError, match="not in order"):
        Windows(*moments)


def test_split_gives_each_window_its_share():
    view = log_at(np.arange(1000)).view(np.inf)
    w = Windows.split(view, seeds=0.2, samples=0.1)
    times = view.pairs.time
    assert abs(np.mean(times < w.seeds_from) - 0.7) < 0.01
    assert abs(np.mean((times >= w.seeds_from) & (times < w.samples_from)) - 0.2) < 0.01
    assert abs(np.mean((times >= w.samples_from) & (times < w.until)) - 0.1) < 0.01


@settings(deadline=None, max_examples=examples(100))
@given(st.lists(st.integers(0, 30), min_size=3, max_size=40), st.integers(1, 32))
def test_split_is_in_order_and_within_the_view_or_says_why_not(times, now):
    view = log_at(times).view(now)
    known = {t for t in times if t < now}
    if len(known) < 3:
        with pytest.raises(DataError):
            Windows.split(view)
        return
    w = Windows.split(view)
    assert w.seeds_from < w.samples_from < w.until <= now
    shown = view.pairs.time
    assert np.all(shown < w.until)
    for low, high in ((-np.inf, w.seeds_from), (w.seeds_from, w.samples_from), (w.samples_from, w.until)):
        assert np.any((shown >= low) & (shown < high))
