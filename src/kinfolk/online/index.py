"""The crowds of all live candidates of one model version in memory, for requests to score against: `LiveIndex`.

A writer adds rows behind those that any table shows and hands out the next table; rows once written are never changed,
so a reader scores against the table it holds as long as it likes. A crowd that is replaced leaves its row behind; when
there is no room for another row, those that still count are copied into larger arrays. So a change costs its own rows,
and one time in many a copy: with n candidates after about n / 4 changes.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.index import Index
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.lookalike.weights import Weights
from kinfolk.online.ports import Changes, Snapshot, StoreError

_LEAST = 64
_NONE = np.zeros((0, 0), np.float32)
_FIELDS = ("centroids", "n_valid", "sizes", "gram", "bias", "global_unit")


@dataclass(frozen=True, eq=False)
class Table:
    """What there was to score against at one moment; immutable.

    Args:
        ids: R outside ids, "" for a row that does not count any more.
        index: R candidates, in the same order.
        place: id -> row, of those that count.
        seeds: int64[R] seeds that each crowd rests on.
        facts: of at least R rows the snapshot, without its centroids and sizes, which `index` holds.
    """

    ids: tuple[str, ...]
    index: Index
    place: Mapping[str, int]
    seeds: NDArray[np.int64]
    facts: Sequence[Snapshot]

    def __len__(self) -> int:
        return len(self.place)

    @cached_property
    def live(self) -> NDArray[np.int64]:
        """int64[C] rows that count, rising."""
        return np.sort(np.fromiter(self.place.values(), np.int64, len(self.place)))

    def snapshot(self, candidate: str) -> Snapshot | None:
        """The crowd of a candidate, as views of `index`; None if there is none."""
        row = self.place.get(candidate)
        if row is None:
            return None
        return replace(self.facts[row], centroids=self.index.centroids[row], sizes=self.index.sizes[row])


class LiveIndex:
    """Live crowds of one model. Safe for concurrent use: readers never wait.

    Args:
        weights: stage 2 of the model.
        model: its version.
    """

    def __init__(self, weights: Weights, model: str) -> None:
        self._weights, self.model = weights, model
        self._lock = threading.Lock()
        self._facts: list[Snapshot] = []
        self._place: dict[str, int] = {}
        self._ids: list[str] = []
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._seeds = np.zeros(0, np.int64)
        self._until: dict[str, int] = {}
        self._due: list[tuple[int, str]] = []
        self._cursor = 0
        self._template = weights.index(self._stacked([]))
        self._table = self._made()

    @property
    def cursor(self) -> int:
        """Of the SnapshotStore, as far as applied."""
        return self._cursor

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, candidate: str) -> bool:
        return candidate in self._table.place

    def table(self) -> tuple[tuple[str, ...], Index]:
        """(ids, index) of the same length and order, immutable; the same pair until something changes.

        A row whose crowd was replaced or retired has the id "" and must be passed over: `now` says which rows count.
        """
        table = self._table
        return table.ids, table.index

    def now(self) -> Table:
        """The table, with what else is known of its rows."""
        return self._table

    def snapshot(self, candidate: str) -> Snapshot | None:
        """The crowd of a candidate as it came; None if there is none."""
        return self._table.snapshot(candidate)

    def apply(self, changes: Changes) -> bool:
        """Take in what a SnapshotStore tells; returns whether anything changed.

        A snapshot older than the one here is passed over; one that rests on no seed takes its candidate out.

        Raises:
            StoreError: a snapshot of another model, or of another shape than this model's; nothing is taken in.
        """
        for s in changes.snapshots:
            self._check(s)
        with self._lock:
            if changes.cursor < self._cursor:  # another thread has read further: all this is known
                return False
            moved = [self._drop(c) for c in changes.retired]
            newer = [s for s in changes.snapshots if self._is_newer(s)]
            gone = [self._drop(s.candidate) for s in newer if not s.seeds_used]
            fresh = {s.candidate: s for s in newer if s.seeds_used}
            self._add(list(fresh.values()))
            changed = any(moved) or any(gone) or bool(fresh)
            if changed:
                self._table = self._made()
            self._cursor = max(self._cursor, changes.cursor)  # last: who sees it sees the table
        return changed

    def retire(self, candidates: Iterable[str]) -> bool:
        """Take candidates out at once; returns whether any was there."""
        with self._lock:
            moved = [self._drop(c) for c in candidates]
            if any(moved):
                self._table = self._made()
        return any(moved)

    def expire_at(self, candidate: str, at: int | None) -> None:
        """Take a candidate out when `expire` is called at or after `at` (ms), whether it has a crowd by then or not;
        None takes that back."""
        with self._lock:
            if at is None:
                self._until.pop(candidate, None)
            elif self._until.get(candidate) != at:
                self._until[candidate] = at
                heapq.heappush(self._due, (at, candidate))
                if len(self._due) > 2 * len(self._until) + _LEAST:
                    self._due = [(t, c) for c, t in self._until.items()]
                    heapq.heapify(self._due)

    def expire(self, now: int) -> list[str]:
        """Candidates whose time has come; they are out when this returns. Cheap where there is none."""
        if not self._due or self._due[0][0] > now:
            return []
        out = []
        with self._lock:
            while self._due and self._due[0][0] <= now:
                at, candidate = heapq.heappop(self._due)
                if self._until.get(candidate) == at:
                    del self._until[candidate]
                    out.append(candidate)
            moved = [self._drop(c) for c in out]
            if any(moved):
                self._table = self._made()
        return out

    def _check(self, s: Snapshot) -> None:
        if s.model != self.model:
            raise StoreError(
                f"a snapshot of model {s.model} beside an index of model {self.model}",
                "a crowd of one model is never scored with users of another: cluster its seeds anew",
            )
        if s.centroids.shape != self._template.centroids.shape[1:]:
            raise StoreError(
                f"a snapshot has centroids {s.centroids.shape}, expected {self._template.centroids.shape[1:]}",
                "cluster its seeds anew",
            )

    def _is_newer(self, s: Snapshot) -> bool:
        row = self._place.get(s.candidate)
        old = None if row is None else self._facts[row]
        return old is None or (s.generation, s.made_at) >= (old.generation, old.made_at)

    def _drop(self, candidate: str) -> bool:
        row = self._place.pop(candidate, None)
        if row is not None:
            self._ids[row] = ""
        return row is not None

    def _add(self, snapshots: list[Snapshot]) -> None:
        if not snapshots:
            return
        made = self._weights.index(self._stacked(snapshots))
        for s in snapshots:
            self._drop(s.candidate)
        first = len(self._ids)
        if first + len(snapshots) > len(self._seeds):
            first = self._enlarge(len(snapshots))
        rows = slice(first, first + len(snapshots))
        for name in _FIELDS:
            self._arrays[name][rows] = getattr(made, name)
        self._seeds[rows] = [s.seeds_used for s in snapshots]
        for i, s in enumerate(snapshots):
            self._ids.append(s.candidate)
            self._place[s.candidate] = first + i
            self._facts.append(replace(s, centroids=_NONE, sizes=_NONE.ravel()))

    def _enlarge(self, more: int) -> int:
        """Arrays with room for more rows, only those that count in them; returns how many there are."""
        kept = np.array(sorted(self._place.values()), np.int64)
        room = len(kept) + more
        room += max(_LEAST, room // 4)
        for name in _FIELDS:
            like = getattr(self._template, name)
            array = np.zeros((room, *like.shape[1:]), like.dtype)
            if len(kept):
                array[: len(kept)] = self._arrays[name][kept]
            self._arrays[name] = array
        seeds = np.zeros(room, np.int64)
        seeds[: len(kept)] = self._seeds[kept]
        self._seeds = seeds
        self._ids = [self._ids[row] for row in kept]
        self._facts = [self._facts[row] for row in kept]
        self._place = {c: i for i, c in enumerate(self._ids)}
        return len(kept)

    def _made(self) -> Table:
        n, t = len(self._ids), self._template
        arrays = {name: self._arrays[name][:n] if n else getattr(t, name) for name in _FIELDS}
        index = Index(
            **arrays,  # type: ignore[arg-type]  # each of the type that the template has under its name
            alpha=t.alpha, beta=t.beta, temperature=t.temperature, size_aware=t.size_aware,
        )  # fmt: skip
        return Table(tuple(self._ids), index, MappingProxyType(dict(self._place)), self._seeds[:n], self._facts)

    def _stacked(self, snapshots: list[Snapshot]) -> Crowds:
        config = self._weights.config
        k = 1 if config.pooling == "average" else config.k
        if not snapshots:
            none = np.zeros((0, k, config.h), np.float32)
            return Crowds(none, none[:, :, 0], none[:, 0], np.zeros(0, np.int64))
        return Crowds(
            np.stack([s.centroids for s in snapshots]),
            np.stack([s.sizes for s in snapshots]),
            np.stack([s.global_embedding for s in snapshots]),
            np.array([s.seeds_used for s in snapshots], np.int64),
        )
