from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kinfolk.baselines.shared import Shared
from kinfolk.baselines.user_features import FeatureColumns, FeatureSource, as_sets, known_users
from kinfolk.data.log import Events
from kinfolk.errors import OptionError


def everybody(world):
    return np.arange(world.log.n_users)


def test_columns_are_those_of_all_fields(checkerboard):
    columns = FeatureColumns.learn(checkerboard.seen)
    assert list(columns.spans) == ["team", "tags", "age", "device", "history.topic", "history"]
    assert columns.spans["history"].stop == columns.size
    sizes = {name: span.stop - span.start for name, span in columns.spans.items()}
    assert sizes == {"team": 7, "tags": 11, "age": 8, "device": 3, "history.topic": 4, "history": 60}


def test_history_columns_hold_the_items_a_user_read_weighted_by_rarity(checkerboard):
    view, columns = checkerboard.seen, FeatureColumns.learn(checkerboard.seen)
    rows = columns.matrix(everybody(checkerboard), view)[:, columns.spans["history"]].toarray()
    readers = np.bincount(view.pairs.item, minlength=62)[:60]
    for user in (0, 7, 200):
        items = np.sort(view.history(np.array([user]))[0])
        want = np.zeros(60)
        want[items] = np.log1p(300 / readers[items])
        np.testing.assert_allclose(rows[user], want / np.linalg.norm(want), rtol=1e-5)


def test_profile_item_fields_and_history_are_at_most_1_long_each(checkerboard):
    columns = FeatureColumns.learn(checkerboard.seen)
    rows = columns.matrix(everybody(checkerboard), checkerboard.seen).toarray()
    ends = [0, columns.spans["device"].stop, columns.spans["history.topic"].stop, columns.size]
    for start, stop in pairwise(ends):
        length = np.linalg.norm(rows[:, start:stop], axis=1)
        assert length.max() <= 1 + 1e-6
        assert length[:300].min() > 0.5


def test_users_who_did_and_said_nothing_have_empty_rows(checkerboard):
    columns = FeatureColumns.learn(checkerboard.seen)
    assert columns.matrix(np.arange(300, 304), checkerboard.seen).nnz == 0


def test_nothing_at_or_after_now_is_seen(checkerboard):
    log, users = checkerboard.log, everybody(checkerboard)
    past = log.events.time < 500
    e = log.events
    cut = Events(e.user[past], e.item[past], e.time[past], e.kind[past], {k: v[past] for k, v in e.context.items()})
    full, known = FeatureColumns.learn(log.view(500.0)), FeatureColumns.learn(replace(log, events=cut).view(500.0))
    assert full.spans == known.spans
    want = known.matrix(users, replace(log, events=cut).view(500.0)).toarray()
    np.testing.assert_array_equal(full.matrix(users, log.view(500.0)).toarray(), want)


def test_without_an_item_is_as_if_it_had_never_been_clicked(checkerboard):
    log, columns = checkerboard.log, FeatureColumns.learn(checkerboard.seen)
    users = np.arange(20)
    want = columns.matrix(users, log.view(1000.0, np.array([60, 61, 3])))
    got = columns.matrix(users, checkerboard.seen, without=3)
    np.testing.assert_array_equal(got.toarray(), want.toarray())
    assert (got != columns.matrix(users, checkerboard.seen)).nnz > 0


@pytest.mark.parametrize("fresh", [False, True])
def test_a_source_takes_the_candidate_out_of_its_clickers_rows(checkerboard, fresh):
    source = FeatureSource(Shared(), fresh)
    source.fit(checkerboard.seen)
    users = np.array([5, 0, 301, 5, 160])
    want = source.columns.matrix(users, checkerboard.seen, without=3)
    np.testing.assert_allclose(source.rows(users, checkerboard.seen, without=3).toarray(), want.toarray())
    assert source.clicked(np.arange(304), 3).sum() == len(
        set(checkerboard.seen.pairs.user[checkerboard.seen.pairs.item == 3])
    )
    assert not source.clicked(users, -1).any()


def test_a_static_source_shows_what_fit_saw_and_a_fresh_one_what_the_view_shows(checkerboard):
    early, late = checkerboard.log.view(300.0), checkerboard.seen
    static, fresh = FeatureSource(), FeatureSource(fresh=True)
    static.fit(early)
    fresh.fit(early)
    users = np.arange(150)
    assert (static.rows(users, late) != static.rows(users, early)).nnz == 0
    assert (fresh.rows(users, early) != static.rows(users, early)).nnz == 0
    assert (fresh.rows(users, late) != fresh.rows(users, early)).nnz > 0


def test_a_log_without_fields_falls_back_on_history(no_fields):
    assert list(FeatureColumns.learn(no_fields.seen, history=False).spans) == ["history"]


def test_history_length_bounds_what_counts(no_fields):
    columns = FeatureColumns.learn(no_fields.seen, history_length=2)
    assert np.diff(columns.matrix(np.arange(50), no_fields.seen).indptr).tolist() == [2] * 50


def test_known_users_are_those_with_a_click_or_everybody_where_nobody_clicked(checkerboard, no_clicks):
    assert known_users(checkerboard.seen).tolist() == list(range(300))
    assert known_users(no_clicks.seen).tolist() == list(range(304))


def test_sets_hold_ones(checkerboard):
    rows = FeatureColumns.learn(checkerboard.seen).matrix(np.arange(9), checkerboard.seen)
    sets = as_sets(rows)
    np.testing.assert_array_equal(sets.toarray(), rows.toarray() > 0)


def test_context_is_not_taken_from_a_click_on_a_removed_item(checkerboard):
    log = checkerboard.log
    device = log.events.context["device"].copy()
    newest = np.flatnonzero((log.events.user == 0) & (log.events.time < 1000))[-1]
    device[newest] = 2  # the other group's
    other = replace(log, events=replace(log.events, context={"device": device}))
    item = int(log.events.item[newest])
    assert other.view(1000.0).context(np.array([0]))["device"].tolist() == [2]
    assert other.view(1000.0, np.array([item])).context(np.array([0]))["device"].tolist() == [1]
    assert other.view(1000.0, np.arange(62)).context(np.array([0]))["device"].tolist() == [0]


def test_impossible_options_are_refused(checkerboard):
    with pytest.raises(OptionError, match="history_length"):
        FeatureColumns.learn(checkerboard.seen, history_length=0)
