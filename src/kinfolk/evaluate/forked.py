"""The same work on many cases, in this process or, where that is safe, in forked children that share its memory."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from threadpoolctl import threadpool_info

from kinfolk.errors import OptionError

T = TypeVar("T")
R = TypeVar("R")
_work: list[Callable[[Any], Any]] = []  # inherited by the children; closures cannot be pickled


def map_cases(work: Callable[[T], R], cases: Sequence[T], jobs: int = 1) -> Iterator[R]:
    """`work(case)` for every case, in order.

    Args:
        work: reads whatever it likes of this process; its result must be picklable.
        cases: what to work on.
        jobs: number of processes.

    Raises:
        OptionError: several jobs where a forked child could hang on the threads of this process.
    """
    if jobs < 1:
        raise OptionError(f"jobs is {jobs}", "give at least 1")
    if jobs == 1 or len(cases) < 2:
        yield from map(work, cases)
        return
    problem = why_not_fork()
    if problem:
        raise OptionError(f"{jobs} jobs cannot be forked: {problem}", "set OMP_NUM_THREADS=1, or use 1 job")
    _work.append(work)
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of any thread at fork; those left here (polars') are not used by the children
            warnings.simplefilter("ignore", DeprecationWarning)
            pool = multiprocessing.get_context("fork").Pool(jobs)
        with pool:
            yield from pool.imap(_call, cases, chunksize=2)
    finally:
        _work.pop()


def _call(case: Any) -> Any:
    return _work[-1](case)


def why_not_fork() -> str | None:
    """Why a forked child could hang; None where it is safe: no native library with a pool of more than one thread."""
    if "fork" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin":
        return "this system cannot fork safely"
    for pool in threadpool_info():
        if int(pool["num_threads"]) > 1:
            return f"{pool['internal_api']} runs {pool['num_threads']} threads"
    numba = sys.modules.get("numba")
    if numba is not None:
        try:
            return f"numba runs {numba.threading_layer()} threads"
        except ValueError:  # no parallel kernel has run yet
            return None
    return None
