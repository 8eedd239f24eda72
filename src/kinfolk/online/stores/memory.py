"""Everything in dicts of this process: for tests and demos, and to read what a backend has to do. Nothing outlives it.

One lock around every port; no method waits inside it. The three larger ports have files of their own.
"""

from __future__ import annotations

import builtins
import secrets
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from kinfolk.online.clicks import SECRET_BYTES
from kinfolk.online.ports import (
    AudienceStore,
    Candidate,
    CandidateStore,
    CounterStore,
    Key,
    KeyStore,
    Lease,
    SeedStore,
    SettingStore,
    SnapshotStore,
    StoreOptions,
    UserChanges,
    UserRecord,
    UserStore,
)
from kinfolk.online.stores.memory_audiences import MemoryAudiences
from kinfolk.online.stores.memory_seeds import MemorySeeds
from kinfolk.online.stores.memory_snapshots import MemorySnapshots

What = Literal["impressions", "clicks"]


class MemoryCandidates:
    """See `kinfolk.online.ports.CandidateStore`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock, self._version = lock, 0
        self._all: dict[str, tuple[int, Candidate]] = {}

    def put(self, candidates: Sequence[Candidate]) -> int:
        """As the port says."""
        with self._lock:
            self._version += bool(candidates)
            self._all |= {c.id: (self._version, c) for c in candidates}
            return self._version

    def get(self, ids: Sequence[str]) -> list[Candidate | None]:
        """As the port says."""
        with self._lock:
            return [self._all[id][1] if id in self._all else None for id in ids]

    def page(self, after: str, limit: int, *, live: bool = True) -> list[Candidate]:
        """As the port says."""
        with self._lock:
            found = (c for _, c in self._all.values() if c.id > after and not (live and c.retired_at is not None))
            return sorted(found, key=lambda c: c.id)[:limit]

    def retire(self, ids: Sequence[str], now: int) -> int:
        """As the port says."""
        with self._lock:
            live = [c for c in self.get(ids) if c is not None and c.retired_at is None]
            return self.put([replace(c, retired_at=now) for c in live])

    def version(self) -> int:
        """As the port says."""
        return self._version

    def since(self, version: int) -> tuple[list[Candidate], int]:
        """As the port says."""
        with self._lock:
            new = sorted((at, id) for id, (at, c) in self._all.items() if at > version)
            found = [self._all[id][1] for _, id in new]
            return [c for c in found if version or c.retired_at is None], self._version


class MemoryUsers:
    """See `kinfolk.online.ports.UserStore`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock, self._version = lock, 0
        self._records: dict[int, tuple[int, UserRecord]] = {}
        self._gone: dict[int, tuple[int, int, int | None]] = {}
        self._recalled: dict[int, int] = {}

    def put(self, users: Sequence[UserRecord]) -> int:
        """As the port says."""
        with self._lock:
            self._version += bool(users)
            self._records |= {u.key: (self._version, u) for u in users}
            return self._version

    def get(self, key: int) -> UserRecord | None:
        """As the port says."""
        found = self._records.get(key)
        return found and found[1]

    def page(self, after: int, limit: int) -> list[UserRecord]:
        """As the port says."""
        with self._lock:
            return [self._records[key][1] for key in sorted(k for k in self._records if k > after)[:limit]]

    def forget(self, key: int, now: int) -> int:
        """As the port says."""
        with self._lock:
            self._version += 1
            self._records.pop(key, None)
            self._recalled.pop(key, None)
            wished = self._gone[key][1] if key in self._gone else now
            self._gone[key] = self._version, wished, None
            return self._version

    def recall(self, key: int) -> int:
        """As the port says."""
        with self._lock:
            self._version += 1
            if self._gone.pop(key, None):
                self._recalled[key] = self._version
            return self._version

    def tombstones(self) -> dict[int, tuple[int, int | None]]:
        """As the port says."""
        with self._lock:
            return {key: (wished, purged) for key, (_, wished, purged) in self._gone.items()}

    def purged(self, keys: Sequence[int], now: int) -> None:
        """As the port says."""
        with self._lock:
            for key in keys:
                if key in self._gone:
                    self._gone[key] = (*self._gone[key][:2], now)

    def version(self) -> int:
        """As the port says."""
        return self._version

    def since(self, version: int) -> UserChanges:
        """As the port says."""
        with self._lock:
            return UserChanges(
                [record for at, record in self._records.values() if at > version],
                [key for key, (at, _, _) in self._gone.items() if at > version],
                [key for key, at in self._recalled.items() if at > version],
                self._version,
            )


class MemoryCounters:
    """See `kinfolk.online.ports.CounterStore`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._counts: dict[tuple[str, int], dict[tuple[str, str], int]] = {}

    def add(self, what: What, hour: int, counts: Mapping[tuple[str, str], int]) -> None:
        """As the port says."""
        with self._lock:
            there = self._counts.setdefault((what, hour), defaultdict(int))
            for key, n in counts.items():
                there[key] += n

    def totals(self, what: What, since_hour: int) -> dict[tuple[str, str], int]:
        """As the port says."""
        total: dict[tuple[str, str], int] = defaultdict(int)
        with self._lock:
            for (kind, hour), counts in self._counts.items():
                if kind == what and hour >= since_hour:
                    for key, n in counts.items():
                        total[key] += n
        return dict(total)

    def drop_before(self, hour: int) -> None:
        """As the port says."""
        with self._lock:
            self._counts = {key: value for key, value in self._counts.items() if key[1] >= hour}


class MemoryKeys:
    """See `kinfolk.online.ports.KeyStore`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._keys: dict[str, Key] = {}

    def put(self, key: Key) -> None:
        """As the port says."""
        with self._lock:
            self._keys[key.digest] = key

    def find(self, digest: str) -> Key | None:
        """As the port says."""
        return self._keys.get(digest)

    def list(self) -> builtins.list[Key]:
        """As the port says."""
        with self._lock:
            return sorted(self._keys.values(), key=lambda key: (key.name, key.digest))

    def revoke(self, name: str) -> bool:
        """As the port says."""
        with self._lock:
            before = len(self._keys)
            self._keys = {digest: key for digest, key in self._keys.items() if key.name != name}
            return len(self._keys) < before


class MemorySettings:
    """See `kinfolk.online.ports.SettingStore`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock, self._version = lock, 0
        self._values: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        """As the port says."""
        return self._values.get(name)

    def put(self, name: str, value: str) -> int:
        """As the port says."""
        with self._lock:
            self._values[name] = value
            self._version += 1
            return self._version

    def version(self) -> int:
        """As the port says."""
        return self._version


class MemoryLeases:
    """See `kinfolk.online.ports.Lease`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._held: dict[str, tuple[str, int, int]] = {}  # owner, until, fence

    def acquire(self, name: str, owner: str, now: int, ttl: int) -> int | None:
        """As the port says; an expired lease gets a new number, its last holder's too."""
        with self._lock:
            holder, until, fence = self._held.get(name, ("", now, 0))
            live = until > now
            if live and holder != owner:
                return None
            fence += not live
            self._held[name] = owner, now + ttl, fence
            return fence

    def renew(self, name: str, owner: str, now: int, ttl: int) -> bool:
        """As the port says."""
        with self._lock:
            holder, until, fence = self._held.get(name, ("", now, 0))
            if holder != owner or until <= now:
                return False
            self._held[name] = owner, now + ttl, fence
            return True

    def release(self, name: str, owner: str) -> None:
        """As the port says."""
        with self._lock:
            holder, _, fence = self._held.get(name, ("", 0, 0))
            if holder == owner:
                self._held[name] = "", -1, fence


class MemoryBackend:
    """See `kinfolk.online.ports.Backend`. Not for production: a stop loses everything."""

    shared = False
    url = "memory:"

    def __init__(self, options: StoreOptions) -> None:
        lock = threading.RLock()
        self.seeds: SeedStore = MemorySeeds(lock, options)
        self.snapshots: SnapshotStore = MemorySnapshots(lock)
        self.candidates: CandidateStore = MemoryCandidates(lock)
        self.users: UserStore = MemoryUsers(lock)
        self.audiences: AudienceStore = MemoryAudiences(lock)
        self.counters: CounterStore = MemoryCounters(lock)
        self.keys: KeyStore = MemoryKeys(lock)
        self.settings: SettingStore = MemorySettings(lock)
        self.leases: Lease = MemoryLeases(lock)
        self._secret = secrets.token_bytes(SECRET_BYTES)

    def secret(self) -> bytes:
        """As the port says, for the life of this object."""
        return self._secret

    def ping(self) -> None:
        """There is nothing that could fail."""

    def warnings(self) -> list[str]:
        """As the port says."""
        return ["the store is in memory: everything is lost when the process stops"]

    def close(self) -> None:
        """There is nothing to let go of."""
