"""The one who clusters: `Refresher` turns changed seeds into published snapshots, one in the whole deployment.

Whoever holds the lease works; the others stand by and take over when it runs out. A candidate is `clean` only once its
snapshot is published, so whatever a kill interrupts is dirty still and done by the next holder. Each publication
carries the lease's fence: a holder who was away too long is refused by the store.

The lease is renewed while the holder works, store by store and crowd by crowd, and one that ran out while nobody else
wanted it is kept: whatever a round has to do, it comes to its end.

A round goes in slices: some crowds are read, clustered and published, then the next. So memory holds a slice however
many seeds there are, requests find a core and a lock between two slices, and what they then catch up with is short.

A round also takes forgotten users out of seeds and audiences, and drops old counters.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from kinfolk.online.clock import Clock, due
from kinfolk.online.crowd import Crowd, emptied
from kinfolk.online.following import follow_seeds
from kinfolk.online.held_lease import HeldLease
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Backend, FenceError, Snapshot
from kinfolk.online.profiles import Profiles
from kinfolk.online.retire import drop_retired
from kinfolk.online.space import Space

LEASE = "refresher"
COUNTERS_KEPT_MS = 90 * 24 * 3_600_000
"""Impressions and clicks by hour are kept for so long."""

_HOUR_MS = 3_600_000
_SLICE = 24  # candidates
_POINTS = 1 << 15  # seeds of a slice, but for the last candidate's; 16 MB of embeddings where h is 128
_PAGE = 1000  # candidates looked through at once
_BARREN = 1024  # candidates without an embedding, at which those that have retired are first looked for

_log = logging.getLogger("kinfolk.online")


class Refresher:
    """One process's part in refreshing.

    Args:
        backend: the stores.
        space: the users of the model that is served now; asked anew for every round.
        settings: `refresh_every_ms`, `max_seeds`, `max_sample`, `follow_users`, `trail_length`, `threads`, `poll_ms`.
        clock: ms.
        owner: of the lease, distinct among processes.
        lease_ms: after so long without a sign of life another process takes over; None is as the settings say.
        note_purged: note forgotten users as purged after a whole round. An engine does that itself, for it knows
            whether snapshots of an older model are left.
    """

    def __init__(
        self,
        backend: Backend,
        space: Callable[[], Space],
        settings: EngineSettings,
        clock: Clock,
        *,
        owner: str | None = None,
        lease_ms: int | None = None,
        note_purged: bool = False,
    ) -> None:
        self._backend, self._space, self._settings, self._clock = backend, space, settings, clock
        self.owner = owner or f"refresher-{secrets.token_hex(8)}"
        lease_ms = settings.lease_ms if lease_ms is None else lease_ms
        self._lease = HeldLease(backend.leases, LEASE, self.owner, lease_ms, clock)
        self._note_purged = note_purged
        self._turn = threading.Lock()
        self._halted = threading.Event()
        self._thread: threading.Thread | None = None
        self._begun: int | None = None  # the last round
        self._whole: int | None = None  # the start of the last round that left nothing undone
        self._barren: dict[str, int] = {}  # candidates none of whose seeds has an embedding, and their generation
        self._sweep_at = _BARREN
        self._users_version = -1  # of the users whom the last whole round knew
        self._surveyed: tuple[int | None, str] | None = None  # the fence and the model `_barren` is complete for
        self._profiles: Profiles | None = None
        self._counted = dict.fromkeys(("rounds", "published", "lost", "errors", "duration_ms", "dirty"), 0)

    def run_once(self) -> int:
        """One turn: keep or ask for the lease and, if it is held and a round is due, make the round.

        Returns:
            How many snapshots were published; 0 where another holds the lease or no round is due.

        Raises:
            StoreError: a store fails; what was not published is dirty still, and the next turn begins anew.
        """
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            now = self._clock()
            if not self._leads(now):
                return 0
            if not due(self._begun, self._settings.refresh_every_ms, now):
                return 0
            self._begun = now
            try:
                return self._round(now)
            except FenceError:
                self._lease.fence, self._begun = None, None
                self._counted["lost"] += 1
                return 0
            except BaseException:
                self._begun = None
                raise
        finally:
            self._turn.release()

    def halt(self) -> None:
        """Let a round that runs end after the slice it is at; what it leaves is dirty still."""
        self._halted.set()

    def release(self) -> None:
        """Hand the lease over, after the round that runs."""
        with self._turn:
            self._lease.release()
            self._begun = None

    def start(self) -> None:
        """Take turns in a thread of its own until `stop`; nothing happens if it runs."""
        if self._thread is None:
            self._halted.clear()
            self._thread = threading.Thread(target=self._loop, name="kinfolk-refresher", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the slice it is at, and hand the lease over."""
        self.halt()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.release()

    def stats(self) -> dict[str, float]:
        """Numbers for metrics.

        `leads` (1: holds the lease), `lag_ms` (every click older than that is shown; since this process leads),
        `duration_ms` and `dirty` (of the last round), and counts since the start: `rounds`, `published`, `errors` of
        the thread, `lost` leases.
        """
        leads = self._lease.fence is not None
        since = self._clock() - self._whole if leads and self._whole is not None else 0
        return {
            "leads": float(leads),
            "lag_ms": float(max(0, since)),
            **{k: float(v) for k, v in self._counted.items()},
        }

    def _loop(self) -> None:
        while not self._halted.is_set():
            try:
                self.run_once()
            except Exception as e:  # a store that is away for a while must not end the thread
                self._counted["errors"] += 1
                _log.warning("the refresher failed: %s", type(e).__name__)  # a message might hold an id
            self._halted.wait(self._settings.poll_ms / 1000)

    def _leads(self, now: int) -> bool:
        if self._lease.ask(now):  # lost, or taken over: what the last holder left is due
            self._begun, self._whole = None, None
        return self._lease.fence is not None

    def _round(self, now: int) -> int:
        users_version = self._backend.users.version()  # before the space, which may know of more, never of less
        space, stores = self._space(), self._backend
        gone = self._purge()
        self._survey(space)
        waiting = self._barren if users_version != self._users_version else {}
        dirty = waiting | stores.seeds.dirty()
        grown = not self._leaving()  # asked after `dirty`: whoever left before is still to be purged, and seen here
        published, whole = 0, True
        for part in self._slices(space, sorted(dirty.items(), key=lambda item: item[1]), grown):
            published += self._publish(space, part)
            if self._space() is not space or self._halted.is_set():
                whole = False  # the rest stays dirty
                break
        stores.counters.drop_before((now - COUNTERS_KEPT_MS) // _HOUR_MS)
        if whole:
            self._whole, self._users_version = now, users_version
            if gone and self._note_purged:
                stores.users.purged(gone, now)
        self._counted["rounds"] += 1
        self._counted["duration_ms"] = self._clock() - now
        self._counted["dirty"] = len(dirty)
        return published

    def _slices(self, space: Space, dirty: Sequence[tuple[str, int]], grown: bool) -> Iterator[list[Crowd]]:
        """Live candidates with their seeds, those that have waited longest first."""
        stores = self._backend
        crowds: list[Crowd] = []
        points = 0
        for first in range(0, len(dirty), _SLICE):
            self._lease.keep()
            part = dirty[first : first + _SLICE]
            names = [name for name, _ in part]
            there, shown = stores.candidates.get(names), stores.snapshots.latest(names, space.model)
            for (name, generation), candidate, warm in zip(part, there, shown, strict=True):
                if candidate is None:
                    continue  # no candidate yet; it stays dirty until it is one
                self._lease.keep()
                if candidate.retired_at is not None:
                    drop_retired(stores, name)  # clicks that were on their way when it was
                    self._barren.pop(name, None)
                    continue
                seeds = stores.seeds.recent(name, self._settings.max_seeds)
                crowds.append(Crowd(name, seeds, generation, warm, grown))
                points += len(crowds[-1].seeds)
                if len(crowds) >= _SLICE or points >= _POINTS:
                    yield crowds
                    crowds, points = [], 0
        if crowds:
            yield crowds

    def _publish(self, space: Space, crowds: Sequence[Crowd]) -> int:
        s, stores = self._settings, self._backend
        now = self._clock()
        if s.follow_users:
            follow_seeds(space, stores.seeds, crowds, s.trail_length)
            self._lease.keep()
        profiles = self._profiles_of(space).of(crowds)
        crowds = [replace(crowd, profile=profile) for crowd, profile in zip(crowds, profiles, strict=True)]
        self._lease.keep()
        made = space.snapshots(crowds, made_at=now, max_sample=s.max_sample, threads=s.threads)
        out: list[Snapshot] = []
        for crowd, snapshot in zip(crowds, made, strict=True):
            if snapshot is not None:
                out.append(snapshot)
            elif crowd.warm is not None and crowd.warm.seeds_used:  # nobody of those it shows is left
                out.append(emptied(crowd, crowd.warm, now))
        self._lease.renew()
        if out:
            stores.snapshots.publish(out, self._lease.fence)
        for crowd, snapshot in zip(crowds, made, strict=True):  # only now: what failed is waiting still
            if snapshot is not None:
                self._barren.pop(crowd.candidate, None)
            else:
                self._barren[crowd.candidate] = crowd.generation
        if self._space() is space:  # else the model was changed, and in its space this is not shown
            stores.seeds.clean({crowd.candidate: crowd.generation for crowd in crowds})
        self._counted["published"] += len(out)
        return len(out)

    def _profiles_of(self, space: Space) -> Profiles:
        if self._profiles is None or self._profiles.space is not space:
            self._profiles = Profiles(self._backend, space, self._settings, self._clock)
        return self._profiles

    def _survey(self, space: Space) -> None:
        """Bring `_barren` in line: who has just got the lease, or a new model, does not know who waits for a crowd.

        The stores hold such candidates as clean, for nothing about their seeds is new; it is users who come later.
        """
        stores = self._backend
        if self._surveyed != (self._lease.fence, space.model):
            found: dict[str, int] = {}
            generation = stores.seeds.generation()  # before the seeds are read: what comes later is dirty by itself
            after = ""
            while page := stores.candidates.page(after, _PAGE):
                shown = stores.snapshots.latest([candidate.id for candidate in page], space.model)
                for candidate, crowd in zip(page, shown, strict=True):
                    if (crowd is None or not crowd.seeds_used) and stores.seeds.count(candidate.id):
                        found[candidate.id] = generation
                after = page[-1].id
                self._lease.renew()
            self._barren, self._users_version = found, -1
            self._surveyed = self._lease.fence, space.model
        elif len(self._barren) > self._sweep_at:
            there = zip(self._barren.items(), stores.candidates.get(list(self._barren)), strict=True)
            self._barren = dict(item for item, c in there if c is not None and c.retired_at is None)
            self._sweep_at = max(_BARREN, 2 * len(self._barren))

    def _purge(self) -> list[int]:
        """Take forgotten users out of seeds and audiences; their candidates are dirty then. Returns their keys."""
        gone = self._leaving()
        if gone:
            keys = np.array(gone, np.uint64)
            self._backend.seeds.forget(keys, self._lease.keep)
            self._backend.audiences.forget(keys, self._lease.keep)
            self._lease.keep()
        return gone

    def _leaving(self) -> list[int]:
        """Keys of forgotten users of whom something may be left."""
        return [key for key, (_, purged) in self._backend.users.tombstones().items() if purged is None]
