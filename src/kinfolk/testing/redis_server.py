"""Real Redis or Valkey servers for tests: started on free loopback ports, killed at will, always stopped.

Each server is a child of a small shell that reads a pipe from this process: when this process ends, however it ends,
the pipe closes and the shell kills the server.

    with redis_server() as server:
        backend = RedisBackend.open(server.url)
        server.kill()
        server.start()
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kinfolk.errors import OptionError

_WATCH = '"$@" & server=$!; echo $server; read _; kill -9 $server 2>/dev/null; wait'
_PATIENCE = 30.0  # seconds
SLOTS = 16384


def binary() -> str | None:
    """Path of redis-server or valkey-server; None if neither is installed."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class RedisServer:
    """One server, its data in `folder`. `start` and `kill` as often as you like; data and port stay.

    Args:
        folder: an existing directory.
        appendfsync: "always", "everysec", "no", or "" to run without an append-only file.
        options: further options of redis.conf.
    """

    def __init__(self, folder: Path, *, appendfsync: str = "always", options: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self._settings = {
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "yes" if appendfsync else "no",
            "appendfsync": appendfsync or "no",
            "logfile": "server.log",
            **(options or {}),
        }
        self._shell: subprocess.Popen[str] | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        """redis://127.0.0.1:port/0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers, all data read."""
        program = binary()
        if program is None:
            raise OptionError("neither redis-server nor valkey-server is installed", "apt-get install redis-server")
        for _ in range(5):  # somebody else may take the free port first
            self._spawn(program)
            if self._answers():
                return
            self.kill()
            self.port = self.port if any(self.folder.glob("nodes.conf")) else free_port()
        raise OptionError(f"redis-server did not start in {self.folder}", f"read {self.folder / 'server.log'}")

    def _spawn(self, program: str) -> None:
        options = [x for name, value in self._settings.items() for x in (f"--{name}", value)]
        arguments = [program, *options, "--port", str(self.port), "--dir", str(self.folder)]
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._shell.stdout is not None
        self._pid = int(self._shell.stdout.readline())

    def _answers(self) -> bool:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self.running:
            with suppress(OSError):  # nobody listens yet, or hangs up while starting: that is what is waited for
                if ask(self.port, "PING") == b"+PONG":
                    return _field(ask(self.port, "INFO", "server"), "process_id") == str(self._pid)
            time.sleep(0.01)
        return False

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        try:
            state = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return self._shell is not None and state != "Z"

    def kill(self) -> None:
        """SIGKILL, now; what it had not written is lost."""
        if self._shell is None:
            return
        shell, self._shell = self._shell, None
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        shell.communicate(timeout=_PATIENCE)

    stop = kill


@contextmanager
def redis_server(
    folder: Path | None = None, *, appendfsync: str = "always", options: Mapping[str, str] | None = None
) -> Iterator[RedisServer]:
    """A running server; in a temporary folder that goes with it, unless one is given."""
    with tempfile.TemporaryDirectory(prefix="kinfolk-redis-", ignore_cleanup_errors=True) as temporary:
        server = RedisServer(folder or Path(temporary), appendfsync=appendfsync, options=options)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def redis_cluster(*, nodes: int = 3, appendfsync: str = "always") -> Iterator[Sequence[RedisServer]]:
    """A running cluster without replicas, all slots assigned in equal shares."""
    with tempfile.TemporaryDirectory(prefix="kinfolk-redis-", ignore_cleanup_errors=True) as temporary:
        servers: list[RedisServer] = []
        try:
            for i in range(nodes):
                folder = Path(temporary) / str(i)
                folder.mkdir()
                options = {
                    "cluster-enabled": "yes",
                    "cluster-config-file": "nodes.conf",
                    "cluster-node-timeout": "5000",
                    "cluster-port": str(free_port()),
                }
                servers.append(RedisServer(folder, appendfsync=appendfsync, options=options))
                servers[-1].start()
            _join(servers)
            yield servers
        finally:
            for server in servers:
                server.stop()


def _join(servers: Sequence[RedisServer]) -> None:
    first = servers[0]
    for i, server in enumerate(servers):
        low, high = SLOTS * i // len(servers), SLOTS * (i + 1) // len(servers) - 1
        ask(server.port, "CLUSTER", "SET-CONFIG-EPOCH", str(i + 1))
        ask(server.port, "CLUSTER", "ADDSLOTSRANGE", str(low), str(high))
        if server is not first:
            ask(server.port, "CLUSTER", "MEET", "127.0.0.1", str(first.port), first._settings["cluster-port"])
    end = time.monotonic() + _PATIENCE
    for server in servers:
        while not _joined(ask(server.port, "CLUSTER", "INFO"), len(servers)):
            if time.monotonic() > end:
                raise OptionError("the cluster's nodes did not find each other", f"read {server.folder / 'server.log'}")
            time.sleep(0.02)


def _joined(info: bytes, nodes: int) -> bool:
    return (_field(info, "cluster_state"), _field(info, "cluster_size")) == ("ok", str(nodes))


def _field(info: bytes, name: str) -> str | None:
    for line in info.decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return None


def ask(port: int, *parts: str) -> bytes:
    """One command to a loopback server, no client needed: the first line of the answer, or a bulk string whole."""
    data = b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(p.encode()), p.encode()) for p in parts)])
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as s, s.makefile("rb") as answer:
        s.sendall(data)
        line: bytes = answer.readline()
        if line[:1] == b"$" and line[1:2] != b"-":
            return bytes(answer.read(int(line[1:])))
        return line.strip()


__all__: list[Any] = ["SLOTS", "RedisServer", "ask", "binary", "free_port", "redis_cluster", "redis_server"]
