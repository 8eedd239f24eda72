"""What the small ports of records do: candidates, users, counters, keys, settings."""

from __future__ import annotations

from functools import partial

from kinfolk.online.ports import Candidate, Key, StoreOptions, UserRecord
from kinfolk.testing.harness import NOW, Harness, at_once


class CandidateStoreSuite:
    """Needs a fixture `harness`."""

    def test_candidates_come_back_as_they_were_put(self, harness: Harness) -> None:
        """After a restart, too; the last put counts."""
        backend = harness.open(StoreOptions())
        a = Candidate("é {1}", NOW, NOW + 1, None, {"title": "x\n", "n": 1.5, "tags": [1, None]})
        b, replaced = Candidate("b", NOW), Candidate("b", NOW + 1, None, NOW + 2, {"again": True})
        first = backend.candidates.put([a, b])
        assert backend.candidates.put([replaced]) > first
        for _ in range(2):
            assert backend.candidates.get(["b", "nobody", a.id]) == [replaced, None, a]
            assert backend.candidates.version() > first
            backend = harness.reopen(backend)
        backend.close()

    def test_only_what_is_not_there_is_added(self, harness: Harness) -> None:
        """Nothing that was acknowledged is overwritten, and nobody retired comes back."""
        backend = harness.open(StoreOptions())
        store = backend.candidates
        told, gone = Candidate("told", NOW, NOW + 9, None, {"title": "é"}), Candidate("gone", NOW, None, NOW + 1)
        store.put([told, gone])
        seen = store.version()
        new = Candidate("new {1}", NOW + 2, NOW + 3, None, {"n": 1})
        assert store.add([Candidate("told", NOW + 2), new, Candidate("gone", NOW + 2)]) > seen
        changed, version = store.since(seen)
        assert changed == [new]
        assert store.add([]) == version
        store.add([Candidate(new.id, NOW + 5), Candidate("gone", NOW + 5)])
        assert store.since(version)[0] == []
        backend = harness.reopen(backend)
        assert backend.candidates.get(["told", "gone", new.id]) == [told, gone, new]
        assert [c.id for c in backend.candidates.page("", 9)] == [new.id, "told"]
        backend.close()

    def test_pages_show_the_living_or_all(self, harness: Harness) -> None:
        """Sorted by id."""
        store = harness.open(StoreOptions()).candidates
        ids = [f"{i:02}" for i in range(9)]
        store.put([Candidate(id, NOW) for id in reversed(ids)])
        store.retire(["03", "05", "nobody"], NOW + 5)
        store.retire(["03"], NOW + 9)
        assert store.get(["03"]) == [Candidate("03", NOW, None, NOW + 5)]
        assert store.get(["nobody"]) == [None]
        for live, want in ((True, [i for i in ids if i not in ("03", "05")]), (False, ids)):
            found, after = [], ""
            while page := store.page(after, 2, live=live):
                assert len(page) <= 2
                found += [c.id for c in page]
                after = page[-1].id
            assert found == want

    def test_only_what_is_due_expires(self, harness: Harness) -> None:
        """Each is told to one who asks; what was given more time, or none, goes on."""
        backend = harness.open(StoreOptions())
        store = backend.candidates
        due = [Candidate(f"due {i} é", NOW, NOW + i, None, {"expires_at": NOW + 99}) for i in range(3)]
        later, never = Candidate("later", NOW, NOW + 3, None, {"expires_at": 1}), Candidate("never", NOW)
        gone = Candidate("gone", NOW, NOW + 1, NOW)
        store.put([*due, later, never, gone])
        _, seen = store.since(0)
        names = [*(c.id for c in due), "later", "never", "gone", "nobody"]
        assert sorted(store.expire(names, NOW + 2)) == [c.id for c in due]
        changed, version = store.since(seen)
        assert {c.id: c.retired_at for c in changed} == {c.id: NOW + 2 for c in due}
        assert version > seen
        assert store.expire(names, NOW + 2) == []
        assert store.expire([], NOW + 2) == []
        assert store.version() == version
        store.put([Candidate("later", NOW, NOW + 9)])
        assert store.expire(["later"], NOW + 3) == []
        backend = harness.reopen(backend)
        assert backend.candidates.get(["later", "never", "gone"]) == [Candidate("later", NOW, NOW + 9), never, gone]
        assert [c.id for c in backend.candidates.page("", 9)] == ["later", "never"]
        backend.close()

    def test_candidates_since_a_version(self, harness: Harness) -> None:
        """From 0 only the living; later the retired, too."""
        backend = harness.open(StoreOptions())
        store = backend.candidates
        assert store.since(0) == ([], store.version())
        store.put([Candidate("a", NOW), Candidate("b", NOW)])
        _, seen = store.since(0)
        assert store.since(seen) == ([], seen)
        assert store.retire(["b"], NOW + 1) > seen
        store.put([Candidate("c", NOW)])
        backend = harness.reopen(backend)
        changed, now = backend.candidates.since(seen)
        assert {c.id: c.retired_at for c in changed} == {"b": NOW + 1, "c": None}
        assert now == backend.candidates.version()
        assert {c.id for c in backend.candidates.since(0)[0]} == {"a", "c"}
        backend.close()


KEYS = (0, 5, 2**63 - 1, 2**63, 2**64 - 1)


def record(key: int, at: int = NOW) -> UserRecord:
    """A user with features of every kind."""
    return UserRecord(key, f"user {key} é", {"age": 30.5, "tags": ["a", "b"], "city": "Łódź", "gone": None}, at)


class UserStoreSuite:
    """Needs a fixture `harness`."""

    def test_records_come_back_in_order_of_unsigned_keys(self, harness: Harness) -> None:
        """After a restart, too."""
        backend = harness.open(StoreOptions())
        backend.users.put([record(key) for key in reversed(KEYS)])
        backend.users.put([record(5, NOW + 1)])
        want = [record(key, NOW + (key == 5)) for key in KEYS]
        for _ in range(2):
            assert [backend.users.get(key) for key in KEYS] == want
            assert backend.users.get(6) is None
            assert backend.users.page(-1, 2) == want[:2]
            assert backend.users.page(0, 9) == want[1:]
            assert backend.users.page(KEYS[2], 9) == want[3:]
            assert backend.users.page(KEYS[-1], 9) == []
            backend = harness.reopen(backend)
        backend.close()

    def test_who_is_forgotten_leaves_a_tombstone_and_nothing_else(self, harness: Harness) -> None:
        """Until somebody takes it back."""
        backend = harness.open(StoreOptions())
        backend.users.put([record(key) for key in KEYS])
        version = backend.users.forget(KEYS[-1], NOW + 1)
        assert backend.users.forget(77, NOW + 2) > version
        backend.users.purged([77], NOW + 3)
        backend = harness.reopen(backend)
        assert backend.users.get(KEYS[-1]) is None
        assert len(backend.users.page(-1, 9)) == 4
        assert backend.users.tombstones() == {KEYS[-1]: (NOW + 1, None), 77: (NOW + 2, NOW + 3)}
        version = backend.users.version()
        assert backend.users.recall(77) > version
        backend = harness.reopen(backend)
        assert backend.users.tombstones() == {KEYS[-1]: (NOW + 1, None)}
        assert backend.users.get(KEYS[-1]) is None
        backend.close()

    def test_users_since_a_version(self, harness: Harness) -> None:
        """Records put, users forgotten, tombstones taken back; each as it is now."""
        backend = harness.open(StoreOptions())
        store = backend.users
        store.put([record(0), record(5)])
        store.forget(9, NOW)
        start = store.since(0)
        assert ({u.key for u in start.put}, start.forgotten, start.recalled) == ({0, 5}, [9], [])
        assert start.version == store.version()
        nothing = store.since(start.version)
        assert (nothing.put, nothing.forgotten, nothing.recalled) == ([], [], [])
        store.forget(5, NOW + 1)
        store.recall(9)
        store.put([record(2**64 - 1)])
        backend = harness.reopen(backend)
        changes = backend.users.since(start.version)
        assert changes.put == [record(2**64 - 1)]
        assert (changes.forgotten, changes.recalled) == ([5], [9])
        assert {u.key for u in backend.users.since(0).put} == {0, 2**64 - 1}
        backend.close()


class CounterStoreSuite:
    """Needs a fixture `harness`."""

    def test_counts_add_up_by_hour(self, harness: Harness) -> None:
        """From several threads, after a restart; older hours go when told so."""
        backend = harness.open(StoreOptions())
        add = backend.counters.add
        at_once([partial(add, "clicks", hour, {("", "a"): 2, ("s {1}", "é"): 1}) for hour in (1, 2, 2, 3)])
        add("impressions", 2, {("", "a"): 10})
        add("clicks", 2, {})
        for _ in range(2):
            counters = backend.counters
            assert counters.totals("clicks", 0) == {("", "a"): 8, ("s {1}", "é"): 4}
            assert counters.totals("clicks", 3) == {("", "a"): 2, ("s {1}", "é"): 1}
            assert counters.totals("impressions", 2) == {("", "a"): 10}
            assert counters.totals("impressions", 3) == {}
            backend = harness.reopen(backend)
        backend.counters.drop_before(3)
        assert backend.counters.totals("clicks", 0) == {("", "a"): 2, ("s {1}", "é"): 1}
        assert backend.counters.totals("impressions", 0) == {}
        backend.close()


class KeyStoreSuite:
    """Needs a fixture `harness`."""

    def test_keys_are_found_listed_and_revoked(self, harness: Harness) -> None:
        """After a restart, too."""
        backend = harness.open(StoreOptions())
        b, b2 = Key("d1", "b", "reader", NOW), Key("d2", "b", "writer", NOW, 2.5)
        a = Key("d3", "a {é}", "admin", NOW, 0.0)
        for key in (Key("d1", "first", "admin", 1), b, b2, a):
            backend.keys.put(key)
        backend = harness.reopen(backend)
        assert [backend.keys.find(d) for d in ("d1", "d2", "d3", "d4")] == [b, b2, a, None]
        assert backend.keys.list()[0] == a
        assert {key.digest for key in backend.keys.list()} == {"d1", "d2", "d3"}
        assert backend.keys.revoke("b")
        assert not backend.keys.revoke("b")
        backend = harness.reopen(backend)
        assert backend.keys.list() == [a]
        assert backend.keys.find("d1") is None
        backend.close()


class SettingStoreSuite:
    """Needs a fixture `harness`."""

    def test_settings_come_back(self, harness: Harness) -> None:
        """The last value, with a version that rises."""
        backend = harness.open(StoreOptions())
        assert backend.settings.get("bundle") is None
        first = backend.settings.put("bundle", "é\n1")
        assert backend.settings.version() == first
        assert backend.settings.put("bundle", "2") > first
        assert backend.settings.put("x", "") > first + 1
        version = backend.settings.version()
        backend = harness.reopen(backend)
        assert (backend.settings.get("bundle"), backend.settings.get("x")) == ("2", "")
        assert backend.settings.version() == version
        backend.close()
