"""A process that serves answers many at once, so that each answer takes one thread: `one_each`."""

from __future__ import annotations

import os

from threadpoolctl import threadpool_limits


def one_each() -> None:
    """Matrix products of this process run on the thread that asks for them, unless `OMP_NUM_THREADS` says otherwise.

    Else a library takes all cores for each of many small products, and its threads wait for each other by spinning.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # read by torch, which is loaded later
        threadpool_limits(1, "blas")
