"""The values that go in and out of the stores: frozen, without behaviour. Import them from `kinfolk.online.ports`.

Times are int64 milliseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Json = Mapping[str, object]
Role = Literal["reader", "writer", "admin"]
JobState = Literal["pending", "running", "ready", "too_few_seeds", "failed"]


@dataclass(frozen=True)
class Appended:
    """new: clicks that were not there. duplicates: clicks that were. generation: of the seeds after this write."""

    new: int
    duplicates: int
    generation: int


@dataclass(frozen=True)
class Snapshot:
    """The crowd of one candidate, ready to score; immutable.

    Args:
        candidate: outside id.
        model: version of the bundle in whose space the vectors are.
        made_at: ms.
        seeds_seen: distinct users in the store when it was made.
        seeds_used: those among them with an embedding, from which clusters were made.
        generation: of the seeds that it shows.
        centroids: float32[k, h], valid clusters first, zeros after them.
        sizes: float32[k], users in each cluster; 0 is padding.
        global_embedding: float32[h].
        inertia: mean squared distance of the seeds used to their centroids.
        recent: float32[4], clicks that count exp(-age / decay), as of `made_at` (`lookalike.trend`).
        items: int32[p] numbers of what the seeds clicked, too, the weightiest first (`lookalike.coclick.Profile`).
        item_weights: float32[p].
    """

    candidate: str
    model: str
    made_at: int
    seeds_seen: int
    seeds_used: int
    generation: int
    centroids: NDArray[np.float32]
    sizes: NDArray[np.float32]
    global_embedding: NDArray[np.float32]
    inertia: float = 0.0
    recent: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    items: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    item_weights: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def arrays(self) -> tuple[NDArray[np.float32] | NDArray[np.int32], ...]:
        """Everything but numbers and names, in the order in which stores write it."""
        return self.centroids, self.sizes, self.global_embedding, self.recent, self.items, self.item_weights


@dataclass(frozen=True)
class Changes:
    """What happened after a cursor: new snapshots (the latest of each candidate), retired ids, and the cursor up to
    which this tells it."""

    snapshots: list[Snapshot]
    retired: list[str]
    cursor: int


@dataclass(frozen=True)
class Candidate:
    """id: outside id. created_at, expires_at: ms, None: never. retired_at: ms or None. meta: what the caller gave."""

    id: str
    created_at: int
    expires_at: int | None = None
    retired_at: int | None = None
    meta: Json = field(default_factory=dict)


@dataclass(frozen=True)
class UserRecord:
    """key: user key. id: outside id. features: field -> value as given. updated_at: ms."""

    key: int
    id: str
    features: Json
    updated_at: int


@dataclass(frozen=True)
class UserChanges:
    """What happened after a version, as it is now: records put, keys forgotten, keys whose tombstone was taken back."""

    put: list[UserRecord]
    forgotten: list[int]
    recalled: list[int]
    version: int


@dataclass(frozen=True)
class Audience:
    """A stored audience: its question and, once ready, its facts (size, matched, missing, model version, reach curve).

    parts: how many parts are written.
    """

    id: str
    state: JobState
    question: Json
    created_at: int
    facts: Json = field(default_factory=dict)
    parts: int = 0


@dataclass(frozen=True)
class Members:
    """A slice of an audience, best first. ids: tuple of str. keys: uint64[n]. scores: float32[n]."""

    ids: tuple[str, ...]
    keys: NDArray[np.uint64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Key:
    """An API key. digest: hex of its SHA-256, the key itself is nowhere. per_second: requests allowed, 0 for any."""

    digest: str
    name: str
    role: Role
    created_at: int
    per_second: float = 0.0


@dataclass(frozen=True)
class StoreOptions:
    """What every backend is opened with.

    max_seeds: newest distinct users kept of a candidate. remember_ms: for how long identities of clicks, and trails,
    are remembered. trail_length: own clicks of a user that are given back.
    """

    max_seeds: int = 3_000_000
    remember_ms: int = 3_600_000
    trail_length: int = 50
