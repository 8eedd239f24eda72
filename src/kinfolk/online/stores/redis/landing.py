"""Clicks of one batch, packed for the scripts that take them in: what is new is appended, what was there is dropped.

Here a script takes one candidate's, as a cluster needs it; `landing_together` takes a whole batch on one server.

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

# KEYS: young, facts, 4 slices. ARGV: generation, expiry, identities, records.
LAND_ONE = Script("""
local PIECE = 1000 -- Lua cannot unpack much more
local generation, ids, rows = tonumber(ARGV[1]), ARGV[3], ARGV[4]
local function sub(data, i, width) return string.sub(data, width * (i - 1) + 1, width * i) end
local n, old, fresh = #ids / 8, {}, {}
for slice = 3, 6 do
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
local facts = redis.call('HMGET', KEYS[2], 'changed', 'cleaned', 'version', 'blocks')
local changed, blocks = tonumber(facts[1] or 0), tonumber(facts[4] or 0)
if #fresh == 0 then
  return {0, changed, changed > tonumber(facts[2] or 0) and 1 or 0, 0, blocks}
end
changed = math.max(generation, changed + 1)
local renew = redis.call('EXISTS', KEYS[3]) == 0
for first = 1, #fresh, PIECE do
  local some = {}
  for i = first, math.min(#fresh, first + PIECE - 1) do some[#some + 1] = sub(ids, fresh[i], 8) end
  redis.call('SADD', KEYS[3], unpack(some))
end
if renew then redis.call('PEXPIRE', KEYS[3], tonumber(ARGV[2])) end
if #fresh < n then
  local kept = {}
  for i, row in ipairs(fresh) do kept[i] = sub(rows, row, 12) end
  rows = table.concat(kept)
end
local young = redis.call('APPEND', KEYS[1], rows)
if facts[3] then redis.call('HSET', KEYS[2], 'changed', changed)
else redis.call('HSET', KEYS[2], 'changed', changed, 'version', 'g' .. generation) end
return {#fresh, changed, 1, young, blocks}
""")

# KEYS: generation. ARGV: at least so much.
RAISE = Script(
    "local now = tonumber(redis.call('GET', KEYS[1]) or 0) "
    "if now < tonumber(ARGV[1]) then now = tonumber(ARGV[1]) redis.call('SET', KEYS[1], ARGV[1]) end return now"
)


@dataclass(frozen=True)
class LandedOne:
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
    def of(cls, candidate: str, answer: list[int]) -> LandedOne:
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


def rows_by_candidate(
    clicks: Clicks,
) -> tuple[NDArray[np.int64], NDArray[np.void], NDArray[np.int32], NDArray[np.int64]]:
    """The first click of each identity, by candidate, in order of arrival: rows of `clicks`, `RECORD` of each, and of
    each candidate its number in `clicks` and how many."""
    first = np.unique(clicks.identity, return_index=True)[1]
    rows = first[np.lexsort((first, clicks.candidate[first]))]
    records = np.empty(len(rows), RECORD)
    records["user"] = clicks.user[rows]
    records["time"] = np.clip(clicks.time[rows] // 1000, 0, 0xFFFFFFFF)
    codes, counts = np.unique(clicks.candidate[rows], return_counts=True)
    return rows, records, codes, counts


def pack_by_candidate(clicks: Clicks) -> list[Packed]:
    """As `rows_by_candidate` has them."""
    rows, records, codes, counts = rows_by_candidate(clicks)
    identities, data = clicks.identity[rows].astype("<u8").tobytes(), records.tobytes()
    ends = np.cumsum(counts)
    return [
        Packed(clicks.candidates[c], identities[8 * a : 8 * b], data[BYTES_PER_SEED * a : BYTES_PER_SEED * b])
        for c, a, b in zip(codes.tolist(), (ends - counts).tolist(), ends.tolist(), strict=True)
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
