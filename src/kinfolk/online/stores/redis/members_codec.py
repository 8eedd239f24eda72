"""A part of an audience as bytes: keys sorted, so that a script can look a user up without reading the rest.

16 bytes of header, uint64[n] keys ascending, uint32[n] the place of each member's key among them, float32[n] scores,
uint32[n] ends of ids, ids in UTF-8; members best first, numbers little-endian.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.ports import Members, StoreError

_HEADER = struct.Struct("<4sHHII")  # magic, version, 0, n, CRC-32
_MAGIC, _VERSION = b"KFAM", 1

# Of ARGV[first..], keys of 8 bytes: whether the part holds one. Halves of 32 bits, since Lua's numbers hold 53.
LOOK_UP = """
local function less(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end
local function number(data) local low, high = struct.unpack('<I4I4', data) return {high, low} end
local function holds(part, first)
  local head = redis.call('GETRANGE', part, 8, 11)
  if #head < 4 then return false end
  local n = struct.unpack('<I4', head)
  for i = first, #ARGV do
    local wanted, low, high = number(ARGV[i]), 0, n
    while low < high do
      local middle = math.floor((low + high) / 2)
      local key = number(redis.call('GETRANGE', part, 16 + 8 * middle, 23 + 8 * middle))
      if less(key, wanted) then low = middle + 1
      elseif less(wanted, key) then high = middle
      else return true end
    end
  end
  return false
end
"""


def encode(members: Members) -> bytes:
    """One part."""
    keys = np.ascontiguousarray(members.keys, "<u8")
    order = np.argsort(keys, kind="stable")
    place = np.empty(len(keys), "<u4")
    place[order] = np.arange(len(keys), dtype="<u4")
    ids = [id.encode() for id in members.ids]
    ends = np.cumsum([len(id) for id in ids], dtype="<u4") if ids else np.zeros(0, "<u4")
    scores = np.ascontiguousarray(members.scores, "<f4")
    body = b"".join([keys[order].tobytes(), place.tobytes(), scores.tobytes(), ends.astype("<u4").tobytes(), *ids])
    return _HEADER.pack(_MAGIC, _VERSION, 0, len(keys), zlib.crc32(body)) + body


def decode(data: bytes) -> Members:
    """What `encode` wrote. Raises StoreError if it is anything else, or damaged."""
    remedy = "delete the audience and ask for it again"
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise StoreError("a part of an audience does not start as one", remedy)
    _, version, _, n, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if version != _VERSION or len(body) < 20 * n or zlib.crc32(body) != checksum:
        raise StoreError(f"a part of an audience is damaged, or of a format other than {_VERSION}", remedy)
    keys = np.frombuffer(body, "<u8", n).astype(np.uint64)
    place = np.frombuffer(body, "<u4", n, 8 * n)
    scores = np.frombuffer(body, "<f4", n, 12 * n).astype(np.float32)
    ends = np.frombuffer(body, "<u4", n, 16 * n).tolist()
    text = body[20 * n :]
    ids = tuple(text[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True)) if n else ()
    return Members(ids, keys[place], scores)


def without(members: Members, keys: NDArray[np.uint64]) -> Members:
    """Members whose key is not among the given ones."""
    stay = ~np.isin(members.keys, keys)
    return Members(
        tuple(id for id, kept in zip(members.ids, stay.tolist(), strict=True) if kept),
        members.keys[stay],
        members.scores[stay],
    )
