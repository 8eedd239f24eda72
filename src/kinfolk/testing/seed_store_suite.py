"""What every SeedStore does, against a model of dicts: no click lost, none counted twice, whatever their order."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinfolk.online.clicks import Clicks
from kinfolk.online.ports import SeedStore, StoreOptions
from kinfolk.testing.harness import NOW, Harness, at_once
from kinfolk.testing.seed_model import (
    CANDIDATES,
    HOUR,
    MAX_SEEDS,
    STEP,
    USERS,
    Click,
    SeedModel,
    clicks_of,
    seconds_of,
)

# One test, inherited by a class for each backend: hypothesis takes that for a mistake.
_INHERITED = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)


class SeedStoreSuite:
    """Needs a fixture `harness`."""

    @settings(deadline=None, max_examples=40, suppress_health_check=_INHERITED)
    @given(steps=st.lists(STEP, max_size=14))
    def test_it_does_what_a_model_of_dicts_does(self, harness: Harness, steps: list[tuple[str, object]]) -> None:
        """Appends, replays, restarts, users and candidates that leave, and a refresher, in any order."""
        backend = harness.open(StoreOptions(max_seeds=MAX_SEEDS, remember_ms=HOUR))
        model, generation = SeedModel(), 0
        forgotten: set[tuple[int, str, int]] = set()
        try:
            for now, (kind, what) in enumerate(steps, NOW):
                store = backend.seeds
                if kind == "reopen":
                    backend = harness.reopen(backend)
                    store = backend.seeds
                elif kind == "append":
                    self._append(store, model, [row for row in what if row not in forgotten], now)  # type: ignore[attr-defined]
                elif kind == "replay":
                    rows = [model.sent[i % len(model.sent)] for i in what if model.sent]  # type: ignore[attr-defined]
                    self._append(store, model, rows, now)
                elif kind == "forget":
                    # whether a store still knows clicks of those who left, or of what was dropped, is its own affair
                    forgotten |= {row for row in model.sent if row[0] in what}  # type: ignore[operator]
                    assert set(store.forget(np.array(what, np.uint64))) == model.forget(what)  # type: ignore[arg-type]
                elif kind == "drop":
                    forgotten |= {row for row in model.sent if row[1] == what}
                    store.drop(what)  # type: ignore[arg-type]
                    model.drop(what)  # type: ignore[arg-type]
                elif kind == "drop not":
                    store.drop(what, lambda: False)  # type: ignore[arg-type]
                elif kind == "clean all":
                    store.clean({**store.dirty(), "never": 1})
                    assert store.dirty() == {}
                    model.dirty.clear()
                    model.possibly.clear()
                elif kind == "clean":
                    store.clean({str(what): store.dirty().get(str(what), 0)})
                    model.dirty.discard(what)
                    model.possibly.discard(what)
                elif kind == "clean late" and what not in forgotten:
                    candidate = what[1]  # type: ignore[index]
                    known = store.dirty().get(candidate, store.generation())
                    model.dirty.discard(candidate)
                    model.possibly.discard(candidate)
                    self._append(store, model, [what], now)  # type: ignore[list-item]
                    store.clean({candidate: known})
                self._check(store, model)
                assert store.generation() >= generation
                generation = store.generation()
        finally:
            backend.close()

    @staticmethod
    def _append(store: SeedStore, model: SeedModel, rows: list[Click], now: int) -> None:
        appended = store.append(clicks_of(rows), now)
        assert (appended.new, appended.duplicates) == model.append(rows)
        assert appended.generation <= store.generation()

    @staticmethod
    def _check(store: SeedStore, model: SeedModel) -> None:
        for candidate in CANDIDATES:
            want = sorted(model.seeds.get(candidate, {}).items(), key=lambda seed: seed[1])
            assert seconds_of(store.recent(candidate, 100)) == want
            assert seconds_of(store.recent(candidate, 2)) == want[-2:]
            assert store.count(candidate) == len(want)
        for user in USERS:
            items, times = store.trail(user, 50)
            assert times.dtype == np.int64
            assert times.tolist() == sorted(times.tolist())
            found = dict(zip(items, times.tolist(), strict=True))
            known = model.trails.get(user, {})
            assert found.keys() <= known.keys()
            sure = {i for i in known if (user, i) not in model.unsure}
            assert {i: found.get(i) for i in sure} == {i: known[i] for i in sure}
        dirty = store.dirty()
        assert model.dirty <= dirty.keys() <= model.possibly
        assert all(0 < generation <= store.generation() for generation in dirty.values())

    def test_one_event_id_is_one_click(self, harness: Harness) -> None:
        """However different the rest of it, within a batch and later."""
        store = harness.open(StoreOptions()).seeds
        rows: list[Click] = [(1, "a", NOW), (1, "a", NOW + 5000), (2, "a", NOW), (2, "a", NOW + 7000)]
        appended = store.append(clicks_of(rows, ["x", "x", None, None]), NOW)
        assert (appended.new, appended.duplicates) == (3, 1)
        appended = store.append(clicks_of([(1, "a", NOW + 9000), (3, "a", NOW)], ["x", "y"]), NOW + 1)
        assert (appended.new, appended.duplicates) == (1, 1)
        assert seconds_of(store.recent("a", 9)) == [(1, NOW // 1000), (3, NOW // 1000), (2, NOW // 1000 + 7)] or (
            seconds_of(store.recent("a", 9)) == [(3, NOW // 1000), (1, NOW // 1000), (2, NOW // 1000 + 7)]
        )

    def test_a_click_delivered_again_within_what_is_remembered_is_dropped(self, harness: Harness) -> None:
        """Before a restart and after it; much later it merges without harm."""
        backend = harness.open(StoreOptions(remember_ms=HOUR))
        rows: list[Click] = [(u, "a", NOW + 1000 * u) for u in range(20)]
        assert backend.seeds.append(clicks_of(rows), NOW).new == 20
        assert backend.seeds.append(clicks_of(rows), NOW + HOUR - 1).duplicates == 20
        backend = harness.reopen(backend)
        assert backend.seeds.append(clicks_of(rows[::-1]), NOW + HOUR - 1).duplicates == 20
        seeds = seconds_of(backend.seeds.recent("a", 99))
        backend.seeds.append(clicks_of(rows), NOW + 3 * HOUR)
        assert seconds_of(backend.seeds.recent("a", 99)) == seeds
        assert backend.seeds.count("a") == 20
        backend.close()

    def test_a_trail_is_the_newest_items_oldest_first(self, harness: Harness) -> None:
        """At most `trail_length`, at most `limit`."""
        backend = harness.open(StoreOptions(trail_length=4))
        for i in range(6):
            backend.seeds.append(clicks_of([(7, f"i{i}", NOW + i), (8, "i0", NOW + i)]), NOW + i)
        for _ in range(2):
            assert backend.seeds.trail(7, 3)[0] == ["i3", "i4", "i5"]
            items, times = backend.seeds.trail(7, 100)
            assert (items, times.tolist()) == (["i2", "i3", "i4", "i5"], [NOW + 2, NOW + 3, NOW + 4, NOW + 5])
            items, times = backend.seeds.trail(8, 100)
            assert (items, times.tolist()) == (["i0"], [NOW + 5])
            assert backend.seeds.trail(9, 100)[0] == []
            names, rows = backend.seeds.trails(np.array([9, 7, 8, 7], np.uint64), 3)
            assert len(names) == len(set(names))
            shown = [sorted(names[i] for i in rows[user]) for user in range(4)]
            assert shown[0] == []
            assert shown[1] == shown[3] == sorted(backend.seeds.trail(7, 3)[0])
            assert shown[2] == sorted(backend.seeds.trail(8, 3)[0])
            assert backend.seeds.trails(np.array([7], np.uint64), 0)[1].lengths.tolist() == [0]
            backend = harness.reopen(backend)
        backend.close()

    def test_a_candidate_of_many_seeds(self, harness: Harness) -> None:
        """30,000 users in batches, in any order and some twice; the newest 20,000 stay, and stay after a restart."""
        backend = harness.open(StoreOptions(max_seeds=20_000))
        rng = np.random.default_rng(5)
        users = np.repeat(np.arange(30_000, dtype=np.uint64), 2)
        times = NOW + 1000 * rng.permutation(len(users))
        newest = dict(sorted(zip(users.tolist(), (times // 1000).tolist(), strict=True), key=lambda seed: seed[1]))
        want = sorted(newest.items(), key=lambda seed: seed[1])[-20_000:]
        for rows in np.array_split(rng.permutation(len(users)), 30):
            candidates = np.where(rows % 5 == 0, "small", "big").tolist()
            backend.seeds.append(Clicks.of(users[rows], candidates, times[rows]), NOW)
            backend.seeds.append(Clicks.of(users[rows], ["big"] * len(rows), times[rows]), NOW)
        for _ in range(2):
            assert seconds_of(backend.seeds.recent("big", 10**6)) == want
            assert seconds_of(backend.seeds.recent("big", 777)) == want[-777:]
            assert backend.seeds.count("big") == 20_000
            stats = backend.seeds.stats()
            assert {"candidates", "seeds", "bytes"} <= stats.keys()
            backend = harness.reopen(backend)
        backend.close()

    def test_clicks_of_many_threads_each_count_once(self, harness: Harness) -> None:
        """Four threads send the same clicks, in other batches."""
        backend = harness.open(StoreOptions())
        rows: list[Click] = [(u, f"c{u % 7}", NOW + 1000 * u) for u in range(600)]

        def send(worker: int) -> int:
            mine = rows[worker * 150 :] + rows[: worker * 150]
            size = 40 + worker
            parts = [mine[i : i + size] for i in range(0, len(mine), size)]
            return sum(backend.seeds.append(clicks_of(part), NOW).new for part in parts)

        counts = at_once(partial(send, worker) for worker in range(4))
        assert sum(int(str(n)) for n in counts) == len(rows)
        for _ in range(2):
            for c in range(7):
                assert seconds_of(backend.seeds.recent(f"c{c}", 999)) == [(u, t // 1000) for u, n, t in rows[c::7]]
            backend = harness.reopen(backend)
        backend.close()

    def test_what_a_reader_called_clean_it_had_seen(self, harness: Harness) -> None:
        """A refresher reads and cleans while clicks come: at the end all it has not seen is dirty."""
        backend = harness.open(StoreOptions())
        store, done = backend.seeds, threading.Event()
        seen: dict[str, set[int]] = {f"c{c}": set() for c in range(3)}

        def send() -> None:
            try:
                for u in range(240):
                    store.append(clicks_of([(u, f"c{u % 3}", NOW + 1000 * u)]), NOW)
            finally:
                done.set()

        def refresh() -> None:
            while not done.is_set():
                for candidate, generation in store.dirty().items():
                    seen[candidate] = set(store.recent(candidate, 999).user.tolist())
                    store.clean({candidate: generation})

        at_once([send, refresh])
        dirty = store.dirty()
        for c in range(3):
            if f"c{c}" not in dirty:
                assert seen[f"c{c}"] == set(range(c, 240, 3))
        backend.close()

    def test_many_are_clean_at_once_but_for_those_with_newer_clicks(self, harness: Harness) -> None:
        """And stay so after a restart."""
        backend = harness.open(StoreOptions())
        store, names = backend.seeds, [f"c{i}" for i in range(40)]
        store.append(clicks_of([(1, name, NOW) for name in names]), NOW)
        seen = store.dirty()
        assert set(seen) == set(names)
        store.append(clicks_of([(2, name, NOW + 2000) for name in names[::3]]), NOW)
        store.clean(seen)
        assert set(store.dirty()) == set(names[::3])
        assert all(generation > seen[name] for name, generation in store.dirty().items())
        backend = harness.reopen(backend)
        assert set(backend.seeds.dirty()) >= set(names[::3])
        backend.seeds.clean(backend.seeds.dirty())
        assert backend.seeds.dirty() == {}
        backend.close()

    def test_whoever_forgets_can_do_something_else_meanwhile(self, harness: Harness) -> None:
        """Such as keep a lease; and if that ends it half-way, nobody who went leaves a candidate that is not dirty."""
        backend = harness.open(StoreOptions())
        store, names, turns = backend.seeds, [f"c{i}" for i in range(5)], 0
        store.append(clicks_of([(user, name, NOW) for name in names for user in (1, 2)]), NOW)
        store.clean(store.dirty())

        def keep(most: int) -> None:
            nonlocal turns
            turns += 1
            assert backend.leases.acquire("x", "me", NOW, 1000) is not None
            if turns > most:
                raise KeyError

        with pytest.raises(KeyError):
            store.forget(np.array([1], np.uint64), partial(keep, 2))
        left = {name: store.recent(name, 9).user.tolist() for name in names}
        assert {name for name in names if left[name] == [2]} == set(store.dirty())
        store.forget(np.array([1], np.uint64), partial(keep, 99))
        assert turns >= 3 + len(names)
        assert all(store.recent(name, 9).user.tolist() == [2] for name in names)
        backend.close()

    def test_what_comes_after_a_drop_was_decided_stays(self, harness: Harness) -> None:
        """Whoever drops looks whether the candidate is out; another thread lets it back and then clicks it at once."""
        backend = harness.open(StoreOptions())
        store, out, rounds = backend.seeds, threading.Event(), 30
        turn = threading.Barrier(2)

        def drop() -> None:
            for n in range(rounds):
                out.set()
                turn.wait(60)
                for _ in range(1 + n % 3):
                    store.drop("a", out.is_set)
                turn.wait(60)

        def put_back() -> None:
            for n in range(rounds):
                turn.wait(60)
                out.clear()
                store.append(clicks_of([(100 + n, "a", NOW + 1000 * n), (100 + n, "b", NOW + 1000 * n)]), NOW)
                turn.wait(60)
                assert 100 + n in store.recent("a", 99).user.tolist()
                assert "a" in store.dirty()

        store.append(clicks_of([(1, "a", NOW), (1, "b", NOW)]), NOW)
        at_once([drop, put_back])
        for _ in range(2):
            kept = store.recent("a", 99).user.tolist()
            assert 100 + rounds - 1 in kept
            assert store.count("a") == len(kept)
            assert store.count("b") == rounds + 1
            assert store.stats()["seeds"] == len(kept) + rounds + 1
            backend = harness.reopen(backend)
            store = backend.seeds
        assert set(store.forget(np.array([100 + rounds - 1], np.uint64))) == {"a", "b"}, "it is listed still"
        store.drop("a")
        assert store.count("a") == 0
        backend.close()
