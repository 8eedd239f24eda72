"""AudienceStore: one hash a job, its members in parts beside it, and two lists of jobs.

The hash says what is true (state, holder of the claim, number of parts). The lists may name a job that is finished or
was never made, as they can lie on another node; whoever reads them looks at the hash. A job is listed before it is
made, so that none can be made and never found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.ports import Audience, FenceError, JobState, Json, Members, StoreError
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Call, Connection, Script, command, script
from kinfolk.online.stores.redis.members_codec import LOOK_UP, decode, encode, without

_LISTS = [names.room("audiences", part) for part in ("order", "queue", "queued", "ticket")]
_ORDER, _QUEUE, _QUEUED, _ = _LISTS
_FIELDS = ("state", "question", "created_at", "facts", "parts")
_PAGE = 100
_FORGOTTEN_DRAFT = 3_600_000  # ms after which a listed job that was never made is taken off the lists
_KEYS_AT_ONCE = 1000

# KEYS: sorted ids, queue by ticket, ms of those in the queue, last ticket. ARGV: id, ms or '' for one that is finished.
_LIST = Script("""
redis.call('ZADD', KEYS[1], 0, ARGV[1])
if ARGV[2] ~= '' and redis.call('ZADD', KEYS[2], 'NX', redis.call('INCR', KEYS[4]), ARGV[1]) == 1 then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
end
""")

# KEYS: job. ARGV: state, question, created_at, facts.
_CREATE = Script("""
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'question', ARGV[2], 'created_at', ARGV[3], 'facts', ARGV[4], 'parts', 0)
return 1
""")

# KEYS: job, prefix of its parts. Parts are named here, not by the caller: they lie beside the job, by its hash tag.
_EMPTY = """
local function empty()
  for i = 0, tonumber(redis.call('HGET', KEYS[1], 'parts') or 0) - 1 do redis.call('UNLINK', KEYS[2] .. i) end
end
"""

# ARGV: worker, now, ttl. The moment until which the claim holds is the caller's time.
_CLAIM = Script(
    _EMPTY
    + """
local job = redis.call('HMGET', KEYS[1], 'state', 'until')
if job[1] ~= 'pending' and not (job[1] == 'running' and tonumber(job[2] or 0) <= tonumber(ARGV[2])) then return 0 end
empty()
local till = tonumber(ARGV[2]) + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'state', 'running', 'worker', ARGV[1], 'until', till, 'parts', 0)
return 1
"""
)

_HELD = """
local function held(worker)
  local job = redis.call('HMGET', KEYS[1], 'state', 'worker')
  return job[1] == 'running' and job[2] == worker
end
"""
_RENEW = Script(
    _HELD
    + """
if not held(ARGV[1]) or tonumber(redis.call('HGET', KEYS[1], 'until')) <= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'until', tonumber(ARGV[2]) + tonumber(ARGV[3]))
return 1
"""
)

# KEYS: job, part. ARGV: worker, number of the part, data.
_WRITE = Script(
    _HELD
    + """
if not held(ARGV[1]) then return -1 end
local parts, part = tonumber(redis.call('HGET', KEYS[1], 'parts')), tonumber(ARGV[2])
if part ~= parts then return -2 - parts end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[1], 'parts', part + 1)
return 1
"""
)

# ARGV: worker, state, facts.
_FINISH = Script(
    _HELD
    + """
local job = redis.call('HMGET', KEYS[1], 'state', 'worker', 'facts')
if job[1] == ARGV[2] and job[2] == ARGV[1] and job[3] == ARGV[3] then return 1 end -- sent twice
if not held(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'facts', ARGV[3])
redis.call('HDEL', KEYS[1], 'until')
return 1
"""
)

_DELETE = Script(_EMPTY + "empty() return redis.call('DEL', KEYS[1])")

# KEYS: job, prefix of parts. ARGV: '1' if only a ready one counts, '1' if the first part is enough, keys.
_PARTS_WITH = Script(
    LOOK_UP
    + """
local job = redis.call('HMGET', KEYS[1], 'state', 'parts')
local out = {}
if ARGV[1] == '1' and job[1] ~= 'ready' then return out end
for i = 0, tonumber(job[2] or 0) - 1 do
  if holds(KEYS[2] .. i, 3) then
    out[#out + 1] = i
    if ARGV[2] == '1' then return out end
  end
end
return out
"""
)

# KEYS: part. ARGV: SHA-1 of what it was, what it shall be.
_REPLACE = Script("""
local data = redis.call('GET', KEYS[1])
if not data or redis.sha1hex(data) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
""")


class RedisAudiences:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, audience: Audience) -> None:
        """See the port."""
        waits = audience.state in ("pending", "running")
        self._connection.run(_LIST, _LISTS, audience.id, audience.created_at if waits else "")
        row = (audience.state, _json(audience.question), audience.created_at, _json(audience.facts))
        if not self._connection.run(_CREATE, [_job(audience.id)], *row, again=False):
            raise StoreError(f"there is an audience {audience.id} already", "choose another id")

    def claim(self, worker: str, now: int, ttl: int) -> Audience | None:
        """See the port."""
        for id, state, listed_at in self._queued():
            if state in ("pending", "running"):
                # Not repeated after a lost answer: it might claim a second job. The first is claimed again by time.
                if self._connection.run(_CLAIM, [_job(id), _parts(id)], worker, now, ttl, again=False):
                    return self.get(id)
            elif state is not None or listed_at < now - _FORGOTTEN_DRAFT:
                self._unqueue(id)
        return None

    def _unqueue(self, id: str) -> None:
        self._connection.many([command("ZREM", _QUEUE, id), command("HDEL", _QUEUED, id)])

    def _queued(self) -> Iterator[tuple[str, str | None, int]]:
        """Id, state, and ms of the jobs in the queue, oldest first."""
        ids = [member.decode() for member in self._connection.do("ZRANGE", _QUEUE, 0, -1)]
        for i in range(0, len(ids), _PAGE):
            page = ids[i : i + _PAGE]
            states = self._connection.many([command("HGET", _job(id), "state") for id in page])
            times = self._connection.do("HMGET", _QUEUED, *page)
            for id, state, at in zip(page, states, times, strict=True):
                yield id, None if state is None else state.decode(), int(at or 0)

    def renew(self, id: str, worker: str, now: int, ttl: int) -> bool:
        """See the port."""
        return bool(self._connection.run(_RENEW, [_job(id)], worker, now, ttl))

    def write_part(self, id: str, worker: str, part: int, members: Members) -> None:
        """See the port."""
        # Not repeated after a lost answer, as the part may be there: the job is claimed and done again.
        keys = [_job(id), f"{_parts(id)}{part}"]
        done = self._connection.run(_WRITE, keys, worker, part, encode(members), again=False)
        if done == -1:
            raise _lost(id)
        if done < 0:
            raise StoreError(f"part {part} of an audience that has {-2 - done} parts", "write parts in order, from 0")

    def finish(self, id: str, worker: str, state: JobState, facts: Json) -> None:
        """See the port."""
        if not self._connection.run(_FINISH, [_job(id)], worker, state, _json(facts)):
            raise _lost(id)
        self._unqueue(id)

    def get(self, id: str) -> Audience | None:
        """See the port."""
        return _audience(id, self._connection.do("HMGET", _job(id), *_FIELDS))

    def page(self, after: str, limit: int) -> list[Audience]:
        """See the port."""
        found: list[Audience] = []
        for ids in self._listed(after, limit):
            rows = self._connection.many([command("HMGET", _job(id), *_FIELDS) for id in ids])
            found += [a for a in map(_audience, ids, rows) if a is not None]
            if len(found) >= limit:
                break
        return found[: max(limit, 0)]

    def _listed(self, after: str = "", limit: int = _PAGE) -> Iterator[list[str]]:
        """Ids after one, sorted, in pages."""
        size = max(1, min(limit, _PAGE))
        while limit > 0:
            bound = f"({after}" if after else "-"
            ids = self._connection.do("ZRANGEBYLEX", _ORDER, bound, "+", "LIMIT", 0, size)
            if not ids:
                return
            yield [id.decode() for id in ids]
            after = ids[-1].decode()

    def part(self, id: str, part: int) -> Members | None:
        """See the port."""
        if part < 0:
            return None
        data = self._connection.do("GET", f"{_parts(id)}{part}")
        return None if data is None else decode(data)

    def of_user(self, key: int) -> list[str]:
        """See the port. Costs a binary search in each part of each audience."""
        packed = int(key).to_bytes(8, "little")
        out: list[str] = []
        for ids in self._listed():
            found = self._connection.many([script(_PARTS_WITH, [_job(id), _parts(id)], 1, 1, packed) for id in ids])
            out += [id for id, parts in zip(ids, found, strict=True) if parts]
        return out

    def forget(self, keys: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> int:
        """See the port."""
        keys = np.unique(np.asarray(keys, np.uint64))
        gone = 0
        for i in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[i : i + _KEYS_AT_ONCE]
            packed = [int(key).to_bytes(8, "little") for key in some.tolist()]
            for ids in self._listed():
                calls: list[Call] = [script(_PARTS_WITH, [_job(id), _parts(id)], 0, 0, *packed) for id in ids]
                for id, parts in zip(ids, self._connection.many(calls), strict=True):
                    if meanwhile is not None:
                        meanwhile()
                    gone += sum(self._forget_in(f"{_parts(id)}{part}", some) for part in parts)
        return gone

    def _forget_in(self, key: str, keys: NDArray[np.uint64]) -> int:
        while True:
            data = self._connection.do("GET", key)
            if data is None:
                return 0
            members = decode(data)
            left = without(members, keys)
            digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            if len(left.keys) == len(members.keys) or self._connection.run(_REPLACE, [key], digest, encode(left)):
                return len(members.keys) - len(left.keys)

    def delete(self, id: str) -> bool:
        """See the port."""
        there = bool(self._connection.run(_DELETE, [_job(id), _parts(id)]))
        self._connection.do("ZREM", _ORDER, id)
        self._unqueue(id)
        return there


def _job(id: str) -> str:
    return names.audience(id, "job")


def _parts(id: str) -> str:
    return names.audience(id, "part:")


def _json(value: Json) -> str:
    return json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"))


def _audience(id: str, row: list[Any]) -> Audience | None:
    state, question, created_at, facts, parts = row
    if state is None:
        return None
    return Audience(id, state.decode(), json.loads(question), int(created_at), json.loads(facts), int(parts))


def _lost(id: str) -> FenceError:
    return FenceError(f"the claim on audience {id} was lost", "nothing is lost: whoever claimed it goes on")
