"""What every AudienceStore does: a job is done once, by one worker or by the next; members are there, or forgotten."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from kinfolk.online.ports import Audience, FenceError, Members, StoreError, StoreOptions
from kinfolk.testing.harness import NOW, Harness, at_once

TTL = 60_000


def members(keys: list[int]) -> Members:
    """Ids with a line break and quotes in them, scores that fall."""
    return Members(
        tuple(f'user\n"{key}"' for key in keys),
        np.array(keys, np.uint64),
        np.linspace(1, 0, len(keys), dtype=np.float32),
    )


def same(a: Members | None, b: Members) -> bool:
    """Whether two slices are equal, dtypes included."""
    return (
        a is not None
        and a.ids == b.ids
        and a.keys.dtype == np.dtype(np.uint64)
        and a.scores.dtype == np.dtype(np.float32)
        and np.array_equal(a.keys, b.keys)
        and np.array_equal(a.scores, b.scores)
    )


def pending(id: str) -> Audience:
    """A new job."""
    return Audience(id, "pending", {"size": 10, "seeds": ["é", "b"], "percent": 0.5}, NOW)


class AudienceStoreSuite:
    """Needs a fixture `harness`."""

    def test_a_job_from_question_to_members(self, harness: Harness) -> None:
        """With a restart after every step."""
        backend = harness.open(StoreOptions())
        backend.audiences.create(pending("x"))
        with pytest.raises(StoreError):
            backend.audiences.create(pending("x"))
        backend = harness.reopen(backend)
        assert backend.audiences.get("x") == pending("x")
        claimed = backend.audiences.claim("w1", NOW, TTL)
        assert claimed is not None
        assert (claimed.id, claimed.state, claimed.question) == ("x", "running", pending("x").question)
        parts = [members([5, 2**64 - 1]), members([]), members([0, 2**63])]
        for number, part in enumerate(parts):
            backend = harness.reopen(backend)
            backend.audiences.write_part("x", "w1", number, part)
        assert backend.audiences.of_user(5) == []
        backend.audiences.finish("x", "w1", "ready", {"size": 4, "reach": [[0.5, 10]]})
        backend = harness.reopen(backend)
        found = backend.audiences.get("x")
        assert found is not None
        assert (found.state, found.parts, found.facts) == ("ready", 3, {"size": 4, "reach": [[0.5, 10]]})
        for number, part in enumerate(parts):
            assert same(backend.audiences.part("x", number), part)
        assert backend.audiences.part("x", 3) is None
        assert backend.audiences.part("y", 0) is None
        assert [backend.audiences.of_user(key) for key in (0, 5, 2**63, 2**64 - 1, 6)] == [["x"]] * 4 + [[]]
        assert backend.audiences.claim("w2", NOW + 10 * TTL, TTL) is None
        backend.close()

    def test_the_oldest_job_first_each_to_one_worker(self, harness: Harness) -> None:
        """Workers that ask at the same time get different jobs."""
        backend = harness.open(StoreOptions())
        store = backend.audiences
        assert store.claim("w", NOW, TTL) is None
        for id in ("c", "a", "b"):
            store.create(pending(id))
        first = store.claim("w", NOW, TTL)
        assert first is not None
        assert first.id == "c"
        got = at_once(partial(store.claim, f"w{i}", NOW, TTL) for i in range(4))
        assert sorted(a.id for a in got if isinstance(a, Audience)) == ["a", "b"]
        backend.close()

    def test_a_job_whose_worker_died_is_done_by_another(self, harness: Harness) -> None:
        """From the start; the first worker, should it wake, is turned away."""
        backend = harness.open(StoreOptions())
        store = backend.audiences
        store.create(pending("x"))
        store.claim("w1", NOW, TTL)
        store.write_part("x", "w1", 0, members([1, 2]))
        assert store.renew("x", "w1", NOW + TTL - 1, TTL)
        assert not store.renew("x", "w2", NOW + TTL - 1, TTL)
        assert store.claim("w2", NOW + TTL + 1, TTL) is None
        again = store.claim("w2", NOW + 3 * TTL, TTL)
        assert again is not None
        assert (again.id, again.parts) == ("x", 0)
        assert store.part("x", 0) is None
        assert not store.renew("x", "w1", NOW + 3 * TTL, TTL)
        with pytest.raises(FenceError):
            store.write_part("x", "w1", 0, members([1]))
        with pytest.raises(FenceError):
            store.finish("x", "w1", "failed", {})
        store.write_part("x", "w2", 0, members([3]))
        store.finish("x", "w2", "ready", {})
        assert (store.of_user(1), store.of_user(3)) == ([], ["x"])
        backend.close()

    def test_pages_and_deletion(self, harness: Harness) -> None:
        """Sorted by id; what is deleted leaves nothing behind, and its id is free again."""
        backend = harness.open(StoreOptions())
        store = backend.audiences
        for id in ("c", "a", "b"):
            store.create(pending(id))
        assert [a.id for a in store.page("", 2)] == ["a", "b"]
        assert [a.id for a in store.page("b", 2)] == ["c"]
        store.claim("w", NOW, TTL)  # c, the oldest
        store.write_part("c", "w", 0, members([1]))
        store.finish("c", "w", "ready", {})
        assert store.delete("c")
        assert not store.delete("c")
        assert (store.get("c"), store.part("c", 0), store.of_user(1)) == (None, None, [])
        store.create(pending("c"))
        assert store.part("c", 0) is None
        store.claim("w", NOW, TTL)
        store.delete("a")
        with pytest.raises(FenceError):
            store.write_part("a", "w", 0, members([1]))
        backend.close()

    def test_forgotten_users_leave_every_audience(self, harness: Harness) -> None:
        """Of ready ones and of one in the making; the others keep their order and scores."""
        backend = harness.open(StoreOptions())
        store = backend.audiences
        many = [int(key) for key in np.random.default_rng(1).permutation(20_000)]
        for id, keys in {"big": many, "small": [7, 8], "other": [9]}.items():
            store.create(pending(id))
            store.claim(id, NOW, TTL)
            for part, at in enumerate(range(0, len(keys), 9000)):
                store.write_part(id, id, part, members(keys[at : at + 9000]))
            store.finish(id, id, "ready", {})
        store.create(pending("now"))
        store.claim("w", NOW, TTL)
        store.write_part("now", "w", 0, members([8, 10]))
        assert store.of_user(7) == ["big", "small"]
        assert store.forget(np.array([7, 8, 123_456], np.uint64)) == 5
        backend = harness.reopen(backend)
        store = backend.audiences
        assert (store.of_user(7), store.of_user(8), store.of_user(9)) == ([], [], ["big", "other"])
        left: list[int] = []
        for number in range(3):
            part_now, whole = store.part("big", number), members(many[9000 * number : 9000 * number + 9000])
            assert part_now is not None
            keep = np.flatnonzero(~np.isin(whole.keys, [7, 8]))
            assert same(part_now, Members(tuple(whole.ids[i] for i in keep), whole.keys[keep], whole.scores[keep]))
            left += part_now.keys.tolist()
        assert left == [key for key in many if key not in (7, 8)]
        assert all(store.of_user(key) for key in left[:: len(left) // 40])
        running = store.part("now", 0)
        assert running is not None
        assert running.keys.tolist() == [10]
        backend.close()
