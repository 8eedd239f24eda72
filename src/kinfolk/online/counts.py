"""Clicks and impressions by hour and segment on their way to the CounterStore: gathered here, written now and then.

Counts feed the fall-back and reports, nothing that must be exact: up to `every_ms` of them are lost with the process,
and a batch that was partly delivered before counts whole.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from kinfolk.online.clock import due
from kinfolk.online.ports import CounterStore, StoreError

HOUR = 3_600_000
What = Literal["impressions", "clicks"]


class Counts:
    """Gathers at most `most` different counters, then writes them, at the latest with the first call after `every_ms`.

    Args:
        store: where they go.
        every_ms, most: when what was gathered is written.
    """

    def __init__(self, store: CounterStore, *, every_ms: int = 1000, most: int = 50_000):
        self._store, self._every, self._most = store, every_ms, most
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._pending: dict[tuple[What, int], Counter[tuple[str, str]]] = {}
        self._size = 0
        self._written_at: int | None = None

    def add(self, what: What, now: int, segments_candidates: Iterable[tuple[str, str]]) -> None:
        """One each for (segment, candidate), and one for everybody ("") where the segment is another."""
        hour = now // HOUR
        with self._lock:
            counter = self._pending.setdefault((what, hour), Counter())
            before = len(counter)
            for segment, candidate in segments_candidates:
                counter["", candidate] += 1
                if segment:
                    counter[segment, candidate] += 1
            self._size += len(counter) - before
            if self._written_at is None:
                self._written_at = now
            write = self._size >= self._most or due(self._written_at, self._every, now)
        if write:
            with suppress(StoreError):  # the clicks themselves are kept; counters wait for the next time
                self.flush(now)

    def flush(self, now: int) -> None:
        """Write what was gathered; what cannot be written is kept for the next time."""
        with self._writing:
            with self._lock:
                pending, self._pending, self._size = self._pending, {}, 0
                self._written_at = now
            for (what, hour), counter in list(pending.items()):
                try:
                    self._store.add(what, hour, counter)
                except BaseException:
                    with self._lock:
                        for key, kept in pending.items():
                            self._pending.setdefault(key, Counter()).update(kept)
                        self._size = sum(map(len, self._pending.values()))
                    raise
                del pending[what, hour]
