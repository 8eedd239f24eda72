"""Several workers on one socket: `supervise` spawns them, replaces those that die, and stops them together.

Workers are new processes (never forked: threads and locks do not survive a fork). Each gets the settings as JSON on
standard input, which stays open, so that a worker whose parent was killed sees its end and stops too; and a pipe into
which it writes its number when it answers.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from kinfolk.serve import logs
from kinfolk.serve.lives import Lives
from kinfolk.serve.signalled import Signalled
from kinfolk.settings import Settings

_LOOK_S = 0.2


def supervise(settings: Settings, sock: socket.socket) -> None:
    """Run `settings.workers` workers until SIGTERM or SIGINT; SIGHUP is handed to one, the others follow its swap.

    Raises:
        WorkerError: as `Lives.ended`; what the workers said is on standard error.
    """
    import time

    logs.configure(settings.log_level, settings.log_format)
    log = logs.logger()
    stop, swap = Signalled(), Signalled()
    folder = tempfile.mkdtemp(prefix="kinfolk-metrics-")
    old = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: stop.set()),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: stop.set()),
        signal.SIGHUP: signal.signal(signal.SIGHUP, lambda *_: swap.set()),
    }
    born: dict[int, float] = {}
    numbers: dict[int, int] = {}
    workers: list[subprocess.Popen[bytes]] = []
    lives = Lives()
    told, tell = os.pipe()
    os.set_blocking(told, False)

    def spawn(number: int) -> None:
        worker = _spawn(settings, sock, folder, number, tell)
        born[worker.pid], numbers[worker.pid] = time.monotonic(), number
        workers.append(worker)

    due = dict.fromkeys(range(settings.workers), 0.0)
    try:
        while True:
            for number in [n for n, at in due.items() if at <= time.monotonic()]:
                del due[number]
                spawn(number)
            if stop.wait(_LOOK_S):
                break
            with suppress(BlockingIOError):
                for number in os.read(told, 1024):
                    lives.ready(number)
            if swap.is_set() and workers:
                swap.clear()
                workers[0].send_signal(signal.SIGHUP)
            for worker in [w for w in workers if w.poll() is not None]:
                workers.remove(worker)
                _bury(worker, folder)
                number, now = numbers.pop(worker.pid), time.monotonic()
                pause = lives.ended(number, worker.returncode, now - born.pop(worker.pid))
                log.warning("a worker ended and is replaced", code=worker.returncode, after_s=pause)
                due[number] = now + pause
    finally:
        _stop(workers, settings.stop_timeout)
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(told)
        os.close(tell)
        shutil.rmtree(folder, ignore_errors=True)


def _spawn(settings: Settings, sock: socket.socket, folder: str, number: int, tell: int) -> subprocess.Popen[bytes]:
    fd = sock.fileno()
    worker = subprocess.Popen(
        [sys.executable, "-m", "kinfolk.serve.worker", str(fd), str(number), str(tell)],
        stdin=subprocess.PIPE,
        pass_fds=(fd, tell),
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder},
        start_new_session=True,  # Ctrl-C reaches the parent alone, which stops them in order
    )
    assert worker.stdin is not None
    worker.stdin.write(settings.model_dump_json().encode() + b"\n")
    worker.stdin.flush()
    return worker


def _bury(worker: subprocess.Popen[bytes], folder: str) -> None:
    """Counters of a dead worker stay, its gauges go."""
    if worker.stdin is not None:
        worker.stdin.close()
    for file in Path(folder).glob(f"gauge_live*_{worker.pid}.db"):
        file.unlink(missing_ok=True)


def _stop(workers: list[subprocess.Popen[bytes]], timeout: float) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        try:
            worker.wait(timeout + 10)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        if worker.stdin is not None:
            worker.stdin.close()
