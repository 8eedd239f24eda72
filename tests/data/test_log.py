"""A view shows what was known at its moment and nothing else: every answer against a loop over the events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.log import Events, Log
from kinfolk.schema import Categorical, Schema
from kinfolk.testing.counts import examples

N_USERS, N_ITEMS = 4, 5
ROW = st.tuples(
    st.integers(0, 12), st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1), st.integers(0, 2)
)  # time, user, item, code of the device
EVENTS = st.lists(ROW, max_size=40).map(lambda rows: sorted(rows, key=lambda r: r[0]))
REMOVED = st.sets(st.integers(0, N_ITEMS - 1), max_size=3)
NOW = st.integers(-1, 14)
SETTINGS = settings(deadline=None, max_examples=examples(120))


def make_log(rows):
    time, user, item, device = (np.array([r[i] for r in rows], np.int64) for i in range(4))
    events = Events(
        user.astype(np.int32),
        item.astype(np.int32),
        time.astype(np.float64),
        np.zeros(len(rows), np.int16),
        {"device": device.astype(np.int32)},
    )
    return Log(
        name="small",
        schema=Schema(context=(Categorical("device"),)),
        user_ids=np.arange(N_USERS).astype(str),
        item_ids=np.arange(N_ITEMS).astype(str),
        kinds=("event",),
        events=events,
        context_values={"device": np.array(["phone", "tablet"])},
    )


def histories(rows, now, removed):
    """Distinct items of every user before `now`, oldest first."""
    out = [[] for _ in range(N_USERS)]
    for time, user, item, _ in rows:
        if time < now and item not in removed and item not in out[user]:
            out[user].append(item)
    return out


@SETTINGS
@given(EVENTS, NOW, REMOVED, st.one_of(st.none(), st.integers(1, 4)))
def test_history_is_strictly_before_now_and_without_removed_items(rows, now, removed, length):
    view = make_log(rows).view(now, np.array(sorted(removed), np.int64))
    users = np.array([3, 0, 1, 1, 2])
    got = view.history(users, length)
    want = [histories(rows, now, removed)[u] for u in users]
    want = want if length is None else [h[-length:] for h in want]
    assert [got[i].tolist() for i in range(len(got))] == want


@SETTINGS
@given(EVENTS, NOW, REMOVED)
def test_n_items_counts_distinct_items_before_now(rows, now, removed):
    view = make_log(rows).view(now, np.array(sorted(removed), np.int64))
    want = [len(h) for h in histories(rows, now, removed)]
    assert view.n_items(np.arange(N_USERS)).tolist() == want


@SETTINGS
@given(EVENTS, NOW, st.integers(0, 14))
def test_n_events_counts_repeats_in_the_window(rows, now, window):
    view = make_log(rows).view(now)
    want = [sum(now - window <= t < now and u == user for t, u, *_ in rows) for user in range(N_USERS)]
    assert view.n_events(np.arange(N_USERS), window).tolist() == want


@SETTINGS
@given(EVENTS, NOW)
def test_context_is_that_of_the_last_event_before_now(rows, now):
    want = [0] * N_USERS
    for time, user, _, device in rows:
        if time < now:
            want[user] = device
    assert make_log(rows).view(now).context(np.arange(N_USERS))["device"].tolist() == want


@SETTINGS
@given(EVENTS, NOW, REMOVED)
def test_pairs_are_first_meetings_before_now_in_order(rows, now, removed):
    pairs = make_log(rows).view(now, np.array(sorted(removed), np.int64)).pairs
    seen, want = set(), []
    for time, user, item, _ in rows:
        if (user, item) not in seen:
            seen.add((user, item))
            if time < now and item not in removed:
                want.append((user, item, float(time)))
    assert list(zip(pairs.user.tolist(), pairs.item.tolist(), pairs.time.tolist(), strict=True)) == want
    assert len(pairs) == len(want)


@SETTINGS
@given(EVENTS, st.integers(0, 12), REMOVED)
def test_the_future_and_removed_items_cannot_change_what_a_view_shows(rows, now, removed):
    """What a view answers is a function of the rows before `now` of items that are not removed."""
    known = [r for r in rows if r[0] < now]
    gone = np.array(sorted(removed), np.int64)
    users = np.arange(N_USERS)
    full, cut = make_log(rows).view(now, gone), make_log(known).view(now, gone)
    without = make_log([r for r in known if r[2] not in removed]).view(now)
    for other in (cut, without):
        assert full.history(users).values.tolist() == other.history(users).values.tolist()
        assert full.n_items(users).tolist() == other.n_items(users).tolist()
        assert full.pairs.time.tolist() == other.pairs.time.tolist()
    assert full.context(users)["device"].tolist() == cut.context(users)["device"].tolist()


@SETTINGS
@given(EVENTS, st.lists(NOW, min_size=N_USERS, max_size=N_USERS))
def test_an_index_takes_a_moment_of_its_own_for_every_user(rows, moments):
    index = make_log(rows).events_by_user
    want = [sum(t < moments[user] and u == user for t, u, *_ in rows) for user in range(N_USERS)]
    assert index.counts(np.arange(N_USERS), np.array(moments, np.float64)).tolist() == want


@pytest.mark.parametrize("now", [0.0, 5.0])
def test_an_empty_log_has_an_empty_view(now):
    view = make_log([]).view(now)
    users = np.arange(N_USERS)
    assert view.history(users).lengths.tolist() == [0] * N_USERS
    assert view.context(users)["device"].tolist() == [0] * N_USERS
    assert len(view.pairs) == 0
