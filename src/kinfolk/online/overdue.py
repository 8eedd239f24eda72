"""How long changes of seeds have been waiting to be shown: `Overdue`.

A store tells which candidates changed since they were clustered, not when. So it is looked at now and then, and a
candidate that was not waiting at the last look has begun to wait at this one, and one whose crowd was made since has
begun to wait then: an age is wrong by at most the time between two looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from kinfolk.online.ports import Snapshot


class Overdue:
    """One process's view. Safe for concurrent use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, int] = {}  # ms; only of candidates that wait

    def look(self, dirty: Mapping[str, int], shown: Callable[[str], Snapshot | None], now: int) -> tuple[int, int]:
        """(candidates that wait, age in ms of the oldest change among them that no published crowd shows).

        Args:
            dirty: of live candidates, the generation of their last change; what `SeedStore.dirty` says.
            shown: the crowd that is published for a candidate, if there is one.
            now: ms.
        """
        with self._lock:
            since: dict[str, int] = {}
            for candidate, generation in dirty.items():
                snapshot = shown(candidate)
                if snapshot is None or snapshot.generation < generation:
                    begun = min(self._since.get(candidate, now), now)  # the clock may have been set back
                    made = None if snapshot is None else snapshot.made_at
                    since[candidate] = begun if made is None or made > now else max(begun, made)
            self._since = since
            return len(since), max(0, now - min(since.values(), default=now))
