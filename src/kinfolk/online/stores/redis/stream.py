"""ClickSource on a Redis stream, with a consumer group: what `kinfolk.online.bus.open_source` opens.

The dead-letter stream is called `{stream}:dead`, lies beside the stream, and keeps about the newest 100,000 entries:
the fields as they came, the entry's place in the stream, and the reason. The stream itself is its producer's to trim.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from kinfolk.online.bus import Delivery
from kinfolk.online.clicks import EARLIEST_MS
from kinfolk.online.stores.redis.connection import Connection, Script, check_url

DEAD_KEPT = 100_000

# KEYS: stream. ARGV: group, consumer, limit, after which place ('>' for new ones). Nothing is read while the group is
# made; the next call reads.
_READ = Script("""
local found = redis.pcall(
  'XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], ARGV[4])
if found and found.err then
  if not string.find(found.err, 'NOGROUP') then return found end
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  return {}
end
return found and found[1][2] or {}
""")

# KEYS: stream. ARGV: group, consumer, ms of silence, from which place, limit. Returns where to go on and the entries.
_CLAIM = Script("""
local found = redis.pcall('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
if found.err then
  if not string.find(found.err, 'NOGROUP') then return found end
  return {'0-0', {}}
end
return {found[1], found[2]}
""")

# KEYS: stream. ARGV: group, places.
_ACK = Script("""
local done = 0
for i = 2, #ARGV do done = done + redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) end
return done
""")

# KEYS: stream, dead letters. ARGV: group, place, most kept, reason, fields and values.
_REFUSE = Script("""
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'place', ARGV[2], 'reason', ARGV[4], unpack(ARGV, 5))
return 1
""")
# KEYS: stream. ARGV: group. Returns entries that nobody was handed (-1: Redis lost count, since some were deleted) and
# those that were handed out and not acknowledged.
_WAITING = Script("""
local found = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if found.err then
  if not string.find(found.err, 'no such key') then return found end
  return {0, 0}
end
for _, group in ipairs(found) do
  local facts = {}
  for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
  if facts['name'] == ARGV[1] then return {facts['lag'] or -1, facts['pending']} end
end
return {redis.call('XLEN', KEYS[1]), 0}
""")
_FIELDS_KEPT = 100  # of an entry that cannot be read

Entry = tuple[str, list[bytes]]


class RedisStream:
    """See the module and `ClickSource`."""

    def __init__(self, url: str, stream: str, group: str, consumer: str, claim_after_ms: int) -> None:
        self._url = url
        self._stream, self._dead = stream, dead_letters(stream)
        self._group, self._consumer, self._claim_after_ms = group, consumer, claim_after_ms
        self._mine: str | None = "0-0"  # own entries not acknowledged have been read up to here; None: all
        self._others = "0-0"  # where the search for entries of dead readers goes on
        self._counts = dict.fromkeys(("read", "claimed", "acknowledged", "refused"), 0)

    @classmethod
    def open(cls, url: str, stream: str, group: str, consumer: str, claim_after_ms: int) -> RedisStream:
        """See `kinfolk.online.bus.open_source`."""
        check_url(url)
        return cls(url, stream, group, consumer, claim_after_ms)

    @cached_property
    def _connection(self) -> Connection:
        return Connection(self._url)  # at the first use: a bus that is away keeps no server from starting

    def read(self, limit: int) -> Delivery:
        """See the port."""
        try:
            for find in (self._read_mine, self._read_others, self._read_new):
                entries = find(limit)
                if entries:
                    return self._delivery(entries)
        except BaseException:
            self.again()  # entries whose answer was lost are this reader's now
            raise
        return self._delivery([])

    def _read_mine(self, limit: int) -> list[Entry]:
        if self._mine is None:
            return []
        entries = self._ask(limit, self._mine)
        self._mine = entries[-1][0] if entries else None
        return entries

    def _read_others(self, limit: int) -> list[Entry]:
        silence = self._claim_after_ms
        # Not repeated after a lost answer: what it claimed is not silent any more. `again` finds it.
        found = self._connection.run(
            _CLAIM, [self._stream], self._group, self._consumer, silence, self._others, limit, again=False
        )
        self._others = found[0].decode()
        entries = _entries(found[1])
        self._counts["claimed"] += len(entries)
        return entries

    def _read_new(self, limit: int) -> list[Entry]:
        return self._ask(limit, ">")

    def _ask(self, limit: int, after: str) -> list[Entry]:
        # Not repeated after a lost answer: the entries would be skipped. `again` finds them.
        found = self._connection.run(
            _READ, [self._stream], self._group, self._consumer, limit, after, again=after != ">"
        )
        return _entries(found)

    def _delivery(self, entries: list[Entry]) -> Delivery:
        self._counts["read"] += len(entries)
        rows: list[tuple[str, str, str, int, str | None]] = []
        for place, values in entries:
            try:
                rows.append((place, *_click(place, values)))
            except ValueError as error:  # also what is not UTF-8
                self._refuse(place, values, str(error))
        if not rows:
            return Delivery((), (), (), (), ())
        return Delivery(*zip(*rows, strict=True))

    def ack(self, delivery: Delivery) -> None:
        """See the port."""
        self._connection.run(_ACK, [self._stream], self._group, *delivery.places)
        self._counts["acknowledged"] += len(delivery)

    def refuse(self, delivery: Delivery, reason: str) -> None:
        """See the port."""
        columns = (delivery.places, delivery.users, delivery.candidates, delivery.times, delivery.event_ids)
        for place, user, candidate, time, event_id in zip(*columns, strict=True):
            fields: list[Any] = ["user", user, "candidate", candidate, "time", time]
            self._refuse(place, fields + ([] if event_id is None else ["event_id", event_id]), reason)

    def _refuse(self, place: str, fields: list[Any], reason: str) -> None:
        kept = fields[: 2 * _FIELDS_KEPT]
        self._connection.run(_REFUSE, [self._stream, self._dead], self._group, place, DEAD_KEPT, reason[:200], *kept)
        self._counts["refused"] += 1

    def again(self) -> None:
        """See the port."""
        self._mine = "0-0"

    def waiting(self) -> tuple[int | None, int]:
        """See the port."""
        lag, pending = self._connection.run(_WAITING, [self._stream], self._group)
        return None if lag < 0 else int(lag), int(pending)

    def counts(self) -> dict[str, int]:
        """See the port."""
        return dict(self._counts)

    def close(self) -> None:
        """See the port. What was not acknowledged stays this consumer's."""
        if "_connection" in self.__dict__:
            self._connection.close()


def dead_letters(stream: str) -> str:
    """The key of a stream's dead letters, in the same slot."""
    return f"{stream}:dead" if "{" in stream else f"{{{stream}}}:dead"


def _entries(found: list[Any]) -> list[Entry]:
    """Entries that were deleted from the stream while they were pending come without values."""
    return [(place.decode(), list(values or [])) for place, values in found]


def _click(place: str, values: list[bytes]) -> tuple[str, str, int, str | None]:
    """User, candidate, time, event id. Raises ValueError with the reason."""
    if not values:
        raise ValueError("the entry was deleted before it was read")
    fields = dict(zip(values[::2], values[1::2], strict=True))
    user, candidate = fields.get(b"user"), fields.get(b"candidate")
    if not user or not candidate:
        raise ValueError(f"the entry has no {'user' if not user else 'candidate'}")
    time, event_id = fields.get(b"time"), fields.get(b"event_id")
    ms = int(time if time else place.partition("-")[0])
    if not EARLIEST_MS <= ms < 2**62:
        raise ValueError("the entry's time is no moment in milliseconds since 1970, or before 1990")
    return user.decode(), candidate.decode(), ms, event_id.decode() if event_id else None
