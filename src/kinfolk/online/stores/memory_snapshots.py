"""Snapshots in a dict: the SnapshotStore of `memory:`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kinfolk.online.ports import Changes, FenceError, Snapshot


class MemorySnapshots:
    """See `kinfolk.online.ports.SnapshotStore`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock, self._cursor, self._fence = lock, 0, 0
        self._latest: dict[tuple[str, str], tuple[int, Snapshot]] = {}
        self._retired: dict[str, int] = {}

    def publish(self, snapshots: Sequence[Snapshot], fence: int | None) -> int:
        """As the port says."""
        with self._lock:
            if fence is not None:
                if fence < self._fence:
                    raise FenceError(
                        f"snapshots were made under lease {fence}, but lease {self._fence} has published since",
                        "let the holder of the newer lease refresh",
                    )
                self._fence = fence
            for s in snapshots:
                _, there = self._latest.get((s.candidate, s.model), (0, None))
                newer = there is None or there.generation < s.generation
                same = there is not None and there.generation == s.generation
                if s.candidate not in self._retired and (newer or (same and fence is not None)):
                    self._cursor += 1
                    self._latest[s.candidate, s.model] = self._cursor, s
            return self._cursor

    def latest(self, candidates: Sequence[str], model: str) -> list[Snapshot | None]:
        """As the port says."""
        found = [self._latest.get((candidate, model)) for candidate in candidates]
        return [held and held[1] for held in found]

    def cursor(self) -> int:
        """As the port says."""
        return self._cursor

    def since(self, cursor: int, model: str) -> Changes:
        """As the port says."""
        with self._lock:
            new = sorted((at, key) for key, (at, _) in self._latest.items() if at > cursor and key[1] == model)
            gone = [name for name, at in self._retired.items() if at > cursor]
            return Changes([self._latest[key][1] for _, key in new], gone, self._cursor)

    def retire(self, candidate: str) -> int:
        """As the port says."""
        with self._lock:
            self._cursor += 1
            self._latest = {key: value for key, value in self._latest.items() if key[0] != candidate}
            self._retired[candidate] = self._cursor
            return self._cursor

    def revive(self, candidate: str) -> None:
        """As the port says."""
        with self._lock:
            self._retired.pop(candidate, None)

    def drop_models(self, keep: Sequence[str]) -> None:
        """As the port says."""
        with self._lock:
            self._latest = {key: value for key, value in self._latest.items() if key[1] in keep}
