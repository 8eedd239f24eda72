"""SeedStore: who clicked what.

On one server a batch is one transaction: all its clicks are kept, or none. In a cluster it is one script a candidate:
a batch that fails half-way raises StoreError and is repeated by the caller, and identities make every click count once.
There the order is: name the candidates in the registry, append, then mark them dirty, then answer; generations shown in
the dirty list are thus never newer than what a reader of the seeds sees.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.online.clicks import Clicks, Seeds
from kinfolk.online.ports import Appended, StoreError, StoreOptions
from kinfolk.online.stores import blocks
from kinfolk.online.stores.blocks import Block
from kinfolk.online.stores.named import named
from kinfolk.online.stores.redis import folding, landing_together, names, trails
from kinfolk.online.stores.redis.connection import Call, Connection, Script, command, script
from kinfolk.online.stores.redis.landing import LAND_ONE, RAISE, LandedOne, pack_by_candidate, slices_at
from kinfolk.online.stores.redis.landing_together import Landed

_COUNTS_KEPT = 20_000  # candidates whose number of seeds is remembered here
_EXACT_PARTS = 16  # a candidate of more blocks is counted in `stats` as of its last fold
_AT_ONCE = 2000  # clicks of a batch that is one transaction, trails and all; of a larger one trails follow by pieces
_PAGE = 1000
_ALL = 2**62  # seeds, those too that wait to be trimmed

# KEYS: facts. ARGV: generation.
_CLEANED = Script("""
local cleaned = tonumber(redis.call('HGET', KEYS[1], 'cleaned') or 0)
if redis.call('EXISTS', KEYS[1]) == 1 and cleaned < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'cleaned', ARGV[1])
end
""")

# KEYS: dirty list. ARGV: of each its candidate, generation.
_CLEAN = Script("""
for i = 1, #ARGV, 2 do
  local dirty = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if dirty and tonumber(dirty) <= tonumber(ARGV[i + 1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
""")


class RedisSeeds:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection, options: StoreOptions) -> None:
        self._connection, self._options = connection, options
        self._counts: OrderedDict[str, tuple[str, int, int]] = OrderedDict()  # candidate -> version, young bytes, seeds
        self._lock = threading.Lock()
        self._stats: tuple[int, dict[str, int]] | None = None

    def append(self, clicks: Clicks, now: int) -> Appended:
        """See the port. Clicks of a first attempt whose answer was lost count as duplicates in the second."""
        if not len(clicks):
            return Appended(0, 0, self.generation())
        land = self._by_candidate if self._connection.clustered else self._together
        landed = land(clicks, now)
        for candidate, young, parts in landed.changed:
            if folding.due(young, parts):
                self._fold_if_possible(candidate)
        return Appended(landed.new, len(clicks) - landed.new, landed.generation)

    def _together(self, clicks: Clicks, now: int) -> Landed:
        land, candidates = landing_together.landing(clicks, now, self._options.remember_ms)
        follow = self._trails(clicks, together=True)
        if len(clicks) <= _AT_ONCE:
            answer = self._connection.whole([land, *follow])[0]
        else:
            answer = self._connection.whole([land])[0]
            self._connection.many(follow)
        return landing_together.landed(answer, candidates)

    def _by_candidate(self, clicks: Clicks, now: int) -> Landed:
        ask, packed = self._connection, pack_by_candidate(clicks)
        register = _by_shard("SADD", names.registry, [(p.candidate,) for p in packed])
        generation = int(ask.many([command("INCR", names.GENERATION), *register])[0])
        slices, expiry = slices_at(now, self._options.remember_ms)
        calls = [script(LAND_ONE, p.keys(slices), generation, expiry, p.identities, p.records) for p in packed]
        answers = ask.many([*calls, *self._trails(clicks, together=False)])
        each = [LandedOne.of(p.candidate, a) for p, a in zip(packed, answers[: len(packed)], strict=True)]
        unclean = [one for one in each if one.unclean]
        last = max([generation, *(one.changed for one in unclean)])
        dirty = _by_shard("ZADD", names.dirty, [(one.candidate, one.changed) for one in unclean])
        # Registered again: somebody may have dropped the candidate in between.
        again = _by_shard("SADD", names.registry, [(one.candidate,) for one in unclean])
        now_at = int(ask.many([script(RAISE, [names.GENERATION], last), *dirty, *again])[0])
        return Landed(sum(one.new for one in each), now_at, [(one.candidate, one.young, one.blocks) for one in each])

    def _trails(self, clicks: Clicks, *, together: bool) -> list[Call]:
        options = self._options
        return trails.calls(clicks, options.remember_ms, options.trail_length, together=together)

    def _fold_if_possible(self, candidate: str) -> None:
        with suppress(StoreError):  # the clicks are kept; whoever appends or reads next tries again
            self.fold(candidate)

    def fold(self, candidate: str) -> None:
        """Put young clicks into blocks, which makes them smaller; readers see no difference."""
        folding.change(
            self._connection, candidate, self._options.max_seeds, lambda kept: kept.block if kept.young else None
        )

    def recent(self, candidate: str, limit: int) -> Seeds:
        """See the port."""
        if limit <= 0:
            return blocks.to_seeds(blocks.EMPTY)
        kept = folding.read(self._connection, candidate, self._options.max_seeds, limit)
        if kept.due:
            self._fold_if_possible(candidate)
        return blocks.to_seeds(blocks.trim(kept.block, limit))

    def count(self, candidate: str) -> int:
        """See the port. Read again only where clicks came since this process counted last."""
        facts, young = self._connection.many(folding.sizes(candidate))
        return self._count(candidate, _text(facts[0]), int(facts[1] or 0), young)

    def _count(self, candidate: str, version: str, folded: int, young: int) -> int:
        if not young:
            return min(folded, self._options.max_seeds)
        with self._lock:
            known = self._counts.get(candidate)
        if known is not None and known[:2] == (version, young):
            return known[2]
        kept = folding.read(self._connection, candidate, self._options.max_seeds)
        with self._lock:
            self._counts[candidate] = (kept.version, kept.young, len(kept.block))
            self._counts.move_to_end(candidate)
            while len(self._counts) > _COUNTS_KEPT:
                self._counts.popitem(last=False)
        return len(kept.block)

    def trail(self, user: int, limit: int) -> tuple[list[str], NDArray[np.int64]]:
        """See the port."""
        return trails.read(self._connection, user, min(limit, self._options.trail_length))

    def trails(self, users: NDArray[np.uint64], limit: int) -> tuple[list[str], Jagged]:
        """One pipeline."""
        return named(trails.read_many(self._connection, users.tolist(), min(limit, self._options.trail_length)))

    def generation(self) -> int:
        """See the port."""
        return int(self._connection.do("GET", names.GENERATION) or 0)

    def dirty(self) -> dict[str, int]:
        """See the port."""
        calls = [command("ZRANGE", names.dirty(shard), 0, -1) for shard in range(names.SHARDS)]
        scores: dict[str, int] = {}
        for call, members in zip(calls, self._connection.many(calls), strict=True):
            asked = [command("ZMSCORE", call.key, *members[i : i + _PAGE]) for i in range(0, len(members), _PAGE)]
            found = [score for page in self._connection.many(asked) for score in page]
            scores |= {m.decode(): int(float(s)) for m, s in zip(members, found, strict=True) if s is not None}
        return scores

    def clean(self, seen: Mapping[str, int]) -> None:
        """See the port. Noted in the facts first: an append that comes in between lists its candidate again."""
        ask = self._connection
        ask.many([script(_CLEANED, [names.candidate(c, "facts")], generation) for c, generation in seen.items()])
        shards: dict[int, list[str | int]] = {}
        for candidate, generation in seen.items():
            shards.setdefault(names.shard(candidate), []).extend((candidate, generation))
        ask.many([script(_CLEAN, [names.dirty(shard)], *seen_there) for shard, seen_there in shards.items()])

    def forget(self, users: NDArray[np.uint64], meanwhile: Callable[[], None] | None = None) -> list[str]:
        """See the port. Reads the seeds of every candidate."""
        users = np.unique(np.asarray(users, np.uint64))
        held = []
        for candidate in self._registered():
            if meanwhile is not None:
                meanwhile()
            if self._forget_in(candidate, users):
                held.append(candidate)
        trails.drop(self._connection, users.tolist())
        return held

    def _forget_in(self, candidate: str, users: NDArray[np.uint64]) -> bool:
        """Whether one of the users was among the newest seeds; those that wait to be trimmed go without a word."""
        ask, most, dirty = self._connection, self._options.max_seeds, names.dirty(names.shard(candidate))
        whole = folding.read(ask, candidate, _ALL).block
        if blocks.remove(whole, users) is whole:
            return False

        # Trimmed before, not after: who was beyond the newest does not move up when others leave.
        def without(kept: folding.Kept) -> Block | None:
            left = blocks.remove(kept.block, users)
            return None if left is kept.block else left

        newest = blocks.trim(whole, most)
        if blocks.remove(newest, users) is newest:
            self.fold(candidate)
            return False
        # Marked before, in case this process dies in between, and after, since a reader may have cleaned it meanwhile.
        generation = int(ask.do("INCRBY", names.GENERATION, 2))
        ask.do("ZADD", dirty, "GT", generation - 1, candidate)
        changed = folding.change(ask, candidate, most, without, generation)
        if changed is not None:
            ask.run(RAISE, [names.GENERATION], changed)
            ask.do("ZADD", dirty, "GT", changed, candidate)
        return True

    def drop(self, candidate: str, still: Callable[[], bool] | None = None) -> None:
        """See the port."""
        ask, shard = self._connection, names.shard(candidate)
        for _ in range(folding.ATTEMPTS):
            before = self.generation()
            kept = folding.read(ask, candidate, self._options.max_seeds, 0)
            if still is not None and not still():
                return
            if folding.discard(ask, kept):
                break
        else:
            raise StoreError(f"seeds of a candidate changed {folding.ATTEMPTS} times while they were dropped", "repeat")
        unlist = [
            script(_CLEAN, [names.dirty(shard)], candidate, before),
            command("SREM", names.registry(shard), candidate),
        ]
        ask.many([*unlist, command("INCR", names.GENERATION)])
        if ask.do("EXISTS", names.candidate(candidate, "facts")):  # what came since has it registered, or did before
            ask.do("SADD", names.registry(shard), candidate)

    def stats(self) -> dict[str, int]:
        """See the port. bytes: of blocks and young records. Candidates of many blocks count as of their last fold."""
        generation = self.generation()
        with self._lock:
            if self._stats is not None and self._stats[0] == generation:
                return dict(self._stats[1])
        candidates = seeds = size = 0
        page: list[str] = []
        for candidate in self._registered():
            page.append(candidate)
            if len(page) == _PAGE:
                candidates, seeds, size = _sum((candidates, seeds, size), self._sizes(page))
                page = []
        candidates, seeds, size = _sum((candidates, seeds, size), self._sizes(page))
        stats = {"candidates": candidates, "seeds": seeds, "bytes": size}
        with self._lock:
            self._stats = (generation, stats)
        return dict(stats)

    def _sizes(self, page: list[str]) -> tuple[int, int, int]:
        """Candidates with seeds, seeds, bytes."""
        answers = self._connection.many([call for candidate in page for call in folding.sizes(candidate)])
        candidates = seeds = size = 0
        for candidate, facts, young in zip(page, answers[::2], answers[1::2], strict=True):
            folded, parts = int(facts[1] or 0), int(facts[2] or 0)
            n = folded if parts > _EXACT_PARTS else self._count(candidate, _text(facts[0]), folded, young)
            candidates, seeds = candidates + (n > 0), seeds + n
            size += blocks.BYTES_PER_SEED * folded + 16 * parts + young
        return candidates, seeds, size

    def _registered(self) -> Iterator[str]:
        """Every candidate that has seeds, once."""
        seen: set[str] = set()
        for shard in range(names.SHARDS):
            cursor = -1
            while cursor:
                cursor, members = self._connection.do("SSCAN", names.registry(shard), max(cursor, 0), "COUNT", _PAGE)
                cursor = int(cursor)
                for member in members:
                    candidate = member.decode()
                    if candidate not in seen:
                        seen.add(candidate)
                        yield candidate


def _by_shard(verb: str, key: object, rows: list[tuple[str] | tuple[str, int]]) -> list[Call]:
    """One SADD or ZADD GT for each list."""
    grouped: dict[int, list[object]] = {}
    for row in rows:
        grouped.setdefault(names.shard(row[0]), []).extend(reversed(row))
    extra = ("GT",) if verb == "ZADD" else ()
    return [command(verb, key(shard), *extra, *values) for shard, values in grouped.items()]  # type: ignore[operator]  # a name's function


def _sum(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode()
