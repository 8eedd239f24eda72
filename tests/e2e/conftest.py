"""Real servers under load: stores that can be killed with them, and clients that remember what was acknowledged."""

import http.client
import os
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pytest

from kinfolk.online.ports import StoreOptions
from kinfolk.online.stores.open import open_backend
from kinfolk.testing.acknowledged import make_batch
from kinfolk.testing.redis_server import RedisServer, binary
from kinfolk.testing.served import ServedProcess, ask

CANDIDATES = [f"c{i:02}" for i in range(12)]


class SqliteFile:
    """The embedded store. Nobody may open it beside the server."""

    def __init__(self, folder):
        self.url = f"sqlite:///{folder}/kinfolk.db"

    def start(self): ...

    kill = start


class Redis:
    """A redis-server that acknowledges what is on the disk."""

    def __init__(self, folder):
        self._server = RedisServer(folder)
        self._server.port = _lasting_port()
        self._server.start()
        self.url = self._server.url

    def start(self):
        self._server.start()
        assert self._server.url == self.url, "another program took the port"

    def kill(self):
        self._server.kill()


def _lasting_port():
    """A free port that no outgoing connection is given while the server is down."""
    for port in np.random.default_rng(os.getpid()).permutation(np.arange(20_000, 32_000)).tolist():
        with socket.socket() as s, suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@pytest.fixture(params=["sqlite", "redis"])
def store(request, tmp_path):
    """Both kinds, one after the other."""
    yield from _store(request.param, tmp_path)


@pytest.fixture
def redis_store(tmp_path):
    yield from _store("redis", tmp_path)


def _store(kind, tmp_path):
    if kind == "redis":
        pytest.importorskip("redis")
        if binary() is None:
            pytest.skip("no redis-server or valkey-server is installed")
    (tmp_path / "store").mkdir()
    made = (SqliteFile if kind == "sqlite" else Redis)(tmp_path / "store")
    yield made
    made.kill()


@pytest.fixture
def start(small_bundle, store, tmp_path):
    """`start(refresh_every=1)`: a running server on the store, gone after the test."""
    yield from _starter(small_bundle, store, tmp_path)


@pytest.fixture
def start_on_redis(small_bundle, redis_store, tmp_path):
    yield from _starter(small_bundle, redis_store, tmp_path)


def _starter(bundle, store, tmp_path):
    with ExitStack() as stack:

        def run(**settings):
            told = {"takeover_after": 1, "refresh_every": 0.3, **settings}
            server = ServedProcess(bundle.path, store.url, tmp_path, **told)
            stack.callback(server.kill)
            server.start()
            return server

        yield run


@contextmanager
def opened(store):
    """The store behind its ports, as the server opens it."""
    backend = open_backend(store.url, StoreOptions())
    try:
        yield backend
    finally:
        backend.close()


class Load:
    """Clients of one server, each a thread with a connection of its own, until something goes wrong or `stop`.

    promises: what is noted. seed: of all that is sent. ids: of known users. name: of this load, unlike all others.
    """

    def __init__(self, server, promises, ids, name, seed):
        self.server, self.promises, self.ids, self.name, self.seed = server, promises, ids, name, seed
        self.halted, self.killing = threading.Event(), threading.Event()
        self.acknowledged = threading.Semaphore(0)  # one release for each batch of clicks
        self.cycled = threading.Semaphore(0)  # one for each candidate that came and went
        self.failures = []  # (client, status or name of the exception)
        clients = {f"clicks{i}": self._clicks for i in range(3)}
        clients |= {"questions": self._questions, "candidates": self._candidates, "audiences": self._audiences}
        self._threads = [
            threading.Thread(target=self._run, args=(n, i, work), name=n) for i, (n, work) in enumerate(clients.items())
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """No more requests; those under way are waited for."""
        self.halted.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name, number, work):
        rng = np.random.default_rng([self.seed, number])
        connection = self.server.connect()
        try:
            n = 0
            while not self.halted.is_set():
                work(f"{self.name}.{name}.{n}", rng, lambda *what: self._ask(name, connection, *what))
                n += 1
        except StoppedError:
            pass
        finally:
            connection.close()

    def _ask(self, name, connection, method, path, body=None):
        try:
            status, answer = ask(connection, method, path, body)
        except (OSError, http.client.HTTPException) as e:
            self.failures.append((name, type(e).__name__))
            raise StoppedError from e
        if status >= 300:
            self.failures.append((name, status, answer))
            raise StoppedError
        return answer

    def _clicks(self, name, rng, send):
        batch = make_batch(rng, name, self.ids, CANDIDATES, int(rng.integers(1, 400)))
        try:
            answer = send("POST", "/v1/clicks", batch.wire())
        except StoppedError:
            self.promises.settle(batch, acknowledged=False)
            raise
        self.promises.settle(batch, acknowledged=True)
        # Once its store is gone a server may send it again what had arrived.
        if answer["accepted"] != len(batch.clicks) and not self.killing.is_set():
            self.failures.append((name, 200, answer))
            raise StoppedError
        self.acknowledged.release()

    def _questions(self, name, rng, send):
        user = self.ids[rng.integers(len(self.ids))]
        gone = frozenset(self.promises.retired)  # before it is asked: an answer under way may still name a later one
        items = send("GET", f"/v1/users/{user}/candidates?n=10")["items"]
        assert not gone & {i["candidate"] for i in items}
        send("POST", "/v1/rank", {"user": user, "items": [{"id": c, "pctr": 0.1} for c in CANDIDATES]})

    def _candidates(self, name, rng, send):
        """One gets seeds and stays, one is retired, and one user is forgotten."""
        p = self.promises
        for kind in ("stays", "goes"):
            users = [self.ids[i] for i in rng.integers(0, len(self.ids), int(rng.integers(1, 60)))]
            assert send("POST", f"/v1/candidates/{kind}-{name}/seeds", {"users": users})["scorable"]
            p.seeds[f"{kind}-{name}"] = users
        try:
            send("DELETE", f"/v1/candidates/goes-{name}")
        except StoppedError:
            del p.seeds[f"goes-{name}"]
            raise
        p.retired.add(f"goes-{name}")
        send("POST", f"/v1/candidates/stays-{name}/seeds", {"users": [f"leaver-{name}"]})
        send("DELETE", f"/v1/users/leaver-{name}")
        p.forgotten.add(f"leaver-{name}")
        self.cycled.release()

    def _audiences(self, name, rng, send):
        seeds = [self.ids[i] for i in rng.choice(len(self.ids), 20, replace=False)]
        made = send("POST", "/v1/audiences", {"seeds": seeds, "size": int(rng.integers(100, 1500)), "name": name})
        self.promises.audiences.add(made["id"])
        self.halted.wait(float(rng.uniform(0, 0.2)))  # else nothing but audiences would be made


class StoppedError(Exception):
    """A client got no good answer."""


@pytest.fixture(scope="session")
def known_users(small_bundle):
    return [str(u) for u in small_bundle.user_ids]


@pytest.fixture(scope="session")
def load():
    """The class `Load`."""
    return Load


@pytest.fixture(scope="session")
def open_it():
    """`with open_it(store) as backend`."""
    return opened


@pytest.fixture(scope="session")
def candidates():
    """Ids of what the clicks are on."""
    return CANDIDATES
