"""One model as this process serves it: `Served`, its space of users and its index of crowds, caught up before answers.

A request takes one `Served` and answers from it alone, so that users and crowds are always of one model, whatever is
switched meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.bundle import Bundle
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.shrinkage import share_of
from kinfolk.lookalike.trend import later, logs
from kinfolk.lookalike.weights import Weights
from kinfolk.online.clock import Clock
from kinfolk.online.index import LiveIndex
from kinfolk.online.index import Table as Crowds
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Backend, Snapshot, UserRecord
from kinfolk.online.profiles import Profiles
from kinfolk.online.roster import Roster
from kinfolk.online.space import Space

U64 = NDArray[np.uint64]

SEGMENTS = 1_000_000
"""Users whose segment is remembered at most; of the others everybody's popularity counts."""

_TREND_MS = 1000  # how old the trend in use may be


@dataclass(frozen=True, eq=False)
class Table:
    """The live candidates that can be scored, as of one moment, sorted by id.

    Args:
        ids: tuple of C outside ids.
        place: id -> position.
        index: crowds; some rows may not count any more.
        rows: int64[C], the row of each in `index`.
        by_row: int64[C], positions in the order in which their rows lie in memory, which is how a scan reads them.
        seeds: int64[C] seeds that each crowd rests on.
        weight: float64[C] n / (n + n0).
        crowds: what is known of the rows beside their index.
    """

    ids: tuple[str, ...]
    place: dict[str, int]
    index: Index
    rows: NDArray[np.int64]
    by_row: NDArray[np.int64]
    seeds: NDArray[np.int64]
    weight: NDArray[np.float64]
    crowds: Crowds


class Served:
    """A model's space and index over one backend.

    Args:
        backend: the stores.
        bundle: the model.
        secret: of user keys.
        settings: of the engine.
        roster: which candidates live.

    Raises:
        OptionError: the settings' `live_kind` is no behaviour of the model's.
    """

    def __init__(
        self, backend: Backend, bundle: Bundle, secret: bytes, settings: EngineSettings, roster: Roster
    ) -> None:
        self._backend, self._settings, self._roster = backend, settings, roster
        self.bundle, self.model = bundle, bundle.version
        self.space = Space.open(
            bundle, secret, most_followed=settings.most_followed, seed=settings.seed, live_kind=settings.live_kind
        )
        self.index = LiveIndex(bundle.weights, bundle.version)
        self._users_lock, self._index_lock, self._table_lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._users_version = 0
        self._segments: dict[int, str] = {}
        self.gone: U64 = np.zeros(0, np.uint64)  # keys of forgotten users, sorted; replaced, never changed
        self._gone: set[int] = set()
        self._table: tuple[Crowds, int, Table] | None = None  # with what it was made from
        self._trends: tuple[Table, int, NDArray[np.float64]] | None = None
        self._profiles: Profiles | None = None

    @property
    def weights(self) -> Weights:
        """Stage 2."""
        return self.bundle.weights

    def catch_up(self) -> None:
        """Read what changed among users and snapshots since the last time, if anything did.

        A store that has lost its newest writes, as a failover may, is read anew as a whole.
        """
        if self._backend.users.version() != self._users_version:
            with self._users_lock:
                self._catch_up_users()
        if self._backend.snapshots.cursor() != self.index.cursor:
            with self._index_lock:
                self._catch_up_index()

    def _catch_up_index(self) -> None:
        store, index, seen = self._backend.snapshots, self.index, -1
        while seen != index.cursor != store.cursor():  # a store may tell a part
            seen = index.cursor
            changes = store.since(seen, self.model)
            if changes.cursor < seen:
                index, seen = index.anew(), -1
            else:
                index.apply(changes)
        self.index = index

    def _catch_up_users(self) -> None:
        users = self._backend.users
        if users.version() == self._users_version:
            return
        changes = users.since(self._users_version)
        fallen = changes.version < self._users_version
        if fallen:
            changes = users.since(0)
            self.space.keep({record.key for record in changes.put})
            self._segments = {}
        left = set(changes.forgotten)
        back = list(self._gone - left) if fallen else [k for k in changes.recalled if k in self._gone]
        if back:
            self.space.restore(np.array(back, np.uint64))
        self.space.put(changes.put)
        if changes.forgotten:
            self.space.remove(np.array(changes.forgotten, np.uint64))
        self._gone = (self._gone - set(back)) | left
        self.gone = np.array(sorted(self._gone), np.uint64)
        field = self._settings.segment_field
        if field is not None:
            for record in changes.put:
                self._segments[record.key] = segment_of(record, field)
            for key in changes.forgotten:
                self._segments.pop(key, None)
            while len(self._segments) > SEGMENTS:
                del self._segments[next(iter(self._segments))]
        self._users_version = changes.version

    def is_gone(self, key: int) -> bool:
        """Whether the user asked to be forgotten."""
        return key in self._gone

    def are_gone(self, keys: U64) -> NDArray[np.bool_]:
        """bool[n], `is_gone` of each."""
        gone = self.gone
        if not len(gone):
            return np.zeros(len(keys), np.bool_)
        at = np.minimum(np.searchsorted(gone, keys), len(gone) - 1)
        return np.asarray(gone[at] == keys)

    def segment(self, key: int) -> str:
        """The user's segment of popularity, "" for everybody's."""
        return self._segments.get(key, "")

    def segments(self, keys: Sequence[int]) -> list[str]:
        """`segment` of each."""
        get = self._segments.get
        return [get(key, "") for key in keys]

    def table(self) -> Table:
        """The live candidates that can be scored now."""
        now, changes = self.index.now(), self._roster.changes
        held = self._table
        if held is not None and held[0] is now and held[1] == changes:
            return held[2]
        with self._table_lock:
            held = self._table
            if held is not None and held[0] is now and held[1] == changes:
                return held[2]
            if held is not None and (held[0].members, held[1]) == (now.members, changes):
                ids, place = held[2].ids, held[2].place  # as most often: the crowds changed alone
            else:
                live = self._roster.those_of(now.place)
                old, known = ((), {}) if held is None else (held[2].ids, held[2].place)
                stay, new = [c for c in old if c in live], sorted(live.difference(known))
                ids = tuple(sorted(stay + new))  # two runs in order: sorting only merges them
                place = dict(zip(ids, range(len(ids)), strict=True))
            rows = np.fromiter(map(now.place.__getitem__, ids), np.int64, len(ids))
            seeds = now.seeds[rows]
            weight = share_of(seeds, self._settings.blend_n0)
            table = Table(ids, place, now.index, rows, np.argsort(rows), seeds, weight, now)
            self._table = (now, changes, table)
            return table

    def trends(self, table: Table, now: int) -> NDArray[np.float64] | None:
        """float64[C], what is clicked now, up to a second old; None for a model that knows no trend."""
        weights, held = self.weights.trend, self._trends
        if weights is None:
            return None
        if held is not None and held[0] is table and 0 <= now - held[1] < _TREND_MS:
            return held[2]
        crowds, rows = table.crowds, table.rows
        made = logs(later(crowds.recent[rows], (now - crowds.made_at[rows]) / 1000)) @ weights.astype(np.float64)
        self._trends = table, now, made
        return made

    def profiles(self, clock: Clock) -> Profiles:
        """Makes co-click profiles in this model's space."""
        if self._profiles is None:
            self._profiles = Profiles(self._backend, self.space, self._settings, clock)
        return self._profiles

    def snapshot(self, candidate: str) -> Snapshot | None:
        """The crowd of a live candidate; None if it has none."""
        return self.index.snapshot(candidate) if candidate in self._roster else None

    def facts(self, candidate: str) -> Snapshot | None:
        """`snapshot` without its arrays, which costs nothing."""
        now = self.index.now()
        row = now.place.get(candidate) if candidate in self._roster else None
        return None if row is None else now.facts[row]


def segment_of(record: UserRecord, field: str) -> str:
    """The value of a user's segment field as a text, "" where there is none or several."""
    value = record.features.get(field)
    return "" if value is None or isinstance(value, list | tuple | dict) else str(value)
