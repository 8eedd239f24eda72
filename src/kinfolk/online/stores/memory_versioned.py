"""The CandidateStore and the UserStore of `memory:`, two dicts that can say what changed after a version."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from kinfolk.online.ports import Candidate, UserChanges, UserRecord


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

    def add(self, candidates: Sequence[Candidate]) -> int:
        """As the port says."""
        with self._lock:
            return self.put([c for c in candidates if c.id not in self._all])

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

    def expire(self, ids: Sequence[str], now: int) -> list[str]:
        """As the port says."""
        with self._lock:
            due = [c.id for c in self.get(ids) if c is not None and c.expires_at is not None and c.expires_at <= now]
            due = [id for id in due if self._all[id][1].retired_at is None]
            self.retire(due, now)
            return due

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
