"""A space against an oracle in plain Python, and crowds against k-means over everybody."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.bundle import Bundle, Provenance
from kinfolk.errors import DataError
from kinfolk.lookalike.clusters import kmeans
from kinfolk.lookalike.weights import Weights
from kinfolk.online.clicks import Seeds, user_key, user_keys
from kinfolk.online.crowd import WORSE, Crowd
from kinfolk.online.latecomers import Latecomers
from kinfolk.online.ports import UserRecord
from kinfolk.online.space import Space
from kinfolk.represent.embed import embed

SECRET = bytes(range(32))


def keys_of(*users: str) -> np.ndarray:
    return user_keys(SECRET, users)


def seeds_of(users) -> Seeds:
    users = list(map(str, users))
    return Seeds(user_keys(SECRET, users), np.arange(len(users), dtype=np.int64))


def record(user: str, at: int = 1, **features: object) -> UserRecord:
    return UserRecord(user_key(SECRET, user), user, features, at)


@pytest.fixture
def space(small_bundle) -> Space:
    return Space.open(small_bundle, SECRET)


@pytest.fixture(scope="module")
def plain(small_bundle) -> Weights:
    return small_bundle.weights


def made_of(vectors: np.ndarray, weights: Weights) -> Space:
    """A space of users "0", "1", … with given vectors, without an encoder."""
    ids = np.array([str(i) for i in range(len(vectors))])
    bundle = Bundle(Provenance("made", "none", 0, 0.0), weights, ids, vectors, vectors)
    return Space.open(bundle, SECRET)


def test_users_of_training_are_found_by_key(space, small_bundle):
    ids = small_bundle.user_ids
    keys = user_keys(SECRET, ids.tolist())
    rows = space.rows(keys)
    assert np.array_equal(rows, np.arange(len(ids)))
    vectors, known = space.embeddings(np.r_[keys[::-1], keys_of("nobody")])
    assert known[:-1].all()
    assert not known[-1]
    assert np.array_equal(vectors[:-1], small_bundle.lookalike[::-1])
    assert not vectors[-1].any()
    assert len(space) == len(ids)
    assert space.rows(np.zeros(0, np.uint64)).shape == (0,)


def test_another_secret_knows_nobody(small_bundle, space):
    strangers = user_keys(bytes(32), small_bundle.user_ids[:50].tolist())
    assert (space.rows(strangers) == -1).all()


def everybody(space: Space, size: int) -> dict[int, tuple[str, bytes]]:
    out: dict[int, tuple[str, bytes]] = {}
    for ids, keys, vectors in space.blocks(size):
        assert 0 < len(ids) == len(keys) == len(vectors) <= size
        for i, k, v in zip(ids.tolist(), keys.tolist(), vectors, strict=True):
            assert k not in out
            out[k] = (i, np.asarray(v).tobytes())
    return out


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_puts_removals_and_returns_against_a_plain_model(small_bundle, data):
    space = Space.open(small_bundle, SECRET, most=6)
    base = {user_key(SECRET, u): u for u in small_bundle.user_ids.tolist()}
    names = [*small_bundle.user_ids[:4].tolist(), "new0", "new1", "new2", "new3", "new4"]
    keys = {n: user_key(SECRET, n) for n in names}
    late: list[str] = []  # by time of their last put
    gone: set[str] = set()
    for _ in range(data.draw(st.integers(1, 8))):
        what = data.draw(st.sampled_from(["put", "remove", "restore"]))
        some = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
        if what == "put":
            space.put([record(n) for n in some])
            there = [n for n in some if n not in gone]
            late = [*(n for n in late if n not in there), *there][-6:]
        elif what == "remove":
            space.remove(keys_of(*some))
            gone |= set(some)
            late = [n for n in late if n not in some]
        else:
            space.restore(keys_of(*some))
            gone -= set(some)
        want = {*base, *(keys[n] for n in late)} - {keys[n] for n in gone}
        found = everybody(space, data.draw(st.integers(1, 3000)))
        assert set(found) == want
        assert {i for i, _ in found.values()} == {base.get(k) or next(n for n in names if keys[n] == k) for k in want}
        assert len(space) == len(want)
        probe = keys_of(*names)
        vectors, known = space.embeddings(probe)
        assert known.tolist() == [int(k) in want for k in probe.tolist()]
        assert np.array_equal(known, space.rows(probe) >= 0)
        for k, v, there_ in zip(probe.tolist(), vectors, known, strict=True):
            assert not there_ or found[k][1] == v.tobytes()
        assert space.refused == 0


def test_a_new_user_is_embedded_by_the_encoder_of_training(space, small_bundle, small_log):
    """Told the features and the history of a user of the log, a stranger gets that user's vector."""
    row = 7
    history = small_log.item_ids[small_log.view(small_bundle.provenance.trained_until).history(np.array([row]))[0]]
    told = {"history": history.tolist()}
    for f in small_bundle.schema.user:
        column = small_log.users[f.name]
        if hasattr(column, "numbers"):
            told[f.name] = float(column.numbers[row])
        elif hasattr(column.codes, "offsets"):
            told[f.name] = [column.values[c - 1] for c in column.codes[row]]
        else:
            told[f.name] = column.values[column.codes[row] - 1] if column.codes[row] else None
    context = small_log.view(small_bundle.provenance.trained_until).context(np.array([row]))
    for c in small_bundle.schema.context:
        code = context[c.name][0]
        told[c.name] = small_log.context_values[c.name][code - 1] if code else None
    space.put([record("stranger", **told)])
    vectors, known = space.embeddings(keys_of("stranger"))
    assert known.all()
    np.testing.assert_allclose(vectors[0], small_bundle.lookalike[row], atol=1e-5)


def test_live_clicks_move_a_user_as_training_would_have(space, small_bundle, small_log):
    until, row = small_bundle.provenance.trained_until, 3
    user, key = str(small_bundle.user_ids[row]), user_key(SECRET, str(small_bundle.user_ids[row]))
    view = small_log.view(until)
    seen = set(view.history(np.array([row]))[0].tolist())
    fresh = [i for i in range(small_log.n_items) if i not in seen][:3]
    assert np.array_equal(space.embed_live(key, []), small_bundle.lookalike[row])
    e = small_log.events
    last = view.context(np.array([row]))
    longer = replace(
        small_log,
        events=replace(
            e,
            user=np.r_[e.user, np.full(3, row, np.int32)],
            item=np.r_[e.item, np.array(fresh, np.int32)],
            time=np.r_[e.time, until + 1.0 + np.arange(3)],
            kind=np.r_[e.kind, np.full(3, e.kind[0], np.int16)],
            context={n: np.r_[codes, np.full(3, last[n][0], np.int32)] for n, codes in e.context.items()},
        ),
    )
    want = small_bundle.weights.transform(embed(small_bundle.represented, longer, np.array([row])))[0]
    trail = small_log.item_ids[fresh].tolist()
    got = space.embed_live(key, trail)
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert not np.allclose(got, small_bundle.lookalike[row], atol=1e-4)
    space.put([record(user)])  # nothing told: the inputs of training stay
    np.testing.assert_allclose(space.embed_live(key, trail), want, atol=1e-5)
    assert space.embed_live(user_key(SECRET, "nobody"), trail) is None
    space.remove(keys_of(user))
    assert space.embed_live(key, trail) is None


def test_field_weights_are_shares(space, small_bundle):
    weights = space.field_weights(int(keys_of(str(small_bundle.user_ids[0]))[0]))
    assert set(weights) == set(small_bundle.represented.encoder.field_names)
    assert sum(weights.values()) == pytest.approx(1, abs=1e-5)
    assert space.field_weights(user_key(SECRET, "nobody")) == {}


def test_a_bad_record_is_named_and_spoils_no_other(space):
    with pytest.raises(DataError, match="no field 'shoe'"):
        space.check(record("a", shoe=43))
    space.put([record("a", shoe=43), record("b")])
    assert space.refused == 1
    assert space.embeddings(keys_of("a", "b"))[1].tolist() == [False, True]


def test_a_bundle_without_inputs_keeps_its_embeddings(small_bundle):
    b = small_bundle
    space = Space.open(Bundle(b.provenance, b.weights, b.user_ids, b.universal, b.lookalike, b.represented), SECRET)
    key = user_key(SECRET, str(b.user_ids[0]))
    assert np.array_equal(space.embed_live(key, ["1", "2"]), b.lookalike[0])
    assert space.field_weights(key) == {}


def test_readers_and_writers_at_once(small_bundle):
    """Whoever is neither put nor removed is always there, once; a vector is never torn."""
    space = Space.open(small_bundle, SECRET)
    steady = user_keys(SECRET, small_bundle.user_ids[10:].tolist())
    moving = [*small_bundle.user_ids[:10].tolist(), *(f"n{i}" for i in range(200))]
    failures: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            vectors, known = space.embeddings(steady)
            if not known.all() or not np.array_equal(vectors, small_bundle.lookalike[10:]):
                failures.append("embeddings")
            keys = np.concatenate([k for _, k, _ in space.blocks(500)])
            if len(np.unique(keys)) != len(keys) or not np.isin(steady, keys).all():
                failures.append("blocks")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for r in readers:
        r.start()
    for first in range(0, len(moving), 10):
        space.put([record(n) for n in moving[first : first + 10]])
        space.remove(keys_of(*moving[first : first + 5]))
        space.restore(keys_of(*moving[first : first + 5]))
    done.set()
    for r in readers:
        r.join()
    assert not failures


@given(
    steps=st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=8, unique=True), max_size=12),
    limit=st.integers(1, 9),
)
@settings(deadline=None)
def test_latecomers_against_a_dict(steps, limit):
    table, want, number = Latecomers.empty(1), {}, 0.0
    for step in steps:
        vectors = number + np.arange(len(step), dtype=np.float32)[:, None]
        number += len(step)
        older = (table, {k: table.matrix[s, 0] for k, s in zip(table.keys.tolist(), table.slots, strict=True)})
        table, out = table.put(np.array(step, np.uint64), vectors, limit)
        for k, v in zip(step, vectors[:, 0].tolist(), strict=True):
            want.pop(k, None)
            want[k] = v
        dropped = [want.pop(k) and k for k in list(want)[: max(0, len(want) - limit)]]
        assert len(out) == len(dropped)
        found = {k: float(table.matrix[s, 0]) for k, s in zip(table.keys.tolist(), table.slots, strict=True)}
        assert found == want
        assert np.array_equal(table.keys, np.sort(table.keys))
        assert {k: older[0].matrix[s, 0] for k, s in zip(older[0].keys.tolist(), older[0].slots, strict=True)} == older[
            1
        ]
    gone = np.array([0, 3, 5], np.uint64)
    assert set(table.without(gone).keys.tolist()) == set(want) - {0, 3, 5}


# Crowds


def shot(space, users, candidate="c", **options):
    warm = options.pop("warm", None)
    crowd = Crowd(candidate, seeds_of(users), options.pop("generation", 5), warm)
    return space.snapshots([crowd], **{"made_at": 9, **options})[0]


def test_a_snapshot_says_what_it_was_made_from(space, small_bundle):
    users = small_bundle.user_ids[:60].tolist()
    s = shot(space, [*users, "nobody", "noone"])
    assert (s.candidate, s.model, s.made_at, s.generation) == ("c", small_bundle.version, 9, 5)
    assert (s.seeds_seen, s.seeds_used) == (62, 60)
    assert s.sizes.sum() == 60
    e = small_bundle.lookalike[:60]
    nearest = ((e[:, None] - s.centroids[None, s.sizes > 0]) ** 2).sum(-1)
    assert s.inertia == pytest.approx(nearest.min(axis=1).mean(), rel=1e-3)
    assert np.array_equal(np.bincount(nearest.argmin(axis=1), minlength=len(s.sizes)), s.sizes)
    index = small_bundle.weights.index(small_bundle.weights.snapshot(e.copy(), seed=0))
    assert s.centroids.shape == index.centroids.shape[1:]


def test_without_a_known_seed_there_is_none(space, small_bundle):
    assert shot(space, ["nobody"]) is None
    assert shot(space, []) is None
    one = str(small_bundle.user_ids[0])
    space.remove(keys_of(one))
    assert shot(space, [one]) is None


def test_few_seeds_are_their_own_centroids(space, small_bundle):
    space.put([record("new")])
    s = shot(space, [*small_bundle.user_ids[:2].tolist(), "new"])
    assert s.sizes[:3].tolist() == [1, 1, 1]
    assert np.array_equal(s.centroids[:2], small_bundle.lookalike[:2])
    assert np.array_equal(s.centroids[2], space.embeddings(keys_of("new"))[0][0])


def test_a_removed_user_is_in_no_crowd(space, small_bundle):
    users = small_bundle.user_ids[:40].tolist()
    space.remove(keys_of(users[0]))
    without = Space.open(small_bundle, SECRET)
    assert shot(space, users).seeds_used == 39
    assert np.array_equal(shot(space, users).centroids, shot(without, users[1:]).centroids)


def test_a_crowd_is_the_same_alone_and_among_others(space, small_bundle):
    rng = np.random.default_rng(0)
    lists = [rng.choice(small_bundle.user_ids, n, replace=False) for n in (3, 40, 300, 0, 120)]
    crowds = [Crowd(f"c{i}", seeds_of(users), i) for i, users in enumerate(lists)]
    crowds.append(Crowd("c5", seeds_of(["nobody"]), 5))
    together = space.snapshots(crowds, made_at=1)
    assert [s is None for s in together] == [False, False, False, True, False, True]
    for crowd, s in zip(crowds, together, strict=True):
        alone = space.snapshots([crowd], made_at=1)[0]
        assert (alone is None) == (s is None)
        if s is not None:
            assert np.array_equal(alone.centroids, s.centroids)
            assert np.array_equal(alone.global_embedding, s.global_embedding)


def test_a_warm_start_of_the_same_seeds_stays_where_it_is(space, small_bundle):
    users = small_bundle.user_ids[:200].tolist()
    first = shot(space, users)
    settled = shot(space, users, warm=first)
    again = shot(space, users, warm=settled)
    assert settled.inertia <= first.inertia * (1 + 1e-6)
    assert again.inertia <= settled.inertia * (1 + 1e-6)
    other = replace(first, model="another", centroids=np.full_like(first.centroids, 1e6))
    assert np.array_equal(shot(space, users, warm=other).centroids, first.centroids)


def test_a_crowd_that_has_grown_much_starts_afresh(space, small_bundle):
    few = shot(space, small_bundle.user_ids[:5].tolist())
    users = small_bundle.user_ids[:200].tolist()
    assert np.array_equal(shot(space, users, warm=few).centroids, shot(space, users).centroids)


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_is_within_one_percent_of_everybody(plain, seed):
    rng = np.random.default_rng(seed)
    h, n = plain.config.h, 40_000
    places = rng.normal(size=(6, h)).astype(np.float32)
    x = (places[rng.integers(0, 6, n)] + rng.normal(0, 0.4, (n, h))).astype(np.float32)
    space = made_of(x, plain)
    s = shot(space, range(n), max_sample=3000)
    whole = shot(space, range(n), max_sample=n)
    used = s.centroids[s.sizes > 0]
    everybody_ = np.concatenate(
        [((x[i : i + 4000, None] - used) ** 2).sum(-1).min(1) for i in range(0, n, 4000)]
    ).mean()
    best = kmeans(x, plain.config.k, seed=seed, start=s.centroids).inertia / n
    assert everybody_ <= best * (WORSE + 0.01)  # the check is itself a sample
    assert s.inertia == pytest.approx(everybody_, rel=0.08)  # of some hundred seeds that were not clustered
    assert s.sizes.sum() == pytest.approx(n, rel=1e-5)
    assert (s.seeds_seen, s.seeds_used, whole.seeds_used) == (n, n, n)
    assert not np.array_equal(s.centroids, whole.centroids)
    assert np.array_equal(shot(space, range(n), max_sample=3000).centroids, s.centroids)


def test_a_sample_that_is_too_small_is_not_taken(plain):
    """Scattered points, of which a few tell nothing of the others: all are clustered in the end."""
    rng = np.random.default_rng(0)
    n = 400
    space = made_of(rng.normal(size=(n, plain.config.h)).astype(np.float32), plain)
    s, whole = shot(space, range(n), max_sample=6), shot(space, range(n), max_sample=n)
    assert np.array_equal(s.centroids, whole.centroids)


def test_one_bad_vector_does_not_stop_a_crowd(plain):
    x = np.random.default_rng(0).normal(size=(30, plain.config.h)).astype(np.float32)
    x[4] = np.nan
    s = shot(made_of(x, plain), range(30))
    assert np.isfinite(s.centroids).all()
    assert s.sizes.sum() == 29


def test_a_model_of_means_has_one_cluster(plain):
    average = Weights(replace(plain.config, pooling="average"), plain.arrays)
    x = np.random.default_rng(0).normal(size=(50, plain.config.h)).astype(np.float32)
    s = shot(made_of(x, average), range(50))
    assert s.centroids.shape == (1, plain.config.h)
    np.testing.assert_allclose(s.centroids[0], x.mean(axis=0), atol=1e-5)
    assert s.seeds_used == 50
