"""Work beside the event loop, so many calls at once and so many waiting: `Lane`.

Kinds of work that would hold each other up have a lane each. Beyond what may wait a request is refused at once, with
503 and Retry-After: an answer after seconds helps nobody, and a queue that only grows answers nobody any more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from kinfolk.serve.problems import NotReadyError

P = ParamSpec("P")
T = TypeVar("T")


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
            NotReadyError: too many wait.
        """
        if self._under_way >= self.at_once + self.waiting:
            raise NotReadyError(f"{self.waiting} {self.name} are waiting", "send again in a second, and slower")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.at_once, f"kinfolk-{self.name}")
        future = asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))
        self._under_way += 1
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # looked at: whoever asked may be gone, and asyncio would complain

    def close(self) -> None:
        """End the threads, after the calls under way. The next call starts new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


def questions_at_once() -> int:
    """Threads of questions: two a core, four at least. They compute, and more would only take turns more often."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(4, 2 * cores)
