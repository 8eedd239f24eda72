"""From settings to what is served: the store, the bundle and the engine over both."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinfolk.errors import OptionError
from kinfolk.online.bus import ClickSource, open_source
from kinfolk.online.listener import Listener
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Backend, StoreError, StoreOptions
from kinfolk.online.stores.open import REDIS, open_backend
from kinfolk.online.stores.password import without_password
from kinfolk.settings import Settings

if TYPE_CHECKING:
    from kinfolk.bundle import Bundle
    from kinfolk.online.engine import Engine
    from kinfolk.serve.metrics import Metrics

_MS = 1000


def open_store(settings: Settings) -> Backend:
    """The backend at `settings.store`.

    Raises:
        OptionError: no such kind of store.
        StoreError: it cannot be opened.
    """

    options = StoreOptions(
        max_seeds=settings.max_seeds, remember_ms=round(_MS * settings.remember), trail_length=settings.trail_length
    )
    return open_backend(settings.store, options)


def check_store(settings: Settings, *, processes: int) -> None:
    """Raises OptionError where several processes would share a store that only one can have."""
    if processes > 1 and not is_shared(settings.store):
        raise OptionError(
            f"{processes} processes cannot share {without_password(settings.store)}",
            "use one worker, or a store that is shared: --store redis://HOST",
        )


def is_shared(store: str) -> bool:
    """Whether several processes may use a store, by its URL."""
    return store.startswith(REDIS)


def open_bus(settings: Settings, number: int = 0) -> ClickSource | None:
    """The stream that clicks are taken from, if the settings name one; nothing is asked of its server yet.

    number: of this process among its host's workers; each reads under a name of its own, the same after a restart.

    Raises:
        OptionError: no Redis holds it, or the Redis client is not installed.
    """
    if settings.bus_stream is None:
        if settings.bus_url is not None:
            raise OptionError("a bus without a stream", "name the stream: --bus-stream NAME")
        return None
    if settings.bus_url is None and not is_shared(settings.store):
        raise OptionError(
            f"the stream {settings.bus_stream!r} cannot lie in {without_password(settings.store)}",
            "name the Redis that holds it: --bus-url redis://HOST",
        )
    return open_source(
        settings.bus_url or settings.store,
        stream=settings.bus_stream,
        group=settings.bus_group,
        consumer=f"{settings.bus_name or socket.gethostname()}-{number}",
        claim_after_ms=round(_MS * settings.bus_claim_after),
    )


def make_listener(settings: Settings, engine: Engine, metrics: Metrics, number: int = 0) -> Listener | None:
    """What takes clicks from the bus, not started; None without one. number: as for `open_bus`."""
    source = open_bus(settings, number)
    if source is None:
        return None

    def write(
        users: Sequence[str], candidates: Sequence[str], times: Sequence[int], event_ids: Sequence[str | None]
    ) -> None:
        metrics.count_accepted(engine.post_clicks(users, candidates, times, event_ids))

    listener = Listener(source, write, limit=settings.bus_batch, count=metrics.count_bus)
    metrics.also(listener.stats)
    return listener


def engine_settings(settings: Settings) -> EngineSettings:
    """What the engine reads of the settings."""
    return EngineSettings(
        create_on_click=settings.create_on_click,
        candidate_ttl_ms=None if settings.candidate_ttl is None else round(_MS * settings.candidate_ttl),
        blend_n0=settings.blend_n0,
        trend=settings.trend,
        segment_field=settings.segment_field,
        lam=settings.rank_weight,
        min_seeds=settings.min_seeds,
        max_seeds=settings.max_seeds,
        refresh_every_ms=round(_MS * settings.refresh_every),
        refresh=settings.refresh,
        lease_ms=round(_MS * settings.takeover_after),
        audience_claim_ms=round(_MS * settings.takeover_after),
        follow_users=settings.follow_users,
        trail_length=settings.trail_length,
        most_followed=settings.most_followed,
        live_kind=settings.live_kind,
        max_batch=max(settings.max_clicks, settings.max_list, UPLOADED),
        max_page=settings.max_page,
        max_rank_items=settings.max_rank_items,
    )


def load_bundle(settings: Settings) -> Bundle:
    """The bundle to serve.

    Raises:
        OptionError: none is named.
        BundleError: it is none.
    """
    if settings.bundle is None:
        raise OptionError("no bundle to serve", "name the folder that `kinfolk train` wrote")
    from kinfolk.bundle import Bundle

    return Bundle.load(settings.bundle, encoder=True)


def make_engine(settings: Settings, backend: Backend, bundle: Bundle, *, answers: bool = True) -> Engine:
    """The engine, not started; one that `answers` has rehearsed, so that its first request is as fast as its second."""
    from kinfolk.online.clock import system_clock
    from kinfolk.online.engine import Engine
    from kinfolk.online.rehearse import rehearse

    options = engine_settings(settings)
    engine = Engine(backend, bundle, options, system_clock)
    if answers:
        rehearse(bundle, options)
    return engine


UPLOADED = 1_000_000
"""Ids of one uploaded file."""


def sqlite_only(settings: Settings, what: str, instead: str) -> None:
    """Raises OptionError for a store that `backup` and `restore` cannot reach; `instead` is what to do then."""
    if not settings.store.startswith("sqlite:"):
        raise OptionError(f"{what} is for SQLite, the store is {without_password(settings.store)}", instead)


def must_be_there(settings: Settings) -> None:
    """Raises StoreError for a SQLite store that does not exist, which `open_store` would make."""
    if settings.store.startswith("sqlite:"):
        from kinfolk.online.stores.sqlite.database import path_of

        if not path_of(settings.store).exists():
            raise StoreError(f"there is no store at {path_of(settings.store)}", "look at --store")
