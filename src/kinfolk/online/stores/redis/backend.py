"""All ports on one Redis or Valkey server, or on a cluster: `RedisBackend.open("redis://host:6379/0")`.

A write that has returned survives the kill of any process; with `appendfsync always` the kill of the server and a power
cut too, which `warnings` checks. Replicas follow asynchronously: a failover can lose what was just acknowledged.
"""

from __future__ import annotations

import os

from kinfolk.online.clicks import SECRET_BYTES
from kinfolk.online.ports import StoreError, StoreOptions
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.audiences import RedisAudiences
from kinfolk.online.stores.redis.candidates import RedisCandidates
from kinfolk.online.stores.redis.connection import Connection, command
from kinfolk.online.stores.redis.counters import RedisCounters
from kinfolk.online.stores.redis.durability import warnings_of
from kinfolk.online.stores.redis.leases import RedisLeases
from kinfolk.online.stores.redis.seeds import RedisSeeds
from kinfolk.online.stores.redis.settings import RedisKeys, RedisSettings
from kinfolk.online.stores.redis.snapshots import RedisSnapshots
from kinfolk.online.stores.redis.users import RedisUsers

FORMAT = b"1"


class RedisBackend:
    """Thread-safe; any number of processes may share the store.

    Attributes:
        clustered: whether it is a cluster, where a batch of clicks is kept candidate by candidate.
    """

    shared = True

    def __init__(self, connection: Connection, options: StoreOptions) -> None:
        self._connection = connection
        self.clustered = connection.clustered
        self.seeds = RedisSeeds(connection, options)
        self.snapshots = RedisSnapshots(connection)
        self.candidates = RedisCandidates(connection)
        self.users = RedisUsers(connection)
        self.audiences = RedisAudiences(connection)
        self.counters = RedisCounters(connection)
        self.keys = RedisKeys(connection)
        self.settings = RedisSettings(connection)
        self.leases = RedisLeases(connection)

    @classmethod
    def open(cls, url: str, options: StoreOptions | None = None) -> RedisBackend:
        """Connect; whether it is a cluster, the server says.

        Args:
            url: redis://[user:password@]host:port/db, or rediss:// over TLS; of a cluster, any of its nodes
                (redis+cluster:// says the same).
            options: defaults if None.

        Raises:
            StoreError: the server cannot be reached, or holds data of another format.
            OptionError: the URL makes no sense.
        """
        connection = Connection(url)
        held = connection.many([command("SET", names.FORMAT, FORMAT, "NX"), command("GET", names.FORMAT)])[1]
        if held != FORMAT:
            connection.close()
            raise StoreError(
                f"the store at {connection.where} has format {held.decode()}, this kinfolk knows {FORMAT.decode()}",
                "use the version of kinfolk that wrote it, or another database number",
            )
        return cls(connection, options or StoreOptions())

    @property
    def url(self) -> str:
        """See the port."""
        return self._connection.where

    def secret(self) -> bytes:
        """See the port."""
        offered = os.urandom(SECRET_BYTES)
        calls = [command("SET", names.SECRET, offered, "NX"), command("GET", names.SECRET)]
        return bytes(self._connection.many(calls)[1])

    def ping(self) -> None:
        """See the port."""
        self._connection.many([command("SET", f"{names.dirty(i)}:ping", 1) for i in range(names.SHARDS)])

    def warnings(self) -> list[str]:
        """See the port."""
        found = [text for texts in self._connection.each(warnings_of) for text in texts]
        return [f"the store at {self.url}: {text}" for text in dict.fromkeys(found)]

    def close(self) -> None:
        """See the port. Nothing waits to be flushed."""
        self._connection.close()
