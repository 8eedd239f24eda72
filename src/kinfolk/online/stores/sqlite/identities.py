"""Which clicks came before: an open-addressed table of identities with the time of their arrival.

12 to 34 bytes of memory an identity. Only those of the last `remember_ms` count; past `LIMIT` of them the older
half goes early. A click that comes again after that merges into the seeds without harm: only its count is wrong.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinfolk.online.stores.slots import home

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

LIMIT = 1 << 24
_EMPTY = np.iinfo(np.int64).min
_OLD = _EMPTY + 1  # the place is taken, whoever is there does not count


class Identities:
    """Not for several threads at once."""

    def __init__(self, remember_ms: int, *, limit: int = LIMIT) -> None:
        self._remember, self._limit = remember_ms, limit
        self._key, self._arrived = np.zeros(1024, np.uint64), np.full(1024, _EMPTY, np.int64)
        self._taken = 0

    def admit(self, identity: U64, now: int) -> Bool:
        """bool[n]: which are new, among themselves too; they are known from now on."""
        if 10 * (self._taken + len(identity)) > 7 * len(self._key):
            self._make_room(len(identity), now)
        fresh, taken = _admit(self._key, self._arrived, identity, now, now - self._remember)
        self._taken += taken
        return np.asarray(fresh, np.bool_)

    def revoke(self, identity: U64) -> None:
        """As if they had not come."""
        _revoke(self._key, self._arrived, identity)

    def __len__(self) -> int:
        return self._taken

    def _make_room(self, n: int, now: int) -> None:
        live = self._arrived > max(now - self._remember, _OLD)
        if live.sum() > self._limit:
            times = self._arrived[live]
            live &= self._arrived > np.partition(times, len(times) // 2)[len(times) // 2]
        key, arrived = self._key[live], self._arrived[live]
        size = 1024
        while 10 * size < 20 * (len(key) + n):
            size *= 2
        self._key, self._arrived = np.zeros(size, np.uint64), np.full(size, _EMPTY, np.int64)
        _insert(self._key, self._arrived, key, arrived)
        self._taken = len(key)


@njit(cache=True, nogil=True)
def _place(keys: U64, arrived: I64, key: np.uint64) -> np.uint64:
    mask = np.uint64(len(keys) - 1)
    at = home(key, len(keys))
    while arrived[at] != _EMPTY and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return at


@njit(cache=True, nogil=True)
def _admit(keys: U64, arrived: I64, wanted: U64, now: int, horizon: int) -> tuple[Bool, int]:
    fresh = np.zeros(len(wanted), np.bool_)
    taken = 0
    for i in range(len(wanted)):
        at = _place(keys, arrived, wanted[i])
        if arrived[at] <= horizon:
            if arrived[at] == _EMPTY:
                keys[at] = wanted[i]
                taken += 1
            arrived[at] = now
            fresh[i] = True
    return fresh, taken


@njit(cache=True, nogil=True)
def _revoke(keys: U64, arrived: I64, unwanted: U64) -> None:
    for i in range(len(unwanted)):
        at = _place(keys, arrived, unwanted[i])
        if arrived[at] != _EMPTY:
            arrived[at] = _OLD


@njit(cache=True, nogil=True)
def _insert(keys: U64, arrived: I64, key: U64, time: I64) -> None:
    for i in range(len(key)):
        at = _place(keys, arrived, key[i])
        keys[at] = key[i]
        arrived[at] = time[i]
