"""CounterStore: one hash an hour, field -> number, and a list of the hours there are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Call, Connection, Script, command

What = Literal["impressions", "clicks"]
_WHATS: tuple[What, ...] = ("impressions", "clicks")

# KEYS: hour's hash, hours. ARGV: hour; of each count its field and number.
_ADD = Script("""
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[2], ARGV[1], ARGV[1])
""")


class RedisCounters:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, what: What, hour: int, counts: Mapping[tuple[str, str], int]) -> None:
        """See the port. Not repeated after a lost answer, since it would count twice."""
        if counts:
            fields = [x for pair, n in counts.items() for x in (json.dumps(pair, ensure_ascii=False), int(n))]
            self._connection.run(_ADD, [_hour(what, hour), _hours(what)], hour, *fields, again=False)

    def totals(self, what: What, since_hour: int) -> dict[tuple[str, str], int]:
        """See the port."""
        totals: Counter[tuple[str, str]] = Counter()
        hours = self._connection.do("ZRANGEBYSCORE", _hours(what), since_hour, "+inf")
        for rows in self._connection.many([command("HGETALL", _hour(what, int(hour))) for hour in hours]):
            for field, n in rows.items():
                segment, candidate = json.loads(field)
                totals[segment, candidate] += int(n)
        return dict(totals)

    def drop_before(self, hour: int) -> None:
        """See the port."""
        for what in _WHATS:
            old = self._connection.do("ZRANGEBYSCORE", _hours(what), "-inf", f"({hour}")
            self._connection.many([Call(_hours(what), ("UNLINK", _hour(what, int(h)))) for h in old])
            self._connection.do("ZREMRANGEBYSCORE", _hours(what), "-inf", f"({hour}")


def _hour(what: What, hour: int) -> str:
    return names.room("counters", f"{what}:{hour}")


def _hours(what: What) -> str:
    return names.room("counters", what)
