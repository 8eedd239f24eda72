"""`serve(settings)`: one process that answers, or several on one socket. Stops gracefully on SIGTERM and SIGINT.

A stop finishes the requests under way, flushes the store and hands the refresher's lease over. SIGHUP loads the bundle
at the same path again, beside the one that is served, as POST /v1/admin/bundle does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from kinfolk.errors import KinfolkError, OptionError
from kinfolk.online.ports import Backend, StoreError
from kinfolk.online.stores.password import without_password
from kinfolk.serve import logs, memory, threads
from kinfolk.serve.assemble import check_store, load_bundle, make_engine, make_listener, open_bus, open_store
from kinfolk.serve.auth import check_open
from kinfolk.serve.context import Context
from kinfolk.serve.signalled import Signalled
from kinfolk.settings import Settings

if TYPE_CHECKING:
    from kinfolk.online.engine import Engine

_BACKLOG = 2048
_TOLD = 0.8  # of the time that a stop has, after which requests that wait for a thread are refused
_TURN = 0.001
"""Seconds that a thread may hold the interpreter while others wait: a request meets a clustering thread a few times."""


def serve(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        OptionError: settings that contradict each other, or an address that is taken.
        BundleError, StoreError: as `load_bundle` and `open_store`.
    """
    check_open(settings.host, auth=settings.auth)
    check_store(settings, processes=settings.workers)
    open_bus(settings)
    with closing(bind(settings.host, settings.port)) as sock:
        if settings.workers == 1:
            serve_here(settings, sock)
        else:
            from kinfolk.serve.supervise import supervise

            supervise(settings, sock)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OptionError where the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # The protocol is named: only then asyncio sends the parts of an answer at once (TCP_NODELAY), not 40 ms apart.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
    except OSError as e:
        raise OptionError(
            f"cannot listen on {host}:{port} ({e.strerror or e})", "choose another --port or --host, or stop the other"
        ) from e
    sock.set_inheritable(True)
    return sock


def url_of(sock: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve_here(
    settings: Settings,
    sock: socket.socket,
    parent: int | None = None,
    number: int = 0,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Answer in this process until SIGTERM, SIGINT, or the end of the file `parent`, which a dead parent leaves.

    number: of this process among the workers. ready: called when all is there and it begins to answer.
    """
    memory.settle()
    threads.one_each()
    sys.setswitchinterval(_TURN)
    logs.configure(settings.log_level, settings.log_format)
    log = logs.logger()
    with ended_early(), memory.unsearched(), ExitStack() as stack:
        bundle = load_bundle(settings)  # before the store, which is made where it is not there
        backend = stack.enter_context(closing(open_store(settings)))
        warn(backend)
        if settings.auth and not backend.keys.list():
            log.warning("no keys", said="nobody can ask anything yet: stop, and `kinfolk keys create` one")
        engine = make_engine(settings, backend, bundle)
        from kinfolk.online.clock import system_clock
        from kinfolk.serve.app import create_app

        app = create_app(engine, backend.keys, settings, system_clock)
        listener = make_listener(settings, engine, app.state.context.metrics, number)
        server = server_of(app, settings)
        last = on_signals(app.state.context, server.stop)
        if parent is not None:
            threading.Thread(target=_follow, args=(parent, server), name="kinfolk-parent", daemon=True).start()
        try:
            engine.start()
            if listener is not None:
                listener.start()
            memory.set_apart()
            log.info(
                "listening",
                url=url_of(sock),
                store=without_password(settings.store),
                auth=settings.auth,
                pid=os.getpid(),
            )
            ready()
            server.run(sockets=[sock])
        finally:
            log.info("stopping")
            if listener is not None and not listener.stop(settings.stop_timeout):
                log.warning("the bus does not answer: its last clicks will be handed out again")
            stop_engine(engine)
            last()  # from here on SIGTERM is ignored: the store closes
    log.info("stopped")


def stop_engine(engine: Engine) -> None:
    """Stop its threads, flush and hand the lease over; where the store is away, the lease runs out by itself."""
    try:
        engine.stop()
    except StoreError:
        said = "nothing acknowledged is lost; up to a second of counters is, and others wait for the lease to run out"
        logs.logger().warning("the store is away", said=said)


def warn(backend: Backend) -> None:
    """What the store's own settings may lose, into the log."""
    for said in backend.warnings():
        logs.logger().warning("store", said=said)


class Server(uvicorn.Server):
    """Uvicorn's, which does not raise the signal that ended it again: what comes after it must still be done."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self.context = context

    def stop(self) -> None:
        """Finish what is under way; the second time means now."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's, which cuts requests off after `timeout_graceful_shutdown`: shortly before, what waits is refused,
        so that whoever asked is told."""
        seconds = _TOLD * (self.config.timeout_graceful_shutdown or 0)
        told = asyncio.get_running_loop().call_later(seconds, self.context.refuse)
        try:
            await super().shutdown(sockets)
        finally:
            told.cancel()

    def capture_signals(self) -> Any:
        """Leaves the handlers that `on_signals` set in place."""
        from contextlib import nullcontext

        return nullcontext()


def server_of(app: FastAPI, settings: Settings) -> Server:
    """A server of an app, not started."""
    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(settings.stop_timeout)),
        ),
        app.state.context,
    )


@contextmanager
def ended_early() -> Iterator[None]:
    """Until `on_signals`: SIGTERM and SIGINT end the process in order, with the store closed; SIGHUP has nothing to do.

    They do so by an exception, which Python swallows where it comes up inside of a callback; `on_signals` then makes
    good for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        _asked.set()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(0)

    _asked.clear()
    old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, _ignored)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if _asked.is_set():  # said here, not in the handler, which may have come up while a line was being written
            logs.logger().info("stopped", said="before it was ready")
        raise
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


_asked = Signalled()
"""Whether a stop was asked for before the server was ready."""


def _ignored(*_: object) -> None: ...


def on_signals(context: Context, end: Callable[[], None]) -> Callable[[], None]:
    """SIGTERM and SIGINT call `end`, SIGHUP swaps; returns what is called when all is stopped but the store.

    From then on they are ignored: the store is closed in order. `ended_early` puts back what was there before it.
    Nothing happens outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def stop(*_: object) -> None:
        end()

    def reload(*_: object) -> None:
        threading.Thread(target=_reload, args=(context,), name="kinfolk-reload", daemon=True).start()

    new = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    for number, handler in new.items():
        signal.signal(number, handler)
    if _asked.is_set():
        end()

    def last() -> None:
        for number in new:
            signal.signal(number, _ignored)

    return last


def _reload(context: Context) -> None:
    from kinfolk.serve.routes.admin import swap

    assert context.settings.bundle is not None
    try:
        logs.logger().info("bundle", model=swap(context, context.settings.bundle))
    except KinfolkError as e:
        logs.logger().error("bundle", problem=type(e).__name__)


def _follow(parent: int, server: Server) -> None:
    while os.read(parent, 1024):  # nothing is ever written: it ends when the parent does
        continue
    server.should_exit = True
