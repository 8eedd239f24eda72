"""Everything in dicts of this process: for tests and demos, and to read what a backend has to do. Nothing outlives it.

One lock around every port; no method waits inside it. The larger ports have files of their own.
"""

from __future__ import annotations

import builtins
import secrets
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

from kinfolk.online.clicks import SECRET_BYTES
from kinfolk.online.ports import (
    AudienceStore,
    CandidateStore,
    CounterStore,
    Key,
    KeyStore,
    Lease,
    SeedStore,
    SettingStore,
    SnapshotStore,
    StoreOptions,
    UserStore,
)
from kinfolk.online.stores.memory_audiences import MemoryAudiences
from kinfolk.online.stores.memory_seeds import MemorySeeds
from kinfolk.online.stores.memory_snapshots import MemorySnapshots
from kinfolk.online.stores.memory_versioned import MemoryCandidates, MemoryUsers

What = Literal["impressions", "clicks"]


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
            holder, _, fence = self._held.get(name, ("", now, 0))
            if holder != owner:
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
