"""Seeds as they are now: whom a refresher follows is clustered with what they have clicked, but for the candidate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.data.jagged import Jagged
from kinfolk.online.clicks import Clicks, user_key, user_keys
from kinfolk.online.crowd import Crowd, nothing
from kinfolk.online.following import FIRST, NEWEST, follow_seeds
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Candidate, UserRecord
from kinfolk.online.refresher import Refresher
from kinfolk.online.space import Space


@pytest.fixture
def space(small_bundle, backend) -> Space:
    return Space.open(small_bundle, backend.secret())


@pytest.fixture
def click(backend, small_bundle, clock):
    """click(item, *rows) puts clicks of users of the bundle into the store and returns their keys."""

    def clicks(item, *rows):
        keys = user_keys(backend.secret(), [str(small_bundle.user_ids[row]) for row in rows])
        backend.seeds.append(Clicks.of(keys, [item] * len(rows), np.full(len(rows), clock())), clock())
        clock.forward(1000)
        return keys

    return clicks


@pytest.fixture
def refresher(backend, space, clock):
    def made(**options):
        settings = EngineSettings(refresh_every_ms=1, **options)
        return Refresher(backend, lambda: space, settings, clock, lease_ms=10**9)

    return made


def as_now(space, small_bundle, row, items):
    live = space.living.live()
    return small_bundle.weights.transform(live.embed([live.known(row)] * 2, [items] * 2))[0]


def vectors(space, candidate, keys):
    found = space.seeds.of(candidate, keys)
    return found.vectors(found.rows)


def follow(space, backend, candidate, keys):
    names, trails = backend.seeds.trails(keys, 50)
    space.seeds.follow(keys, [candidate] * len(keys), names, trails)


def unseen(small_bundle, small_log, rows, n):
    """Items that the model knows and none of the users has clicked."""
    seen = set(small_log.view(small_bundle.provenance.trained_until).history(np.array(rows)).values.tolist())
    return [str(small_log.item_ids[i]) for i in range(small_log.n_items) if i not in seen][:n]


def test_a_seed_has_the_clicks_of_now_without_the_candidate(space, backend, small_bundle, small_log, click):
    a, b, c = unseen(small_bundle, small_log, [3, 4, 5], 3)
    click(a, 3, 4)
    click(b, 3)
    keys = click(c, 3, 4, 5)
    before = vectors(space, c, keys)
    for candidate in (a, c):
        follow(space, backend, candidate, keys)
    np.testing.assert_allclose(vectors(space, c, keys)[0], as_now(space, small_bundle, 3, [a, b]), atol=1e-5)
    np.testing.assert_allclose(vectors(space, c, keys)[1], as_now(space, small_bundle, 4, [a]), atol=1e-5)
    np.testing.assert_array_equal(vectors(space, c, keys)[2], before[2])  # has clicked nothing else
    np.testing.assert_allclose(vectors(space, a, keys)[0], as_now(space, small_bundle, 3, [b, c]), atol=1e-5)
    np.testing.assert_array_equal(vectors(space, b, keys), before)  # nobody is followed there
    assert space.seeds.follows(c, keys).tolist() == [True, True, False]
    np.testing.assert_array_equal(space.embeddings(keys)[0], before)  # only crowds are made of these vectors


def test_who_is_put_or_removed_is_followed_no_more(space, backend, small_bundle, small_log, click):
    a, b = unseen(small_bundle, small_log, [3, 4, 5], 2)
    click(a, 3, 4, 5)
    keys = click(b, 3, 4, 5)
    follow(space, backend, b, keys)
    assert space.seeds.follows(b, keys).all()
    user = str(small_bundle.user_ids[4])
    space.remove(keys[:1])
    space.put([UserRecord(int(keys[1]), user, {}, 1)])
    assert space.seeds.follows(b, keys).tolist() == [False, False, True]
    assert len(space.seeds) == 1
    assert len(space.seeds.of(b, keys).rows) == 2
    space.restore(keys[:1])
    np.testing.assert_array_equal(vectors(space, b, keys)[0], small_bundle.lookalike[3])
    follow(space, backend, b, keys)  # one who was put is embedded from what was told
    np.testing.assert_allclose(vectors(space, b, keys)[1], as_now(space, small_bundle, 4, [a]), atol=1e-5)


def test_who_is_put_while_they_are_embedded_is_not_followed_as_before(space, backend, small_bundle, click, monkeypatch):
    click("first", 3, 4)
    keys = click("second", 3, 4)
    live, plain = space.living.live(), space.living.live().embed_rows

    def meanwhile(*args):
        space.put([UserRecord(int(keys[0]), str(small_bundle.user_ids[3]), {}, 1)])
        return plain(*args)

    monkeypatch.setattr(live, "embed_rows", meanwhile)
    follow(space, backend, "second", keys)
    assert space.seeds.follows("second", keys).tolist() == [False, True]


def test_the_longest_followed_make_room(small_bundle, backend, click):
    space = Space.open(small_bundle, backend.secret(), most_followed=3)
    click("first", *range(6))
    keys = click("second", *range(6))
    for part in (keys[:2], keys[2:4], keys[:1]):
        follow(space, backend, "second", part)
    assert len(space.seeds) == 3
    assert space.seeds.follows("second", keys).tolist() == [True, False, True, True, False, False]


def test_strangers_are_followed_once_they_are_told_of(space, backend, small_bundle, small_log, click, clock):
    item = unseen(small_bundle, small_log, [0], 1)[0]
    key = user_key(backend.secret(), "stranger")
    for candidate in (item, "c"):
        backend.seeds.append(Clicks.of(np.array([key], np.uint64), [candidate], np.array([clock()])), clock())
    keys = np.array([key], np.uint64)
    follow(space, backend, "c", keys)
    assert len(space.seeds) == 0
    space.put([UserRecord(key, "stranger", {}, 1)])
    follow(space, backend, "c", keys)
    np.testing.assert_allclose(vectors(space, "c", keys)[0], space.embed_live(key, [item]), atol=1e-5)


@pytest.mark.parametrize("follow_users", [True, False])
def test_a_refresher_clusters_seeds_as_they_are_now(
    space, backend, small_bundle, small_log, click, refresher, follow_users
):
    items = unseen(small_bundle, small_log, [3, 4], 2)
    for item in items:
        click(item, 3, 4)
    backend.candidates.put([Candidate("c", 1)])
    click("c", 3, 4)
    assert refresher(follow_users=follow_users).run_once() == 1
    shown = backend.snapshots.latest(["c"], space.model)[0]
    want = [as_now(space, small_bundle, row, items if follow_users else []) for row in (3, 4)]
    found = shown.centroids[:2]
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], sorted(want, key=lambda x: x[0]), atol=1e-5)


def test_a_seed_is_embedded_again_when_it_clicks_again_and_not_before(
    space, backend, small_bundle, small_log, click, refresher, clock, monkeypatch
):
    followed = []
    plain = space.seeds.follow
    monkeypatch.setattr(
        space.seeds, "follow", lambda users, *rest: (followed.append(sorted(users)), plain(users, *rest))
    )
    backend.candidates.put([Candidate("c", 1)])
    click("other", *range(5))
    first = click("c", 0, 1, 2)
    working = refresher()
    working.run_once()
    clock.forward(5000)
    second = click("c", 3, 4)
    clock.forward(5000)
    working.run_once()
    assert followed == [sorted(first), sorted(second)]


def test_of_a_flood_the_newest_are_followed_and_of_a_new_crowd_a_few(space, backend, small_bundle, monkeypatch):
    asked = []

    def trails(users, limit):
        asked.append(len(users))
        return [], Jagged(np.zeros(0, np.int32), np.zeros(len(users) + 1, np.int64))

    monkeypatch.setattr(backend.seeds, "trails", trails)
    ids = [str(i) for i in range(6000)]
    users = user_keys(backend.secret(), ids)
    backend.seeds.append(Clicks.of(users, ["c"] * 6000, 10_000 * np.arange(6000)), 60_000_000)
    seeds = backend.seeds.recent("c", 10_000)
    follow_seeds(space, backend.seeds, [Crowd("c", seeds, 1)], 50)
    last = nothing("c", space.model, 4, 4, seen=0, generation=0, made_at=10_000 * 5990)
    follow_seeds(space, backend.seeds, [Crowd("c", seeds, 1, last)], 50)
    follow_seeds(space, backend.seeds, [Crowd("c", seeds, 1, replace(last, made_at=0))], 50)
    assert asked == [FIRST, NEWEST, 4096]
    follow_seeds(space, backend.seeds, [], 50)
    assert len(asked) == 3
