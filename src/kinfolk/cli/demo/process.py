"""A `kinfolk serve` of the demo's own: started on a free loopback port, stopped when the block ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from kinfolk.cli.client import ServerError

FILES = ("kinfolk.db", "kinfolk.db-wal", "kinfolk.db-shm", "kinfolk.db.lock", "serve.log")
"""Everything a server leaves in the folder it is given."""

# Where this process is killed, the server is told to end, too (Linux; elsewhere it would be left behind).
_MAIN = (
    "import contextlib, ctypes, signal\n"
    "with contextlib.suppress(AttributeError, OSError): ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
    "from kinfolk.cli import main\n"
    "main()\n"
)
_LOOK_S = 0.05
_STOP_S = 20.0


def store_of(folder: Path) -> str:
    """URL of the store in a folder."""
    return f"sqlite:///{folder / 'kinfolk.db'}"


@contextmanager
def serving(bundle: Path, folder: Path, patience: float) -> Iterator[str]:
    """The URL of a server with an empty store in `folder`; requests may have to wait until it is ready.

    The server is in a session of its own, so that Ctrl-C reaches this process alone, which then stops it in order.

    Args:
        bundle: what to serve.
        folder: for the store and the log; what an earlier server left there is removed.
        patience: seconds until it must listen.

    Raises:
        ServerError: it ended, or does not listen in time; what it said last is told.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    log = folder / "serve.log"
    command = ["serve", str(bundle), "--store", store_of(folder), "--port", "0", "--no-auth", "--refresh-every", "5"]
    with log.open("wb") as errors, _told_to_end():
        server = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *command, "--log-format", "json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={name: value for name, value in os.environ.items() if not name.startswith("KINFOLK_")},
            start_new_session=True,
        )
        try:
            yield _url(server, log, patience)
        finally:
            _stop(server)


def _url(server: subprocess.Popen[bytes], log: Path, patience: float) -> str:
    """Where it listens, as it says in its log."""
    pause = threading.Event()
    waited = 0.0
    while True:
        ended = server.poll() is not None
        lines = log.read_text(encoding="utf-8").splitlines()
        for line in lines:
            if '"listening"' in line:
                return str(json.loads(line)["url"])
        if ended or waited >= patience:
            what = f"ended with code {server.returncode}" if ended else f"does not listen after {patience:.0f} s"
            raise ServerError(
                f"the demo's server {what}: {lines[-1] if lines else 'it said nothing'}", f"look at {log}; --no-live"
            )
        pause.wait(_LOOK_S)
        waited += _LOOK_S


def _stop(server: subprocess.Popen[bytes]) -> None:
    """In order; at once if that takes too long or somebody is in a hurry."""
    try:
        server.terminate()
        server.wait(_STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as e:
        server.kill()
        server.wait()
        if isinstance(e, KeyboardInterrupt):
            raise


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM unwinds this process as Ctrl-C does, so that no server is left behind."""

    def end(*_: int | FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
