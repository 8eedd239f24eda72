"""A small trained world behind a memory store, several processes' engines over it, and a clock turned by hand."""

from dataclasses import replace

import pytest

START = 1_700_000_000_000


class HandClock:
    """Milliseconds; moves when told."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def forward(self, ms: int) -> int:
        self.now += ms
        return self.now


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def backend():
    from kinfolk.online.ports import StoreOptions
    from kinfolk.online.stores.open import open_backend

    made = open_backend("memory:", StoreOptions())
    yield made
    made.close()


@pytest.fixture
def settings():
    """No blending, users as in the bundle, small blocks and parts."""
    from kinfolk.online.options import EngineSettings

    return EngineSettings(
        blend_n0=0, follow_users=False, min_seeds=3, block=97, part_size=50, popularity_every_ms=0, poll_ms=5
    )


@pytest.fixture
def make(backend, small_bundle, settings, clock):
    """Another process's engine over the same stores; `make(blend_n0=20)` changes settings."""
    from kinfolk.online.engine import Engine

    made = []

    def engine(bundle=None, **changes):
        made.append(Engine(backend, bundle or small_bundle, replace(settings, **changes), clock))
        return made[-1]

    yield engine
    for engine in made:
        engine.stop()


@pytest.fixture
def engine(make):
    return make()


@pytest.fixture(scope="session")
def users(small_bundle):
    """Outside ids of known users."""
    return [str(u) for u in small_bundle.user_ids]


@pytest.fixture(scope="session")
def other_bundle(small_log, tiny_preset, tmp_path_factory):
    """Another model of the same users."""
    from kinfolk.training import train

    return train(small_log, preset=tiny_preset, seed=2, out=tmp_path_factory.mktemp("other") / "b")


@pytest.fixture
def crowded(engine, users):
    """The engine with twelve candidates of 1 to 40 seeds each; returns (engine, {candidate: seeds})."""
    seeds = {f"c{i:02}": users[7 * i : 7 * i + n] for i, n in enumerate([1, 2, 3, 4, 5, 8, 13, 20, 25, 30, 35, 40])}
    for candidate, who in seeds.items():
        assert engine.post_seeds(candidate, who).scorable
    return engine, seeds


@pytest.fixture(scope="module")
def server():
    """A real Redis server that keeps its log but does not wait for the disk, with a database for each backend."""
    from kinfolk.testing.redis_server import redis_server

    with redis_server(appendfsync="no", options={"databases": "1000"}) as running:
        yield running


@pytest.fixture
def client(server):
    """A plain client of that server, which is empty."""
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client
