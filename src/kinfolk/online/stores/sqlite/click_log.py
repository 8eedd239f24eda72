"""Recent clicks in memory, in order of arrival, chained by user and by item: trails, and seeds that are not folded yet.

28 bytes of memory a click and 8 to 16 for the table of users. Clicks that are folded into the file and older than
`remember` go when room is needed, and beyond `LIMIT` clicks the older half goes early: a trail is a courtesy,
not a record.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinfolk.online.stores.slots import slot

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

LIMIT = 1 << 21
_FIRST = 1 << 12


class ClickLog:
    """Not for several threads at once: the caller holds a lock.

    What is appended is there for every reader; `link` may follow later, or the first reader does it.

    folded: rows before it are in the file's runs. n: rows.
    """

    def __init__(self, remember_ms: int, *, limit: int = LIMIT) -> None:
        self._remember, self._limit = remember_ms, limit
        self.n = self.folded = self._linked = 0
        self._arrivals: deque[tuple[int, int]] = deque()  # (first row, ms) of each batch
        self._last_of_item = np.full(_FIRST, -1, np.int32)
        self._gone: dict[int, int] = {}  # user -> row before which their clicks are not given back
        self._allocate(_FIRST)

    def _allocate(self, size: int) -> None:
        self.user, self.item = np.zeros(size, np.uint64), np.zeros(size, np.int32)
        self.time = np.zeros(size, np.int64)
        self._by_user, self._by_item = np.zeros(size, np.int32), np.zeros(size, np.int32)
        self._last_of_user = np.full(2 * size, -1, np.int32)

    def append(self, item: I32, user: U64, time: I64, now: int) -> None:
        """item: int32[n] numbers. user: uint64[n]. time: int64[n] ms. now: ms of arrival."""
        while self._arrivals and self._arrivals[0][1] <= now - self._remember:
            self._arrivals.popleft()
        if self.n + len(item) > len(self.user):
            self._make_room(len(item))
        self._arrivals.append((self.n, now))
        self._write(item, user, time)

    def link(self) -> None:
        """Chain what was appended since."""
        if self._linked == self.n:
            return
        most = int(self.item[self._linked : self.n].max())
        if most >= len(self._last_of_item):
            longer = np.full(2 * (most + 1), -1, np.int32)
            longer[: len(self._last_of_item)] = self._last_of_item
            self._last_of_item = longer
        chains = (self._by_user, self._by_item, self._last_of_user, self._last_of_item)
        _chain(self.user, self.item, *chains, self._linked, self.n)
        self._linked = self.n

    def of_item(self, item: int) -> tuple[U64, I64]:
        """Users and times (ms) of an item's clicks that are not folded."""
        self.link()
        if item >= len(self._last_of_item):
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        rows = _walk(self._by_item, self._last_of_item[item], self.folded, self.n)
        return self.user[rows], self.time[rows]

    def of_user(self, user: int, limit: int) -> tuple[I32, I64]:
        """Items and times (ms) of a user's clicks, the last `limit` that came, newest arrival first."""
        self.link()
        last = _last(self._last_of_user, self.user, np.uint64(user))
        rows = _walk(self._by_user, last, self._gone.get(user, 0), limit)
        return self.item[rows], self.time[rows]

    def of_users(self, users: U64, limit: int) -> tuple[I32, I64]:
        """Items of the last `limit` clicks of each of many users, distinct within a user; and offsets int64[n + 1]."""
        self.link()
        first = np.zeros(len(users), np.int64)
        if self._gone:
            first[:] = [self._gone.get(user, 0) for user in users.tolist()]
        out, offsets = np.empty(len(users) * limit, np.int32), np.zeros(len(users) + 1, np.int64)
        _trails(self._last_of_user, self._by_user, self.user, self.item, users, first, limit, out, offsets)
        return out[: offsets[-1]], offsets

    def unfolded(self) -> tuple[I32, U64, I64]:
        """Copies of items, users and times (ms)."""
        rows = slice(self.folded, self.n)
        return self.item[rows].copy(), self.user[rows].copy(), self.time[rows].copy()

    def remove(self, users: U64) -> None:
        """Of folded clicks; only when all are folded. They are not given back any more, and go when room is needed."""
        assert self.folded == self.n
        self._gone |= dict.fromkeys(users.tolist(), self.n)

    def _make_room(self, n: int) -> None:
        """Drop what may go; if more than two thirds stay, twice the room."""
        first = self._arrivals[0][0] if self._arrivals else self.n
        if self.n - first + n > self._limit:
            first = self.n - self._limit // 2
        first = max(min(first, self.folded), 0)
        size = len(self.user)
        while 3 * (self.n - first + n) > 2 * size:
            size *= 2
        if first or self._gone:
            self._keep(self._left(first), size)
        else:
            self._grow(size)

    def _left(self, first: int) -> I64:
        """Rows from `first` on, without those of users who are gone."""
        rows = np.arange(first, self.n)
        if self._gone:
            gone = np.fromiter(self._gone, np.uint64, len(self._gone))
            there = np.flatnonzero(np.isin(self.user[rows], gone))
            until = np.fromiter((self._gone[int(u)] for u in self.user[rows[there]]), np.int64, len(there))
            rows = np.delete(rows, there[rows[there] < until])
            self._gone = {}
        return rows

    def _grow(self, size: int) -> None:
        """Rows and chains stay, only the table of users is made anew."""
        n, user, item, time, table = self.n, self.user, self.item, self.time, self._last_of_user
        by_user, by_item = self._by_user, self._by_item
        self._allocate(size)
        self.user[:n], self.item[:n], self.time[:n] = user[:n], item[:n], time[:n]
        self._by_user[:n], self._by_item[:n] = by_user[:n], by_item[:n]
        _rehash(table, self.user, self._last_of_user)

    def _keep(self, rows: I64, size: int) -> None:
        item, user, time = self.item[rows], self.user[rows], self.time[rows]
        starts = np.searchsorted(rows, np.array([row for row, _ in self._arrivals], np.int64)).tolist()
        self._arrivals = deque(zip(starts, (ms for _, ms in self._arrivals), strict=True))
        self.folded = int(np.searchsorted(rows, self.folded))
        self._allocate(size)
        self._last_of_item.fill(-1)
        self.n = self._linked = 0
        self._write(item, user, time)

    def _write(self, item: I32, user: U64, time: I64) -> None:
        rows = slice(self.n, self.n + len(item))
        self.item[rows], self.user[rows], self.time[rows] = item, user, time
        self.n = rows.stop


@njit(cache=True, nogil=True)
def _last(table: I32, users: U64, user: np.uint64) -> int:
    return int(table[slot(table, users, user)])


@njit(cache=True, nogil=True)
def _chain(
    user: U64, item: I32, by_user: I32, by_item: I32, last_of_user: I32, last_of_item: I32, first: int, end: int
) -> None:
    """Each row points to the one before it of its user, and of its item."""
    for row in range(first, end):
        at = slot(last_of_user, user, user[row])
        by_user[row] = last_of_user[at]
        last_of_user[at] = row
        by_item[row] = last_of_item[item[row]]
        last_of_item[item[row]] = row


@njit(cache=True, nogil=True)
def _rehash(table: I32, users: U64, larger: I32) -> None:
    """The same rows in a larger table."""
    for row in table:
        if row >= 0:
            larger[slot(larger, users, users[row])] = row


@njit(cache=True, nogil=True)
def _trails(
    table: I32, before: I32, user: U64, item: I32, users: U64, first: I64, limit: int, out: I32, offsets: I64
) -> None:
    """Items of the newest rows of each user's chain into out, one user after the other."""
    n = 0
    for i in range(len(users)):
        at = table[slot(table, user, users[i])]
        start, walked = n, 0
        while at >= first[i] and walked < limit:
            known = False
            for j in range(start, n):
                known = known or out[j] == item[at]
            if not known:
                out[n] = item[at]
                n += 1
            walked += 1
            at = before[at]
        offsets[i + 1] = n


@njit(cache=True, nogil=True)
def _walk(before: I32, row: int, first: int, limit: int) -> I64:
    """Rows of a chain from its end, not before `first`, at most `limit`."""
    n, at = 0, row
    while at >= first and n < limit:
        n += 1
        at = before[at]
    out = np.empty(n, np.int64)
    at = row
    for i in range(n):
        out[i] = at
        at = before[at]
    return out
