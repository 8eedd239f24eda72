"""What all questions share: the stores, the clock, which candidates live and which model is served: `Deployment`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from kinfolk.bundle import Bundle
from kinfolk.online.answers import NotFoundError
from kinfolk.online.clicks import user_key
from kinfolk.online.clock import Clock
from kinfolk.online.counts import Counts
from kinfolk.online.fallback import Popularity
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Backend
from kinfolk.online.retire import clear
from kinfolk.online.roster import Roster
from kinfolk.online.served import Served


class Deployment:
    """One process's view of a deployment.

    Args:
        backend: the stores.
        bundle: the model to start with.
        settings: how the live half behaves.
        clock: ms.
    """

    def __init__(self, backend: Backend, bundle: Bundle, settings: EngineSettings, clock: Clock) -> None:
        self.backend, self.settings, self.clock = backend, settings, clock
        self.secret = backend.secret()
        self.roster = Roster(backend.candidates)
        self.counts = Counts(backend.counters)
        self.popularity = Popularity(
            backend.counters,
            span_ms=settings.popularity_ms,
            every_ms=settings.popularity_every_ms,
            prior=settings.segment_prior,
        )
        self.changed: Callable[[], None] | None = None  # called where another process may have switched the model
        self._settings_version = -1
        self._retiring = threading.Lock()
        self.expired = 0  # candidates that this process has retired because their time had come
        self.roster.catch_up()
        self.model = self.opened(bundle)
        self.preparing: Served | None = None  # the model about to be served
        self.model.catch_up()

    def opened(self, bundle: Bundle) -> Served:
        """A bundle beside the one that is served."""
        return Served(self.backend, bundle, self.secret, self.settings, self.roster)

    def served(self) -> Served:
        """The model to answer a request from, as new as the newest acknowledged write of any process."""
        self.roster.catch_up()
        now = self.clock()
        if self.roster.due(now):
            self._expire(now)
        if self.changed is not None:
            version = self.backend.settings.version()
            if version != self._settings_version:
                self.changed()
                self._settings_version = version
        served = self.model
        served.catch_up()
        return served

    def models(self) -> list[Served]:
        """The model that is served and the one about to be."""
        preparing = self.preparing
        return [self.model] if preparing is None else [self.model, preparing]

    def retire(self, candidates: Sequence[str], now: int) -> int:
        """Retire candidates for good: no snapshot, no seeds; returns the version of the candidates after it."""
        if not candidates:
            return self.roster.version
        version = self.backend.candidates.retire(candidates, now)
        clear(self, candidates)
        return version

    def _expire(self, now: int) -> None:
        """Retire the candidates whose time has come, but for those that another process has given more of it."""
        with self._retiring:
            self.roster.catch_up()
            expired = self.backend.candidates.expire(self.roster.due(now), now)
            clear(self, expired)
            self.expired += len(expired)

    def key(self, user: str) -> int:
        """The key of an outside user id."""
        return user_key(self.secret, user)

    def live(self, candidate: str) -> None:
        """Raises NotFoundError unless the candidate lives; call it after `served`."""
        if candidate not in self.roster:
            state = self.roster.states([candidate])[candidate]
            if state == "retired":
                raise NotFoundError(
                    f"candidate {candidate!r} is retired", "PUT it again to bring it back, without seeds"
                )
            if state == "unknown":
                raise NotFoundError(f"there is no candidate {candidate!r}", "PUT it, or post its first seeds")
