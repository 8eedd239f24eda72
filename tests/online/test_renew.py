"""A few new seeds are taken into a crowd: what it gives away, and when everybody is clustered anew instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.bundle import Bundle, Provenance
from kinfolk.lookalike.clusters import kmeans
from kinfolk.lookalike.weights import Weights
from kinfolk.online import renew
from kinfolk.online.clicks import Clicks, Seeds, user_key, user_keys
from kinfolk.online.crowd import Crowd
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Candidate
from kinfolk.online.refresher import Refresher
from kinfolk.online.space import Space

SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def plain(small_bundle) -> Weights:
    return small_bundle.weights


def made_of(vectors: np.ndarray, weights: Weights) -> Space:
    """A space of users "0", "1", … with given vectors, without an encoder."""
    ids = np.array([str(i) for i in range(len(vectors))])
    return Space.open(Bundle(Provenance("made", "none", 0, 0.0), weights, ids, vectors, vectors), SECRET)


def grown(plain: Weights, n: int, more: int, *, shift: float = 0.0, seed: int = 0) -> tuple[Space, np.ndarray]:
    """A space of n + more users around 30 places, the later ones `shift` farther off."""
    rng = np.random.default_rng(seed)
    h = plain.config.h
    places = rng.normal(size=(30, h)).astype(np.float32)
    x = (places[rng.integers(0, 30, n + more)] + rng.normal(0, 0.4, (n + more, h))).astype(np.float32)
    x[n:] += shift
    return made_of(x, plain), x


def clicked(n: int, generation: int, warm=None, *, first: int = 0, grown: bool = True) -> Crowd:
    """Users first to n - 1, one a second from second 0 on."""
    users = [str(i) for i in range(first, n)]
    return Crowd("c", Seeds(user_keys(SECRET, users), np.arange(first, n) * 1000), generation, warm, grown)


def test_new_seeds_are_taken_into_a_crowd_at_less_than_one_percent(plain):
    space, x = grown(plain, 4000, 400)
    last = space.snapshots([clicked(4000, 1)], made_at=4_000_000)[0]
    first, taken_in = last, 0
    for generation, n in enumerate(range(4020, 4401, 20), 2):
        crowd = clicked(n, generation, last)
        s = space.snapshots([crowd], made_at=n * 1000)[0]
        taken_in += not np.array_equal(s.sizes, np.round(s.sizes)) or s.sizes.sum() == last.sizes.sum() + 20
        assert (s.seeds_seen, s.seeds_used) == (n, n)
        assert s.sizes.sum() == pytest.approx(n, rel=1e-5)
        assert np.array_equal(space.snapshots([crowd], made_at=n * 1000)[0].centroids, s.centroids)
        last = s
    assert taken_in
    used = last.centroids[last.sizes > 0]
    distance = ((x[:, None] - used) ** 2).sum(-1).min(1).mean()
    best = kmeans(x, plain.config.k, seed=0, start=first.centroids, tolerance=0).inertia / len(x)
    assert distance <= 1.01 * best
    assert last.inertia == pytest.approx(distance, rel=0.02)


def test_taking_seeds_in_moves_means_by_their_share(plain):
    space, x = grown(plain, 3000, 1)
    last = space.snapshots([clicked(3000, 1)], made_at=3_000_000)[0]
    s = space.snapshots([clicked(3001, 2, last)], made_at=3_001_000)[0]
    moved = np.flatnonzero((s.centroids != last.centroids).any(axis=1))
    assert len(moved) == 1
    j = moved[0]
    assert s.sizes[j] == last.sizes[j] + 1
    mean = (last.centroids[j].astype(float) * last.sizes[j] + x[3000]) / s.sizes[j]
    np.testing.assert_allclose(s.centroids[j], mean, atol=1e-5)


@pytest.mark.parametrize("case", ["far off", "taken away", "users left", "another model", "few"])
def test_a_crowd_is_clustered_anew_where_taking_in_would_not_do(plain, case):
    n = 500 if case == "few" else 3000
    space, _ = grown(plain, n, 60, shift=9.0 if case == "far off" else 0.0)
    last = space.snapshots([clicked(n, 1)], made_at=n * 1000)[0]
    if case == "another model":
        last = replace(last, model="another")
    crowd = clicked(n + 2, 2, last, first=5 if case == "taken away" else 0, grown=case != "users left")
    s = space.snapshots([crowd], made_at=(n + 2) * 1000)[0]
    whole = space.snapshots([replace(crowd, grown=False)], made_at=(n + 2) * 1000)[0]
    assert np.array_equal(s.centroids, whole.centroids)
    assert s.seeds_used == len(crowd.seeds)


def test_clicks_of_known_seeds_alone_change_no_size(plain):
    space, _ = grown(plain, 3000, 0)
    crowd = clicked(3000, 1)
    last = space.snapshots([crowd], made_at=3_000_000)[0]
    again = Seeds(np.roll(crowd.seeds.user, -1), np.append(crowd.seeds.time[1:], 3_000_500))
    s = space.snapshots([Crowd("c", again, 2, last, True)], made_at=3_001_000)[0]
    assert np.array_equal(s.sizes, last.sizes)
    assert np.array_equal(s.centroids, last.centroids)


def test_the_refresher_takes_in_unless_somebody_is_leaving(small_bundle, backend, clock, monkeypatch):
    monkeypatch.setattr(renew, "LEAST", 10)
    monkeypatch.setattr(renew, "_OFTEN", 0.0)
    monkeypatch.setattr(renew, "_GIVEN_AWAY", np.inf)
    space = Space.open(small_bundle, backend.secret())
    users = small_bundle.user_ids.tolist()
    refresher = Refresher(backend, lambda: space, EngineSettings(refresh_every_ms=1), clock)

    def after(*clickers: str):
        clock.forward(2000)
        keys = user_keys(backend.secret(), clickers)
        backend.seeds.append(Clicks.of(keys, ["c"] * len(keys), np.full(len(keys), clock())), clock())
        clock.forward(1000)
        assert refresher.run_once() == 1
        return backend.snapshots.latest(["c"], space.model)[0]

    backend.candidates.put([Candidate("c", clock())])
    first = after(*users[:60])
    more = after(users[60])
    assert (more.centroids != first.centroids).any(axis=1).sum() == 1
    backend.users.forget(user_key(backend.secret(), users[0]), clock())
    left = after(*users[61:70])  # more come than leave: the number of seeds shows nothing
    seeds = backend.seeds.recent("c", 100)
    assert len(seeds) == left.seeds_seen == 69
    (whole,) = space.snapshots([Crowd("c", seeds, left.generation, more)], made_at=0)
    assert np.array_equal(left.centroids, whole.centroids)
