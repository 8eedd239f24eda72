"""SettingStore and KeyStore: two small hashes."""

from __future__ import annotations

import builtins
import json
from dataclasses import asdict

from kinfolk.online.ports import Key
from kinfolk.online.stores.redis import names
from kinfolk.online.stores.redis.connection import Connection, Script

_SETTINGS, _VERSION = names.room("settings", "rows"), names.room("settings", "version")
_KEYS = names.room("keys", "rows")

_PUT = Script("redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return redis.call('INCR', KEYS[2])")


class RedisSettings:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        """See the port."""
        value = self._connection.do("HGET", _SETTINGS, name)
        return None if value is None else str(value.decode())

    def put(self, name: str, value: str) -> int:
        """See the port."""
        return int(self._connection.run(_PUT, [_SETTINGS, _VERSION], name, value))

    def version(self) -> int:
        """See the port."""
        return int(self._connection.do("GET", _VERSION) or 0)


class RedisKeys:
    """See the module; every method may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, key: Key) -> None:
        """See the port."""
        self._connection.do("HSET", _KEYS, key.digest, json.dumps(asdict(key), ensure_ascii=False))

    def find(self, digest: str) -> Key | None:
        """See the port."""
        row = self._connection.do("HGET", _KEYS, digest)
        return None if row is None else Key(**json.loads(row))

    def list(self) -> builtins.list[Key]:
        """See the port."""
        rows = self._connection.do("HVALS", _KEYS)
        return sorted((Key(**json.loads(row)) for row in rows), key=lambda key: (key.name, key.digest))

    def revoke(self, name: str) -> bool:
        """See the port."""
        digests = [key.digest for key in self.list() if key.name == name]
        return bool(digests) and bool(self._connection.do("HDEL", _KEYS, *digests))
