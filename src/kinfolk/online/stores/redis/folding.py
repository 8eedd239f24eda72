"""Seeds of one candidate: read together, folded into blocks, and put back where nothing else changed them meanwhile.

Blocks hold distinct users, oldest first over all blocks, 64 KiB each but for the first; clicks that came since lie in
`young`. A fold writes new blocks under a name of their own with an expiry, then one script puts them in place of the
old ones, only where `version` is still what was read, and cuts off the part of `young` that it has read. What was
appended meanwhile stays. A fold that dies half-way leaves blocks that expire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinfolk.online.ports import StoreError
from kinfolk.online.stores import blocks
from kinfolk.online.stores.blocks import Block
from kinfolk.online.stores.redis import landing, names
from kinfolk.online.stores.redis.connection import Call, Connection, Script, command

SEEDS_PER_BLOCK = 5_456  # with headers a little under 64 KiB, a size of the server's allocator
YOUNG_BYTES = 32_768  # a fold is due when young clicks take more, and more than an eighth of the blocks
DRAFT_EXPIRY = 600_000  # ms for which a fold that is not finished keeps its blocks
ATTEMPTS = 20
_AT_ONCE = 32  # blocks in one command, 2 MiB

# KEYS: facts, young.
_READ = Script("""
local facts = redis.call('HMGET', KEYS[1], 'version', 'count', 'blocks')
return {facts[1] or '', tonumber(facts[2] or 0), tonumber(facts[3] or 0), redis.call('GET', KEYS[2]) or ''}
""")

# KEYS: facts, young, old blocks, new blocks. ARGV: version read, bytes of young read, new version, count, number of new
# blocks, generation of the change or 0.
_COMMIT = Script("""
local version = redis.call('HGET', KEYS[1], 'version') or ''
if version == ARGV[3] then return tonumber(redis.call('HGET', KEYS[1], 'changed') or 0) end -- sent twice
if version ~= ARGV[1] then return -1 end
local first = #KEYS - tonumber(ARGV[5]) + 1
for i = first, #KEYS do if redis.call('PERSIST', KEYS[i]) == 0 then return -1 end end
for i = 3, first - 1 do redis.call('UNLINK', KEYS[i]) end
local read, young = tonumber(ARGV[2]), redis.call('STRLEN', KEYS[2])
if young <= read then redis.call('DEL', KEYS[2])
elseif read > 0 then redis.call('SET', KEYS[2], redis.call('GETRANGE', KEYS[2], read, -1)) end
local changed = tonumber(redis.call('HGET', KEYS[1], 'changed') or 0)
if tonumber(ARGV[6]) > 0 then changed = math.max(tonumber(ARGV[6]), changed + 1) end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'count', ARGV[4], 'blocks', ARGV[5], 'changed', changed)
return changed
""")

# KEYS: facts, young, blocks. ARGV: version read, bytes of young read, new version. Answers 0: nothing is left, 1: what
# came since, -1: others were faster.
_DROP = Script("""
local version = redis.call('HGET', KEYS[1], 'version') or ''
if version == ARGV[3] then return 1 end -- sent twice
if version ~= ARGV[1] then return -1 end
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
local read, young = tonumber(ARGV[2]), redis.call('STRLEN', KEYS[2])
if young <= read then
  redis.call('DEL', KEYS[1])
  redis.call('UNLINK', KEYS[2])
  return 0
end
if read > 0 then redis.call('SET', KEYS[2], redis.call('GETRANGE', KEYS[2], read, -1)) end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'count', 0, 'blocks', 0)
return 1
""")


@dataclass(frozen=True)
class Kept:
    """A candidate's seeds as they were at one moment.

    version: of its blocks. count, parts: seeds in blocks and number of blocks. young: bytes of records since. block:
    everything together, or its newest part where only that was asked for.
    """

    candidate: str
    version: str
    count: int
    parts: int
    young: int
    block: Block

    @property
    def due(self) -> bool:
        """Whether folding pays."""
        return due(self.young, self.parts)


def due(young: int, parts: int) -> bool:
    """Whether folding pays. young: bytes. parts: blocks."""
    return young > max(YOUNG_BYTES, parts * SEEDS_PER_BLOCK * blocks.BYTES_PER_SEED // 8)


def read(connection: Connection, candidate: str, max_seeds: int, limit: int | None = None) -> Kept:
    """All seeds, or at least the newest `limit` of them."""
    for _ in range(ATTEMPTS):
        version, count, parts, young = connection.run(_READ, _keys(candidate))
        version = version.decode()
        wanted = parts if limit is None or limit >= count else min(parts, -(-limit // SEEDS_PER_BLOCK))
        old = _blocks(connection, [_block(candidate, version, i) for i in range(parts - wanted, parts)])
        if old is None:
            continue  # somebody folded meanwhile
        block = blocks.trim(blocks.merge(_joined(old), blocks.pack(*landing.unpack(young))), max_seeds)
        return Kept(candidate, version, count, parts, len(young), block)
    raise StoreError(
        f"blocks of a candidate's seeds are missing or changed {ATTEMPTS} times while they were read",
        "repeat; if that does not help, restore the store from a backup",
    )


def commit(connection: Connection, kept: Kept, block: Block, generation: int = 0) -> int | None:
    """Put `block` in place of what was read; returns the generation of the last change, None if others were faster.

    generation: of this change, 0 if nothing changed but the form.
    """
    version = f"d{connection.do('INCR', names.DRAFTS)}"
    new = [blocks.encode(Block(block.user[a:b], block.time[a:b])) for a, b in _bounds(len(block))]
    fresh = [_block(kept.candidate, version, i) for i in range(len(new))]
    for i in range(0, len(new), _AT_ONCE):
        drafts = zip(fresh[i : i + _AT_ONCE], new[i : i + _AT_ONCE], strict=True)
        connection.many([command("SET", key, data, "PX", DRAFT_EXPIRY) for key, data in drafts])
    old = [_block(kept.candidate, kept.version, i) for i in range(kept.parts)]
    keys = [*_keys(kept.candidate), *old, *fresh]
    changed = connection.run(_COMMIT, keys, kept.version, kept.young, version, len(block), len(new), generation)
    return None if changed < 0 else int(changed)


def discard(connection: Connection, kept: Kept) -> bool:
    """Remove what was read and nothing that came since; False if others were faster."""
    old = [_block(kept.candidate, kept.version, i) for i in range(kept.parts)]
    version = f"d{connection.do('INCR', names.DRAFTS)}"
    left = connection.run(_DROP, [*_keys(kept.candidate), *old], kept.version, kept.young, version)
    return int(left) >= 0


def change(
    connection: Connection, candidate: str, max_seeds: int, edit: Callable[[Kept], Block | None], generation: int = 0
) -> int | None:
    """Read, edit, commit, until nobody came between; None if `edit` returned None, which leaves all as it is."""
    for _ in range(ATTEMPTS):
        kept = read(connection, candidate, max_seeds)
        block = edit(kept)
        if block is None:
            return None
        changed = commit(connection, kept, block, generation)
        if changed is not None:
            return changed
    raise StoreError(f"seeds of a candidate changed {ATTEMPTS} times while they were rewritten", "repeat")


def sizes(candidate: str) -> list[Call]:
    """Two calls: version, count, blocks; bytes of young."""
    facts, young = _keys(candidate)
    return [command("HMGET", facts, "version", "count", "blocks"), command("STRLEN", young)]


def _keys(candidate: str) -> list[str]:
    return [names.candidate(candidate, "facts"), names.candidate(candidate, "young")]


def _block(candidate: str, version: str, i: int) -> str:
    return names.candidate(candidate, f"block:{version}:{i}")


def _bounds(n: int) -> list[tuple[int, int]]:
    """Rows of each block; the first is the one that is not full, so that newest seeds are in the fewest blocks."""
    if not n:
        return []
    first = n % SEEDS_PER_BLOCK or SEEDS_PER_BLOCK
    return [(0, first), *((a, a + SEEDS_PER_BLOCK) for a in range(first, n, SEEDS_PER_BLOCK))]


def _blocks(connection: Connection, keys: list[str]) -> list[Block] | None:
    out: list[Block] = []
    for i in range(0, len(keys), _AT_ONCE):
        some = keys[i : i + _AT_ONCE]
        for data in connection.many([Call(some[0], ("MGET", *some))])[0]:
            if data is None:
                return None
            out.append(blocks.decode(data))
    return out


def _joined(parts: list[Block]) -> Block:
    """Blocks of one fold follow one another: no merge is needed."""
    if not parts:
        return blocks.EMPTY
    return Block(np.concatenate([p.user for p in parts]), np.concatenate([p.time for p in parts]))
