"""One Redis or Valkey server, or a cluster of them, shared by any number of processes: `RedisBackend.open(url)`."""

from kinfolk.online.stores.redis.backend import RedisBackend

__all__ = ["RedisBackend"]
