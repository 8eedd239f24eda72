"""What every route needs: `Context`, which hands it the engine and puts doors before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from pydantic import AfterValidator

from kinfolk.errors import OptionError
from kinfolk.online.ports import Role
from kinfolk.serve import logs
from kinfolk.serve.auth import Guard
from kinfolk.serve.door import Door, KeyFirst
from kinfolk.serve.lane import Lane, questions_at_once
from kinfolk.serve.limits import SLASH
from kinfolk.serve.metrics import Metrics
from kinfolk.serve.problems import NotReadyError, TooLargeError
from kinfolk.serve.wire import LONGEST_ID
from kinfolk.serve.wire_out import Problem
from kinfolk.settings import Settings

if TYPE_CHECKING:
    from kinfolk.online.engine import Engine

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not JSON, or cannot be read."},
    401: {"model": Problem, "description": "No API key, or an unknown one."},
    403: {"model": Problem, "description": "The key's role may not do this."},
    404: {"model": Problem, "description": "There is nothing of that id."},
    408: {"model": Problem, "description": "No more of the body came."},
    409: {"model": Problem, "description": "It does not fit what is there now."},
    413: {"model": Problem, "description": "More than a limit allows."},
    422: {"model": Problem, "description": "Something in it cannot be used."},
    429: {"model": Problem, "description": "Too many requests; Retry-After says how long to wait."},
    503: {"model": Problem, "description": "Not ready, or the store cannot be reached; try again."},
}
"""Refusals that every route may answer with."""


@dataclass
class Context:
    """One server process.

    Args:
        engine: what answers.
        guard: who may ask.
        metrics: what is counted.
        settings: limits and switches.
        clock: ms.
        writes: the threads of clicks and impressions. questions: of feeds, re-rankings and explanations.
        keys: of looking up keys. probes: of /readyz. numbers: of /metrics.
    """

    engine: Engine
    guard: Guard
    metrics: Metrics
    settings: Settings
    clock: Callable[[], int]
    swapping: Lock = field(default_factory=Lock)
    writes: Lane = field(default_factory=lambda: Lane("writes", 16, 512))
    questions: Lane = field(default_factory=lambda: Lane("questions", questions_at_once(), 64))
    keys: Lane = field(default_factory=lambda: Lane("keys", 4, 512))
    probes: Lane = field(default_factory=lambda: Lane("probes", 2, 64))
    numbers: Lane = field(default_factory=lambda: Lane("numbers", 2, 64))
    _was_ready: bool = False

    def ready_engine(self) -> Engine:
        """The engine. Raises NotReadyError until it has loaded its index."""
        if not self._was_ready:
            ready, reason = self.engine.ready()
            if not ready:
                raise NotReadyError(f"not ready yet: {reason}", "ask /readyz, and again in a second")
            self._was_ready = True
        return self.engine

    def refuse(self) -> None:
        """Refuse the calls that wait in a lane."""
        for lane in self._lanes():
            lane.refuse()

    async def close(self) -> None:
        """End the lanes' threads: what waits is refused, what runs has `stop_timeout` to end."""
        seconds = self.settings.stop_timeout
        done = await asyncio.gather(*(lane.close(seconds) for lane in self._lanes()))
        if not all(done):
            logs.logger().warning("some calls do not end", said="they were not acknowledged")

    def _lanes(self) -> tuple[Lane, ...]:
        return self.writes, self.questions, self.keys, self.probes, self.numbers

    def router(self, tag: str, role: Role | None = None) -> APIRouter:
        """A router whose routes ask for the key first; for a role, if all of them need the same."""
        return APIRouter(tags=[tag], dependencies=[] if role is None else [self.need(role)], route_class=KeyFirst)

    def need(self, role: Role) -> Any:
        """A dependency that lets a request in if its key has the role."""
        return Door(self.guard, self.keys, role).dependency()

    def check_list(self, n: int, what: str, most: int | None = None) -> None:
        """Raises TooLargeError beyond a limit (default: `max_list`)."""
        most = self.settings.max_list if most is None else most
        if n > most:
            raise TooLargeError(f"{n} {what}, at most {most} are taken at once", "send several requests")

    def page_size(self, limit: int) -> int:
        """A page's length. Raises OptionError beyond `max_page`."""
        if limit > self.settings.max_page:
            raise OptionError(f"limit is {limit}, at most {self.settings.max_page}", "ask for several pages")
        return limit


def _with_slashes(value: str) -> str:
    return value.replace(SLASH, "/")


PathId = Annotated[
    str,
    Path(min_length=1, max_length=LONGEST_ID, examples=["a7"], description="Outside id, URL-encoded."),
    AfterValidator(_with_slashes),
]
