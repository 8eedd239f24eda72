"""UserStore: records and tombstones of users by key, and a log of changes by version.

All of it lies together, so that a forgotten user cannot be half forgotten; keys are 16 hexadecimal digits. The log's
members say what happened last: `p` put, `f` forgotten, `r` recalled, each before the key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kinfolk.online.ports import UserChanges, UserRecord
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Connection, Script

_KEYS = [names.room("users", part) for part in ("rows", "order", "wished", "purged", "log", "version")]
_ROWS, _ORDER, _WISHED, _PURGED, _LOG, _VERSION = _KEYS
_PAGE = 1000

# ARGV: of each user key, record.
_PUT = Script("""
local version = redis.call('INCR', KEYS[6])
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], 0, ARGV[i])
  redis.call('ZADD', KEYS[5], version, 'p' .. ARGV[i])
end
return version
""")

# ARGV: key, ms.
_FORGET = Script("""
local version = redis.call('INCR', KEYS[6])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], 'p' .. ARGV[1], 'r' .. ARGV[1])
redis.call('ZADD', KEYS[5], version, 'f' .. ARGV[1])
return version
""")

# ARGV: key.
_RECALL = Script("""
local version = redis.call('INCR', KEYS[6])
if redis.call('HDEL', KEYS[3], ARGV[1]) == 0 then return version end
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], 'f' .. ARGV[1])
redis.call('ZADD', KEYS[5], version, 'r' .. ARGV[1])
return version
""")

# ARGV: ms, keys.
_NOTE_PURGED = Script("""
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then redis.call('HSET', KEYS[4], ARGV[i], ARGV[1]) end
end
""")

# ARGV: bound, limit.
_PAGED = Script("""
local out = {}
for i, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
  out[i] = {key, redis.call('HGET', KEYS[1], key)}
end
return out
""")

_TOMBSTONES = Script("return {redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4])}")

# ARGV: version.
_SINCE = Script("""
local put, forgotten, recalled = {}, {}, {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. ARGV[1], '+inf')) do
  local what, key = string.sub(member, 1, 1), string.sub(member, 2)
  if what == 'p' then put[#put + 1] = {key, redis.call('HGET', KEYS[1], key)}
  elseif what == 'f' then forgotten[#forgotten + 1] = key
  else recalled[#recalled + 1] = key end
end
return {tonumber(redis.call('GET', KEYS[6]) or 0), put, forgotten, recalled}
""")


class RedisUsers:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, users: Sequence[UserRecord]) -> int:
        """See the port."""
        if not users:
            return self.version()
        return int(self._connection.run(_PUT, _KEYS, *(x for u in users for x in (_hex(u.key), _encode(u)))))

    def get(self, key: int) -> UserRecord | None:
        """See the port."""
        row = self._connection.do("HGET", _ROWS, _hex(key))
        return None if row is None else _decode(key, row)

    def page(self, after: int, limit: int) -> list[UserRecord]:
        """See the port."""
        bound = "-" if after < 0 else f"({_hex(after)}"
        rows = self._connection.run(_PAGED, _KEYS, bound, max(limit, 0))
        return [_decode(int(key, 16), row) for key, row in rows]

    def forget(self, key: int, now: int) -> int:
        """See the port. Wished again, the first wish counts, and it is purged again."""
        return int(self._connection.run(_FORGET, _KEYS, _hex(key), now))

    def recall(self, key: int) -> int:
        """See the port."""
        return int(self._connection.run(_RECALL, _KEYS, _hex(key)))

    def tombstones(self) -> dict[int, tuple[int, int | None]]:
        """See the port."""
        wished, purged = (_pairs(rows) for rows in self._connection.run(_TOMBSTONES, _KEYS))
        return {int(key, 16): (int(at), int(purged[key]) if key in purged else None) for key, at in wished.items()}

    def purged(self, keys: Sequence[int], now: int) -> None:
        """See the port."""
        for i in range(0, len(keys), _PAGE):
            self._connection.run(_NOTE_PURGED, _KEYS, now, *map(_hex, keys[i : i + _PAGE]))

    def version(self) -> int:
        """See the port."""
        return int(self._connection.do("GET", _VERSION) or 0)

    def since(self, version: int) -> UserChanges:
        """See the port."""
        if version > 0:
            now, put, forgotten, recalled = self._connection.run(_SINCE, _KEYS, version)
            records = [_decode(int(key, 16), row) for key, row in put]
            return UserChanges(records, [int(k, 16) for k in forgotten], [int(k, 16) for k in recalled], int(now))
        now = self.version()  # what changes while pages are read comes again after it
        records = []
        while True:
            page = self.page(records[-1].key if records else -1, _PAGE)
            records += page
            if len(page) < _PAGE:
                break
        forgotten = self._connection.do("HKEYS", _WISHED)
        recalled = [m[1:] for m in self._connection.do("ZRANGE", _LOG, 0, -1) if m[:1] == b"r"]
        return UserChanges(records, [int(k, 16) for k in forgotten], [int(k, 16) for k in recalled], now)


def _hex(key: int) -> str:
    return f"{int(key):016x}"


def _encode(user: UserRecord) -> str:
    row = {"id": user.id, "features": dict(user.features), "updated_at": user.updated_at}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _decode(key: int, row: bytes) -> UserRecord:
    facts = json.loads(row)
    return UserRecord(key, facts["id"], facts["features"], facts["updated_at"])


def _pairs(rows: Any) -> dict[bytes, bytes]:
    """A hash as a script returns it: a flat list, or a map."""
    return rows if isinstance(rows, dict) else dict(zip(rows[::2], rows[1::2], strict=True))
