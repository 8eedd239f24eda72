"""P1's questions against a brute-force reading of the protocol, in sets and loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.errors import ProtocolError
from kinfolk.evaluate.cases import new_items, plan, question, simulated_items
from kinfolk.evaluate.protocol import DAY, Protocol
from kinfolk.evaluate.since import clicks_since

REAL = Protocol(t1=5 * DAY, window=DAY, n=(5, 20), max_candidates=6, common=4)
SIMULATED = replace(REAL, simulate_new=12, simulate_min_clickers=30)


def clickers(log, item, t1):
    """(time, user) of the first click since t1 of every user, in time order, ties as in the log."""
    seen, out = set(), []
    for u, i, t in zip(log.events.user, log.events.item, log.events.time, strict=True):
        if i == item and t >= t1 and u not in seen:
            seen.add(u)
            out.append((float(t), int(u)))
    return out


def eligible(log, protocol, item, n):
    first = clickers(log, item, protocol.t1)
    if len(first) < n + protocol.min_later:
        return False
    t_n = first[n - 1][0]
    later = [t for t, _ in first if t_n < t <= t_n + protocol.window]
    return t_n + protocol.window <= protocol.ends(log) and len(later) >= protocol.min_later


@pytest.mark.parametrize("protocol", [REAL, SIMULATED])
def test_seeds_universe_and_positives(make_log, news_rows, protocol):
    rng = np.random.default_rng(3)
    prior = np.c_[rng.integers(0, 300, 400), rng.integers(0, 60, 400)]
    log = make_log(news_rows, 300, 60, prior=prior)
    cases = plan(log, protocol)
    assert len(cases) > 5
    for case in cases[:8]:
        got = question(log, protocol, case.item, case.n)
        first = clickers(log, case.item, protocol.t1)
        t_n = first[case.n - 1][0]
        assert got.t_n == t_n
        assert got.seeds.tolist() == [u for _, u in first[: case.n]]
        assert got.times.tolist() == [t for t, _ in first[: case.n]]
        met = {u for t, u in first if t <= t_n} | {int(u) for u, i in prior if i == case.item}
        met |= {u for _, u in clickers(log, case.item, -np.inf) if (_ < protocol.t1)}
        events: dict[int, int] = {}
        for u, t in zip(log.events.user.tolist(), log.events.time, strict=True):
            if t_n < t <= t_n + protocol.window and u not in met:
                events[u] = events.get(u, 0) + 1
        assert got.universe == len(events)
        assert dict(zip(got.users.tolist(), got.events.tolist(), strict=True)) == events
        positives = {u for t, u in first if t_n < t <= t_n + protocol.window} - met
        assert set(got.users[got.positive].tolist()) == positives


def test_a_tie_with_the_nth_seed_is_neither_seed_nor_universe(make_log):
    rows = [(u, 0, 100.0) for u in range(4)] + [(u, 0, 200.0 + u) for u in range(4, 30)]
    rows += [(u, 1, 250.0) for u in range(30)] + [(0, 1, 0.0)]
    log = make_log(rows, 30, 2)
    got = question(log, Protocol(t1=50.0, window=1000.0), 0, 2)
    assert got.seeds.tolist() == [0, 1]
    assert set(got.users.tolist()) == set(range(4, 30))


def test_the_universe_is_sampled_evenly_and_by_seed(make_log, news_rows):
    log = make_log(news_rows, 300, 60)
    case = plan(log, REAL)[0]
    whole = question(log, REAL, case.item, case.n)
    part = question(log, replace(REAL, max_users=50), case.item, case.n)
    assert part.users.tolist() == whole.users[:50].tolist()
    assert part.universe == whole.universe > 50
    other = question(log, replace(REAL, max_users=50, seed=1), case.item, case.n)
    assert other.users.tolist() != part.users.tolist()


@pytest.mark.parametrize("protocol", [REAL, SIMULATED])
def test_the_plan_holds_eligible_items_only_and_one_set_at_every_n(make_log, news_rows, protocol):
    log = make_log(news_rows, 300, 60)
    new = new_items(log, protocol, clicks_since(log, protocol.t1)).tolist()
    if protocol.simulate_new is None:
        assert all(log.pairs.time[log.pairs.item == i].min() >= protocol.t1 for i in new)
    else:
        assert len(new) == 12
        assert all(len(clickers(log, i, protocol.t1)) >= 30 for i in new)
        assert simulated_items(log, protocol).tolist() == sorted(new)
    fits = {n: [i for i in new if eligible(log, protocol, i, n)] for n in protocol.n}
    cases = plan(log, protocol)
    assert cases == sorted(cases, key=lambda c: (c.item, c.n))
    for n in protocol.n:
        assert {c.item for c in cases if c.n == n and c.main} == set(fits[n][: protocol.max_candidates])
    common = {n: {c.item for c in cases if c.n == n and c.common} for n in protocol.n}
    top = max([n for n in protocol.n if len(fits[n]) >= 20] or [n for n in protocol.n if fits[n]])
    expected = set([i for i in fits[top] if all(i in fits[n] for n in protocol.n if n < top)][:4])
    assert len(expected) == 4
    assert common == {n: expected if n <= top else set() for n in protocol.n}


def test_nothing_is_simulated_where_new_items_are_real(make_log, news_rows):
    assert len(simulated_items(make_log(news_rows, 300, 60), REAL)) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t1": 9.99 * DAY, "end": 10 * DAY}, "first clicked"),
        ({"n": (4000,)}, "most clicked"),
        ({"simulate_new": 3, "simulate_min_clickers": 5000}, "5000 clickers"),
        ({"window": 6 * DAY}, "window"),
    ],
)
def test_what_proves_nothing_is_refused_with_a_remedy(make_log, news_rows, change, words):
    with pytest.raises(ProtocolError, match=words) as caught:
        plan(make_log(news_rows, 300, 60), replace(REAL, **change))
    assert "--" in caught.value.remedy
