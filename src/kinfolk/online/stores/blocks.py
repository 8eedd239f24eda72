"""Packed seeds of one candidate: 12 bytes each, a user's key (uint64) and the second of their newest click (uint32).

A block holds distinct users, sorted by time and then by key. So it does not depend on the order in which clicks came:
merging is associative, commutative and idempotent, and trimming to the newest `max_seeds` may happen before a merge,
after it, or both. Every store relies on that to put clicks together when it is cheap.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinfolk.online.clicks import Seeds
from kinfolk.online.ports import StoreError
from kinfolk.online.stores.slots import empty_table, slot

U64 = NDArray[np.uint64]
U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

BYTES_PER_SEED = 12
_HEADER = struct.Struct("<4sHHII")  # magic, version, 0, number of seeds, CRC-32 of what follows: 16 bytes
_MAGIC, _VERSION = b"KFSB", 1


@dataclass(frozen=True)
class Block:
    """user: uint64[n] distinct keys. time: uint32[n] seconds since 1970. Sorted by (time, user); may be read-only."""

    user: U64
    time: U32

    def __len__(self) -> int:
        return len(self.user)


EMPTY = Block(np.zeros(0, np.uint64), np.zeros(0, np.uint32))


def pack(user: U64, time: I64) -> Block:
    """Of clicks in any order, users repeated or not. user: uint64[n]. time: int64[n] milliseconds, rounded down."""
    if not len(user):
        return EMPTY
    seconds = np.clip(time // 1000, 0, 0xFFFFFFFF).astype(np.uint32)
    order = np.lexsort((user, seconds))
    sorted_user, sorted_time = user[order], seconds[order]
    keep = last_of_each(sorted_user)
    return Block(sorted_user[keep], sorted_time[keep])


def merge(*blocks: Block) -> Block:
    """All users of the blocks, each with their newest time. O(seeds) for each pair, smallest first."""
    todo = sorted((b for b in blocks if len(b)), key=len)
    if not todo:
        return EMPTY
    merged = todo[0]
    for block in todo[1:]:
        small, large = (merged, block) if len(merged) <= len(block) else (block, merged)
        merged = Block(*_merge(small.user, small.time, large.user, large.time))
    return merged


def trim(block: Block, max_seeds: int) -> Block:
    """The newest `max_seeds` users; a view."""
    if len(block) <= max_seeds:
        return block
    first = len(block) - max_seeds
    return Block(block.user[first:], block.time[first:])


def remove(block: Block, users: U64) -> Block:
    """Without the given users; the same object if it holds none of them."""
    if not len(block) or not len(users):
        return block
    held = _held(block.user, users)
    return Block(block.user[~held], block.time[~held]) if held.any() else block


def to_seeds(block: Block) -> Seeds:
    """With times in milliseconds."""
    return Seeds(block.user, block.time.astype(np.int64) * 1000)


def encode(block: Block) -> bytes:
    """Header of 16 bytes, users, times; little-endian, 12 bytes a seed."""
    users = np.ascontiguousarray(block.user, "<u8").tobytes()
    times = np.ascontiguousarray(block.time, "<u4").tobytes()
    return _HEADER.pack(_MAGIC, _VERSION, 0, len(block), zlib.crc32(times, zlib.crc32(users))) + users + times


def decode(data: bytes | memoryview) -> Block:
    """What `encode` wrote, as read-only views of `data`. Raises StoreError if it is anything else, or damaged."""
    remedy = "restore the store from a backup"
    if len(data) < _HEADER.size:
        raise StoreError(f"a block of seeds has {len(data)} bytes, its header alone has {_HEADER.size}", remedy)
    magic, version, _, n, checksum = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise StoreError("a block of seeds does not start as one", remedy)
    if version != _VERSION:
        raise StoreError(
            f"a block of seeds has format {version}, this kinfolk reads {_VERSION}",
            "use the version of kinfolk that wrote it",
        )
    body = memoryview(data)[_HEADER.size :]
    if len(body) != BYTES_PER_SEED * n or zlib.crc32(body) != checksum:
        raise StoreError(f"a block of {n} seeds is damaged", remedy)
    user = np.frombuffer(body[: 8 * n], "<u8").astype(np.uint64, copy=False)
    return Block(user, np.frombuffer(body[8 * n :], "<u4").astype(np.uint32, copy=False))


def length(data: bytes | memoryview) -> int:
    """Number of seeds in an encoded block, from its header alone (16 bytes are enough)."""
    return int(_HEADER.unpack_from(data)[3])


@njit(cache=True, nogil=True)
def last_of_each(user: U64) -> Bool:
    """bool[n]: the last row of each user."""
    table = empty_table(len(user))
    keep = np.zeros(len(user), np.bool_)
    for i in range(len(user) - 1, -1, -1):
        at = slot(table, user, user[i])
        if table[at] < 0:
            table[at] = i
            keep[i] = True
    return keep


@njit(cache=True, nogil=True)
def _held(user: U64, wanted: U64) -> Bool:
    """bool[n]: which rows are of a wanted user."""
    table = empty_table(len(wanted))
    for j in range(len(wanted)):
        table[slot(table, wanted, wanted[j])] = j
    out = np.zeros(len(user), np.bool_)
    for i in range(len(user)):
        out[i] = table[slot(table, wanted, user[i])] >= 0
    return out


@njit(cache=True, nogil=True)
def _merge(a_user: U64, a_time: U32, b_user: U64, b_time: U32) -> tuple[U64, U32]:
    """Two blocks, `a` the smaller: its users are looked up, then both are walked in order."""
    na, nb = len(a_user), len(b_user)
    table = empty_table(na)
    for i in range(na):
        table[slot(table, a_user, a_user[i])] = i
    older_a = np.zeros(na, np.bool_)
    older_b = np.zeros(nb, np.bool_)
    both = 0
    for j in range(nb):
        i = table[slot(table, a_user, b_user[j])]
        if i >= 0:
            both += 1
            if a_time[i] >= b_time[j]:
                older_b[j] = True
            else:
                older_a[i] = True
    user = np.empty(na + nb - both, np.uint64)
    time = np.empty(na + nb - both, np.uint32)
    i, j = 0, 0
    for n in range(len(user)):
        while i < na and older_a[i]:
            i += 1
        while j < nb and older_b[j]:
            j += 1
        if j == nb or (i < na and (a_time[i] < b_time[j] or (a_time[i] == b_time[j] and a_user[i] < b_user[j]))):
            user[n], time[n] = a_user[i], a_time[i]
            i += 1
        else:
            user[n], time[n] = b_user[j], b_time[j]
            j += 1
    return user, time
