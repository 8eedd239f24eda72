"""A backend by URL."""

from __future__ import annotations

import importlib

from kinfolk.online.ports import Backend, StoreError, StoreOptions

REDIS = ("redis://", "rediss://", "redis+cluster://", "rediss+cluster://")


def open_backend(url: str, options: StoreOptions | None = None) -> Backend:
    """All ports of the store that a URL names; close it after use.

    url: `memory:`, `sqlite:///relative.db`, `sqlite:////absolute.db`, `redis://host:port/db`, `rediss://…` (TLS),
    `redis+cluster://host:port`. Raises StoreError for any other, and where the store cannot be used.
    """
    options = options or StoreOptions()
    if min(options.max_seeds, options.remember_ms, options.trail_length) < 1:
        raise StoreError(f"{options} keeps nothing", "give numbers of at least 1")
    if url == "memory:":
        from kinfolk.online.stores.memory import MemoryBackend

        return MemoryBackend(options)
    if url.startswith("sqlite:"):
        from kinfolk.online.stores.sqlite.backend import SqliteBackend

        return SqliteBackend.open(url, options)
    if url.startswith(REDIS):
        try:
            module = importlib.import_module("kinfolk.online.stores.redis.backend")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != "redis":
                raise
            raise StoreError("the package redis is missing", "pip install 'kinfolk[redis]'") from error
        backend: Backend = module.RedisBackend.open(url, options)
        return backend
    scheme = url.split(":", 1)[0] if ":" in url else url
    raise StoreError(
        f"no store is called {scheme!r}", "use memory:, sqlite:///path, redis://host:port or redis+cluster://host:port"
    )
