"""Each user's own last clicks: one small sorted set a user, which expires when they have not clicked for a while.

Adding is idempotent (an item keeps its newest time), so clicks delivered twice do no harm here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clicks import Clicks
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Call, Connection, Script, script
from kinfolk.online.stores.redis.landing import SHORTEST_EXPIRY

# KEYS: trails. ARGV: items kept, expiry, uint32 number of clicks of each trail, their (uint32 item, double ms) one
# after the other, items. A TTL is asked for before it is renewed: what changes nothing is not written to the log.
_FOLLOW = Script("""
local expiry, click = tonumber(ARGV[2]), 1
for i = 1, #KEYS do
  local add = {}
  for j = 1, (struct.unpack('<I4', ARGV[3], 4 * i - 3)) do
    local item, ms = struct.unpack('<I4d', ARGV[4], click)
    add[2 * j - 1], add[2 * j], click = ms, ARGV[5 + item], click + 12
  end
  redis.call('ZADD', KEYS[i], 'GT', unpack(add))
  local left = redis.call('PTTL', KEYS[i])
  if left >= 0 or #add > 2 * tonumber(ARGV[1]) then
    redis.call('ZREMRANGEBYRANK', KEYS[i], 0, -1 - tonumber(ARGV[1]))
  end
  if left < expiry / 2 then redis.call('PEXPIRE', KEYS[i], expiry) end
end
""")
_CLICK = np.dtype([("item", "<u4"), ("time", "<f8")])
_MOST = 1000  # clicks of one user in one script: Lua cannot unpack much more
_TRAILS = 1000  # in one script: others wait while it runs


def calls(clicks: Clicks, remember_ms: int, length: int, *, together: bool) -> list[Call]:
    """What adds clicks to their users' trails; many in a script if all keys lie on one server."""
    order = np.argsort(clicks.user, kind="stable")
    users, start = np.unique(clicks.user[order], return_index=True)
    packed = np.empty(len(order), _CLICK)
    packed["item"], packed["time"] = clicks.candidate[order], clicks.time[order]
    head = (length, max(4 * remember_ms, 2 * SHORTEST_EXPIRY))
    keys: list[str] = []
    bounds: list[tuple[int, int]] = []
    for user, begin, end in zip(users.tolist(), start.tolist(), [*start[1:].tolist(), len(order)], strict=True):
        parts = [(a, min(end, a + _MOST)) for a in range(begin, end, _MOST)]
        keys += [names.trail(user)] * len(parts)
        bounds += parts
    out = []
    step = _TRAILS if together else 1
    for i in range(0, len(keys), step):
        some = bounds[i : i + step]
        mine = packed[some[0][0] : some[-1][1]].copy()
        items, mine["item"] = np.unique(mine["item"], return_inverse=True)
        counts = np.array([b - a for a, b in some], "<u4").tobytes()
        named = [clicks.candidates[item] for item in items.tolist()]
        out.append(script(_FOLLOW, keys[i : i + step], *head, counts, mine.tobytes(), *named))
    return out


def read(connection: Connection, user: int, limit: int) -> tuple[list[str], NDArray[np.int64]]:
    """The newest `limit` items, oldest first, and their times in ms."""
    if limit <= 0:
        return [], np.zeros(0, np.int64)
    rows = connection.do("ZRANGE", names.trail(user), -limit, -1, "WITHSCORES")
    pairs = rows if rows and isinstance(rows[0], (list, tuple)) else list(zip(rows[::2], rows[1::2], strict=True))
    return [item.decode() for item, _ in pairs], np.array([int(float(t)) for _, t in pairs], np.int64)


def read_many(connection: Connection, users: Sequence[int], limit: int) -> list[list[str]]:
    """The newest `limit` items of each user."""
    if limit <= 0:
        return [[] for _ in users]
    asked = [Call(names.trail(u), ("ZRANGE", names.trail(u), -limit, -1)) for u in users]
    return [[item.decode() for item in items] for items in connection.many(asked)]


def drop(connection: Connection, users: Iterable[int]) -> None:
    """Remove the trails of users."""
    connection.many([Call(names.trail(u), ("UNLINK", names.trail(u))) for u in users])
