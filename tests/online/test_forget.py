"""A user who leaves: in no answer from then on, in no store soon after, whatever comes later."""

import io
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kinfolk.online.answers import ConflictError, NotFoundError
from kinfolk.online.audiences import Question, work
from kinfolk.online.clicks import user_key
from kinfolk.online.engine import Engine
from kinfolk.online.forget import alone
from kinfolk.online.ports import StoreOptions
from kinfolk.online.stores.open import open_backend

QUICK = hypothesis_settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refreshed(engine, clock):
    """One turn of the refresher and of the purge, after its period."""
    clock.forward(engine.settings.refresh_every_ms)
    engine._work.refresh()
    engine._work.keep()


def shown(engine, users):
    """Every user that any answer names."""
    out = set()
    for candidate in [c.id for c in engine.list_candidates("", 100)]:
        out |= {u for u, _ in engine.candidate_audience(candidate, 10_000)}
    for audience in engine.list_audiences("", 100):
        if audience.state == "ready":
            cursor = None
            while True:
                page = engine.members(audience.id, cursor, 29)
                out |= {m.id for m in page.members}
                if (cursor := page.next) is None:
                    break
    out |= {u for u in users if engine.audiences_of(u)}
    return out | {u for u in users if engine.feed(u, 1).known}


def holds(backend, user):
    """Where the stores still have something of a user."""
    key = user_key(backend.secret(), user)
    found = [c for c in (f"c{i:02}" for i in range(12)) if key in backend.seeds.recent(c, 10**6).user.tolist()]
    found += backend.seeds.trail(key, 100)[0] + backend.audiences.of_user(key)
    return found + ([backend.users.get(key)] if backend.users.get(key) else [])


@QUICK
@given(st.data())
def test_no_forgotten_user_is_anywhere(small_bundle, settings, users, clock, data):
    """Any users forgotten through any process, between any other acts: no process ever names one again."""
    with closing(open_backend("memory:", StoreOptions())) as backend:
        processes = [Engine(backend, small_bundle, settings, clock) for _ in range(2)]
        leave_and_stay_away(processes, backend, users, data)


def leave_and_stay_away(processes, backend, users, data):
    seeds = users[:40]
    for i in range(3):
        processes[0].post_seeds(f"c{i:02}", seeds[i : i + 20])
    gone: list[str] = []
    for act in data.draw(st.lists(st.sampled_from(["forget", "seeds", "audience", "clicks", "put"]), max_size=8)):
        engine = data.draw(st.sampled_from(processes))
        if act == "forget":
            user = data.draw(st.sampled_from(users[:60]))
            assert engine.forget(user).state in ("pending", "purged")
            gone.append(user)
        elif act == "seeds":
            told = engine.post_seeds("c00", seeds[:5])
            assert told.forgotten == len({*seeds[:5]} & {*gone})
        elif act == "clicks":
            got = engine.post_clicks(users[:60], ["c01"] * 60, [None] * 60)
            assert got.forgotten == len({*gone})
        elif act == "put":
            for user in gone:
                with pytest.raises(ConflictError):
                    engine.put_user(user, {})
        else:
            engine.create_audience(Question(seeds=seeds, percent=100, include_seeds=True))
            work(engine._d, "w")
        for engine in processes:
            assert not shown(engine, users[:60]) & {*gone}
    for user in gone:
        assert holds(backend, user) == []
        for engine in processes:
            assert engine.forget_status(user).state != "none"


def test_the_tombstone_is_a_key(engine, backend, users):
    engine.forget(users[3])
    assert list(backend.users.tombstones()) == [user_key(backend.secret(), users[3])]


def test_reads_treat_them_as_unknown(crowded, users):
    engine, _ = crowded
    user = users[-1]
    rank = engine.rank(user, [("c09", 0.4), ("c05", 0.2)])
    assert rank[0].score is not None
    engine.forget(user)
    assert not engine.feed(user, 3).known
    assert [r.score for r in engine.rank(user, [("c09", 0.4)])] == [None]
    for ask in (engine.get_user, lambda u: engine.explain(u, "c09")):
        with pytest.raises(NotFoundError):
            ask(user)
    with pytest.raises(ConflictError):
        engine.put_user(user, {})


def test_status_goes_from_pending_to_purged(crowded, users, clock, backend):
    engine, seeds = crowded
    user = seeds["c11"][0]
    assert engine.forget_status(user).state == "none"
    asked_at = clock()
    engine.forget(user)
    status = engine.forget_status(user)
    assert status.asked_at == asked_at
    assert holds(backend, user) == []
    refreshed(engine, clock)
    status = engine.forget_status(user)
    assert (status.state, status.asked_at, status.purged_at) == ("purged", asked_at, clock())
    assert engine.forget(user) == status, "asked again"


def test_no_crowd_made_with_them_outlives_purged(crowded, users, clock, backend, small_bundle):
    """Purged is said only when every snapshot was made without the user, however the candidates change meanwhile."""
    engine, seeds = crowded
    user = seeds["c11"][0]
    held = [c for c in seeds if user in seeds[c]]
    before = {c: backend.snapshots.latest([c], small_bundle.version)[0] for c in held}
    engine.post_clicks(users[200:203], ["c11"] * 3, [None] * 3)
    engine.forget(user)
    renewed = {
        c: backend.snapshots.latest([c], small_bundle.version)[0].generation > before[c].generation for c in held
    }
    assert engine.forget_status(user).state == ("purged" if all(renewed.values()) else "pending")
    refreshed(engine, clock)
    assert engine.forget_status(user).state == "purged"
    for c in held:
        assert backend.snapshots.latest([c], small_bundle.version)[0].generation > before[c].generation


def test_alone_in_a_cluster_is_out_at_once(make, users, backend, small_bundle):
    """With no more seeds than clusters a centroid is a user's own embedding: it goes with the wish."""
    engine, other = make(), make()
    engine.post_seeds("a", users[:3])
    engine.post_seeds("solo", users[:1])
    vector = small_bundle.lookalike[small_bundle.rows(np.array(users[:1]))][0]
    assert alone_in(backend, small_bundle, "a", vector)
    other.forget(users[0])
    assert not alone_in(backend, small_bundle, "a", vector)
    assert backend.snapshots.latest(["solo"], small_bundle.version)[0].seeds_used == 0
    for process in (engine, other):
        assert [s.candidate for s in process.feed(users[9], 5).items] == ["a"]
        assert process.get_candidate("a").seeds_used == 2
        assert process.get_candidate("solo").seeds == 0
    assert engine.forget_status(users[0]).state == "purged"
    assert engine.post_seeds("solo", users[1:2]).scorable


def alone_in(backend, bundle, candidate, vector):
    s = backend.snapshots.latest([candidate], bundle.version)[0]
    return bool(((s.centroids == vector).all(axis=1) & (s.sizes > 0)).any())


def test_a_centroid_is_somebody_s_own():
    crowd, two, none = np.eye(3, dtype=np.float32), np.array([2, 5, 0], np.float32), np.zeros(3, np.float32)
    assert not alone(crowd, two)
    assert alone(crowd, np.array([2, 1, 0], np.float32)), "one user in a cluster"
    assert alone(crowd, two, crowd[1] + np.float32(1e-4)), "told from a sample, but at this very place"
    assert not alone(crowd, two, crowd[2]), "padding"
    assert not alone(crowd, two, none)


def test_a_click_on_its_way_does_not_bring_them_back(make, users, backend):
    """The wish is heard by another process after the check and before the clicks reach the store."""
    engine, other = make(), make()
    append, user = backend.seeds.append, users[4]

    def slow(clicks, now):
        backend.seeds.append = append
        other.forget(user)
        return append(clicks, now)

    backend.seeds.append = slow
    engine.post_clicks([user, users[5]], ["c00", "c00"], [None, None])
    assert holds(backend, user) == []
    assert holds(backend, users[5]) == ["c00", "c00"], "a seed and a trail"


def test_a_wish_while_an_audience_is_written(engine, users, backend):
    asked = engine.create_audience(Question(seeds=users[:10], percent=100, include_seeds=True))
    write, gone = backend.audiences.write_part, []

    def slow(id, worker, part, members):
        if not gone:
            gone.append(members.ids[0])
            engine.forget(gone[0])
        write(id, worker, part, members)

    backend.audiences.write_part = slow
    work(engine._d, "w")
    assert gone
    assert gone[0] not in {m.id for m in engine.members(asked.id, None, 10_000).members}
    assert holds(backend, gone[0]) == []


def test_they_can_be_taken_back(make, users, clock):
    engine, other = make(), make()
    engine.post_seeds("a", users[:5])
    engine.forget(users[0])
    assert not other.recall(users[1])
    assert other.recall(users[0])
    assert engine.forget_status(users[0]).state == "none"
    assert engine.feed(users[0], 1).known
    assert engine.get_candidate("a").seeds == 4, "what was purged stays so"
    assert engine.post_seeds("a", users[:1]).forgotten == 0


def test_a_stranger_and_a_put_user_can_leave(engine, backend, users):
    engine.post_clicks(["stranger"], ["c00"], [None])
    engine.put_user("put", {})
    for user in ("stranger", "put", "never seen"):
        engine.forget(user)
        assert holds(backend, user) == []
        assert engine.post_clicks([user], ["c00"], [None]).forgotten == 1
        assert not engine.feed(user, 1).known


def test_it_survives_a_restart(make, users, clock, backend):
    """A process dies between the tombstone and the purge; the next one honours the wish and finishes the work."""
    engine = make()
    engine.post_seeds("c00", users[:10])
    held = engine.create_audience(Question(seeds=users[:10], percent=100, include_seeds=True)).id
    work(engine._d, "w")
    backend.users.forget(user_key(backend.secret(), users[0]), clock())
    reborn = make()
    assert reborn.forget_status(users[0]).state == "pending"
    assert not reborn.feed(users[0], 1).known
    assert users[0] not in {u for u, _ in reborn.candidate_audience("c00", 10_000)}
    assert backend.audiences.of_user(user_key(backend.secret(), users[0])) == [held], "not purged yet"
    assert reborn.audiences_of(users[0]) == []
    assert users[0] not in {m.id for m in reborn.members(held, None, 10_000).members}
    file = pq.read_table(io.BytesIO(b"".join(reborn.members_parquet(held))))
    assert users[0] not in file["user_id"].to_pylist()
    assert len(file) == len(users) - 1
    refreshed(reborn, clock)
    refreshed(reborn, clock)
    assert holds(backend, users[0]) == []
    assert reborn.forget_status(users[0]).state == "purged"
