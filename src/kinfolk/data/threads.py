"""Work spread over a small pool of threads: serial kernels that release the GIL, largest work first.

numba's own parallel loops share one process-wide pool: its default layer aborts when two of them run at once, and it
splits work statically. Serial kernels under a pool of our own do neither, and no result depends on the thread count.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import OptionError

Task = TypeVar("Task")
Result = TypeVar("Result")


def usable(threads: int | None) -> int:
    """The number of threads to use: `threads`, or one a core this process may run on where it is None.

    Raises:
        OptionError: fewer than one.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise OptionError(f"threads is {threads}, expected at least 1", "give 1 or more, or None for one a core")
    return threads


def spread(work: Callable[[Task], Result], tasks: Sequence[Task], threads: int | None) -> list[Result]:
    """`[work(t) for t in tasks]` over at most `threads` threads; tasks start in the given order."""
    workers = min(usable(threads), len(tasks))
    if workers <= 1:
        return [work(t) for t in tasks]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, tasks))


def ranges(total: int, pieces: int) -> list[tuple[int, int]]:
    """`range(total)` cut into at most `pieces` contiguous, near-equal, non-empty (start, end) pieces."""
    edges = [total * i // max(pieces, 1) for i in range(max(pieces, 1) + 1)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def bundles(costs: NDArray[np.integer], pieces: int) -> list[NDArray[np.int64]]:
    """Positions sorted by falling cost and cut into about `pieces` runs of near-equal total cost.

    The most expensive position comes first and alone where it outweighs a run, so that no thread starts it last.
    """
    order = np.argsort(-costs, kind="stable").astype(np.int64)
    if not len(order):
        return []
    before = np.cumsum(costs[order]) - costs[order]
    run = before * pieces // max(int(costs.sum()), 1)
    return np.split(order, np.flatnonzero(np.diff(run)) + 1)
