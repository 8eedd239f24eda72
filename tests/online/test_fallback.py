"""Popularity that stands in for scores which rest on few seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kinfolk.lookalike.shrinkage import share_of
from kinfolk.online.counts import HOUR, Counts
from kinfolk.online.fallback import Popularity, on_the_scale_of, places, smoothed
from kinfolk.online.ports import StoreError, StoreOptions
from kinfolk.online.stores.memory import MemoryBackend

CLICKS = st.lists(st.integers(0, 5), min_size=1, max_size=30)


@given(CLICKS)
def test_a_place_is_the_share_that_is_less_popular(clicks):
    got = places(np.array(clicks, float))
    for mine, place in zip(clicks, got, strict=True):
        less, same = sum(c < mine for c in clicks), sum(c == mine for c in clicks)
        assert place == pytest.approx((less + same / 2) / len(clicks))


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_most_popular_gets_the_best_score(scores, random):
    """Without ties the fall-back is a rearrangement of the user's own scores."""
    popularity = list(range(len(scores)))
    random.shuffle(popularity)
    got = on_the_scale_of(np.array(scores), places(np.array(popularity, float)))
    assert sorted(got) == pytest.approx(sorted(scores))
    assert [got[i] for i in np.argsort(popularity)] == pytest.approx(sorted(scores))


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30))
def test_with_no_clicks_it_is_the_median(scores):
    got = on_the_scale_of(np.array(scores), places(np.zeros(len(scores))))
    assert got == pytest.approx(np.full(len(scores), np.median(scores)), abs=1e-6)


@given(st.integers(0, 10**7), st.floats(0, 1e6))
def test_the_weight_rises_with_seeds(n, n0):
    weight = float(share_of(n, n0))
    assert 0 <= weight <= 1
    assert weight <= float(share_of(n + 1, n0))
    assert float(share_of(0, n0)) == 0
    assert n == 0 or n0 > 0 or weight == 1


def test_a_segment_s_clicks_outweigh_everybody_s_as_they_grow():
    totals = {("", "a"): 90, ("", "b"): 10, ("north", "b"): 10}
    few = smoothed(totals, "north", ["a", "b"], 10, prior=100.0)
    many = smoothed({**totals, ("north", "b"): 1000}, "north", ["a", "b"], 1000, prior=100.0)
    assert few[0] > few[1]
    assert many[0] < many[1]
    assert smoothed(totals, "", ["a", "b"], 0, prior=100.0) == pytest.approx([0.9, 0.1])
    assert smoothed(totals, "south", ["a", "b"], 0, prior=100.0) == pytest.approx([0.9, 0.1])
    assert smoothed({}, "south", ["a", "b"], 0, prior=0.0) == pytest.approx([0, 0])


def test_what_is_used_is_never_older_than_told():
    store = MemoryBackend(StoreOptions()).counters
    popular = Popularity(store, span_ms=2 * HOUR, every_ms=1000, prior=1.0)
    ids = ("a", "b")
    assert list(popular.places(ids, "", 0)) == [0.5, 0.5]
    store.add("clicks", 0, {("", "b"): 3})
    assert list(popular.places(ids, "", 999)) == [0.5, 0.5]
    assert list(popular.places(ids, "", 1000)) == [0.25, 0.75]
    assert list(popular.places(("b", "a"), "", 1000)) == [0.75, 0.25], "another list"
    assert list(popular.places(ids, "", 4 * HOUR)) == [0.5, 0.5], "too long ago"


def test_a_clock_that_is_set_back_holds_no_counters_back():
    store = MemoryBackend(StoreOptions()).counters
    counts = Counts(store, every_ms=1000)
    counts.add("clicks", 2 * HOUR, [("", "a")])
    counts.add("clicks", HOUR, [("", "a")])
    assert store.totals("clicks", 0) == {("", "a"): 2}


@hypothesis_settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * HOUR), st.sampled_from(["", "n", "s"]), st.sampled_from("abc")), max_size=40),
    st.integers(1, 5),
)
def test_counters_arrive_whole(events, most):
    """However often they are written, and although a write fails now and then."""
    store = MemoryBackend(StoreOptions()).counters
    add, failed = store.add, []

    def sometimes(what, hour, counts):
        if len(failed) < 3:
            failed.append(hour)
            raise StoreError("away", "wait")
        add(what, hour, counts)

    store.add = sometimes
    counts = Counts(store, every_ms=HOUR // 2, most=most)
    want = {}
    for now, segment, candidate in sorted(events):
        counts.add("clicks", now, [(segment, candidate)])
        for key in {("", candidate), (segment, candidate)}:
            want[now // HOUR, key] = want.get((now // HOUR, key), 0) + 1
    for _ in range(4):
        try:
            counts.flush(3 * HOUR)
        except StoreError:
            assert len(failed) <= 3
    for hour in range(4):
        later = store.totals("clicks", hour)
        for key in {k for _, k in want}:
            assert later.get(key, 0) == sum(n for (h, k), n in want.items() if k == key and h >= hour)
    assert sum(later.values()) == sum(n for (h, _), n in want.items() if h >= 3)
