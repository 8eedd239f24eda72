"""Work beside the event loop, so many calls at once and so many waiting: `Lane`.

Kinds of work that would hold each other up have a lane each. Beyond what may wait a request is refused at once, with
503 and Retry-After: an answer after seconds helps nobody, and a queue that only grows answers nobody any more.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from kinfolk.serve.problems import NotReadyError

P = ParamSpec("P")
T = TypeVar("T")
_LOOK_S = 0.01


class Lane:
    """Threads of one kind of work. For one event loop.

    Args:
        name: of the work, for threads and refusals.
        at_once: calls that run.
        waiting: calls that may wait.
    """

    def __init__(self, name: str, at_once: int, waiting: int) -> None:
        self.name, self.at_once, self.waiting = name, at_once, waiting
        self._pool: ThreadPoolExecutor | None = None
        self._under_way = 0

    async def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns or raises. A caller that goes away does not stop it.

        Raises:
            NotReadyError: too many wait, or the lane was closed before the call began.
        """
        if self._under_way >= self.at_once + self.waiting:
            raise NotReadyError(f"{self.waiting} {self.name} are waiting", "send again in a second, and slower")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.at_once, f"kinfolk-{self.name}")
        submitted = self._pool.submit(work, *args, **kwargs)
        future = asyncio.wrap_future(submitted)
        self._under_way += 1
        future.add_done_callback(self._done)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if submitted.cancelled():  # by `close`, before it began
                raise NotReadyError("the server is stopping", "send again in a second") from None
            raise

    def _done(self, future: asyncio.Future[T]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # looked at: whoever asked may be gone, and asyncio would complain

    def refuse(self) -> None:
        """Refuse the calls that wait; those that run go on. The next call starts new threads."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    async def close(self, seconds: float) -> bool:
        """As `refuse`, and wait for the calls that run.

        Returns:
            Whether they have ended within so many seconds; else they go on, and nobody waits for them any more.
        """
        self.refuse()
        end = time.monotonic() + seconds
        while self._under_way and time.monotonic() < end:
            await asyncio.sleep(_LOOK_S)
        return not self._under_way


def questions_at_once() -> int:
    """Threads of questions: two a core, four at least. They compute, and more would only take turns more often."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(4, 2 * cores)
