"""Seeds and trails in dicts: the SeedStore of `memory:`, written to be read."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.online.clicks import Clicks, Seeds
from kinfolk.online.ports import Appended, StoreOptions
from kinfolk.online.stores import blocks
from kinfolk.online.stores.blocks import Block
from kinfolk.online.stores.named import named

_YOUNG = 4096  # clicks of a candidate that wait before they are merged into its block
_TRAIL = 20  # clicks of a user kept for each that is given back: one person may click one item all day


class MemorySeeds:
    """See `kinfolk.online.ports.SeedStore`."""

    def __init__(self, lock: threading.RLock, options: StoreOptions) -> None:
        self._lock, self._options = lock, options
        self._generation = 0
        self._arrived: OrderedDict[int, int] = OrderedDict()  # identity -> ms, oldest first
        self._blocks: dict[str, Block] = {}
        self._young: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        self._changed: dict[str, int] = {}
        self._trails: OrderedDict[int, deque[tuple[int, str, int]]] = OrderedDict()  # user -> (arrived, item, ms)

    def append(self, clicks: Clicks, now: int) -> Appended:
        """As the port says."""
        with self._lock:
            self._expire(now)
            new = 0
            generation = self._generation + 1
            rows = zip(
                clicks.identity.tolist(),
                clicks.candidate.tolist(),
                clicks.user.tolist(),
                clicks.time.tolist(),
                strict=True,
            )
            for identity, code, user, time in rows:
                if self._arrived.get(identity, now - self._options.remember_ms) > now - self._options.remember_ms:
                    continue
                new += 1
                self._arrived[identity] = now
                candidate = clicks.candidates[code]
                users, times = self._young[candidate]
                users.append(user)
                times.append(time)
                self._changed[candidate] = generation
                trail = self._trails.setdefault(user, deque(maxlen=_TRAIL * self._options.trail_length))
                trail.append((now, candidate, time))
                self._trails.move_to_end(user)
            self._generation += bool(new)
            for candidate in clicks.candidates:
                if len(self._young[candidate][0]) >= _YOUNG:
                    self._whole(candidate)
            return Appended(new, len(clicks) - new, self._generation)

    def _expire(self, now: int) -> None:
        horizon = now - self._options.remember_ms
        for known in [i for i, at in islice(self._arrived.items(), 2000) if at <= horizon]:
            del self._arrived[known]
        for user in [u for u, trail in islice(self._trails.items(), 2000) if trail[-1][0] <= horizon]:
            del self._trails[user]

    def _whole(self, candidate: str) -> Block:
        """The block of a candidate with its young clicks in it."""
        users, times = self._young.pop(candidate, ([], []))
        if users:
            young = blocks.pack(np.array(users, np.uint64), np.array(times, np.int64))
            merged = blocks.merge(self._blocks.get(candidate, blocks.EMPTY), young)
            self._blocks[candidate] = blocks.trim(merged, self._options.max_seeds)
        return self._blocks.get(candidate, blocks.EMPTY)

    def recent(self, candidate: str, limit: int) -> Seeds:
        """As the port says."""
        with self._lock:
            return blocks.to_seeds(blocks.trim(self._whole(candidate), limit))

    def count(self, candidate: str) -> int:
        """As the port says."""
        with self._lock:
            return len(self._whole(candidate))

    def trail(self, user: int, limit: int) -> tuple[list[str], NDArray[np.int64]]:
        """As the port says."""
        newest: dict[str, int] = {}
        with self._lock:
            for _, item, time in self._trails.get(user, ()):
                newest[item] = max(newest.get(item, time), time)
        limit = min(limit, self._options.trail_length)
        rows = sorted((time, item) for item, time in newest.items())[max(len(newest) - limit, 0) :]
        return [item for _, item in rows], np.array([time for time, _ in rows], np.int64)

    def trails(self, users: NDArray[np.uint64], limit: int) -> tuple[list[str], Jagged]:
        """As the port says."""
        return named(self.trail(user, limit)[0] for user in users.tolist())

    def generation(self) -> int:
        """As the port says."""
        return self._generation

    def dirty(self) -> dict[str, int]:
        """As the port says."""
        with self._lock:
            return dict(self._changed)

    def clean(self, seen: Mapping[str, int]) -> None:
        """As the port says."""
        with self._lock:
            for candidate, generation in seen.items():
                if self._changed.get(candidate, generation + 1) <= generation:
                    del self._changed[candidate]

    def forget(self, users: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> list[str]:
        """As the port says."""
        with self._lock:
            held: dict[str, Block] = {}
            for candidate in sorted({*self._blocks, *self._young}):
                if meanwhile is not None:
                    meanwhile()
                whole = self._whole(candidate)
                left = blocks.remove(whole, users)
                if left is not whole:
                    held[candidate] = left
            self._blocks |= held
            self._generation += bool(held)
            self._changed |= dict.fromkeys(held, self._generation)
            for user in users.tolist():
                self._trails.pop(user, None)
            return list(held)

    def drop(self, candidate: str, still: Callable[[], bool] | None = None) -> None:
        """As the port says; nothing comes between the question and the deed."""
        with self._lock:
            if still is not None and not still():
                return
            self._young.pop(candidate, None)
            self._blocks.pop(candidate, None)
            self._changed.pop(candidate, None)
            self._generation += 1

    def stats(self) -> dict[str, int]:
        """As the port says."""
        with self._lock:
            counts = [n for candidate in {*self._blocks, *self._young} if (n := len(self._whole(candidate)))]
            return {
                "candidates": len(counts),
                "seeds": sum(counts),
                "bytes": blocks.BYTES_PER_SEED * sum(counts),
            }
