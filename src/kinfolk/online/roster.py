"""Which candidates live: `Roster`, every process's copy of the CandidateStore, caught up before each answer."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Literal

from kinfolk.online.ports import Candidate, CandidateStore

State = Literal["live", "retired", "unknown"]
_LEAST = 64


class Roster:
    """Live candidates in memory; retired and unknown ones are asked for and remembered up to `most`."""

    def __init__(self, store: CandidateStore, most: int = 100_000) -> None:
        self._store, self._most = store, most
        self._lock = threading.Lock()
        self._live: dict[str, Candidate] = {}
        self._retired: OrderedDict[str, None] = OrderedDict()
        self._until: dict[str, int] = {}
        self._due: list[tuple[int, str]] = []  # a heap of those; entries that do not hold any more go as they come up
        self._next: int | None = None  # its first
        self._version = 0
        self.changes = 0  # rises when the set of live candidates does change

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, candidate: str) -> bool:
        return candidate in self._live

    @property
    def version(self) -> int:
        """Of the store, as far as read."""
        return self._version

    def catch_up(self) -> None:
        """Read what changed in the store, if anything did."""
        if self._store.version() == self._version:
            return
        with self._lock:
            if self._store.version() == self._version:
                return
            changed, version = self._store.since(self._version)
            if version < self._version:  # it has lost its newest writes, as a failover may: all is read anew
                changed, version = self._store.since(0)
                self._only({c.id for c in changed})
            self._take(changed)
            self._version = version

    def due(self, now: int) -> list[str]:
        """Live candidates that expire at or before `now`."""
        if self._next is None or self._next > now:
            return []
        with self._lock:
            found: dict[str, int] = {}
            while self._due and self._due[0][0] <= now:
                at, candidate = heapq.heappop(self._due)
                if self._until.get(candidate) == at:
                    found[candidate] = at
            for candidate, at in found.items():  # due until they are retired
                heapq.heappush(self._due, (at, candidate))
            self._next = self._due[0][0] if self._due else None
            return list(found)

    def get(self, candidate: str) -> Candidate | None:
        """A live candidate."""
        return self._live.get(candidate)

    def live(self) -> list[str]:
        """Ids of all live candidates, sorted."""
        with self._lock:
            return sorted(self._live)

    def those_of(self, candidates: Mapping[str, object]) -> set[str]:
        """The live ones among them."""
        with self._lock:
            return self._live.keys() & candidates.keys()

    def states(self, candidates: Sequence[str]) -> dict[str, State]:
        """Of each; the store is asked about those not known here."""
        out: dict[str, State] = {}
        ask = []
        with self._lock:
            for c in candidates:
                if c in self._live:
                    out[c] = "live"
                elif c in self._retired:
                    self._retired.move_to_end(c)
                    out[c] = "retired"
                else:
                    ask.append(c)
        if ask:
            found = self._store.get(ask)
            with self._lock:
                for c, candidate in zip(ask, found, strict=True):
                    out[c] = "unknown" if candidate is None else "live" if candidate.retired_at is None else "retired"
                    if out[c] == "retired":
                        self._remember(c)
        return out

    def _only(self, there: set[str]) -> None:
        gone = [c for c in self._live if c not in there]
        for c in gone:
            del self._live[c]
            self._expire_at(c, None)
        self._retired.clear()
        self.changes += bool(gone)

    def _take(self, changed: Sequence[Candidate]) -> None:
        before = len(self._live)
        moved = False
        for c in changed:
            self._retired.pop(c.id, None)
            if c.retired_at is not None:
                moved |= self._live.pop(c.id, None) is not None
                self._expire_at(c.id, None)
                self._remember(c.id)
            else:
                self._live[c.id] = c
                self._expire_at(c.id, c.expires_at)
        self._next = self._due[0][0] if self._due else None
        if moved or len(self._live) != before:
            self.changes += 1

    def _expire_at(self, candidate: str, at: int | None) -> None:
        if at is None:
            self._until.pop(candidate, None)
        elif self._until.get(candidate) != at:
            self._until[candidate] = at
            heapq.heappush(self._due, (at, candidate))
            if len(self._due) > 2 * len(self._until) + _LEAST:
                self._due = [(t, c) for c, t in self._until.items()]
                heapq.heapify(self._due)

    def _remember(self, candidate: str) -> None:
        if candidate not in self._live:
            self._retired[candidate] = None
            if len(self._retired) > self._most:
                self._retired.popitem(last=False)
