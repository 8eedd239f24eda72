"""Run one nogil kernel over ranges of rows on as many threads as torch uses: `spread(kernel, n, *args)`.

numba's own parallel loops abort when two requests enter them at once, and keep a second pool of spinning threads beside
torch's. Kernels here are serial, release the GIL, and write disjoint rows, so a plain pool is enough and results do not
depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch

_CORES = os.cpu_count() or 1  # asked once: it reads a file, and a step of training spreads eleven loops


@lru_cache(maxsize=2)
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork."""
    return ThreadPoolExecutor(max(1, _CORES - 1), thread_name_prefix=f"kinfolk-{process}")


def spread(kernel: Callable[..., Any], n: int, work: int, *args: Any) -> None:
    """Call `kernel(*args, first, last)` on ranges that cover [0, n).

    Args:
        kernel: an njit(nogil=True) function that writes only what belongs to rows [first, last).
        n: number of rows.
        work: floats touched in all; small jobs stay on the calling thread, which costs less than waking another.
        args: what the kernel takes before `first` and `last`.
    """
    threads = min(torch.get_num_threads(), _CORES, n, 1 + work // 200_000)
    if threads <= 1:
        kernel(*args, 0, n)
        return
    cuts = [n * i // threads for i in range(threads + 1)]
    pool = _pool(os.getpid())
    waiting = [pool.submit(kernel, *args, cuts[i], cuts[i + 1]) for i in range(1, threads)]
    kernel(*args, cuts[0], cuts[1])
    for task in waiting:
        task.result()
