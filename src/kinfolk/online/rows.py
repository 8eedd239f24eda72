"""Which rows of a table that readers hold may be written: `Rows`. New ones, and those that no reader can see any more.

A row is shown by every edition of the table from the one that it was written for until it is left. Readers hold an
edition as long as they like; once none that shows a left row is alive, the row is free. Editions are told apart by weak
references to what readers hold, so nobody has to give anything back. Not for several threads at once.
"""

from __future__ import annotations

import heapq
import weakref

import numpy as np
from numpy.typing import NDArray


class Rows:
    """Rows 0 to `room` - 1, the lowest free ones first."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.used = 0
        """Rows from here on were never written."""
        self._born = np.zeros(room, np.int64)  # the edition that showed it first
        self._left: list[tuple[int, int]] = []  # row, and the first edition that did not show it
        self._free: list[int] = []  # a heap
        self._edition = 0  # the next one
        self._alive: list[tuple[int, weakref.ref[object]]] = []

    def __len__(self) -> int:
        """How many can be taken now."""
        return self.room - self.used + len(self._free)

    def take(self, n: int) -> NDArray[np.int64]:
        """int64[n] rows to write, for the next edition; at most `len`."""
        again = [heapq.heappop(self._free) for _ in range(min(n, len(self._free)))]
        rows = np.array([*again, *range(self.used, self.used + n - len(again))], np.int64)
        self.used += n - len(again)
        self._born[rows] = self._edition
        return rows

    def leave(self, row: int) -> None:
        """The next edition does not show this row."""
        self._left.append((row, self._edition))

    def shown(self, held: object) -> None:
        """The next edition is out; it is alive as long as `held` is."""
        self._alive.append((self._edition, weakref.ref(held)))
        self._edition += 1

    def reclaim(self) -> list[int]:
        """Rows that have become free since the last time; what lies in them is of no use to anybody."""
        self._alive = [(edition, held) for edition, held in self._alive if held() is not None]
        if not self._left:
            return []
        row, until = np.array(self._left, np.int64).T
        seen = np.zeros(len(row), np.bool_)
        for edition, _ in self._alive:
            seen |= (self._born[row] <= edition) & (edition < until)
        free: list[int] = row[~seen].tolist()
        self._left = [entry for entry, pinned in zip(self._left, seen.tolist(), strict=True) if pinned]
        for r in free:
            heapq.heappush(self._free, r)
        return free
