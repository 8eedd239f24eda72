"""The crowds of all live candidates of one model version in memory, for requests to score against: `LiveIndex`.

A writer puts rows where no table that a reader holds shows any, and hands out the next table; so a reader scores
against the table it holds as long as it likes, and a change costs its own rows and a copy of the list of ids. Room is
reserved for many more candidates than there are: memory that was never written costs nothing, and nothing has to move.
Where it does not suffice, those that count are copied into arrays with twice the room.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.coclick import PROFILE, sieves
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.lookalike.weights import Weights
from kinfolk.online.ports import Changes, Snapshot, StoreError
from kinfolk.online.rows import Rows

ROOM = 1 << 16
"""Rows reserved at the start; 0.8 GB of addresses, not of memory, where k is 20 and h is 128."""

_AT_ONCE = 64  # crowds whose rows are made in the processor's cache, in blocks that come from the heap
_NONE = np.zeros((0, 0), np.float32)
_FLAT, _NO_ITEMS = _NONE.ravel(), np.zeros(0, np.int32)
_NOBODY = Snapshot("", "", 0, 0, 0, 0, _NONE, _FLAT, _FLAT)
_FIELDS = ("centroids", "n_valid", "sizes", "gram", "bias", "linear", "offset", "local")
_BESIDE = ("seeds", "made_at", "recent", "items", "item_weights", "sieve")


@dataclass(frozen=True, eq=False)
class Table:
    """What there was to score against at one moment; immutable.

    Args:
        ids: R outside ids, "" for a row that does not count.
        index: R candidates, in the same order.
        place: id -> row, of those that count.
        seeds: int64[R] seeds that each crowd rests on.
        made_at: int64[R] ms.
        recent: float32[R, 4], as in `Snapshot`; of no columns for a model that knows no trend.
        items: int32[R, p], item_weights: float32[R, p], as in `Snapshot`, 0 after the last; of no columns for a model
            that knows no co-clicks. sieve: uint64[R, 128], `lookalike.coclick.sieves` of the items.
        facts: row -> the snapshot without what the arrays hold; of those that count.
        members: rises whenever candidates come or go.
    """

    ids: tuple[str, ...]
    index: Index
    place: Mapping[str, int]
    seeds: NDArray[np.int64]
    made_at: NDArray[np.int64]
    recent: NDArray[np.float32]
    items: NDArray[np.int32]
    item_weights: NDArray[np.float32]
    sieve: NDArray[np.uint64]
    facts: Sequence[Snapshot]
    members: int

    def __len__(self) -> int:
        return len(self.place)

    def snapshot(self, candidate: str) -> Snapshot | None:
        """The crowd of a candidate as it came, copied: rows are written again once nobody holds the table; or None."""
        row = self.place.get(candidate)
        if row is None:
            return None
        used = int(np.count_nonzero(self.items[row]))
        return replace(
            self.facts[row],
            centroids=self.index.centroids[row].copy(), sizes=self.index.sizes[row].copy(),
            items=self.items[row, :used].copy(), item_weights=self.item_weights[row, :used].copy(),
        )  # fmt: skip


class LiveIndex:
    """Live crowds of one model. Safe for concurrent use: readers never wait.

    Args:
        weights: stage 2 of the model.
        model: its version.
        room: rows that are reserved.
    """

    def __init__(self, weights: Weights, model: str, *, room: int = ROOM) -> None:
        self._weights, self.model = weights, model
        self._lock = threading.Lock()
        self._place: dict[str, int] = {}
        self._ids: list[str] = []  # of each row up to the last that counts
        self._cursor = self._members = 0
        self._template = weights.index(self._stacked([]))
        try:
            self._arrays = self._reserved(room)
        except MemoryError:  # a system that promises no more than it has: room is made as it is needed
            room = 0
            self._arrays = self._reserved(room)
        self._rows = Rows(room)
        self._facts: list[Snapshot] = []
        self._table = self._made()

    def anew(self) -> LiveIndex:
        """An empty one for the same model; the numbers of its tables' members are higher than any of this one."""
        made = LiveIndex(self._weights, self.model, room=self._rows.room)
        made._members = self._members + 1
        made._table = made._made()
        return made

    @property
    def cursor(self) -> int:
        """Of the SnapshotStore, as far as applied."""
        return self._cursor

    def __len__(self) -> int:
        return len(self._table)

    def now(self) -> Table:
        """The table; the same object until something changes."""
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
            self._members += sum(c not in self._place for c in fresh)
            self._add(list(fresh.values()))
            changed = any(moved) or any(gone) or bool(fresh)
            if changed:
                self._table = self._made()
            self._cursor = max(self._cursor, changes.cursor)  # last: who sees it sees the table
        return changed

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
        if row is None:
            return False
        self._ids[row] = ""
        self._rows.leave(row)
        self._members += 1
        return True

    def _add(self, snapshots: list[Snapshot]) -> None:
        if not snapshots:
            return
        for s in snapshots:
            if self._drop(s.candidate):
                self._members -= 1  # it stays
        for row in self._rows.reclaim():
            self._facts[row] = _NOBODY
        if len(self._rows) < len(snapshots):
            self._enlarge(len(snapshots))
        rows = self._rows.take(len(snapshots))
        for first in range(0, len(rows), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            made = self._weights.index(self._stacked(snapshots[part]))
            for name in _FIELDS:
                self._arrays[name][rows[part]] = getattr(made, name)
        self._beside(rows, snapshots)
        more = self._rows.used - len(self._facts)
        self._facts += [_NOBODY] * more
        self._ids += [""] * (self._rows.used - len(self._ids))
        for row, s in zip(rows.tolist(), snapshots, strict=True):
            self._ids[row], self._place[s.candidate] = s.candidate, row
            self._facts[row] = replace(
                s, centroids=_NONE, sizes=_FLAT, recent=_FLAT, items=_NO_ITEMS, item_weights=_FLAT
            )  # fmt: skip

    def _beside(self, rows: NDArray[np.int64], snapshots: list[Snapshot]) -> None:
        """What is not in the index."""
        a = self._arrays
        a["seeds"][rows] = [s.seeds_used for s in snapshots]
        a["made_at"][rows] = [s.made_at for s in snapshots]
        for name in ("recent", "items", "item_weights"):
            width = a[name].shape[1]
            values = [getattr(s, name)[:width] for s in snapshots]
            padded = np.zeros((len(rows), width), a[name].dtype)
            padded[np.arange(width) < np.array([[len(v)] for v in values])] = np.concatenate(values)
            a[name][rows] = padded
        if a["sieve"].shape[1]:
            a["sieve"][rows] = sieves(a["items"][rows])

    def _reserved(self, room: int) -> dict[str, NDArray[Any]]:
        t, w = self._template, self._weights
        shapes = {n: (getattr(t, n).shape[1:], getattr(t, n).dtype) for n in _FIELDS}
        shapes |= {"seeds": ((), np.dtype(np.int64)), "made_at": ((), np.dtype(np.int64))}
        shapes["recent"] = ((0,) if w.trend is None else w.trend.shape, np.dtype(np.float32))
        profile = (PROFILE if w.co_click else 0,)
        shapes["sieve"] = (sieves(np.zeros((1, 1), np.int32)).shape[1:] if w.co_click else (0,), np.dtype(np.uint64))
        shapes |= {"items": (profile, np.dtype(np.int32)), "item_weights": (profile, np.dtype(np.float32))}
        return {name: np.zeros((room, *shape), dtype) for name, (shape, dtype) in shapes.items()}

    def _enlarge(self, more: int) -> None:
        """Other arrays with at least twice the room that is needed; only the rows that count move there."""
        kept = np.array(sorted(self._place.values()), np.int64)
        room = max(self._rows.room, 2 * (len(kept) + more))
        arrays = self._reserved(room)
        for name, array in arrays.items():
            array[: len(kept)] = self._arrays[name][kept]
        self._arrays = arrays
        self._ids = [self._ids[row] for row in kept]
        self._facts = [self._facts[row] for row in kept]
        self._place = {c: i for i, c in enumerate(self._ids)}
        self._rows = Rows(room)  # tables that are out show the old arrays
        self._rows.take(len(kept))

    def _made(self) -> Table:
        while self._ids and not self._ids[-1]:
            self._ids.pop()
        n, t = len(self._ids), self._template
        index = Index(
            **{name: self._arrays[name][:n] for name in _FIELDS},
            temperature=t.temperature, size_aware=t.size_aware,
        )  # fmt: skip
        self._rows.shown(index)
        place = MappingProxyType(dict(self._place))
        beside = {name: self._arrays[name][:n] for name in _BESIDE}
        return Table(tuple(self._ids), index, place, facts=self._facts, members=self._members, **beside)

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
