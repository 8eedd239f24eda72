"""SnapshotStore: one hash a candidate with the snapshot of each model version, and a log of which changed when.

The hash: `m:<model>` the snapshot, `g:<model>` its generation, `fence` the highest that published it, `retired`, and
`unlogged` while a change of it may not be in the log yet. The log: a sorted set of candidates by the cursor of their
last change, so it grows with candidates, not with refreshes. Readers take from the log who changed, then read those.

On one server publishing is one script. In a cluster the fence is checked first, then each snapshot is put in place,
then the log is written; whoever dies in between leaves `unlogged`, and the next to publish that candidate logs it.
"""

from __future__ import annotations

from collections.abc import Sequence

from kinfolk.online.ports import Changes, FenceError, Snapshot
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Connection, Script, command, script
from kinfolk.online.stores.redis.snapshot_codec import decode, encode

_LOG, _CURSOR, _FENCE = (names.room("snapshots", part) for part in ("log", "cursor", "fence"))
_PAGE = 256  # snapshots read or written at once

_PUT = """
local function put(key, model, generation, fence, data)
  local has = redis.call('HMGET', key, 'retired', 'g:' .. model, 'fence', 'unlogged')
  if has[1] then return 0 end
  if fence ~= '' and tonumber(has[3] or 0) > tonumber(fence) then return -1 end
  local held = tonumber(has[2] or -1)
  if held > tonumber(generation) or (fence == '' and held == tonumber(generation)) then
    return has[4] and 1 or 0
  end
  redis.call('HSET', key, 'g:' .. model, generation, 'm:' .. model, data)
  if fence ~= '' then redis.call('HSET', key, 'fence', fence) end
  return 1
end
"""

# KEYS: fence, cursor, log, hashes. ARGV: fence or ''; of each snapshot its candidate, model, generation, data.
_PUBLISH = Script(
    _PUT
    + """
local fence = ARGV[1]
if fence ~= '' then
  if tonumber(redis.call('GET', KEYS[1]) or 0) > tonumber(fence) then return -1 end
  redis.call('SET', KEYS[1], fence)
end
local cursor = tonumber(redis.call('GET', KEYS[2]) or 0)
local moved = false
for i = 4, #KEYS do
  local arg = 2 + 4 * (i - 4)
  if put(KEYS[i], ARGV[arg + 1], ARGV[arg + 2], fence, ARGV[arg + 3]) == 1 then
    if not moved then cursor = redis.call('INCR', KEYS[2]) moved = true end
    redis.call('ZADD', KEYS[3], cursor, ARGV[arg])
  end
end
return cursor
"""
)

# KEYS: hash. ARGV: model, generation, fence or '', data.
_PUT_ONE = Script(
    _PUT
    + """
local done = put(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if done == 1 then redis.call('HSET', KEYS[1], 'unlogged', 1) end
return done
"""
)

# KEYS: fence. ARGV: fence.
_CHECK = Script("""
if tonumber(redis.call('GET', KEYS[1]) or 0) > tonumber(ARGV[1]) then return -1 end
redis.call('SET', KEYS[1], ARGV[1])
return 0
""")

# KEYS: cursor, log. ARGV: candidates.
_NOTE = Script("""
if #ARGV == 0 then return tonumber(redis.call('GET', KEYS[1]) or 0) end
local cursor = redis.call('INCR', KEYS[1])
for _, candidate in ipairs(ARGV) do redis.call('ZADD', KEYS[2], cursor, candidate) end
return cursor
""")

# KEYS: cursor, log. ARGV: cursor.
_SINCE = Script("""
return {tonumber(redis.call('GET', KEYS[1]) or 0), redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf')}
""")

_RETIRE = Script("redis.call('UNLINK', KEYS[1]) redis.call('HSET', KEYS[1], 'retired', 1)")

# KEYS: hash. ARGV: models to keep.
_KEEP = Script("""
local keep = {}
for _, model in ipairs(ARGV) do keep['m:' .. model] = true keep['g:' .. model] = true end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 2, 2) == ':' and not keep[field] then redis.call('HDEL', KEYS[1], field) end
end
""")


class RedisSnapshots:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, snapshots: Sequence[Snapshot], fence: int | None) -> int:
        """See the port."""
        held = "" if fence is None else fence
        pages = [snapshots[i : i + _PAGE] for i in range(0, len(snapshots), _PAGE)] or [snapshots]
        return [self._publish_page(page, held) for page in pages][-1]

    def _publish_page(self, snapshots: Sequence[Snapshot], held: int | str) -> int:
        keys = [_hash(s.candidate) for s in snapshots]
        if self._connection.clustered:
            return self._publish_one_by_one(snapshots, keys, held)
        arguments = [x for s in snapshots for x in (s.candidate, s.model, s.generation, encode(s))]
        cursor = self._connection.run(_PUBLISH, [_FENCE, _CURSOR, _LOG, *keys], held, *arguments)
        if cursor < 0:
            raise _stale(held)
        return int(cursor)

    def _publish_one_by_one(self, snapshots: Sequence[Snapshot], keys: list[str], fence: int | str) -> int:
        ask = self._connection
        if fence != "" and ask.run(_CHECK, [_FENCE], fence) < 0:
            raise _stale(fence)
        done = ask.many(
            [
                script(_PUT_ONE, [key], s.model, s.generation, fence, encode(s))
                for key, s in zip(keys, snapshots, strict=True)
            ]
        )
        put = [(key, s.candidate) for key, s, d in zip(keys, snapshots, done, strict=True) if d == 1]
        cursor = self._note([candidate for _, candidate in put])
        ask.many([command("HDEL", key, "unlogged") for key, _ in put])
        if -1 in done:
            raise _stale(fence)
        return cursor

    def _note(self, candidates: list[str]) -> int:
        return int(self._connection.run(_NOTE, [_CURSOR, _LOG], *candidates))

    def latest(self, candidates: Sequence[str], model: str) -> list[Snapshot | None]:
        """See the port."""
        held = self._connection.many([command("HGET", _hash(c), f"m:{model}") for c in candidates])
        return [None if d is None else decode(d, c, model) for c, d in zip(candidates, held, strict=True)]

    def cursor(self) -> int:
        """See the port."""
        return int(self._connection.do("GET", _CURSOR) or 0)

    def since(self, cursor: int, model: str) -> Changes:
        """See the port."""
        now, members = self._connection.run(_SINCE, [_CURSOR, _LOG], cursor)
        changed = [member.decode() for member in members]
        snapshots: list[Snapshot] = []
        retired: list[str] = []
        for i in range(0, len(changed), _PAGE):
            page = changed[i : i + _PAGE]
            found = self._connection.many([command("HMGET", _hash(c), "retired", f"m:{model}") for c in page])
            retired += [c for c, (gone, _) in zip(page, found, strict=True) if gone]
            snapshots += [
                decode(data, c, model) for c, (gone, data) in zip(page, found, strict=True) if data and not gone
            ]
        return Changes(snapshots, retired, int(now))

    def retire(self, candidate: str) -> int:
        """See the port."""
        self._connection.run(_RETIRE, [_hash(candidate)])
        return self._note([candidate])

    def revive(self, candidate: str) -> None:
        """See the port."""
        self._connection.do("HDEL", _hash(candidate), "retired")

    def drop_models(self, keep: Sequence[str]) -> None:
        """See the port."""
        candidates = [member.decode() for member in self._connection.do("ZRANGE", _LOG, 0, -1)]
        self._connection.many([script(_KEEP, [_hash(c)], *keep) for c in candidates])


def _hash(candidate: str) -> str:
    return names.candidate(candidate, "snapshots")


def _stale(fence: object) -> FenceError:
    return FenceError(
        f"snapshots under fence {fence} are stale, another refresher has published since",
        "nothing is lost: the other one goes on",
    )
