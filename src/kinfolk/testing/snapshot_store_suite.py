"""What every SnapshotStore does: the latest snapshot of each candidate, whole, and nothing older in its place."""

from __future__ import annotations

import threading
from dataclasses import fields

import numpy as np
import pytest

from kinfolk.online.ports import FenceError, Snapshot, StoreOptions
from kinfolk.testing.harness import NOW, Harness, at_once


def snapshot(candidate: str, generation: int, model: str = "m1", k: int = 3, h: int = 8) -> Snapshot:
    """Every number in it tells the generation."""
    return Snapshot(
        candidate=candidate,
        model=model,
        made_at=NOW + generation,
        seeds_seen=2 * generation,
        seeds_used=generation,
        generation=generation,
        centroids=np.full((k, h), generation, np.float32),
        sizes=np.full(k, generation, np.float32),
        global_embedding=np.full(h, generation, np.float32),
        inertia=generation / 7,
        recent=np.full(4, generation, np.float32),
        items=np.arange(generation, dtype=np.int32) - 2,
        item_weights=np.full(generation, 1 / (generation + 1), np.float32),
    )


def same(a: Snapshot | None, b: Snapshot | None) -> bool:
    """Whether all fields are equal, with shapes and dtypes."""
    if a is None or b is None:
        return a is b
    for name in (f.name for f in fields(Snapshot)):
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            if not (x.dtype == y.dtype and np.array_equal(x, y)):
                return False
        elif x != y:
            return False
    return True


class SnapshotStoreSuite:
    """Needs a fixture `harness`."""

    def test_what_is_published_is_there_after_a_restart(self, harness: Harness) -> None:
        """All fields, several candidates and models, awkward numbers."""
        backend = harness.open(StoreOptions())
        odd = snapshot("é {1}", 3)
        odd.centroids[0, :4] = np.array([1e-42, -0.0, 3.4e38, 1 / 3], np.float32)
        given = [odd, snapshot("b", 1), snapshot("b", 2, "m2", k=1), snapshot("c", 9)]
        assert backend.snapshots.cursor() == 0
        cursor = backend.snapshots.publish(given, None)
        for _ in range(2):
            store = backend.snapshots
            assert store.cursor() == cursor > 0
            for s in given:
                assert same(store.latest([s.candidate], s.model)[0], s)
            assert store.latest(["c"], "m2")[0] is None
            changes = store.since(0, "m1")
            assert {s.candidate for s in changes.snapshots} == {"é {1}", "b", "c"}
            assert (changes.retired, changes.cursor) == ([], cursor)
            backend = harness.reopen(backend)
        backend.close()

    def test_snapshots_since_a_cursor(self, harness: Harness) -> None:
        """Each candidate once, at its latest."""
        store = harness.open(StoreOptions()).snapshots
        store.publish([snapshot("a", 1), snapshot("b", 1)], None)
        seen = store.cursor()
        assert store.since(seen, "m1").snapshots == []
        store.publish([snapshot("a", 2)], None)
        store.publish([snapshot("a", 3)], None)
        changes = store.since(seen, "m1")
        assert [(s.candidate, s.generation) for s in changes.snapshots] == [("a", 3)]
        assert store.since(changes.cursor, "m1").snapshots == []
        assert store.since(seen, "m2").snapshots == []

    def test_however_many_there_are_each_is_told_once(self, harness: Harness) -> None:
        """In as many parts as the store likes, with what was retired among them."""
        store = harness.open(StoreOptions()).snapshots
        names = [f"c{i}" for i in range(2_300)]
        for first in range(0, len(names), 100):
            store.publish([snapshot(c, 1, k=1, h=2) for c in names[first : first + 100]], None)
        gone = [names[0], names[1_150], names[-1]]
        for candidate in gone:
            store.retire(candidate)
        told, retired, cursor = [], [], 0
        while cursor < store.cursor():
            changes = store.since(cursor, "m1")
            assert cursor < changes.cursor <= store.cursor()
            told += [s.candidate for s in changes.snapshots]
            retired += changes.retired
            cursor = changes.cursor
        assert sorted(told) == sorted(set(names) - set(gone))
        assert sorted(retired) == sorted(gone)
        assert store.since(cursor, "m1").snapshots == []

    def test_nothing_older_takes_the_place_of_something_newer(self, harness: Harness) -> None:
        """Without a fence an equal generation stays out, too; with one it is a rebuild and goes in."""
        store = harness.open(StoreOptions()).snapshots
        store.publish([snapshot("a", 5, k=1)], None)
        for fence, generation, k, stays in [(None, 4, 2, 1), (None, 5, 2, 1), (1, 4, 2, 1), (1, 5, 2, 2), (1, 6, 3, 3)]:
            store.publish([snapshot("a", generation, k=k)], fence)
            latest = store.latest(["a"], "m1")[0]
            assert latest is not None
            assert len(latest.sizes) == stays

    def test_a_lower_fence_is_refused_whole(self, harness: Harness) -> None:
        """After a restart, too."""
        backend = harness.open(StoreOptions())
        backend.snapshots.publish([snapshot("a", 1)], 7)
        backend = harness.reopen(backend)
        cursor = backend.snapshots.cursor()
        with pytest.raises(FenceError):
            backend.snapshots.publish([snapshot("a", 2), snapshot("b", 1)], 6)
        assert backend.snapshots.cursor() == cursor
        assert same(backend.snapshots.latest(["a"], "m1")[0], snapshot("a", 1))
        assert backend.snapshots.latest(["b"], "m1")[0] is None
        backend.snapshots.publish([snapshot("a", 2)], 7)
        backend.snapshots.publish([snapshot("a", 3)], 8)
        assert same(backend.snapshots.latest(["a"], "m1")[0], snapshot("a", 3))
        backend.close()

    def test_retired_candidates_are_gone_until_revived(self, harness: Harness) -> None:
        """Whatever is published meanwhile, and after a restart."""
        backend = harness.open(StoreOptions())
        store = backend.snapshots
        store.publish([snapshot("a", 1), snapshot("a", 1, "m2"), snapshot("b", 1)], None)
        seen = store.cursor()
        assert store.retire("a") == store.cursor() > seen
        for _ in range(2):
            store = backend.snapshots
            store.publish([snapshot("a", 9), snapshot("b", 2)], 1)
            assert store.latest(["a"], "m1")[0] is None
            assert store.latest(["a"], "m2")[0] is None
            changes = store.since(seen, "m1")
            assert ([s.candidate for s in changes.snapshots], changes.retired) == (["b"], ["a"])
            assert [s.candidate for s in store.since(0, "m1").snapshots] == ["b"]
            backend = harness.reopen(backend)
        store = backend.snapshots
        store.revive("a")
        store.publish([snapshot("a", 9)], None)
        assert same(store.latest(["a"], "m1")[0], snapshot("a", 9))
        assert store.since(seen, "m1").retired == []
        backend.close()

    def test_models_that_are_not_kept_go(self, harness: Harness) -> None:
        """And none else."""
        store = harness.open(StoreOptions()).snapshots
        store.publish([snapshot("a", 1, m) for m in ("m1", "m2", "m3")], None)
        store.drop_models(["m2", "m4"])
        assert [store.latest(["a"], m)[0] is not None for m in ("m1", "m2", "m3")] == [False, True, False]

    def test_readers_never_see_half_a_snapshot_nor_go_back(self, harness: Harness) -> None:
        """One thread publishes, two read."""
        backend = harness.open(StoreOptions())
        store, done = backend.snapshots, threading.Event()

        def publish() -> None:
            try:
                for generation in range(1, 80):
                    store.publish([snapshot(c, generation, h=64) for c in "ab"], 1)
            finally:
                done.set()

        def read() -> None:
            cursor, newest = 0, {"a": 0, "b": 0}
            while True:
                last = done.is_set()
                changes = store.since(cursor, "m1")
                assert changes.cursor >= cursor
                cursor = changes.cursor
                for s in [*changes.snapshots, store.latest(["a"], "m1")[0]]:
                    if s is not None:
                        assert same(s, snapshot(s.candidate, s.generation, h=64))
                for s in changes.snapshots:
                    assert s.generation >= newest[s.candidate]
                    newest[s.candidate] = s.generation
                if last:
                    break
            assert newest == {"a": 79, "b": 79}

        at_once([publish, read, read])
        backend.close()
