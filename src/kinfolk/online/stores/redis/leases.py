"""Lease: one hash a name with its owner, the moment it runs out, and the fence, which only rises.

Moments are the callers' times. Who asks anew for a lease that ran out gets a new number, its last owner too.
"""

from __future__ import annotations

from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Connection, Script

# ARGV: owner, now, ttl.
_ACQUIRE = Script("""
local held = redis.call('HMGET', KEYS[1], 'owner', 'until', 'fence')
local fence = tonumber(held[3] or 0)
local live = held[1] and tonumber(held[2]) > tonumber(ARGV[2])
if live and held[1] ~= ARGV[1] then return 0 end
if not live then fence = fence + 1 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', tonumber(ARGV[2]) + tonumber(ARGV[3]), 'fence', fence)
return fence
""")

_RENEW = Script("""
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', tonumber(ARGV[2]) + tonumber(ARGV[3]))
return 1
""")

_RELEASE = Script("""
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('HDEL', KEYS[1], 'owner', 'until') end
""")


class RedisLeases:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def acquire(self, name: str, owner: str, now: int, ttl: int) -> int | None:
        """See the port."""
        return int(self._connection.run(_ACQUIRE, [names.room("leases", name)], owner, now, ttl)) or None

    def renew(self, name: str, owner: str, now: int, ttl: int) -> bool:
        """See the port."""
        return bool(self._connection.run(_RENEW, [names.room("leases", name)], owner, now, ttl))

    def release(self, name: str, owner: str) -> None:
        """See the port."""
        self._connection.run(_RELEASE, [names.room("leases", name)], owner)
