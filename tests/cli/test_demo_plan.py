"""What the demo plays live: held-out clicks, a new item among them, and who clicks it after each look."""

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.cli.demo import plan as module
from kinfolk.cli.demo.live import Growth
from kinfolk.cli.demo.plan import plan
from kinfolk.evaluate.protocol import defaults


@pytest.fixture(scope="module")
def terms(small_log):
    return defaults("synthetic", small_log)


def test_each_look_comes_right_after_its_user_and_knows_who_comes_later(small_log, terms):
    scored = small_log.user_ids[::2]
    todo = plan(small_log, terms, scored, 10**9)
    events = [
        (str(small_log.user_ids[u]), str(small_log.item_ids[i]), t)
        for u, i, t in zip(small_log.events.user, small_log.events.item, small_log.events.time, strict=True)
    ]
    test = [e for e in events if e[2] >= terms.t1]
    assert todo.total == len(test) == len(todo.user)
    assert not [e for e in events if e[1] == todo.item and e[2] < terms.t1], "the item is new"
    assert len(todo.looks) >= 3
    for look in todo.looks:
        before = {u for u, i, _ in test[: look.row] if i == todo.item}
        assert len(before) == look.clicks
        assert len({u for u, i, _ in test[: look.row - 1] if i == todo.item}) == look.clicks - 1
        after = {u for u, i, _ in test[look.row :] if i == todo.item} - before
        assert look.later == after & set(scored.tolist())
        assert len(look.later) >= module.LEAST_LATER


def test_what_is_played_is_the_log_with_its_times_moved(small_log, terms):
    todo = plan(small_log, terms, small_log.user_ids, 50)
    assert len(todo.user) == 50 < todo.total
    played = todo.played(small_log, 10, 20, shift=1000.0)
    start = int((small_log.events.time < terms.t1).sum())
    assert played.users.to_list() == small_log.user_ids[small_log.events.user[start + 10 : start + 20]].tolist()
    assert played.items.to_list() == small_log.item_ids[small_log.events.item[start + 10 : start + 20]].tolist()
    assert played.time.tolist() == np.rint(1000 * (small_log.events.time[start + 10 : start + 20] + 1000)).tolist()


def test_those_who_met_a_simulated_new_item_before_are_not_asked_about(small_log, terms):
    simulated = replace(terms, simulate_new=20)
    todo = plan(small_log, simulated, small_log.user_ids, 10**9)
    rows = small_log.events.time < terms.t1
    item = small_log.item_ids.tolist().index(todo.item)
    met = small_log.user_ids[np.unique(small_log.events.user[rows & (small_log.events.item == item)])]
    assert sorted(todo.met) == sorted(met.tolist())
    assert all(not look.later & set(todo.met) for look in todo.looks)


def test_the_item_is_the_middle_one_of_those_clicked_enough():
    items = np.array([7, 3, 9, 4])
    assert module._typical(items, np.array([500, 120, 119, 300])) == 4
    assert module._typical(items, np.array([5, 8, 1, 2])) == 3, "else the one with the most"


def test_lift_is_the_share_of_later_clickers_over_their_share_among_all():
    growth = Growth(clicks=10, seeds=9, eligible=1000, later=100, alike=12, top1=10, hits1=2, top5=50, hits5=5)
    assert growth.lift1 == pytest.approx(2.0)
    assert growth.lift5 == pytest.approx(1.0)
    assert np.isnan(replace(growth, top1=0).lift1)
