"""`refresh_alone(settings)`: a process that clusters and answers no question, but for its numbers and its health."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

from fastapi import FastAPI

from kinfolk.online.clock import system_clock
from kinfolk.online.engine import Engine
from kinfolk.online.ports import KeyStore
from kinfolk.online.stores.password import without_password
from kinfolk.serve import logs, memory, problems, threads
from kinfolk.serve.assemble import check_store, load_bundle, make_engine, open_store
from kinfolk.serve.auth import Guard, check_open
from kinfolk.serve.context import Context
from kinfolk.serve.metrics import Metrics
from kinfolk.serve.routes import health
from kinfolk.serve.run import bind, ended_early, on_signals, server_of, stop_engine, url_of, warn
from kinfolk.serve.signalled import Signalled
from kinfolk.serve.watch import Watch
from kinfolk.settings import Settings


def refresh_alone(settings: Settings) -> None:
    """Refresh, make audiences and purge until SIGTERM or SIGINT; SIGHUP swaps as in `serve`.

    Raises:
        OptionError: a store that only one process may use, or an address that is taken.
        BundleError, StoreError: as `load_bundle` and `open_store`.
    """
    check_store(settings, processes=2)
    memory.settle()
    threads.one_each()
    logs.configure(settings.log_level, settings.log_format)
    log = logs.logger()
    with ended_early(), ExitStack() as stack:
        sock = None
        if settings.metrics_port is not None:
            check_open(settings.host, auth=settings.auth)
            sock = stack.enter_context(closing(bind(settings.host, settings.metrics_port)))
        bundle = load_bundle(settings)
        backend = stack.enter_context(closing(open_store(settings)))
        warn(backend)
        engine = make_engine(settings, backend, bundle, answers=False)
        app = health_app(engine, backend.keys, settings, system_clock)
        server, done = server_of(app, settings), Signalled()
        last = on_signals(app.state.context, done.set if sock is None else server.stop)
        try:
            engine.start()
            at = {} if sock is None else {"url": url_of(sock)}
            log.info("refreshing", store=without_password(settings.store), every=settings.refresh_every, **at)
            if sock is None:
                done.wait()
            else:
                server.run(sockets=[sock])
        finally:
            log.info("stopping")
            stop_engine(engine)
            last()
    log.info("stopped")


def health_app(engine: Engine, keys: KeyStore, settings: Settings, clock: Callable[[], int]) -> FastAPI:
    """/healthz, /readyz and /metrics of an engine, as `create_app` has them, and nothing else."""
    guard = Guard(keys, clock, auth=settings.auth, rate_limit=settings.rate_limit)
    context = Context(engine, guard, Metrics(engine.stats, lambda: engine.model), settings, clock)
    app = FastAPI(title="kinfolk refresh", version="1", docs_url=None, redoc_url=None)
    app.state.context = context
    app.include_router(health.routes(context))
    problems.install(app)
    app.add_middleware(Watch, metrics=context.metrics)
    return app
