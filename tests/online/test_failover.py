"""A store that has lost its newest writes: every process's copies go back with it, and what is written next counts."""

import pytest

from kinfolk.online.engine import Engine
from kinfolk.online.ports import StoreOptions
from kinfolk.testing.redis_server import ask, binary, redis_server

pytest.importorskip("redis")
pytestmark = pytest.mark.skipif(binary() is None, reason="no redis-server or valkey-server is installed")


@pytest.fixture
def replicated():
    """A server that starts with what it held when it was last told to SAVE, as a replica that lags behind."""
    with redis_server(appendfsync="") as server:
        yield server


def told(engine, users):
    """What an engine says of everybody and everything."""
    return (
        [(c.id, c.meta, c.expires_at, c.seeds_used) for c in engine.list_candidates()],
        {user: engine.forget_status(user).state == "none" for user in users},
        {user: engine.feed(user, 1).known for user in users},
    )


def agree(engines, users):
    """What they all say. Scores differ by roundings: users are embedded one by one here, together there."""
    said = [told(engine, users) for engine in engines]
    assert all(s == said[0] for s in said)
    for user in users:
        scores = [{s.candidate: s.score for s in engine.feed(user, 99).items} for engine in engines]
        assert all(s == pytest.approx(scores[0], abs=1e-5) for s in scores)
    return said[0]


@pytest.mark.parametrize("saved", [True, False])
def test_what_a_failover_lost_is_lost_in_every_process(replicated, small_bundle, settings, clock, users, saved):
    """Each had read further than the store goes then; they agree with one that starts after it."""
    from kinfolk.online.stores.redis import RedisBackend

    backends = [RedisBackend.open(replicated.url, StoreOptions()) for _ in range(3)]
    try:
        one, two = (Engine(backend, small_bundle, settings, clock) for backend in backends[:2])
        asked = [*users[:12], users[-1], "early", "late"]
        if not saved:
            ask(replicated.port, "SAVE")  # before there is any candidate or user
        for i in range(3):
            one.put_candidate(f"c{i}", {"n": i})
            one.post_seeds(f"c{i}", users[3 * i : 3 * i + 5])
        one.forget(users[0])
        one.put_user("early", {}, ["i1"])
        if saved:
            ask(replicated.port, "SAVE")
        one.put_candidate("c0", {"n": "lost"}, clock() + 1000)
        one.retire(["c1"])
        one.post_seeds("c2", users[20:30])
        for i in range(9):
            one.post_seeds(f"lost{i}", users[i : i + 2])
        one.recall(users[0])
        one.forget(users[1])
        one.put_user("late", {}, ["i2"])
        one.put_user(users[-1], {}, ["i3"])
        before = agree([one, two], asked)

        replicated.kill()
        replicated.start()
        assert agree([one, two], asked) != before
        one.put_candidate("new", {"n": 1})
        one.post_seeds("new", users[5:9])
        two.post_seeds("c0", users[30:33])
        two.retire(["c2"] if saved else ["c0"])
        one.forget(users[2])
        three = Engine(backends[2], small_bundle, settings, clock)
        after = agree([three, one, two], asked)
        assert [c for c, *_ in after[0]] == (["c0", "c1", "new"] if saved else ["new"])
        assert after[1][users[2]] is after[2][users[2]] is False
    finally:
        for backend in backends:
            backend.close()
