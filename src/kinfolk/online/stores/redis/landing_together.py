"""A whole batch of clicks in one script, which makes it all or none: on one server, where scripts may touch any key.

Seeds and facts of a candidate are as in `landing`. Identities lie apart from candidates, in `names.IDENTITY_SETS` sets
a slice of time, so that what a batch costs the server (it runs one script at a time) is a handful of commands a set
and three a candidate, not ten. All columns travel as packed strings: fewer words to write, send and read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clicks import Clicks
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Call, Script, script
from kinfolk.online.stores.redis.landing import rows_by_candidate, slices_at

# KEYS: generation; dirty lists; registries; of each set of identities its 4 slices; of each candidate young, facts.
# ARGV: expiry; number of lists, of sets; of each click its identity (8 bytes), set (1) and record (12), by candidate;
# of each candidate its number of clicks (4) and list (1); candidates. Answers with how many were new, the generation,
# and of each candidate with new clicks: which one, bytes of young, number of blocks (4 bytes each).
_LAND = Script("""
local PIECE = 1000 -- Lua cannot unpack much more
local expiry, lists, sets = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ids, set_of, rows, counts, list_of = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local function sub(data, i, width) return string.sub(data, width * (i - 1) + 1, width * i) end

local members = {}
for i = 1, #set_of do
  local set = string.byte(set_of, i)
  local there = members[set]
  if there then there[#there + 1] = i else members[set] = {i} end
end
local fresh, new = {}, 0
for set = 0, sets - 1 do
  local there = members[set]
  if there then
    local key, renew, old = 2 + 2 * lists + 4 * set, false, {}
    for slice = key, key + 3 do
      if redis.call('EXISTS', KEYS[slice]) == 0 then renew = renew or slice == key else
        for first = 1, #there, PIECE do
          local some = {}
          for i = first, math.min(#there, first + PIECE - 1) do some[#some + 1] = sub(ids, there[i], 8) end
          for i, held in ipairs(redis.call('SMISMEMBER', KEYS[slice], unpack(some))) do
            if held == 1 then old[there[first + i - 1]] = true end
          end
        end
      end
    end
    local some = {}
    for _, i in ipairs(there) do
      if not old[i] then
        fresh[i], new = true, new + 1
        some[#some + 1] = sub(ids, i, 8)
        if #some == PIECE then redis.call('SADD', KEYS[key], unpack(some)) some = {} end
      end
    end
    if #some > 0 then redis.call('SADD', KEYS[key], unpack(some)) end
    if renew then redis.call('PEXPIRE', KEYS[key], expiry) end
  end
end
if new == 0 then return {0, tonumber(redis.call('GET', KEYS[1]) or 0), ''} end

local generation = redis.call('INCR', KEYS[1])
local out, dirty, listed, first = {}, {}, {}, 1
for c = 1, #list_of do
  local last = first + struct.unpack('<I4', counts, 4 * c - 3) - 1
  local kept = {}
  for i = first, last do if fresh[i] then kept[#kept + 1] = sub(rows, i, 12) end end
  if #kept > 0 then
    local key = 2 * lists + 4 * sets + 2 * c
    local facts = redis.call('HMGET', KEYS[key + 1], 'changed', 'version', 'blocks')
    local changed = math.max(generation, tonumber(facts[1] or 0) + 1)
    local young = redis.call('APPEND', KEYS[key], table.concat(kept))
    if facts[2] then redis.call('HSET', KEYS[key + 1], 'changed', changed)
    else redis.call('HSET', KEYS[key + 1], 'changed', changed, 'version', 'g' .. generation) end
    out[#out + 1] = struct.pack('<I4I4I4', c - 1, young, tonumber(facts[3] or 0))
    local list = string.byte(list_of, c)
    local marks, named = dirty[list] or {}, listed[list] or {}
    dirty[list], listed[list] = marks, named
    marks[#marks + 1], marks[#marks + 2], named[#named + 1] = changed, ARGV[8 + c], ARGV[8 + c]
  end
  first = last + 1
end
for list = 0, lists - 1 do
  local marks, named = dirty[list] or {}, listed[list]
  for i = 1, #marks, 2 * PIECE do
    redis.call('ZADD', KEYS[2 + list], 'GT', unpack(marks, i, math.min(#marks, i + 2 * PIECE - 1)))
    local at = (i + 1) / 2
    redis.call('SADD', KEYS[2 + lists + list], unpack(named, at, math.min(#named, at + PIECE - 1)))
  end
end
return {new, tonumber(redis.call('GET', KEYS[1])), table.concat(out)}
""")


@dataclass(frozen=True)
class Landed:
    """new: clicks kept. generation: after them. changed: candidate, bytes of its young, number of its blocks."""

    new: int
    generation: int
    changed: list[tuple[str, int, int]]


def landing(clicks: Clicks, now: int, remember_ms: int) -> tuple[Call, list[str]]:
    """The call that keeps a batch, and its candidates in the call's order."""
    rows, records, codes, counts = rows_by_candidate(clicks)
    identity = clicks.identity[rows].astype("<u8")
    candidates = [clicks.candidates[code] for code in codes.tolist()]
    lists = [names.shard(candidate) for candidate in candidates]
    slices, expiry = slices_at(now, remember_ms)
    keys = [names.GENERATION, *map(names.dirty, range(names.SHARDS)), *map(names.registry, range(names.SHARDS))]
    keys += [names.identities(number, slice) for number in range(names.IDENTITY_SETS) for slice in slices]
    keys += [names.candidate(candidate, part) for candidate in candidates for part in ("young", "facts")]
    columns = (identity, _set_of(identity), records, counts.astype("<u4"), np.array(lists, np.uint8))
    packed = [column.tobytes() for column in columns]
    return script(_LAND, keys, expiry, names.SHARDS, names.IDENTITY_SETS, *packed, *candidates), candidates


def landed(answer: tuple[int, int, bytes], candidates: list[str]) -> Landed:
    """What the call did."""
    new, generation, packed = answer
    changed = np.frombuffer(packed, "<u4").reshape(-1, 3).tolist()
    return Landed(new, generation, [(candidates[c], young, parts) for c, young, parts in changed])


def _set_of(identity: NDArray[np.uint64]) -> NDArray[np.uint8]:
    return (identity % np.uint64(names.IDENTITY_SETS)).astype(np.uint8)
