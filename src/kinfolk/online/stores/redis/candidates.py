"""CandidateStore: a table, its index by id, and a log of changes by version, all in one place so that they agree."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kinfolk.online.ports import Candidate
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Connection, Script

_KEYS = [names.room("candidates", part) for part in ("rows", "retired", "all", "live", "log", "version")]
_ROWS, _RETIRED, _ALL, _LIVE, _LOG, _VERSION = _KEYS
_PAGE = 1000

# ARGV: '1' if only what is absent is put, then of each candidate its id, row, ms of retirement or ''.
_PUT = Script("""
local version
for i = 2, #ARGV, 3 do
  local id, retired = ARGV[i], ARGV[i + 2]
  if ARGV[1] == '' or redis.call('HEXISTS', KEYS[1], id) == 0 then
    version = version or redis.call('INCR', KEYS[6])
    redis.call('HSET', KEYS[1], id, ARGV[i + 1])
    redis.call('ZADD', KEYS[3], 0, id)
    if retired == '' then
      redis.call('HDEL', KEYS[2], id)
      redis.call('ZADD', KEYS[4], 0, id)
    else
      redis.call('HSET', KEYS[2], id, retired)
      redis.call('ZREM', KEYS[4], id)
    end
    redis.call('ZADD', KEYS[5], version, id)
  end
end
return version or tonumber(redis.call('GET', KEYS[6]) or 0)
""")

# ARGV: ms, ids.
_RETIRE = Script("""
local version = tonumber(redis.call('GET', KEYS[6]) or 0)
local moved = false
for i = 2, #ARGV do
  if redis.call('ZREM', KEYS[4], ARGV[i]) == 1 then
    if not moved then version = redis.call('INCR', KEYS[6]) moved = true end
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[1])
    redis.call('ZADD', KEYS[5], version, ARGV[i])
  end
end
return version
""")

# ARGV: ms, ids. A row begins as `_encode` writes it.
_EXPIRE = Script("""
local found = {}
for i = 2, #ARGV do
  local row = redis.call('HGET', KEYS[1], ARGV[i])
  local at = row and string.match(row, '^{"created_at":%-?%d+,"expires_at":(%-?%d+),')
  if at and tonumber(at) <= tonumber(ARGV[1]) and redis.call('ZREM', KEYS[4], ARGV[i]) == 1 then
    found[#found + 1] = ARGV[i]
  end
end
if #found > 0 then
  local version = redis.call('INCR', KEYS[6])
  for _, id in ipairs(found) do
    redis.call('HSET', KEYS[2], id, ARGV[1])
    redis.call('ZADD', KEYS[5], version, id)
  end
end
return found
""")

_READ = """
local function read(ids)
  local out = {}
  for i, id in ipairs(ids) do
    out[i] = {id, redis.call('HGET', KEYS[1], id), redis.call('HGET', KEYS[2], id)}
  end
  return out
end
"""
_GET = Script(_READ + "return read(ARGV)")
# ARGV: index, bound, limit.
_PAGED = Script(
    _READ + "return read(redis.call('ZRANGEBYLEX', KEYS[tonumber(ARGV[1])], ARGV[2], '+', 'LIMIT', 0, ARGV[3]))"
)
# ARGV: version.
_SINCE = Script(
    _READ
    + """
return {tonumber(redis.call('GET', KEYS[6]) or 0), read(redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. ARGV[1], '+inf'))}
"""
)


class RedisCandidates:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, candidates: Sequence[Candidate]) -> int:
        """See the port."""
        return self._put(candidates, absent=False)

    def add(self, candidates: Sequence[Candidate]) -> int:
        """See the port."""
        return self._put(candidates, absent=True)

    def _put(self, candidates: Sequence[Candidate], *, absent: bool) -> int:
        if not candidates:
            return self.version()
        arguments = [
            x for c in candidates for x in (c.id, _encode(c), "" if c.retired_at is None else str(c.retired_at))
        ]
        return int(self._connection.run(_PUT, _KEYS, "1" if absent else "", *arguments))

    def get(self, ids: Sequence[str]) -> list[Candidate | None]:
        """See the port."""
        out: list[Candidate | None] = []
        for i in range(0, len(ids), _PAGE):
            rows = self._connection.run(_GET, _KEYS, *ids[i : i + _PAGE])
            out += [_decode(*row) if row[1] is not None else None for row in rows]
        return out

    def page(self, after: str, limit: int, *, live: bool = True) -> list[Candidate]:
        """See the port."""
        bound = f"({after}" if after else "-"
        return [_decode(*row) for row in self._connection.run(_PAGED, _KEYS, 4 if live else 3, bound, max(limit, 0))]

    def retire(self, ids: Sequence[str], now: int) -> int:
        """See the port. Ids that are unknown, or retired before, stay as they are."""
        return int(self._connection.run(_RETIRE, _KEYS, now, *ids))

    def expire(self, ids: Sequence[str], now: int) -> list[str]:
        """See the port."""
        found: list[str] = []
        for i in range(0, len(ids), _PAGE):
            found += [id.decode() for id in self._connection.run(_EXPIRE, _KEYS, now, *ids[i : i + _PAGE])]
        return found

    def version(self) -> int:
        """See the port."""
        return int(self._connection.do("GET", _VERSION) or 0)

    def since(self, version: int) -> tuple[list[Candidate], int]:
        """See the port."""
        if version > 0:
            now, rows = self._connection.run(_SINCE, _KEYS, version)
            return [_decode(*row) for row in rows], int(now)
        now = self.version()  # what changes while pages are read comes again after it
        found: list[Candidate] = []
        while True:
            page = self.page(found[-1].id if found else "", _PAGE)
            found += page
            if len(page) < _PAGE:
                return found, now


def _encode(candidate: Candidate) -> str:
    row = {"created_at": candidate.created_at, "expires_at": candidate.expires_at, "meta": dict(candidate.meta)}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _decode(id: bytes, row: bytes, retired: bytes | None) -> Candidate:
    facts = json.loads(row)
    retired_at = None if retired is None else int(retired)
    return Candidate(id.decode(), facts["created_at"], facts["expires_at"], retired_at, facts["meta"])
