"""The index against a plain dict, scores against an index built in one go, and readers beside a writer."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.lookalike.weights import Weights
from kinfolk.online.index import LiveIndex, Table
from kinfolk.online.ports import Changes, Snapshot, StoreError

K, H = 3, 4
CONFIG = LookalikeConfig(m=H, h=H, k=K, attention_size=2)


def _weights() -> Weights:
    rng = np.random.default_rng(0)
    shapes = {
        "layer_weight": (H, H), "layer_bias": (H,), "local": (H, H), "log_temperature": (), "global_inner": (2, H),
        "global_outer": (1, 2), "log_scale": (), "bias": (),
    }  # fmt: skip
    return Weights(CONFIG, {n: np.asarray(rng.normal(size=s), np.float32) for n, s in shapes.items()})


WEIGHTS = _weights()


def snap(candidate: str, number: int, generation: int = 1, used: int = 5, **changes: object) -> Snapshot:
    """A crowd whose every value is drawn from its number."""
    rng = np.random.default_rng(number)
    valid = min(used, 1 + number % K)
    sizes = np.where(np.arange(K) < valid, rng.integers(1, 9, K), 0).astype(np.float32)
    centroids = np.where(sizes[:, None] > 0, rng.normal(size=(K, H)), 0).astype(np.float32)
    made = Snapshot(
        candidate, "m1", number, used, used, generation, centroids, sizes, rng.normal(size=H).astype(np.float32)
    )
    return replace(made, **changes)


def at_once(snapshots: list[Snapshot]) -> np.ndarray:
    """Scores of some users, from an index built of these crowds alone: float32[U, C]."""
    crowds = Crowds(
        np.stack([s.centroids for s in snapshots]),
        np.stack([s.sizes for s in snapshots]),
        np.stack([s.global_embedding for s in snapshots]),
        np.array([s.seeds_used for s in snapshots]),
    )
    return score_users(WEIGHTS.index(crowds), USERS, WEIGHTS.queries(USERS))


USERS = np.random.default_rng(1).normal(size=(3, H)).astype(np.float32)


def same(a: Snapshot | None, b: Snapshot | None) -> bool:
    if a is None or b is None:
        return a is b
    arrays = ("centroids", "sizes", "global_embedding")
    plain = ("candidate", "model", "made_at", "seeds_seen", "seeds_used", "generation", "inertia")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays) and all(
        getattr(a, n) == getattr(b, n) for n in plain
    )


def check(live: LiveIndex, want: dict[str, Snapshot]) -> None:
    table = live.now()
    ids, index = table.ids, table.index
    assert len(ids) == len(index) == len(table.seeds)
    assert sorted(i for i in ids if i) == sorted(want)
    assert {i: row for row, i in enumerate(ids) if i} == table.place
    assert len(live) == len(want)
    for c, s in want.items():
        assert same(live.snapshot(c), s)
        assert table.seeds[table.place[c]] == s.seeds_used
    if want:
        scores = score_users(index, USERS, WEIGHTS.queries(USERS))
        names = list(want)
        assert np.array_equal(scores[:, [table.place[c] for c in names]], at_once([want[c] for c in names]))


STEP = st.one_of(
    st.tuples(
        st.just("apply"), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(1, 6)), max_size=8)
    ),
    st.tuples(st.just("empty"), st.integers(0, 9)),
    st.tuples(st.just("retire"), st.lists(st.integers(0, 9), max_size=3)),
    st.tuples(st.just("hold"), st.integers(0, 3)),
    st.tuples(st.just("both"), st.integers(0, 9)),
)


@given(steps=st.lists(STEP, max_size=25))
@settings(deadline=None)
def test_against_a_plain_dict(steps):
    """With room for few, so that it is enlarged now and then, and readers who hold what they were given for a while."""
    live, want = LiveIndex(WEIGHTS, "m1", room=6), {}
    held: dict[int, tuple[Table, dict[str, Snapshot]]] = {}
    for cursor, (what, told) in enumerate(steps, 1):
        if what == "apply":
            given_ = [snap(f"c{c}", number, generation) for c, number, generation in told]
            given_ = list({s.candidate: s for s in given_}.values())
            live.apply(Changes(given_, [], cursor))
            for s in given_:
                old = want.get(s.candidate)
                if old is None or (s.generation, s.made_at) >= (old.generation, old.made_at):
                    want[s.candidate] = s
        elif what == "empty":
            nobody = snap(f"c{told}", 0, generation=10**6, seeds_used=0)
            live.apply(Changes([nobody], [], cursor))
            want.pop(f"c{told}", None)
        elif what == "retire":
            gone = [f"c{c}" for c in told]
            assert live.apply(Changes([], gone, cursor)) == any(c in want for c in gone)
            for c in gone:
                want.pop(c, None)
        elif what == "hold":
            held[told] = live.now(), dict(want)
            live.apply(Changes([], [], cursor))
        else:  # retired and brought back between two reads
            again = snap(f"c{told}", 7, generation=1)
            live.apply(Changes([again], [f"c{told}"], cursor))
            want[f"c{told}"] = again
        check(live, want)
        for table, then in held.values():
            assert {c: row for row, c in enumerate(table.ids) if c} == table.place
            assert table.place.keys() == then.keys()
            assert all(same(table.snapshot(c), s) for c, s in then.items())
        assert live.cursor == cursor


def test_the_index_alone_keeps_what_it_shows():
    """Who scores holds the index, not the table that it came from."""
    live = LiveIndex(WEIGHTS, "m1", room=8)
    live.apply(Changes([snap("a", 1), snap("b", 2)], [], 1))
    index, place = live.now().index, dict(live.now().place)
    for i in range(50):
        live.apply(Changes([snap("a", 10 + i, 10 + i), snap("b", 90 + i, 10 + i)], [], 2 + i))
    scores = score_users(index, USERS, WEIGHTS.queries(USERS))
    assert np.array_equal(scores[:, [place["a"], place["b"]]], at_once([snap("a", 1), snap("b", 2)]))


def test_the_table_is_the_same_object_until_something_changes():
    live = LiveIndex(WEIGHTS, "m1")
    empty = live.now()
    assert empty.ids == ()
    assert live.apply(Changes([snap("a", 1)], [], 1))
    table = live.now()
    assert table.members != empty.members
    assert not live.apply(Changes([], ["nobody"], 2))
    assert not live.apply(Changes([snap("a", 0, generation=0)], [], 3))
    assert live.now() is table
    assert live.cursor == 3
    assert live.apply(Changes([snap("a", 2, 2)], [], 4))
    assert live.now().members == table.members  # another crowd of the same candidate


def test_many_more_candidates_copy_nothing_of_the_others():
    live = LiveIndex(WEIGHTS, "m1")
    live.apply(Changes([snap(f"c{i}", i) for i in range(100)], [], 1))
    before = live.now().index
    live.apply(Changes([snap(f"d{i}", i) for i in range(5000)], [], 2))
    now = live.now()
    assert len(now.place) == 5100
    for name in ("centroids", "gram", "sizes", "bias", "linear", "offset", "local"):
        assert np.shares_memory(getattr(now.index, name), getattr(before, name))


def test_where_nothing_can_be_reserved_room_grows(monkeypatch):
    real = np.zeros

    def zeros(shape, *args, **options):
        if np.prod(shape) > 1e6:
            raise MemoryError
        return real(shape, *args, **options)

    monkeypatch.setattr(np, "zeros", zeros)
    with pytest.raises(MemoryError):
        np.zeros((1 << 16, K, H, 10))
    live, want = LiveIndex(WEIGHTS, "m1", room=1 << 20), {}
    for i in range(40):
        want[f"c{i}"] = snap(f"c{i}", i)
        live.apply(Changes([want[f"c{i}"]], [], i + 1))
    check(live, want)


def test_rows_are_used_again():
    live = LiveIndex(WEIGHTS, "m1", room=128)
    first = live.now().index.centroids
    for i in range(3000):
        gone = [f"c{i - 100}"] if i >= 100 else []
        live.apply(Changes([snap(f"c{i}", i, i), snap("always", i, i)], gone, i))
    table = live.now()
    assert len(table.place) == 101
    assert len(table.ids) <= 101 + 2 * 2
    assert len(live._facts) <= 128
    assert table.index.centroids.base is first.base  # never enlarged
    assert sum(bool(f.candidate) for f in live._facts) <= 101 + 2 * 2  # nothing is kept of who went


def test_rows_that_a_slow_reader_holds_are_let_go_with_it():
    live = LiveIndex(WEIGHTS, "m1", room=1000)
    live.apply(Changes([snap(f"c{i}", i) for i in range(50)], [], 1))
    slow = live.now()
    for i in range(400):
        live.apply(Changes([snap(f"c{i % 50}", i, 2 + i)], [], 2 + i))
    assert len(live.now().ids) <= 50 + 50 + 2  # those of one old table, however many changes came after it
    assert slow.snapshot("c3").generation == 1
    del slow
    for i in range(400, 450):
        live.apply(Changes([snap(f"c{i % 50}", i, 2 + i)], [], 2 + i))
    assert len(live.now().ids) <= 50 + 2


def test_what_another_thread_has_overtaken_is_passed_over():
    live = LiveIndex(WEIGHTS, "m1")
    live.apply(Changes([snap("a", 1, 5)], [], 7))
    assert not live.apply(Changes([snap("b", 1, 1)], ["a"], 6))
    check(live, {"a": snap("a", 1, 5)})
    assert live.cursor == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "m2"}, "snapshot of model m2 beside an index of model m1"),
        ({"centroids": np.zeros((K + 1, H), np.float32)}, r"centroids \(4, 4\), expected \(3, 4\)"),
    ],
)
def test_a_snapshot_of_another_space_is_refused_whole(changes, said):
    live = LiveIndex(WEIGHTS, "m1")
    with pytest.raises(StoreError, match=said) as caught:
        live.apply(Changes([snap("good", 1), snap("bad", 2, **changes)], [], 4))
    assert "cluster its seeds anew" in caught.value.remedy
    check(live, {})
    assert live.cursor == 0


def test_readers_beside_a_writer_see_one_state():
    """Every crowd of a table is scored as alone: no row is half of one crowd and half of another."""
    live = LiveIndex(WEIGHTS, "m1")
    numbers = range(60)
    live.apply(Changes([snap(f"c{i}", i, 1) for i in numbers], [], 1))
    alone = {n: at_once([snap("x", n)])[:, 0] for n in range(600)}
    done, failures, seen = threading.Event(), [], [0]
    query = WEIGHTS.queries(USERS)

    def read() -> None:
        while not done.is_set():
            table = live.now()
            scores = score_users(table.index, USERS, query)
            for c, row in table.place.items():
                if not np.array_equal(scores[:, row], alone[table.facts[row].made_at]):
                    failures.append(c)
            seen[0] += 1

    readers = [threading.Thread(target=read) for _ in range(3)]
    for r in readers:
        r.start()
    for cursor in range(2, 600):
        live.apply(
            Changes([snap(f"c{(cursor * 13) % 60}", cursor, cursor)], [f"c{cursor % 60}"] * (cursor % 5 == 0), cursor)
        )
    done.set()
    for r in readers:
        r.join()
    assert seen[0]
    assert not failures


def test_a_model_of_means():
    weights = Weights(replace(CONFIG, pooling="average"), WEIGHTS.arrays)
    live = LiveIndex(weights, "m1")
    one = snap("a", 1, centroids=np.ones((1, H), np.float32), sizes=np.ones(1, np.float32))
    live.apply(Changes([one], [], 1))
    assert live.now().index.centroids.shape == (1, 1, H)
