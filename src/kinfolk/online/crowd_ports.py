"""The ports that grow with clicks: who clicked what (`SeedStore`) and the crowds made of it (`SnapshotStore`).

Part of `kinfolk.online.ports`, which says what holds for all of them and is where they are imported from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.online.clicks import Clicks, Seeds
from kinfolk.online.records import Appended, Changes, Snapshot


class SeedStore(Protocol):
    """Who clicked what: the newest `max_seeds` distinct users of every candidate, and each user's own last clicks."""

    def append(self, clicks: Clicks, now: int) -> Appended:
        """Keep clicks, all or none, durably. A click whose identity arrived within the last `remember` is dropped.

        A second click of a user moves them to its time if that is later; late clicks land where their time puts them.
        Callers drop clicks of forgotten users and retired candidates before.
        """

    def recent(self, candidate: str, limit: int) -> Seeds:
        """The newest `limit` distinct users, oldest first. Empty for an unknown candidate."""

    def count(self, candidate: str) -> int:
        """Distinct users kept."""

    def trail(self, user: int, limit: int) -> tuple[list[str], NDArray[np.int64]]:
        """Items a user clicked within about the last `remember` and their times (ms), oldest first, distinct items."""

    def trails(self, users: NDArray[np.uint64], limit: int) -> tuple[list[str], Jagged]:
        """About the newest `limit` items of each of many users, distinct, in no order: what a `trail` shows, cheaper.

        Returns:
            Distinct item ids, and a row of int32 places in them for every user.
        """

    def generation(self) -> int:
        """Number of the newest write; it never falls."""

    def dirty(self) -> dict[str, int]:
        """Candidates whose seeds changed since they were last `clean`, with the generation of the last change."""

    def clean(self, seen: Mapping[str, int]) -> None:
        """Candidates of which somebody has seen all up to a generation, the same as `dirty` names or an older one: not
        dirty any more, but for those to which something newer came meanwhile. It costs one write, not one each."""

    def forget(self, users: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> list[str]:
        """Remove users from every candidate and drop their trails; returns the candidates that held one (now dirty).

        `meanwhile` is called again and again on the way, on the caller's thread, at least by a store that several
        processes share; it may write to ports, and what it raises ends this half-way, with nothing that went unmarked.
        """

    def drop(self, candidate: str, still: Callable[[], bool] | None = None) -> None:
        """Forget all seeds of a candidate, if `still` (None: in any case) says that they are to go.

        What comes after `still` was asked stays, so seeds that follow upon a change of what it reads are never lost.
        It may be asked several times, on any thread, and may read every port but write to none.
        """

    def stats(self) -> dict[str, int]:
        """At least `candidates`, `seeds` (distinct kept, all candidates) and `bytes`; may be some seconds old."""


class SnapshotStore(Protocol):
    """The latest snapshot of every candidate and model version."""

    def publish(self, snapshots: Sequence[Snapshot], fence: int | None) -> int:
        """Put snapshots in place, each whole or not at all; returns the cursor after it.

        With `fence`, of the refresher's lease: raises FenceError if a higher one has published. Without, the first
        snapshot of a new candidate made on the spot: it is put in place only where no snapshot of that candidate and
        model shows an equal or newer generation. A fenced one, too, never replaces one of a newer generation. Retired
        candidates are left out silently.
        """

    def latest(self, candidates: Sequence[str], model: str) -> list[Snapshot | None]:
        """In the given order, None where there is none."""

    def cursor(self) -> int:
        """Number of the newest change, cheap enough for every request; it never falls."""

    def since(self, cursor: int, model: str) -> Changes:
        """What changed for a model version after a cursor, oldest first; 0 gives everything.

        A store may tell a part, whose `cursor` is then below its own: ask again with that.
        """

    def retire(self, candidate: str) -> int:
        """Remove a candidate's snapshots of all versions for good until `revive`; returns the cursor after it."""

    def revive(self, candidate: str) -> None:
        """Let a retired candidate have snapshots again."""

    def drop_models(self, keep: Sequence[str]) -> None:
        """Remove snapshots of all model versions but these."""
