"""`kinfolk serve` as a process of its own: `ServedProcess`, started, asked, killed and started again by tests.

server = ServedProcess(bundle, "sqlite:////tmp/k.db", folder)
server.start()
status, answer = server.ask("GET", "/v1/users/u1/candidates")
server.kill()
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# The server dies with whoever started it, however that ends (Linux; elsewhere `kill` alone ends it).
_MAIN = (
    "import ctypes, contextlib, sys\n"
    "with contextlib.suppress(AttributeError, OSError): ctypes.CDLL(None).prctl(1, 9)\n"
    "from kinfolk.cli import main\n"
    "main()\n"
)
_LISTENING = re.compile(r'"url": "(http://[^"]+)".*"event": "listening"')
_PATIENCE = 120.0  # seconds


class ServedProcess:
    """One `kinfolk serve`. `start`, `kill` and `stop` as often as you like.

    Args:
        bundle: a saved one.
        store: URL.
        folder: an existing directory for the log.
        settings: more of `kinfolk.settings.Settings`, by name.
    """

    def __init__(self, bundle: Path, store: str, folder: Path, **settings: object) -> None:
        self.bundle, self.store, self.folder = bundle, store, folder
        self._settings: Mapping[str, object] = {"auth": False, "port": 0, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self.url = ""

    @property
    def log(self) -> Path:
        """What the newest start has said."""
        return self.folder / f"serve-{id(self):x}-{self._starts}.log"

    @property
    def pid(self) -> int:
        """Of the process; the first, where there are several."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, from the main thread, and wait until it is ready to answer."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("KINFOLK_")}
        told = {f"KINFOLK_{name.upper()}": str(value) for name, value in self._settings.items()}
        told["PYTHONFAULTHANDLER"] = "1"  # with SIGABRT it says where it is
        self._starts += 1
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, "serve", str(self.bundle), "--store", self.store],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**kept, **told},
            )
        try:
            wait_until(lambda: self._said() or not self.running, "the server listens")
        except AssertionError as e:
            self.signal(signal.SIGABRT)
            self.wait()
            raise AssertionError(f"{e}; it was at {self.log.read_text()}") from e
        if not self.running:
            raise AssertionError(f"kinfolk serve ended: {self.log.read_text()}")
        wait_until(self._ready, "the server is ready")

    def _said(self) -> bool:
        found = _LISTENING.search(self.log.read_text())
        self.url = found[1] if found else ""
        return bool(found)

    def _ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_PATIENCE)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """(status, answer from JSON or None) over a connection of its own."""
        connection = self.connect()
        try:
            return ask(connection, method, path, body)
        finally:
            connection.close()

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, now."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Until it has ended; the exit code."""
        assert self._process is not None
        code = self._process.wait(_PATIENCE)
        self._process = None
        return code


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """(status, answer from JSON or None). Raises OSError or HTTPException where there is no whole answer."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, {"content-type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    return response.status, json.loads(text) if text else None


def wait_until(holds: Callable[[], object], what: str, seconds: float = _PATIENCE) -> None:
    """Ask again and again; raises AssertionError if it does not hold in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


@contextmanager
def served(bundle: Path, store: str, folder: Path, **settings: object) -> Iterator[ServedProcess]:
    """A running server that is gone afterwards."""
    server = ServedProcess(bundle, store, folder, **settings)
    try:
        server.start()
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.kill()
