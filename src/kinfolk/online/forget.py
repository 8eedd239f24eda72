"""Leaving: a tombstone that every read honours at once, then the stores are purged of what is left (`Purge`).

A tombstone is the user's key, not their id. Late clicks of its owner are dropped, model changes load it again, and only
`recall`, an admin's explicit act, takes it back.

Purged means: out of the seeds of every candidate, the trails, the features and the stored audiences, and no crowd
stands that was made while the user was among its seeds. Candidates that held the user are clustered anew, at once
where the user was alone in a cluster, for such a centroid is the user's own embedding.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.answers import ForgetStatus
from kinfolk.online.checks import check_id
from kinfolk.online.deployment import Deployment
from kinfolk.online.intake import no_crowd, snapshot_now
from kinfolk.online.served import Served

ALIKE = 1e-5  # squared distance, relative to the vector's own, at which a centroid counts as one user's embedding


class Purge:
    """Takes forgotten users out of the stores, and says when nothing of them is left.

    Args:
        deployment: whose stores.
        tidy: drops the snapshots of models that nobody serves any more; False while some linger.
    """

    def __init__(self, deployment: Deployment, tidy: Callable[[int], bool]) -> None:
        self._d, self._tidy = deployment, tidy
        self._lock = threading.Lock()
        self._pending: dict[int, int] = {}  # key -> generation of the seeds from which on they hold nothing of it
        self._seen: int | None = None  # version of the users at which nothing was pending

    def forget(self, user: str, now: int) -> ForgetStatus:
        """The wish, honoured when this returns; what remains to be purged is `step`'s work."""
        d = self._d
        check_id(user, "the user", d.settings.max_id_length)
        key = d.key(user)
        served = d.served()
        if not served.is_gone(key):
            vectors = self._vectors(key)
            d.backend.users.forget(key, now)
            served = d.served()
            self._purge(key, vectors)
        self.step(now)
        return self.status(user)

    def recall(self, user: str) -> bool:
        """Take the tombstone back; False if there was none. Clicks, features and seeds do not come back."""
        d = self._d
        check_id(user, "the user", d.settings.max_id_length)
        key = d.key(user)
        if not d.served().is_gone(key):
            return False
        with self._lock:
            d.backend.users.recall(key)
            self._pending.pop(key, None)
        d.served()
        return True

    def status(self, user: str) -> ForgetStatus:
        """How far it is."""
        d = self._d
        check_id(user, "the user", d.settings.max_id_length)
        key = d.key(user)
        if not d.served().is_gone(key):
            return ForgetStatus("none")
        asked, purged = d.backend.users.tombstones().get(key, (None, None))
        return ForgetStatus("pending" if purged is None else "purged", asked, purged)

    def step(self, now: int) -> int:
        """Go on with all that is pending, of this process and of those that died; returns how many users are left."""
        d = self._d
        served = d.served()
        version = d.backend.users.version()
        if version == self._seen:
            return 0
        waiting = [key for key, (_, purged) in d.backend.users.tombstones().items() if purged is None]
        with self._lock:
            for key in waiting:
                if key not in self._pending:
                    self._purge_locked(key, {})
            for key in set(self._pending) - set(waiting):
                del self._pending[key]
            if not waiting:
                self._seen = version
                return 0
            if not self._tidy(now):
                return len(waiting)
            oldest = self._oldest_stale(served)
            done = [key for key in waiting if oldest is None or self._pending[key] <= oldest]
            if done:
                d.backend.users.purged(done, now)
                for key in done:
                    self._pending.pop(key, None)
        return len(waiting) - len(done)

    def _oldest_stale(self, served: Served) -> int | None:
        """The lowest generation shown by a crowd whose seeds have changed since; None where none is stale.

        A candidate that is not dirty shows all that happened to it. One that is may still show anybody who was taken
        out of its seeds after the generation of its snapshot.
        """
        dirty = self._d.backend.seeds.dirty()
        served.catch_up()
        shown = [s.generation for s in (served.facts(c) for c in dirty) if s is not None]
        return min(shown, default=None)

    def _purge(self, key: int, vectors: dict[str, NDArray[np.float32]]) -> None:
        with self._lock:
            self._purge_locked(key, vectors)

    def _purge_locked(self, key: int, vectors: dict[str, NDArray[np.float32]]) -> None:
        d = self._d
        keys = np.array([key], np.uint64)
        held = d.backend.seeds.forget(keys)
        d.backend.audiences.forget(keys)
        generation = d.backend.seeds.generation()
        for served in d.models():
            vector = vectors.get(served.model)
            for candidate in held:
                self._renew(served, candidate, vector, generation)
        self._pending[key] = generation

    def _renew(self, served: Served, candidate: str, vector: NDArray[np.float32] | None, generation: int) -> None:
        """Cluster anew at once if a centroid may be the user's own embedding."""
        d = self._d
        old = d.backend.snapshots.latest([candidate], served.model)[0]
        if old is None or not alone(old.centroids, old.sizes, vector):
            return
        made = snapshot_now(d, served, candidate, generation)
        if made is not None:
            d.backend.snapshots.publish([made], None)
        else:  # nobody is left: there is no crowd, and the candidate lives on
            d.backend.snapshots.publish([no_crowd(d, served, candidate, generation)], None)

    def _vectors(self, key: int) -> dict[str, NDArray[np.float32]]:
        out = {}
        for served in self._d.models():
            vectors, known = served.space.embeddings(np.array([key], np.uint64))
            if known[0]:
                out[served.model] = vectors[0]
        return out


def alone(
    centroids: NDArray[np.float32], sizes: NDArray[np.float32], vector: NDArray[np.float32] | None = None
) -> bool:
    """Whether a cluster has one user, or is where this user is; sizes told from a sample do not show the former."""
    if ((sizes > 0) & (sizes < 2)).any():
        return True
    if vector is None:
        return False
    far = ((centroids - vector) ** 2).sum(axis=1)
    return bool(((sizes > 0) & (far <= ALIKE * max(float((vector**2).sum()), 1e-12))).any())
