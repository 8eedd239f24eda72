"""Tens of thousands of candidates come and go under a clock turned by hand: nothing of those who went is kept."""

import os
from collections import deque
from collections.abc import Mapping
from itertools import chain

import numpy as np

from kinfolk.bundle import Bundle
from kinfolk.online.index import LiveIndex
from kinfolk.online.stores.memory import MemoryBackend

HOUR = 3_600_000
AT_ONCE = 500  # candidates that come each hour
LIVE_H = 3
BARREN = 50  # of them nobody with an embedding clicks
ROUNDS = 100 if os.environ.get("KINFOLK_FULL") else 24


def entries(root):
    """{path of attributes: entries} of all containers that an object holds, however deep; arrays count their rows.

    But for the model, and for the stores, of which `stored` tells.
    """
    out, seen, todo = {}, set(), deque([("", root)])
    while todo:
        path, it = todo.popleft()
        if id(it) in seen or isinstance(it, (str, bytes, type, Bundle)):
            continue
        seen.add(id(it))
        if type(it).__module__.startswith("kinfolk.online.stores"):
            continue
        if isinstance(it, np.ndarray):
            out[path] = out.get(path, 0) + (len(it) if it.ndim else 1)
        elif isinstance(it, Mapping):
            out[path] = out.get(path, 0) + len(it)
            todo.extend((f"{path}[]", v) for v in it.values())
        elif isinstance(it, (list, tuple, set, frozenset, deque)):
            out[path] = out.get(path, 0) + len(it)
            todo.extend((f"{path}[]", v) for v in it)
        elif hasattr(it, "__dict__") and type(it).__module__.startswith("kinfolk"):
            todo.extend((f"{path}.{name}", v) for name, v in vars(it).items())
    return out


def test_nothing_grows(make, backend, users, clock, monkeypatch):
    """Every second candidate expires, the others are retired."""
    monkeypatch.setattr("kinfolk.online.refresher._BARREN", BARREN)
    engine = make(candidate_ttl_ms=LIVE_H * HOUR, popularity_ms=HOUR, refresh_every_ms=1, blend_n0=5)
    engine._d.roster._most = 1000  # retired ones that are remembered; 100,000 else
    rng, born, seen = np.random.default_rng(0), deque(), []
    for n in range(ROUNDS):
        names = [f"c{n}-{i}" for i in range(AT_ONCE)]
        who = [[users[j] for j in rng.choice(len(users), 3, replace=False)] for _ in names[BARREN:]]
        who += [[f"stranger-{i}" for i in range(3)]] * BARREN
        engine.post_clicks(list(chain(*who)), [c for c in names for _ in range(3)], [None] * (3 * AT_ONCE))
        engine.refresh()
        born.append(names[::2])
        clock.forward(HOUR)
        if len(born) >= LIVE_H - 1:
            engine.retire(born.popleft())
        engine._work.keep()
        assert engine.feed(users[n], 5).total <= (LIVE_H - 1) * AT_ONCE
        if n >= ROUNDS // 2:
            seen.append((engine.stats()["candidates"], entries(engine), stored(backend, engine.model)))
    first, last = seen[0], seen[-1]
    assert first[0] == last[0] == (LIVE_H - 2) * AT_ONCE + AT_ONCE // 2
    assert engine.stats()["expired"] == (ROUNDS - LIVE_H + 1) * AT_ONCE // 2
    assert sum(first[1].values()) > 10 * AT_ONCE  # the count does see candidates
    grown = {p: (first[1].get(p, 0), n) for p, n in last[1].items() if n > first[1].get(p, 0) + 2 * BARREN}
    assert not grown
    assert last[2] == first[2]


def stored(backend, model):
    """What the stores hold of candidates, but for the names of those who went, which are kept on purpose."""
    assert isinstance(backend, MemoryBackend)
    return {
        "seeds": backend.seeds.stats()["seeds"],
        "candidates": backend.seeds.stats()["candidates"],
        "dirty": len(backend.seeds.dirty()),
        "snapshots": len(backend.snapshots.since(0, model).snapshots),
        "live": len(backend.candidates.page("", 10**6)),
    }


def test_the_count_sees_what_a_table_keeps(small_bundle):
    index = LiveIndex(small_bundle.weights, small_bundle.version, room=7)
    assert entries(index)["._arrays[]"] == 14 * 7
