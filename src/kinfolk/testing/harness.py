"""How the suites of `kinfolk.testing.ports` get the backend they test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from kinfolk.online.ports import Backend, StoreOptions

NOW = 1_700_000_000_000
"""When suites begin, ms."""


class Harness(Protocol):
    """Written by whoever tests a backend, a dozen lines."""

    def open(self, options: StoreOptions) -> Backend:
        """An empty backend on data of its own. Suites call it many times, and close what they get."""

    def reopen(self, backend: Backend) -> Backend:
        """Close a backend and open the same data again with the same options, as after a restart.

        A store that keeps nothing beyond its process gives the same object back.
        """


def at_once(work: Iterable[Callable[[], object]]) -> list[object]:
    """Run in threads, all at the same time; raises what they raise."""
    jobs = list(work)
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]
