"""Clicks of one batch, packed for the scripts that take them in: what is new is appended, what was there is dropped.

Of each candidate: `young`, a string of 12-byte records (user uint64, second uint32, little-endian) in order of
arrival; `facts`, a hash (`version` of the folded blocks, `count` and `blocks` of them, generations `changed` and
`cleaned`); and `seen:<n>`, sets of identities by time of arrival in slices of half of what is remembered. An identity
is looked up in its own slice, in the two before, and in the one after (another worker's clock may be ahead).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clicks import Clicks
from kinfolk.online.stores.blocks import BYTES_PER_SEED
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Script

RECORD = np.dtype([("user", "<u8"), ("time", "<u4")])
SHORTEST_EXPIRY = 600_000  # ms of the server's clock; callers' clocks may stand still or run slower
assert RECORD.itemsize == BYTES_PER_SEED

_LAND = """
local PIECE = 1000 -- Lua cannot unpack much more
local function sub(data, i, width) return string.sub(data, width * (i - 1) + 1, width * i) end
local function land(key, ids, rows, generation, expiry)
  local n, old, fresh = #ids / 8, {}, {}
  for slice = key + 2, key + 5 do
    if redis.call('EXISTS', KEYS[slice]) == 1 then
      for first = 1, n, PIECE do
        local some = {}
        for i = first, math.min(n, first + PIECE - 1) do some[#some + 1] = sub(ids, i, 8) end
        for i, held in ipairs(redis.call('SMISMEMBER', KEYS[slice], unpack(some))) do
          if held == 1 then old[first + i - 1] = true end
        end
      end
    end
  end
  for i = 1, n do if not old[i] then fresh[#fresh + 1] = i end end
  local facts = redis.call('HMGET', KEYS[key + 1], 'changed', 'cleaned', 'version', 'blocks')
  local changed, blocks = tonumber(facts[1] or 0), tonumber(facts[4] or 0)
  if #fresh == 0 then
    return {0, changed, changed > tonumber(facts[2] or 0) and 1 or 0, 0, blocks}
  end
  if generation == 0 then generation = redis.call('INCR', KEYS[1]) end
  changed = math.max(generation, changed + 1)
  local renew = redis.call('EXISTS', KEYS[key + 2]) == 0
  for first = 1, #fresh, PIECE do
    local some = {}
    for i = first, math.min(#fresh, first + PIECE - 1) do some[#some + 1] = sub(ids, fresh[i], 8) end
    redis.call('SADD', KEYS[key + 2], unpack(some))
  end
  if renew then redis.call('PEXPIRE', KEYS[key + 2], expiry) end
  if #fresh < n then
    local kept = {}
    for i, row in ipairs(fresh) do kept[i] = sub(rows, row, 12) end
    rows = table.concat(kept)
  end
  local young = redis.call('APPEND', KEYS[key], rows)
  if facts[3] then redis.call('HSET', KEYS[key + 1], 'changed', changed)
  else redis.call('HSET', KEYS[key + 1], 'changed', changed, 'version', 'g' .. generation) end
  return {#fresh, changed, 1, young, blocks}
end
"""

# KEYS: young, facts, 4 slices. ARGV: generation, expiry, identities, records.
LAND_ONE = Script(_LAND + "return land(1, ARGV[3], ARGV[4], tonumber(ARGV[1]), tonumber(ARGV[2]))")

# A whole batch on one server, which makes it all or none. KEYS: generation; of each candidate young, facts, 4 slices,
# dirty list, registry. ARGV: expiry; of each candidate its id, identities, records.
LAND_ALL = Script(
    _LAND
    + """
local out, generation = {}, 0
for i = 1, (#KEYS - 1) / 8 do
  local key, arg = 8 * i - 6, 3 * i - 1
  local landed = land(key, ARGV[arg + 1], ARGV[arg + 2], generation, tonumber(ARGV[1]))
  if landed[1] > 0 then
    if generation == 0 then generation = tonumber(redis.call('GET', KEYS[1])) end
    redis.call('ZADD', KEYS[key + 6], 'GT', landed[2], ARGV[arg])
    redis.call('SADD', KEYS[key + 7], ARGV[arg])
  end
  out[i] = landed
end
out[#out + 1] = tonumber(redis.call('GET', KEYS[1]) or 0)
return out
"""
)

# KEYS: generation. ARGV: at least so much.
RAISE = Script(
    "local now = tonumber(redis.call('GET', KEYS[1]) or 0) "
    "if now < tonumber(ARGV[1]) then now = tonumber(ARGV[1]) redis.call('SET', KEYS[1], ARGV[1]) end return now"
)


@dataclass(frozen=True)
class Landed:
    """What became of one candidate's clicks.

    new: clicks kept. changed: generation of its last change. unclean: whether it must be in the dirty list. young:
    bytes, 0 if nothing was new. blocks: number of folded ones.
    """

    candidate: str
    new: int
    changed: int
    unclean: bool
    young: int
    blocks: int

    @classmethod
    def of(cls, candidate: str, answer: list[int]) -> Landed:
        """From a script's answer."""
        new, changed, unclean, young, blocks = answer
        return cls(candidate, new, changed, bool(unclean), young, blocks)


@dataclass(frozen=True)
class Packed:
    """One candidate's clicks, each identity once. identities: 8 bytes each. records: 12 bytes each."""

    candidate: str
    identities: bytes
    records: bytes

    def keys(self, slices: list[int]) -> list[str]:
        """In the scripts' order."""
        return [names.candidate(self.candidate, part) for part in ("young", "facts", *(f"seen:{n}" for n in slices))]


def pack_by_candidate(clicks: Clicks) -> list[Packed]:
    """The first click of each identity, by candidate, in order of arrival."""
    first = np.unique(clicks.identity, return_index=True)[1]
    rows = first[np.lexsort((first, clicks.candidate[first]))]
    records = np.empty(len(rows), RECORD)
    records["user"] = clicks.user[rows]
    records["time"] = np.clip(clicks.time[rows] // 1000, 0, 0xFFFFFFFF)
    identities, data = clicks.identity[rows].astype("<u8").tobytes(), records.tobytes()
    code, start = np.unique(clicks.candidate[rows], return_index=True)
    ends = [*start[1:].tolist(), len(rows)]
    return [
        Packed(clicks.candidates[c], identities[8 * a : 8 * b], data[BYTES_PER_SEED * a : BYTES_PER_SEED * b])
        for c, a, b in zip(code.tolist(), start.tolist(), ends, strict=True)
    ]


def unpack(young: bytes) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Records as users and milliseconds."""
    records = np.frombuffer(young, RECORD)
    return records["user"].astype(np.uint64), records["time"].astype(np.int64) * 1000


def slices_at(now: int, remember_ms: int) -> tuple[list[int], int]:
    """Numbers of the slices of identities to look into, the one to write to first; and how long (ms) one is kept."""
    length = max(-(-remember_ms // 2), 1)
    n = now // length
    return [n, n - 1, n - 2, n + 1], max(4 * length, SHORTEST_EXPIRY)
