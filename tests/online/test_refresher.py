"""One refresher in a deployment, nothing skipped, nothing torn; over a memory store and a clock turned by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinfolk.online.clicks import Clicks, user_key, user_keys
from kinfolk.online.clock import system_clock
from kinfolk.online.crowd import Crowd
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Audience, Candidate, Changes, FenceError, Members, StoreError, StoreOptions, UserRecord
from kinfolk.online.refresher import COUNTERS_KEPT_MS, LEASE, Refresher
from kinfolk.online.space import Space
from kinfolk.online.stores.open import open_backend
from kinfolk.testing.served import wait_until

EVERY, TTL = 300_000, 30_000
HOUR = 3_600_000


@pytest.fixture
def space(small_bundle, backend) -> Space:
    return Space.open(small_bundle, backend.secret())


@pytest.fixture
def made(backend, space, clock):
    """Another process's refresher over the same stores."""

    def refresher(owner: str = "one", space_=None, **options) -> Refresher:
        chosen = EngineSettings(refresh_every_ms=EVERY, poll_ms=2)
        return Refresher(backend, space_ or (lambda: space), chosen, clock, owner=owner, lease_ms=TTL, **options)

    return refresher


def keys_of(backend, *users: str) -> np.ndarray:
    return user_keys(backend.secret(), users)


def click(backend, candidate: str, users, now: int, *, create: bool = True) -> int:
    users = list(users)
    if create:
        known = backend.candidates.get([candidate])[0]
        if known is None:
            backend.candidates.put([Candidate(candidate, now)])
    clicks = Clicks.of(
        keys_of(backend, *users), [candidate] * len(users), np.full(len(users), now) - np.arange(len(users))
    )
    return backend.seeds.append(clicks, now).generation


def pass_by(refresher: Refresher, clock, ms: int) -> int:
    """Time passes, and the refresher takes its turns as in a thread; returns what it published."""
    end, published = clock() + ms, 0
    while clock() < end:
        clock.forward(min(TTL // 4, end - clock()))
        published += refresher.run_once()
    return published


def latest(backend, space, candidate: str):
    return backend.snapshots.latest([candidate], space.model)[0]


def test_dirty_candidates_are_published_and_clean(backend, space, made, clock, users):
    click(backend, "a", users[:30], clock())
    generation = click(backend, "b", users[5:8], clock())
    refresher = made()
    assert refresher.run_once() == 2
    assert backend.seeds.dirty() == {}
    a, b = latest(backend, space, "a"), latest(backend, space, "b")
    assert (a.seeds_used, a.made_at, a.model) == (30, clock(), space.model)
    assert (b.seeds_used, b.generation) == (3, generation)
    (want,) = space.snapshots([Crowd("a", backend.seeds.recent("a", 100), 0)], made_at=0)
    assert np.array_equal(a.centroids, want.centroids)
    cursor = backend.snapshots.cursor()
    clock.forward(EVERY)
    assert refresher.run_once() == 0
    assert backend.snapshots.cursor() == cursor  # nothing changed, nothing written


def test_a_round_is_due_only_now_and_then(backend, made, clock, users):
    refresher = made()
    refresher.run_once()
    click(backend, "a", users[:5], clock())
    assert pass_by(refresher, clock, EVERY - 1) == 0
    clock.forward(1)
    assert refresher.run_once() == 1
    stats = refresher.stats()
    assert (stats["rounds"], stats["published"], stats["leads"]) == (2, 1, 1)


def test_a_clock_that_is_set_back_stops_nothing(backend, made, clock, users):
    """The next turn asks for the lease and makes a round, and so it goes on."""
    refresher = made()
    refresher.run_once()
    click(backend, "a", users[:5], clock())
    clock.forward(-HOUR)
    assert refresher.run_once() == 1
    click(backend, "a", users[5:9], clock())
    assert pass_by(refresher, clock, EVERY) == 1
    assert refresher.stats()["lost"] == 0


def test_the_lag_grows_until_a_round_is_whole(backend, made, clock, users, monkeypatch):
    refresher = made()
    assert refresher.stats()["lag_ms"] == 0
    refresher.run_once()
    pass_by(refresher, clock, EVERY - 1)
    assert refresher.stats()["lag_ms"] == EVERY - 1
    click(backend, "a", users[:5], clock())
    clock.forward(1)
    monkeypatch.setattr(backend.seeds, "recent", failing)
    with pytest.raises(StoreError):
        refresher.run_once()
    assert refresher.stats()["lag_ms"] == EVERY
    monkeypatch.undo()
    assert refresher.run_once() == 1  # at once: a round that failed is not counted as one
    assert refresher.stats()["lag_ms"] == 0


def failing(*args: object, **options: object) -> object:
    raise StoreError("the store is away", "wait")


def test_only_one_of_two_works_and_the_other_takes_over(backend, made, clock, users):
    one, two = made("one"), made("two")
    click(backend, "a", users[:5], clock())
    assert (one.run_once(), two.run_once()) == (1, 0)
    click(backend, "a", users[5:9], clock())
    clock.forward(TTL - 1)
    assert two.run_once() == 0
    clock.forward(1 + TTL // 3)  # one is silent
    assert two.run_once() == 1
    assert two.stats()["leads"] == 1
    clock.forward(EVERY)
    click(backend, "a", users[10:19], clock())
    assert two.run_once() == 1
    assert one.run_once() == 0
    assert one.stats()["leads"] == 0


def test_who_lets_go_is_followed_at_once(backend, made, clock, users):
    one, two = made("one"), made("two")
    one.run_once()
    click(backend, "a", users[:5], clock())
    one.release()
    assert two.run_once() == 1
    assert one.run_once() == 0


def test_a_holder_who_slept_publishes_nothing(backend, space, made, clock, users):
    """The lease runs out between the clustering and the publication; the other has published since."""
    two = made("two")
    click(backend, "a", users[:5], clock())
    slept = []

    class Sleepy(Space):
        def snapshots(self, *args, **options):
            out = super().snapshots(*args, **options)
            if not slept:
                slept.append(True)
                clock.forward(TTL + 1)
                click(backend, "a", users[5:9], clock())
                assert two.run_once() == 1
            return out

    sleepy = Sleepy.open(space.bundle, backend.secret())
    one = made("one", lambda: sleepy)
    cursor = backend.snapshots.cursor()
    assert one.run_once() == 0
    assert one.stats()["lost"] == 1
    assert backend.snapshots.cursor() == cursor + 1
    assert latest(backend, space, "a").seeds_used == 9


def test_a_holder_who_slept_looks_before_it_publishes(backend, space, made, clock, users):
    """The lease has gone to another who has published nothing yet: the fence alone would let the old holder through."""
    click(backend, "a", users[:5], clock())

    class Sleepy(Space):
        def snapshots(self, *args, **options):
            clock.forward(TTL + 1)
            assert backend.leases.acquire(LEASE, "two", clock(), TTL) is not None
            return super().snapshots(*args, **options)

    sleepy = Sleepy.open(space.bundle, backend.secret())
    one = made("one", lambda: sleepy)
    assert one.run_once() == 0
    assert one.stats()["lost"] == 1
    assert latest(backend, space, "a") is None
    assert "a" in backend.seeds.dirty()


def test_a_lease_that_ran_out_while_nobody_wanted_it_costs_no_round(backend, space, made, clock, users):
    click(backend, "a", users[:5], clock())

    class Slow(Space):
        def snapshots(self, *args, **options):
            clock.forward(2 * TTL)
            return super().snapshots(*args, **options)

    slow = Slow.open(space.bundle, backend.secret())
    one = made("one", lambda: slow)
    assert one.run_once() == 1
    assert (one.stats()["lost"], one.stats()["leads"]) == (0, 1)
    assert backend.seeds.dirty() == {}


def test_a_round_that_takes_longer_than_the_lease_keeps_it(backend, space, made, clock, users, monkeypatch):
    """Another waits for the lease all the time, and every store takes long for every candidate."""
    one, two = made("one", note_purged=True), made("two")
    for i in range(4):
        click(backend, f"c{i}", users[: 5 + i], clock())
        click(backend, f"old{i}", users[:5], clock())
    backend.candidates.retire([f"old{i}" for i in range(4)], clock())
    backend.audiences.create(Audience("x", "pending", {}, clock()))
    key = user_key(backend.secret(), users[0])
    backend.users.forget(key, clock())
    space.remove(np.array([key], np.uint64))

    def passes() -> None:
        clock.forward(TTL // 4)
        assert two.run_once() == 0

    def slow(real):
        def call(*args):
            passes()
            return real(*args)

        return call

    def slow_forget(real):
        def call(keys, meanwhile):
            def step() -> None:
                passes()
                meanwhile()

            return real(keys, step)

        return call

    for store, name, wrap in (
        (backend.seeds, "forget", slow_forget),
        (backend.audiences, "forget", slow_forget),
        (backend.seeds, "drop", slow),
        (backend.seeds, "recent", slow),
        (backend.seeds, "trails", slow),
        (backend.candidates, "get", slow),
    ):
        monkeypatch.setattr(store, name, wrap(getattr(store, name)))
    begun = clock()
    assert one.run_once() == 4
    assert clock() - begun > 5 * TTL  # it takes much longer than the lease
    assert (one.stats()["lost"], two.stats()["leads"]) == (0, 0)
    assert backend.users.tombstones()[key][1] is not None


def test_the_fence_holds_even_if_the_lease_seems_held(backend, space, made, clock, users, monkeypatch):
    one, two = made("one"), made("two")
    click(backend, "a", users[:5], clock())
    one.run_once()
    clock.forward(TTL + 1)
    click(backend, "a", users[5:9], clock())
    assert two.run_once() == 1
    monkeypatch.setattr(backend.leases, "renew", lambda *a: True)
    monkeypatch.setattr(backend.leases, "acquire", lambda *a: one._lease.fence)
    clock.forward(EVERY)
    click(backend, "a", users[9:12], clock())
    assert one.run_once() == 0
    assert one.stats()["lost"] == 1
    assert "a" in backend.seeds.dirty()
    with pytest.raises(FenceError):
        backend.snapshots.publish([latest(backend, space, "a")], 1)


@pytest.mark.parametrize("where", ["recent", "publish", "clean"])
def test_a_kill_anywhere_skips_nothing(backend, space, made, clock, users, monkeypatch, where):
    """Whatever call the refresher dies in, the next one publishes all that is missing."""
    for i in range(5):
        click(backend, f"c{i}", users[i : i + 4 + i], clock())
    store = backend.snapshots if where == "publish" else backend.seeds
    real, calls = getattr(store, where), [0]

    def dying(*args, **options):
        calls[0] += 1
        if calls[0] == (3 if where == "recent" else 1):
            raise KeyboardInterrupt  # like a kill, nothing catches it
        return real(*args, **options)

    monkeypatch.setattr(store, where, dying)
    with pytest.raises(KeyboardInterrupt):
        made("one").run_once()
    monkeypatch.undo()
    clock.forward(TTL + 1)
    two = made("two")
    two.run_once()
    assert backend.seeds.dirty() == {}
    for i in range(5):
        assert latest(backend, space, f"c{i}").seeds_used == 4 + i


@given(data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_clicks_at_any_moment_show_after_the_next_round(small_bundle, users, data):
    """Clicks arrive before, during and after clustering; after a last round every crowd shows every seed."""
    backend = open_backend("memory:", StoreOptions())
    now = [1_000_000_000_000]
    want: dict[str, set[str]] = {}

    def arrive() -> None:
        for _ in range(data.draw(st.integers(0, 3))):
            candidate = data.draw(st.sampled_from(["a", "b", "c"]))
            who = data.draw(st.lists(st.sampled_from(users[:30]), min_size=1, max_size=5, unique=True))
            now[0] += 10
            click(backend, candidate, who, now[0])
            want.setdefault(candidate, set()).update(who)

    class Busy(Space):
        def snapshots(self, *args, **options):
            out = super().snapshots(*args, **options)
            arrive()
            return out

    space = Busy.open(small_bundle, backend.secret())
    refresher = Refresher(backend, lambda: space, EngineSettings(refresh_every_ms=1), lambda: now[0], owner="x")
    for _ in range(data.draw(st.integers(1, 3))):
        arrive()
        now[0] += 1000
        refresher.run_once()
    quiet = Space.open(small_bundle, backend.secret())
    now[0] += 1000
    refresher._space = lambda: quiet
    refresher.run_once()
    assert backend.seeds.dirty() == {}
    for candidate, who in want.items():
        s = latest(backend, quiet, candidate)
        assert (s.seeds_seen, s.seeds_used) == (len(who), len(who))
        recent = backend.seeds.recent(candidate, 100)
        assert set(recent.user.tolist()) == set(user_keys(backend.secret(), sorted(who)).tolist())


def test_it_starts_from_the_last_centroids(backend, space, made, clock, users, monkeypatch):
    refresher = made()
    click(backend, "a", users[:60], clock())
    refresher.run_once()
    before = latest(backend, space, "a")
    clock.forward(EVERY)
    click(backend, "a", users[60:65], clock())
    refresher.run_once()
    after = latest(backend, space, "a")
    seeds = backend.seeds.recent("a", 100)
    (want,) = space.snapshots([Crowd("a", seeds, 0, before)], made_at=0)
    assert np.array_equal(after.centroids, want.centroids)
    assert after.seeds_used == 65


def test_what_is_no_candidate_waits_and_what_is_retired_does_not(backend, space, made, clock, users):
    click(backend, "item", users[:5], clock(), create=False)
    click(backend, "old", users[:5], clock())
    backend.candidates.retire(["old"], clock())
    refresher = made()
    assert refresher.run_once() == 0
    assert set(backend.seeds.dirty()) == {"item"}
    backend.candidates.put([Candidate("item", clock())])
    clock.forward(EVERY)
    assert refresher.run_once() == 1
    assert latest(backend, space, "item").seeds_used == 5
    assert latest(backend, space, "old") is None


def test_the_forgotten_leave_seeds_crowds_and_audiences(backend, space, made, clock, users):
    gone, stays = users[0], users[1]
    click(backend, "alone", [gone], clock())
    click(backend, "two", [gone, stays], clock())
    click(backend, "untouched", users[5:9], clock())
    backend.audiences.create(Audience("x", "pending", {}, clock()))
    backend.audiences.claim("w", clock(), 1000)
    keys = keys_of(backend, gone, stays)
    backend.audiences.write_part("x", "w", 0, Members((gone, stays), keys, np.array([0.2, 0.1], np.float32)))
    backend.audiences.finish("x", "w", "ready", {})
    refresher = made(note_purged=True)
    assert refresher.run_once() == 3
    untouched = latest(backend, space, "untouched")

    key = user_key(backend.secret(), gone)
    backend.users.forget(key, clock())
    space.remove(np.array([key], np.uint64))
    clock.forward(EVERY)
    assert refresher.run_once() == 2
    assert backend.users.tombstones()[key][1] == clock()
    vector = space.bundle.lookalike[0]
    for candidate in ("alone", "two"):
        s = latest(backend, space, candidate)
        assert not (s.centroids == vector).all(axis=1).any()
        assert key not in backend.seeds.recent(candidate, 10).user
    assert latest(backend, space, "alone").seeds_used == 0
    assert latest(backend, space, "two").seeds_used == 1
    assert latest(backend, space, "untouched") is untouched
    assert backend.audiences.part("x", 0).ids == (stays,)
    clock.forward(EVERY)
    assert refresher.run_once() == 0


def test_only_a_whole_round_says_that_somebody_is_purged(backend, space, made, clock, users, monkeypatch):
    click(backend, "a", users[:3], clock())
    refresher = made(note_purged=True)
    refresher.run_once()
    key = user_key(backend.secret(), users[0])
    backend.users.forget(key, clock())
    space.remove(np.array([key], np.uint64))
    clock.forward(EVERY)
    monkeypatch.setattr(backend.snapshots, "publish", failing)
    with pytest.raises(StoreError):
        refresher.run_once()
    assert backend.users.tombstones()[key][1] is None
    monkeypatch.undo()
    assert refresher.run_once() == 1
    assert backend.users.tombstones()[key][1] == clock()


def test_an_engine_notes_that_by_itself(backend, space, made, clock, users):
    click(backend, "a", users[:3], clock())
    key = user_key(backend.secret(), users[0])
    backend.users.forget(key, clock())
    made().run_once()
    assert backend.users.tombstones()[key][1] is None


def test_seeds_who_get_an_embedding_later_make_a_crowd(backend, space, made, clock):
    click(backend, "a", ["stranger"], clock())
    refresher = made()
    assert refresher.run_once() == 0
    assert backend.seeds.dirty() == {}
    know(backend, space, clock, "stranger")
    clock.forward(EVERY)
    assert refresher.run_once() == 1
    assert latest(backend, space, "a").seeds_used == 1


@pytest.mark.parametrize("where", ["dirty", "candidates", "publish"])
def test_who_waits_for_an_embedding_still_waits_after_a_round_that_failed(
    backend, space, made, clock, users, monkeypatch, where
):
    click(backend, "a", ["stranger"], clock())
    refresher = made()
    assert refresher.run_once() == 0
    know(backend, space, clock, "stranger")
    clock.forward(EVERY)
    click(backend, "b", users[:5], clock())
    store, name = {
        "dirty": (backend.seeds, "dirty"),
        "candidates": (backend.candidates, "get"),
        "publish": (backend.snapshots, "publish"),
    }[where]
    monkeypatch.setattr(store, name, failing)
    with pytest.raises(StoreError):
        refresher.run_once()
    monkeypatch.undo()
    refresher.run_once()
    assert latest(backend, space, "a").seeds_used == 1
    assert latest(backend, space, "b").seeds_used == 5


@pytest.mark.parametrize("emptied", [False, True])
def test_who_takes_over_knows_who_waits_for_an_embedding(backend, space, made, clock, users, emptied):
    one, two = made("one"), made("two")
    if emptied:  # the crowd there was is left by its only user
        click(backend, "a", users[:1], clock())
        one.run_once()
        key = user_key(backend.secret(), users[0])
        backend.users.forget(key, clock())
        space.remove(np.array([key], np.uint64))
        clock.forward(EVERY)
    click(backend, "a", ["stranger"], clock())
    click(backend, "retired", ["stranger"], clock())
    backend.candidates.put([Candidate("nobody's", clock())])
    assert (one.run_once(), two.run_once()) == (int(emptied), 0)
    assert set(backend.seeds.dirty()) == set()
    backend.candidates.retire(["retired"], clock())
    clock.forward(TTL + 1)  # one is gone
    assert two.run_once() == 0
    know(backend, space, clock, "stranger")
    two.release()
    three = made("three")
    assert three.run_once() == 1
    assert latest(backend, space, "a").seeds_used == 1
    assert latest(backend, space, "retired") is None


def test_a_takeover_looks_at_the_crowds_once(backend, space, made, clock, users, monkeypatch):
    click(backend, "a", users[:5], clock())
    refresher = made()
    refresher.run_once()
    monkeypatch.setattr(backend.candidates, "page", failing)
    assert pass_by(refresher, clock, EVERY) == 0
    assert refresher.stats()["rounds"] == 2


def know(backend, space, clock, user: str) -> None:
    record = UserRecord(user_key(backend.secret(), user), user, {}, clock())
    backend.users.put([record])
    space.put([record])


def test_old_counters_go(backend, made, clock):
    old = (clock() - COUNTERS_KEPT_MS) // HOUR - 1
    for hour in (old, old + 1, clock() // HOUR):
        backend.counters.add("clicks", hour, {("", "a"): 1})
    made().run_once()
    assert backend.counters.totals("clicks", 0) == {("", "a"): 2}


def test_a_model_that_changes_meanwhile_leaves_the_seeds_dirty(
    backend, space, small_bundle, other_bundle, made, clock, users
):
    click(backend, "a", users[:5], clock())
    other = Space.open(other_bundle, backend.secret())
    spaces = iter([space])
    refresher = made("one", lambda: next(spaces, other))
    refresher.run_once()
    assert latest(backend, space, "a") is not None
    assert "a" in backend.seeds.dirty()  # the new model's users know nothing of it yet
    clock.forward(EVERY)
    assert refresher.run_once() == 1
    assert latest(backend, other, "a").seeds_used == 5
    assert backend.seeds.dirty() == {}


def test_many_candidates_go_in_batches_and_a_halt_ends_between_two(backend, space, made, clock, users):
    n = 600
    backend.candidates.put([Candidate(f"c{i:04}", clock()) for i in range(n)])
    for i in range(n):
        backend.seeds.append(
            Clicks.of(
                keys_of(backend, users[i % 90], users[i % 80 + 5]), [f"c{i:04}"] * 2, np.array([clock(), clock() - i])
            ),
            clock(),
        )
    refresher = made()
    refresher.halt()
    some = refresher.run_once()
    assert 0 < some < n
    assert len(backend.seeds.dirty()) == n - some
    refresher.release()
    assert made("two").run_once() == n - some
    assert backend.seeds.dirty() == {}
    found = backend.snapshots.since(0, space.model)
    assert isinstance(found, Changes)
    assert len({s.candidate for s in found.snapshots}) == n


def test_threads_of_two_processes_work_and_stop(backend, space, users):
    chosen = EngineSettings(refresh_every_ms=1, poll_ms=1)
    one, two = (
        Refresher(backend, lambda: space, chosen, system_clock, owner=o, lease_ms=60_000) for o in ("one", "two")
    )
    one.start()
    two.start()
    one.start()  # nothing happens
    try:
        click(backend, "a", users[:5], system_clock())
        wait_until(lambda: latest(backend, space, "a") is not None, "the crowd is there")
        leader, standby = (one, two) if one.stats()["leads"] else (two, one)
        assert standby.stats()["published"] == 0
        leader.stop()
        assert backend.leases.acquire(LEASE, "somebody", system_clock(), 1000) is not None or standby.stats()["leads"]
        backend.leases.release(LEASE, "somebody")
    finally:
        one.stop()
        two.stop()
    assert not one.stats()["leads"]
    assert not two.stats()["leads"]
    assert one.stats()["errors"] == two.stats()["errors"] == 0


def test_a_store_that_is_away_does_not_end_the_thread(backend, space, users, monkeypatch):
    refresher = Refresher(
        backend, lambda: space, EngineSettings(refresh_every_ms=1, poll_ms=1), system_clock, owner="one"
    )
    monkeypatch.setattr(backend.seeds, "dirty", failing)
    refresher.start()
    try:
        wait_until(lambda: refresher.stats()["errors"] >= 2, "it has failed twice")
        monkeypatch.undo()
        click(backend, "a", users[:5], system_clock())
        wait_until(lambda: latest(backend, space, "a") is not None, "the crowd is there")
    finally:
        refresher.stop()
