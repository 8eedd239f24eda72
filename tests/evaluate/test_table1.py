from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.errors import ProtocolError
from kinfolk.evaluate import metrics
from kinfolk.evaluate.protocol import DAY, Protocol
from kinfolk.evaluate.since import MIN_ITEM_USERS, history_degree
from kinfolk.evaluate.table1 import run_table1, thirds, windows

TERMS = Protocol(t1=5 * DAY, n=(5,), table1=(DAY, 2 * DAY))


def by_item(users, candidates, view):
    return np.repeat(((candidates.item * 7919) % 101)[None].astype(float), len(users), axis=0) + users[:, None] * 1e-3


def test_rows_against_brute_force(make_log, news_rows, scripted):
    rng = np.random.default_rng(5)
    prior = np.c_[rng.integers(0, 300, 600), rng.integers(0, 60, 600)]
    log = make_log(news_rows, 300, 60, prior=prior)
    method = scripted("by_item", by_item)
    table = run_table1(log, TERMS, [method])
    t1, t2, end = windows(log, TERMS)
    assert (t1, t2, end) == (5 * DAY, 6 * DAY, 8 * DAY)
    rows = list(zip(log.events.user.tolist(), log.events.item.tolist(), log.events.time.tolist(), strict=True))
    known = [len({u for u, i, t in rows if i == c and t < t1}) >= MIN_ITEM_USERS for c in range(60)]
    seeds = [{u for u, i, t in rows if i == c and t1 <= t < t2} for c in range(60)]
    items = [c for c in range(60) if known[c] and len(seeds[c]) >= 5]
    met = {(u, i) for u, i, t in rows if t < t2} | {(int(u), int(i)) for u, i in prior}
    later = {(u, i) for u, i, t in rows if t2 <= t < end}
    warm = history_degree(log.view(t1)) > 0
    assert [v.now for v in method.fitted] == [t1]
    users, candidates, view = method.asked[0]
    assert view.now == t2
    assert candidates.item.tolist() == items
    assert [set(s.tolist()) for s in candidates.seeds] == [seeds[c] for c in items]
    wants = {u: np.array([(u, c) in later and (u, c) not in met for c in items]) for u in range(300) if warm[u]}
    assert table["user"].to_list() == sorted(u for u, w in wants.items() if w.any())
    scores = by_item(users, candidates, view)
    started = {(u, i) for u, i, t in rows if t1 <= t < t2}
    came = np.array([len({u for u, i in later if i == c and (u, c) not in started}) for c in items])
    for row in table.iter_rows(named=True):
        u = row["user"]
        live = np.array([(u, c) not in met for c in items])
        got = scores[users.tolist().index(u)]
        assert (row["wanted"], row["candidates"]) == (wants[u].sum(), live.sum())
        assert row["auc"] == pytest.approx(metrics.auc(got[live], wants[u][live]), nan_ok=True)
        own, others = np.flatnonzero(live & wants[u]), np.flatnonzero(live & ~wants[u])
        weighted = [np.average(got[c] > got[others], weights=came[others]) for c in own] if came[others].any() else []
        assert row["pauc"] == pytest.approx(np.mean(weighted) if weighted else np.nan, nan_ok=True)
        order = [c for c in np.argsort(-got, kind="stable") if live[c]]
        expected = sum(wants[u][c] for c in order[:10]) / min(10, wants[u].sum())
        assert row["prec_10"] == pytest.approx(expected)


def test_without_lengths_the_later_windows_share_the_clicks(make_log, news_rows):
    log = make_log(news_rows, 300, 60)
    t1, t2, end = windows(log, replace(TERMS, table1=None))
    counts = np.diff(np.searchsorted(log.events.time, [t1, t2, end]))
    assert counts[0] == pytest.approx(counts[1], rel=0.1)


def test_lists_are_cut_in_three_and_keep_their_order(make_log):
    rows = [(u, i, float(100 * u + i)) for u in range(4) for i in range(7 + u)]
    log = make_log(rows, 4, 10, prior=[(0, 1)])
    got = thirds(log, seed=1)
    assert got.prior is None
    assert (np.diff(got.events.time) >= 0).all()
    for u in range(4):
        mine = got.events.user == u
        length = 7 + u
        assert got.events.item[mine].tolist() == list(range(length))
        assert np.floor(got.events.time[mine]).astype(int).tolist() == [3 * r // length for r in range(length)]


def test_made_up_times_are_cut_by_list_and_need_fitting(make_log, scripted):
    rng = np.random.default_rng(0)
    rows = [(u, i, r) for u in range(60) for r, i in enumerate(rng.permutation(40)[:24])]
    log = make_log(rows, 60, 40)
    terms = replace(TERMS, t1=0.0, uses_time=False, table1=None)
    method = scripted("by_item", by_item)
    table = run_table1(log, terms, [method])
    assert method.fitted[0].now == 1.0
    assert table.height == 60
    assert method.fitted[0].history(np.arange(60)).lengths.tolist() == [8] * 60
    with pytest.raises(ProtocolError, match="three parts"):
        run_table1(log, terms, [method], fit=False)


def test_an_empty_window_is_refused(make_log, news_rows):
    log = make_log(news_rows, 300, 60)
    with pytest.raises(ProtocolError, match="0 events to learn from"):
        windows(log, replace(TERMS, t1=0.0))
    with pytest.raises(ProtocolError, match="items have"):
        run_table1(log, replace(TERMS, n=(4000,)), [])
