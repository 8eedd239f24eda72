"""The shared store on a cluster of three real nodes: every suite, and what only a cluster can get wrong."""

import numpy as np
import pytest

from kinfolk.online.clicks import Clicks
from kinfolk.online.ports import FenceError, Snapshot, StoreError, StoreOptions
from kinfolk.testing.counts import examples
from kinfolk.testing.harness import at_once
from kinfolk.testing.ports import PortSuites
from kinfolk.testing.redis_server import ask, binary, redis_cluster

redis = pytest.importorskip("redis")
from kinfolk.online.stores.redis import RedisBackend, connection, names, seeds, snapshots  # noqa: E402  # after the skip

pytestmark = pytest.mark.skipif(binary() is None, reason="no redis-server or valkey-server is installed")
NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def nodes():
    with redis_cluster(appendfsync="no") as running:
        yield running


def flush(nodes):
    for node in nodes:
        ask(node.port, "FLUSHALL")


@pytest.fixture
def backend(nodes):
    flush(nodes)
    opened = RedisBackend.open(nodes[0].url)
    assert opened.clustered
    yield opened
    opened.close()


class OneCluster:
    """A cluster has one database: what is opened finds it empty."""

    def __init__(self, nodes):
        self.nodes, self.opened = nodes, {}

    def open(self, options):
        flush(self.nodes)
        return self._open(options)

    def _open(self, options):
        backend = RedisBackend.open(self.nodes[1].url, options)
        self.opened[backend] = options
        return backend

    def reopen(self, backend):
        backend.close()
        return self._open(self.opened[backend])


class TestPorts(PortSuites):
    @pytest.fixture
    def harness(self, nodes, monkeypatch):
        # redis-py reads the table of all commands anew for each of the hundreds of connections the suites make
        with redis.cluster.RedisCluster.from_url(nodes[0].url) as client:
            table = client.commands_parser
        monkeypatch.setattr(redis.cluster, "CommandsParser", lambda _: table)
        harness = OneCluster(nodes)
        yield harness
        for backend in harness.opened:
            backend.close()

    def test_the_secret_stays(self, harness):
        """The suite's opens a second deployment beside the first, for which there is no room here."""
        backend = harness.open(StoreOptions())
        secrets = set(at_once([backend.secret] * 4))
        backend = harness.reopen(backend)
        assert secrets == {backend.secret()}
        backend.ping()
        assert backend.warnings() == [
            f"the store at {backend.url}: appendfsync is no, not always: a kill of the server or a power cut can lose "
            "up to half a minute of acknowledged clicks"
        ]
        assert harness.open(StoreOptions()).secret() not in secrets


def of(users, candidates):
    return Clicks.of(np.array(users, np.uint64), candidates, [NOW + 1000 * i for i in range(len(users))])


def snapshot(candidate, generation):
    point = np.ones((1, 2), np.float32)
    return Snapshot(candidate, "m", 1, 1, 1, generation, point, point[:, 0], point[0])


def slots_of(nodes, client):
    """Keys by node."""
    return [client.get_redis_connection(node).dbsize() for node in client.get_primaries()]


def test_all_keys_of_a_candidate_lie_in_one_slot_and_candidates_on_all_nodes(nodes, backend):
    ids = ["", "a", "{", "}", "{}", "}{", "{a}b", "%", "é", "a" * 300, *map(str, range(30))]
    for number, id in enumerate(ids):
        backend.seeds.append(of([number], [id]), NOW)
        backend.snapshots.publish([snapshot(id, 1)], None)
    cluster = backend._connection._cluster
    for id in ids:
        parts = ("young", "facts", "seen:1", "snapshots", "block:g1:0")
        assert len({cluster.keyslot(names.candidate(id, part)) for part in parts}) == 1
    assert min(slots_of(nodes, cluster)) > 20
    assert backend.seeds.stats()["seeds"] == len(ids)
    assert {s.candidate for s in backend.snapshots.since(0, "m").snapshots} == set(ids)


def test_no_script_is_called_with_keys_of_two_slots(backend, monkeypatch):
    cluster, seen = backend._connection._cluster, []
    send = connection._pipe

    def watched(client, calls, atomic):
        for call in calls:
            if call.script is not None:
                keys = call.parts[3 : 3 + call.parts[2]]
                seen.append(call.script)
                assert len({cluster.keyslot(key) for key in keys}) == 1, call.script.source
        return send(client, calls, atomic)

    monkeypatch.setattr(connection, "_pipe", watched)
    users = list(range(40))
    backend.seeds.append(of(users, [f"c{u % 9}" for u in users]), NOW)
    backend.seeds.fold("c1")
    backend.seeds.forget(np.array([1, 2], np.uint64))
    backend.seeds.clean({"c3": backend.seeds.dirty()["c3"]})
    backend.seeds.drop("c4")
    backend.snapshots.publish([snapshot(f"c{i}", 1) for i in range(9)], 3)
    backend.snapshots.retire("c5")
    backend.snapshots.drop_models([])
    assert len(set(seen)) >= 10


def test_a_writer_that_dies_before_marking_is_healed_by_the_repetition(backend, monkeypatch):
    """Clicks landed, nobody was told: sent again they are duplicates, and yet the candidate becomes dirty."""

    def die(verb, *_):
        if verb == "ZADD":
            raise KeyboardInterrupt
        return []

    with monkeypatch.context() as patch:
        patch.setattr(seeds, "_by_shard", die)
        with pytest.raises(KeyboardInterrupt):
            backend.seeds.append(of([1, 2], ["c", "c"]), NOW)
    assert backend.seeds.dirty() == {}
    again = backend.seeds.append(of([1, 2], ["c", "c"]), NOW)
    assert (again.new, again.duplicates) == (0, 2)
    assert backend.seeds.dirty()["c"] <= again.generation
    backend.seeds.clean({"c": again.generation})
    backend.seeds.append(of([1, 2], ["c", "c"]), NOW)
    assert backend.seeds.dirty() == {}
    assert backend.seeds.stats()["seeds"] == 2


def test_a_publisher_that_dies_before_the_log_is_healed_by_the_next(backend, monkeypatch):
    store = backend.snapshots
    with monkeypatch.context() as patch:
        patch.setattr(snapshots.RedisSnapshots, "_note", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.publish([snapshot("c", 5)], None)
    assert store.since(0, "m").snapshots == []
    store.publish([snapshot("c", 5)], None)  # as new as what is there: refused, but told to all
    assert [s.candidate for s in store.since(0, "m").snapshots] == ["c"]
    cursor = store.cursor()
    assert store.publish([snapshot("c", 5)], None) == cursor


def test_a_fence_holds_on_every_node(backend):
    store = backend.snapshots
    store.publish([snapshot("a", 1)], 8)
    for candidate in map(str, range(20)):
        with pytest.raises(FenceError):
            store.publish([snapshot(candidate, 9)], 7)
    assert [s.candidate for s in store.since(0, "m").snapshots] == ["a"]


def test_a_slot_that_moves_is_followed(nodes, backend):
    users = list(range(examples(40, 400)))
    backend.seeds.append(of(users, ["moving"] * len(users)), NOW)
    cluster = backend._connection._cluster
    key = names.candidate("moving", "young")
    slot = cluster.keyslot(key)
    home = cluster.get_node_from_key(key).port
    source = next(node for node in nodes if node.port == home)
    target = next(node for node in nodes if node.port != home)
    identity = {node: ask(node.port, "CLUSTER", "MYID").decode() for node in nodes}
    ask(target.port, "CLUSTER", "SETSLOT", str(slot), "IMPORTING", identity[source])
    ask(source.port, "CLUSTER", "SETSLOT", str(slot), "MIGRATING", identity[target])
    client = cluster.get_redis_connection(cluster.get_node_from_key(key))
    keys = client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
    assert len(keys) == 3
    client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    assert backend.seeds.count("moving") == len(users)  # the old node says ASK
    for node in nodes:
        ask(node.port, "CLUSTER", "SETSLOT", str(slot), "NODE", identity[target])
    assert backend.seeds.append(of([*users, 10**6], ["moving"] * (len(users) + 1)), NOW).new == 1  # now MOVED
    assert backend.seeds.count("moving") == len(users) + 1


def test_a_killed_node_is_named_and_comes_back_with_what_it_had(monkeypatch):
    monkeypatch.setattr(connection, "PAUSES", (0.01, 0.01))
    with redis_cluster() as nodes:
        backend = RedisBackend.open(nodes[0].url)
        kept = []
        candidates = [f"c{i}" for i in range(30)]
        for round in range(examples(2, 10)):
            kept.append(of(range(30 * round, 30 * round + 30), candidates))
            assert backend.seeds.append(kept[-1], NOW).new == 30
            nodes[round % 3].kill()
            kept.append(of(range(30 * round + 10**6, 30 * round + 10**6 + 30), candidates))
            with pytest.raises(StoreError):
                backend.seeds.append(kept[-1], NOW)
            nodes[round % 3].start()
            monkeypatch.setattr(connection, "PAUSES", (0.2,) * 100)  # until the others see it again
            backend.seeds.append(kept[-1], NOW)
            monkeypatch.setattr(connection, "PAUSES", (0.01, 0.01))
        for i, candidate in enumerate(candidates):
            want = sorted(int(batch.user[i]) for batch in kept)
            assert sorted(backend.seeds.recent(candidate, 10**6).user.tolist()) == want
        assert set(backend.seeds.dirty()) == set(candidates)
        backend.close()
