"""Audience jobs and members in a dict: the AudienceStore of `memory:`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.ports import Audience, FenceError, JobState, Json, Members, StoreError


@dataclass
class _Job:
    audience: Audience
    members: list[Members]
    worker: str = ""
    until: int = 0


class MemoryAudiences:
    """See `kinfolk.online.ports.AudienceStore`."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._jobs: dict[str, _Job] = {}

    def create(self, audience: Audience) -> None:
        """As the port says."""
        with self._lock:
            if audience.id in self._jobs:
                raise StoreError(f"there is an audience {audience.id} already", "choose another id")
            self._jobs[audience.id] = _Job(audience, [])

    def claim(self, worker: str, now: int, ttl: int) -> Audience | None:
        """As the port says."""
        with self._lock:
            for job in self._jobs.values():
                state = job.audience.state
                if state == "pending" or (state == "running" and job.until <= now):
                    job.worker, job.until, job.members = worker, now + ttl, []
                    job.audience = replace(job.audience, state="running", parts=0)
                    return job.audience
            return None

    def renew(self, id: str, worker: str, now: int, ttl: int) -> bool:
        """As the port says."""
        with self._lock:
            job = self._jobs.get(id)
            if job is None or job.audience.state != "running" or job.worker != worker or job.until <= now:
                return False
            job.until = now + ttl
            return True

    def _claimed(self, id: str, worker: str) -> _Job:
        job = self._jobs.get(id)
        if job is None or job.audience.state != "running" or job.worker != worker:
            raise FenceError(f"audience {id} is not this worker's any more", "drop the work, another does it")
        return job

    def write_part(self, id: str, worker: str, part: int, members: Members) -> None:
        """As the port says; raises StoreError out of order."""
        with self._lock:
            job = self._claimed(id, worker)
            if part != len(job.members):
                raise StoreError(
                    f"audience {id} has {len(job.members)} parts, part {part} does not come next", "write in order"
                )
            job.members.append(members)
            job.audience = replace(job.audience, parts=len(job.members))

    def finish(self, id: str, worker: str, state: JobState, facts: Json) -> None:
        """As the port says."""
        with self._lock:
            job = self._claimed(id, worker)
            job.audience = replace(job.audience, state=state, facts=dict(facts))

    def get(self, id: str) -> Audience | None:
        """As the port says."""
        job = self._jobs.get(id)
        return None if job is None else job.audience

    def page(self, after: str, limit: int) -> list[Audience]:
        """As the port says."""
        with self._lock:
            return [self._jobs[id].audience for id in sorted(i for i in self._jobs if i > after)[:limit]]

    def part(self, id: str, part: int) -> Members | None:
        """As the port says."""
        with self._lock:
            job = self._jobs.get(id)
            return job.members[part] if job is not None and 0 <= part < len(job.members) else None

    def of_user(self, key: int) -> list[str]:
        """As the port says."""
        with self._lock:
            ready = sorted(id for id, job in self._jobs.items() if job.audience.state == "ready")
            return [id for id in ready if any((m.keys == np.uint64(key)).any() for m in self._jobs[id].members)]

    def forget(self, keys: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> int:
        """As the port says."""
        gone = 0
        with self._lock:
            for job in self._jobs.values():
                if meanwhile is not None:
                    meanwhile()
                for part, m in enumerate(job.members):
                    keep = np.flatnonzero(~np.isin(m.keys, keys))
                    gone += len(m.keys) - len(keep)
                    job.members[part] = Members(tuple(m.ids[i] for i in keep), m.keys[keep], m.scores[keep])
        return gone

    def delete(self, id: str) -> bool:
        """As the port says."""
        with self._lock:
            return self._jobs.pop(id, None) is not None
