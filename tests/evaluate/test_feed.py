"""P2 against a brute-force reading of the protocol, in sets and loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from kinfolk.errors import ProtocolError
from kinfolk.evaluate import metrics
from kinfolk.evaluate.feed import ORACLE, run_feed
from kinfolk.evaluate.protocol import DAY, HOUR, Protocol
from kinfolk.evaluate.since import history_degree
from kinfolk.evaluate.snapshot import first_clicks, moments

LIVE = Protocol(t1=4 * DAY, live=3 * DAY, live_min=(2, 5), live_candidates=6, snapshots=4, per_snapshot=25, seed=2)
EVERYTHING = replace(LIVE, live=None, step=DAY, first_offset=DAY, tau=DAY)
NONE_PERSONAL = {"popularity", "recency_popularity", "newest", ORACLE}


def by_item(users, candidates, view):
    return np.repeat(((candidates.item * 7919) % 101)[None].astype(float), len(users), axis=0) + users[:, None] * 1e-3


def local_end(h0, offset):
    return np.floor((h0 + offset * HOUR) / DAY + 1) * DAY - offset * HOUR


@pytest.mark.parametrize("offset", [0, 5])
def test_moments_leave_time_for_the_day(make_log, news_rows, offset):
    log = make_log(news_rows, 300, 60)
    terms = replace(LIVE, utc_offset=offset, snapshots=1000)
    drawn = moments(terms, first_clicks(log, terms), terms.ends(log), log.name)
    assert drawn == sorted(drawn)
    assert len(set(drawn)) == len(drawn) > 20
    for h0, midnight in drawn:
        assert midnight == local_end(h0, offset)
        assert midnight - h0 >= 3 * HOUR
        assert h0 >= terms.t1 + terms.first_offset
        assert (h0 + offset * HOUR) % terms.step == 0


@pytest.mark.parametrize("terms", [LIVE, EVERYTHING])
def test_user_days_against_brute_force(make_log, news_rows, scripted, terms):
    rng = np.random.default_rng(5)
    prior = np.c_[rng.integers(0, 300, 600), rng.integers(0, 60, 600)]
    log = make_log(news_rows, 300, 60, prior=prior)
    method = scripted("by_item", by_item)
    result = run_feed(log, terms, [method])
    assert [v.now for v in method.fitted] == [terms.t1]
    assert set(result.user_days["method"]) == NONE_PERSONAL | {"by_item"}
    warm = history_degree(log.view(terms.t1)) > 0
    events = list(zip(log.events.user.tolist(), log.events.item.tolist(), log.events.time.tolist(), strict=True))
    before = {(u, i) for u, i, t in events if t < terms.t1} | {(int(u), int(i)) for u, i in prior}
    first: dict[tuple[int, int], float] = {}
    for u, i, t in events:
        if t >= terms.t1:
            first.setdefault((u, i), t)
    by_candidate: dict[int, list[tuple[float, int]]] = {c: [] for c in range(60)}
    for (u, i), t in first.items():
        by_candidate[i].append((t, u))
    birth: dict[int, float] = {}
    for _, i, t in events:
        birth.setdefault(i, t)
    asked_today: set[tuple[int, float, int]] = set()
    assert len(method.asked) == result.snapshots.height
    for (users, candidates, view), n in zip(method.asked, result.snapshots["n"].to_list(), strict=True):
        h0 = view.now
        end = local_end(h0, terms.utc_offset)
        least = None if terms.live is None else max(terms.t1, h0 - terms.live)
        clickers = {c: [u for t, u in by_candidate[c] if t < h0] for c in range(60)}
        fits = [c for c in range(60) if (least is None or birth.get(c, -1) >= least)]
        rows = result.user_days.filter((pl.col("h0") == h0) & (pl.col("n") == n) & (pl.col("method") == "by_item"))
        assert candidates.item.tolist() == [c for c in fits if len(clickers[c]) >= n]
        assert [set(s.tolist()) for s in candidates.seeds] == [set(clickers[c]) for c in candidates.item.tolist()]
        assert all((np.diff(t) >= 0).all() for t in candidates.times)
        scores = by_item(users, candidates, view)
        for row in rows.iter_rows(named=True):
            u = row["user"]
            assert warm[u]
            assert (n, end, u) not in asked_today
            asked_today.add((n, end, u))
            met = np.array([(u, c) in before or first.get((u, c), np.inf) < h0 for c in candidates.item.tolist()], bool)
            wanted = np.array([h0 <= first.get((u, c), -1.0) < end for c in candidates.item.tolist()], bool) & ~met
            others = np.array(
                [sum(h0 <= t < end and v != u for t, v in by_candidate[c]) for c in candidates.item.tolist()], float
            )
            got = scores[users.tolist().index(u)]
            assert wanted.any()
            order = [c for c in np.argsort(-got, kind="stable") if not met[c]]
            top = sum(wanted[c] for c in order[:10])
            assert row["prec_10"] == pytest.approx(top / min(10, wanted.sum()))
            live = ~met
            assert row["auc"] == pytest.approx(metrics.auc(got[live], wanted[live]), nan_ok=True)
            weighted = metrics.weighted_auc(got[live], wanted[live], others[live])
            assert row["pauc"] == pytest.approx(weighted, nan_ok=True)
    assert len(asked_today) > 30


def test_reference_rows_rank_as_their_names_say(make_log, news_rows, scripted):
    log = make_log(news_rows, 300, 60)
    seen = {}

    def keep(users, candidates, view):
        seen[view.now] = candidates
        return np.zeros((len(users), len(candidates)))

    named = {}

    def newest(users, candidates, view):
        first = np.array([t[0] for t in candidates.times])
        return np.repeat(first[None], len(users), axis=0)

    def popular(users, candidates, view):
        return np.repeat(candidates.seeds.lengths[None].astype(float), len(users), axis=0)

    result = run_feed(log, LIVE, [scripted("a", newest), scripted("b", popular), scripted("c", keep)])
    for name in ("a", "b", "newest", "popularity"):
        named[name] = result.user_days.filter(pl.col("method") == name).drop("method")
    assert named["a"].equals(named["newest"])
    assert named["b"].equals(named["popularity"])
    assert seen


def test_a_method_replaces_the_reference_row_of_its_name(make_log, news_rows, scripted):
    result = run_feed(make_log(news_rows, 300, 60), LIVE, [scripted("newest", by_item), scripted("twin", by_item)])
    newest, twin = (result.user_days.filter(pl.col("method") == m).drop("method") for m in ("newest", "twin"))
    assert newest.equals(twin)


def test_impressions_are_ranked_within_a_user(make_log, news_rows, scripted):
    rng = np.random.default_rng(4)
    n = 6000
    when = rng.uniform(4 * DAY, 10 * DAY, n)
    user, item = rng.integers(0, 300, n), rng.integers(0, 60, n)
    label = (item % 2 == user % 2).astype(int)
    log = make_log(news_rows, 300, 60, shown=np.c_[user, item, when, label])

    def knows(users, candidates, view):
        return (users[:, None] % 2 == candidates.item[None] % 2).astype(float)

    result = run_feed(log, EVERYTHING, [scripted("knows", knows), scripted("blind"), scripted("by_item", by_item)])
    shown = result.impressions
    assert set(shown["method"]) == NONE_PERSONAL | {"knows", "blind", "by_item"}
    assert shown.filter(pl.col("method") == "knows")["auc"].to_numpy() == pytest.approx(1.0)
    assert shown.filter(pl.col("method") == "blind")["auc"].to_numpy() == pytest.approx(0.5)
    assert shown.filter(pl.col("method") == "by_item")["auc"].std() > 0.1
    without = run_feed(make_log(news_rows, 300, 60), EVERYTHING, [scripted("blind")])
    assert without.impressions.is_empty()
    assert without.user_days.height == result.user_days.filter(~pl.col("method").is_in(["knows", "by_item"])).height


def test_no_feed_where_times_are_made_up_or_nothing_is_live(make_log, news_rows):
    log = make_log(news_rows, 300, 60)
    with pytest.raises(ProtocolError, match="made-up times"):
        run_feed(log, replace(LIVE, uses_time=False), [])
    with pytest.raises(ProtocolError, match="at none of"):
        run_feed(log, replace(LIVE, live_min=(4000,)), [])
    with pytest.raises(ProtocolError, match="three hours"):
        run_feed(log, replace(LIVE, first_offset=6 * DAY), [])
