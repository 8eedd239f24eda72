"""What a server has promised: `Promises`, clicks and other writes with whether they were acknowledged, and what of them
a store holds afterwards.

Every batch starts with a click of a user who clicks nothing else: where that one is, the whole batch must be. So the
right content of the store is known exactly, whatever became of requests that were never answered.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kinfolk.online.clicks import user_keys
from kinfolk.online.ports import Backend

START_MS = 1_700_000_000_000
"""Clicks lie within the hour after it."""

_HOUR_MS = 3_600_000
_MOST = 10_000_000


@dataclass(frozen=True)
class Click:
    """user, candidate: outside ids. time: ms. event_id: its identity, or None."""

    user: str
    candidate: str
    time: int
    event_id: str | None

    def wire(self) -> dict[str, object]:
        """As it is sent."""
        told = {"user": self.user, "candidate": self.candidate, "time": self.time, "event_id": self.event_id}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class Batch:
    """Clicks of one request, each with another identity than any other click ever. The first one's user is its own."""

    clicks: tuple[Click, ...]

    @property
    def mark(self) -> Click:
        """The click by which a batch is known."""
        return self.clicks[0]

    def wire(self) -> list[dict[str, object]]:
        """As it is sent."""
        return [c.wire() for c in self.clicks]


def make_batch(
    rng: np.random.Generator, name: str, users: Sequence[str], candidates: Sequence[str], size: int
) -> Batch:
    """A batch of `size` clicks.

    Args:
        rng: decides all.
        name: of the batch, unlike all others.
        users: known to the model; one click of eight is of somebody unknown.
        candidates: that are clicked.
        size: at least 1.
    """
    # Milliseconds no other batch has would need a ledger; event ids make identities unique where times may repeat.
    times = START_MS + rng.integers(0, _HOUR_MS, size)
    who = rng.integers(0, len(users), size)
    unknown = rng.random(size) < 1 / 8
    what = rng.integers(0, len(candidates), size)
    clicks = []
    for i in range(size):
        user = f"mark-{name}" if i == 0 else f"unknown-{who[i]}" if unknown[i] else users[who[i]]
        event_id = None if i == 0 else f"{name}.{i}"
        clicks.append(Click(user, candidates[what[i]], int(times[i]), event_id))
    return Batch(tuple(clicks))


@dataclass
class Promises:
    """What was sent, by whether it was acknowledged. Filled by several threads."""

    kept: list[Batch] = field(default_factory=list)
    open: list[Batch] = field(default_factory=list)
    seeds: dict[str, list[str]] = field(default_factory=dict)  # candidate -> users, acknowledged
    retired: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    audiences: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, batch: Batch, *, acknowledged: bool) -> None:
        """Note what became of a batch."""
        with self.lock:
            (self.kept if acknowledged else self.open).append(batch)

    def found(self, backend: Backend) -> tuple[list[Batch], list[Batch]]:
        """Of the batches that were not acknowledged, those that are there and those that are not."""
        there, not_there = list[Batch](), list[Batch]()
        held: dict[str, set[int]] = {}
        for batch in self.open:
            mark = batch.mark
            if mark.candidate not in held:
                held[mark.candidate] = set(backend.seeds.recent(mark.candidate, _MOST).user.tolist())
            (key,) = user_keys(backend.secret(), [mark.user]).tolist()
            (there if key in held[mark.candidate] else not_there).append(batch)
        return there, not_there

    def check(self, backend: Backend, candidates: Iterable[str]) -> None:
        """Raises AssertionError unless the store holds every acknowledged click, each of the others as its batch, and
        nothing else: for each candidate the very users, each with the second of their newest click."""
        there, _ = self.found(backend)
        newest: dict[str, dict[str, int]] = defaultdict(dict)
        for batch in [*self.kept, *there]:
            for c in batch.clicks:
                seeds = newest[c.candidate]
                seeds[c.user] = max(seeds.get(c.user, 0), c.time // 1000)
        for candidate in candidates:
            seeds = newest[candidate]
            keys = user_keys(backend.secret(), seeds).tolist()
            wanted = dict(zip(keys, seeds.values(), strict=True))
            got = backend.seeds.recent(candidate, _MOST)
            have = dict(zip(got.user.tolist(), (got.time // 1000).tolist(), strict=True))
            lost, extra = wanted.keys() - have.keys(), have.keys() - wanted.keys()
            moved = [k for k in wanted.keys() & have.keys() if wanted[k] != have[k]]
            said = f"{candidate}: {len(lost)} lost, {len(extra)} extra, {len(moved)} at another time of {len(wanted)}"
            assert not (lost | extra), said
            assert not moved, said
            assert len(got) == len(have) == backend.seeds.count(candidate), f"{candidate}: a user is there twice"
        for candidate, users in self.seeds.items():
            if candidate not in self.retired:
                have_users = set(backend.seeds.recent(candidate, _MOST).user.tolist())
                wanted_users = set(user_keys(backend.secret(), users).tolist())
                assert wanted_users <= have_users, f"{candidate}: {len(wanted_users - have_users)} posted seeds lost"


def check_snapshots(backend: Backend, model: str, k: int, h: int) -> int:
    """Raises AssertionError if a stored snapshot is torn; returns how many there are."""
    changes = backend.snapshots.since(0, model)
    found = list(changes.snapshots)
    while changes.cursor < backend.snapshots.cursor():
        changes = backend.snapshots.since(changes.cursor, model)
        found += changes.snapshots
    for s in found:
        assert s.model == model, s.candidate
        assert (s.centroids.shape, s.sizes.shape, s.global_embedding.shape) == ((k, h), (k,), (h,)), s.candidate
        for array in (s.centroids, s.sizes, s.global_embedding):
            assert np.isfinite(array).all(), s.candidate
        assert 0 <= s.seeds_used <= s.seeds_seen, s.candidate
        assert (s.sizes >= 0).all(), s.candidate
        assert (s.sizes > 0).any() == (s.seeds_used > 0), s.candidate
        assert not s.centroids[s.sizes == 0].any(), f"{s.candidate}: a centroid of nobody"
        assert s.generation <= backend.seeds.generation(), f"{s.candidate}: shows what is not there"
    assert len({s.candidate for s in found}) == len(found)
    return len(found)
