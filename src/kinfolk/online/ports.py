"""What the live half needs of a database, as few methods as the job needs: one `Backend`, opened by URL.

Every method is synchronous and may be called from any thread. What returns is durable: it survives the kill of this
process and of the store. Times are int64 milliseconds since 1970 UTC and always arguments. `kinfolk.testing.ports`
holds the suites that every backend passes, on a real server where it has one. The values they speak in are written in
`records.py`, the two ports that grow with clicks in `crowd_ports.py`; both are imported from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import KinfolkError
from kinfolk.online.crowd_ports import SeedStore, SnapshotStore
from kinfolk.online.records import (
    Appended,
    Audience,
    Candidate,
    Changes,
    JobState,
    Json,
    Key,
    Members,
    Role,
    Snapshot,
    StoreOptions,
    UserChanges,
    UserRecord,
)

__all__ = [
    "Appended",
    "Audience",
    "AudienceStore",
    "Backend",
    "Candidate",
    "CandidateStore",
    "Changes",
    "CounterStore",
    "FenceError",
    "JobState",
    "Json",
    "Key",
    "KeyStore",
    "Lease",
    "Members",
    "Role",
    "SeedStore",
    "SettingStore",
    "Snapshot",
    "SnapshotStore",
    "StoreError",
    "StoreOptions",
    "UserChanges",
    "UserRecord",
    "UserStore",
]


class StoreError(KinfolkError):
    """A store is unreachable, full, of another format, or refuses a write."""


class FenceError(StoreError):
    """Another holder has taken the lease: what was to be written is stale."""


class CandidateStore(Protocol):
    """Which candidates there are; retired ones stay known, so that late clicks do not bring them back."""

    def put(self, candidates: Sequence[Candidate]) -> int:
        """Create or replace; returns `version` after it."""

    def add(self, candidates: Sequence[Candidate]) -> int:
        """Create those of which nothing is known; what is there, retired or not, stays as it is. Returns `version`
        after it."""

    def get(self, ids: Sequence[str]) -> list[Candidate | None]:
        """In the given order."""

    def page(self, after: str, limit: int, *, live: bool = True) -> list[Candidate]:
        """Sorted by id, those after `after` ("" for the first page); only those not retired if `live`."""

    def retire(self, ids: Sequence[str], now: int) -> int:
        """Mark as retired; returns `version` after it."""

    def expire(self, ids: Sequence[str], now: int) -> list[str]:
        """Mark as retired those that live and whose `expires_at` is `now` or before, and return them: what another
        process has given more time, or has retired, is not among them."""

    def version(self) -> int:
        """Rises with every change, cheap."""

    def since(self, version: int) -> tuple[list[Candidate], int]:
        """Candidates created, replaced or retired after a version, as they are now, and the version read up to; 0
        gives all that are not retired. Each request asks this where `version` moved, so it costs what changed."""


class UserStore(Protocol):
    """Users that came after training, and tombstones of those who left."""

    def put(self, users: Sequence[UserRecord]) -> int:
        """Create or replace; returns `version` after it."""

    def get(self, key: int) -> UserRecord | None:
        """None if there is none."""

    def page(self, after: int, limit: int) -> list[UserRecord]:
        """Sorted by key, those after `after` (-1 for the first page)."""

    def forget(self, key: int, now: int) -> int:
        """Remove the record and leave a tombstone; returns `version` after it."""

    def recall(self, key: int) -> int:
        """Take a tombstone back (an admin's explicit act); returns `version` after it."""

    def tombstones(self) -> dict[int, tuple[int, int | None]]:
        """key -> (ms of the wish, ms at which all stores were purged or None)."""

    def purged(self, keys: Sequence[int], now: int) -> None:
        """Note that nothing of these users is left anywhere."""

    def version(self) -> int:
        """Rises with every change, cheap."""

    def since(self, version: int) -> UserChanges:
        """What changed after a version; 0 gives every record and every tombstone. It costs what changed."""


class AudienceStore(Protocol):
    """Audience jobs and their members; a job whose worker died is claimed again when its claim has run out."""

    def create(self, audience: Audience) -> None:
        """Raises StoreError if the id is taken."""

    def claim(self, worker: str, now: int, ttl: int) -> Audience | None:
        """The oldest pending job, or a running one whose claim ran out; now running, its parts removed."""

    def renew(self, id: str, worker: str, now: int, ttl: int) -> bool:
        """Keep a claim; False if it was lost."""

    def write_part(self, id: str, worker: str, part: int, members: Members) -> None:
        """Parts count from 0, in order. Raises FenceError if the claim was lost."""

    def finish(self, id: str, worker: str, state: JobState, facts: Json) -> None:
        """Raises FenceError if the claim was lost."""

    def get(self, id: str) -> Audience | None:
        """None if there is none."""

    def page(self, after: str, limit: int) -> list[Audience]:
        """Sorted by id."""

    def part(self, id: str, part: int) -> Members | None:
        """None if there is none."""

    def of_user(self, key: int) -> list[str]:
        """Ids of ready audiences that hold the user."""

    def forget(self, keys: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> int:
        """Remove users from all members; returns how many rows went. meanwhile: as `SeedStore.forget` calls it."""

    def delete(self, id: str) -> bool:
        """False if it was not there."""


class CounterStore(Protocol):
    """Impressions and clicks by hour, for fall-backs and reports."""

    def add(self, what: Literal["impressions", "clicks"], hour: int, counts: Mapping[tuple[str, str], int]) -> None:
        """counts: (segment, candidate) -> number; hour: ms // 3,600,000. The segment "" is everybody."""

    def totals(self, what: Literal["impressions", "clicks"], since_hour: int) -> dict[tuple[str, str], int]:
        """(segment, candidate) -> number since that hour."""

    def drop_before(self, hour: int) -> None:
        """Remove older hours."""


class KeyStore(Protocol):
    """API keys."""

    def put(self, key: Key) -> None:
        """Create or replace by digest."""

    def find(self, digest: str) -> Key | None:
        """None if there is none."""

    def list(self) -> list[Key]:
        """Sorted by name."""

    def revoke(self, name: str) -> bool:
        """Remove all keys of a name; False if there was none."""


class SettingStore(Protocol):
    """A few values that all processes of a deployment agree on, such as the bundle that is served."""

    def get(self, name: str) -> str | None:
        """None if it was never put."""

    def put(self, name: str, value: str) -> int:
        """Durably; returns `version` after it."""

    def version(self) -> int:
        """Rises with every change, cheap enough for every request."""


class Lease(Protocol):
    """Who may do what only one may do.

    Where only one process at a time can have a store open, whoever opens it has outlived all holders: leases and claims
    of audience jobs are free, as after they ran out.
    """

    def acquire(self, name: str, owner: str, now: int, ttl: int) -> int | None:
        """A fence number, higher than any before of that name; None while another holds it. Own leases are renewed
        and keep their number."""

    def renew(self, name: str, owner: str, now: int, ttl: int) -> bool:
        """Keep it, also one that ran out and that nobody else has taken since; False if it was lost."""

    def release(self, name: str, owner: str) -> None:
        """Nothing happens if it is not held."""


class Backend(Protocol):
    """All ports of one store."""

    seeds: SeedStore
    snapshots: SnapshotStore
    candidates: CandidateStore
    users: UserStore
    audiences: AudienceStore
    counters: CounterStore
    keys: KeyStore
    settings: SettingStore
    leases: Lease

    @property
    def url(self) -> str:
        """Without any password."""

    @property
    def shared(self) -> bool:
        """Whether several processes may serve from it at once."""

    def secret(self) -> bytes:
        """The deployment's 32 random bytes that user keys are made with, drawn once by the first who asks."""

    def ping(self) -> None:
        """Raises StoreError unless a write would succeed now."""

    def warnings(self) -> list[str]:
        """What an operator should know, e.g. that a power cut can lose clicks; said at start."""

    def close(self) -> None:
        """Flush and let go."""
