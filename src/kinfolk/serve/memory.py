"""How a process that serves keeps its memory: `settle` and `unsearched`, first things in it, and `set_apart`, before it
answers.

Memory that is free goes back to the system, and threads share it.
By default glibc gives threads up to eight heaps a core. What one of them frees another cannot use, and with dozens of
threads each heap grows to its own peak: an hour's worth of "leak". It also learns to keep blocks of up to 32 MB, which
holes in heaps then hold. Requests allocate little beside what Python keeps itself, so two heaps are enough.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

HEAPS = 2
MAPPED = 1 << 20
"""Blocks from this size on are the system's own pages, and go back when freed; bytes."""

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of malloc.h


def settle() -> bool:
    """Limit the heaps of this process, unless the environment says how (`MALLOC_ARENA_MAX`, `GLIBC_TUNABLES`).

    Returns:
        Whether it was done; not where the C library is another than glibc.
    """
    if "MALLOC_ARENA_MAX" in os.environ or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        c = ctypes.CDLL(None)
        if not hasattr(c, "gnu_get_libc_version"):
            return False
        return bool(c.mallopt(_ARENA_MAX, HEAPS) and c.mallopt(_MMAP_THRESHOLD, MAPPED))
    except (OSError, TypeError):  # no such way to the C library
        return False


@contextmanager
def unsearched() -> Iterator[None]:
    """Do not search for garbage until `set_apart`, or until the block has ended.

    What a start makes, it keeps: half a million objects of modules, which would be looked through again and again.
    """
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def set_apart() -> None:
    """Search for garbage once, and from now on leave what is there, modules and the model, out of every search.

    The search of a whole heap stops every thread; with torch and numba in it that takes some 0.3 s.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
