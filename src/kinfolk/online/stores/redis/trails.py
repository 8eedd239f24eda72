"""Each user's own last clicks: one small sorted set a user, which expires when they have not clicked for a while.

Adding is idempotent (an item keeps its newest time), so clicks delivered twice do no harm here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clicks import Clicks
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Call, Connection, Script, script
from kinfolk.online.stores.redis.landing import SHORTEST_EXPIRY

# KEYS: trails. ARGV: oldest ms kept, items kept, expiry; of each trail the number of its clicks, then times and items.
_FOLLOW = Script("""
local arg = 4
for i = 1, #KEYS do
  local last = arg + 2 * tonumber(ARGV[arg])
  redis.call('ZADD', KEYS[i], 'GT', unpack(ARGV, arg + 1, last))
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', '(' .. ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[i], 0, -1 - tonumber(ARGV[2]))
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
  arg = last + 1
end
""")
_MOST = 1000  # clicks of one user in one script: Lua cannot unpack much more


def calls(clicks: Clicks, now: int, remember_ms: int, length: int, *, together: bool) -> list[Call]:
    """What adds clicks to their users' trails; in one script if all keys lie on one server."""
    oldest = now - remember_ms
    order = np.argsort(clicks.user, kind="stable")
    order = order[clicks.time[order] >= oldest]
    if not len(order):
        return []
    users, start = np.unique(clicks.user[order], return_index=True)
    times, codes = clicks.time[order].tolist(), clicks.candidate[order].tolist()
    head = (oldest, length, max(2 * remember_ms, SHORTEST_EXPIRY))
    keys: list[str] = []
    arguments: list[list[object]] = []
    ends = [*start[1:].tolist(), len(times)]
    for user, begin, end in zip(users.tolist(), start.tolist(), ends, strict=True):
        for a in range(begin, end, _MOST):
            b = min(end, a + _MOST)
            keys.append(names.trail(user))
            arguments.append([b - a, *(x for i in range(a, b) for x in (times[i], clicks.candidates[codes[i]]))])
    if together:
        return [script(_FOLLOW, keys, *head, *(x for each in arguments for x in each))]
    return [script(_FOLLOW, [key], *head, *each) for key, each in zip(keys, arguments, strict=True)]


def read(connection: Connection, user: int, limit: int) -> tuple[list[str], NDArray[np.int64]]:
    """The newest `limit` items, oldest first, and their times in ms."""
    if limit <= 0:
        return [], np.zeros(0, np.int64)
    rows = connection.do("ZRANGE", names.trail(user), -limit, -1, "WITHSCORES")
    pairs = rows if rows and isinstance(rows[0], (list, tuple)) else list(zip(rows[::2], rows[1::2], strict=True))
    return [item.decode() for item, _ in pairs], np.array([int(float(t)) for _, t in pairs], np.int64)


def drop(connection: Connection, users: Iterable[int]) -> None:
    """Remove the trails of users."""
    connection.many([Call(names.trail(u), ("UNLINK", names.trail(u))) for u in users])
