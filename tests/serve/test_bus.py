"""Clicks from a real Redis stream into a real server: they count once, whatever dies, and nothing is lost."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kinfolk.errors import OptionError
from kinfolk.serve.assemble import open_bus
from kinfolk.serve.run import serve
from kinfolk.settings import load
from kinfolk.testing.counts import examples
from kinfolk.testing.redis_server import binary, redis_server
from kinfolk.testing.served import ServedProcess, wait_until

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.skipif(binary() is None, reason="no redis-server or valkey-server on the path")
NOW = 1_700_000_000_000
STREAM = "clicks"
DEAD = "{clicks}:dead"


@pytest.fixture(scope="module")
def users(small_bundle):
    return [str(u) for u in small_bundle.user_ids]


@pytest.fixture
def bus():
    """A Redis of the bus's own, with a client as `.client`."""
    with redis_server() as server, redis.Redis.from_url(server.url) as client:
        server.client = client
        yield server


@pytest.fixture
def start(small_bundle, bus, tmp_path):
    """`with start(store=None, **settings) as server`: a server that listens to the bus; SQLite unless told."""

    @contextmanager
    def run(store=None, **settings):
        told = {"bus_stream": STREAM, "bus_url": bus.url, "bus_name": "here", "refresh_every": 0.3, **settings}
        server = ServedProcess(small_bundle.path, store or f"sqlite:///{tmp_path}/k.db", tmp_path, **told)
        try:
            yield server
        finally:
            server.kill()

    return run


def add(client, users, candidate="a", first=0):
    with client.pipeline(transaction=False) as pipe:
        for i, user in enumerate(users, first):
            pipe.xadd(STREAM, {"user": user, "candidate": candidate, "time": NOW + i})
        pipe.execute()


def metrics(server):
    connection = server.connect()
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


def clicks(server, outcome):
    return metrics(server).get(f'kinfolk_clicks_total{{outcome="{outcome}"}}', 0)


def from_bus(server, outcome):
    return metrics(server).get(f'kinfolk_bus_clicks_total{{outcome="{outcome}"}}', 0)


def seeds(server, candidate="a"):
    status, found = server.ask("GET", f"/v1/candidates/{candidate}")
    return found["seeds"] if status == 200 else 0


def pending(client):
    return client.xpending(STREAM, "kinfolk")["pending"]


def test_clicks_of_the_stream_are_seeds_and_what_cannot_be_used_is_kept_aside(start, bus, users):
    with start() as server:
        add(bus.client, users[:30])
        server.start()
        wait_until(lambda: seeds(server) == 30, "the clicks are seeds")
        bus.client.xadd(STREAM, {"user": "x" * 300, "candidate": "a"})
        bus.client.xadd(STREAM, {"user": users[0]})
        bus.client.xadd(STREAM, {"user": "u", "candidate": "a", "time": 2**53})
        add(bus.client, [*users[30:40], "stranger"], "b")
        wait_until(lambda: seeds(server, "b") == 11, "nothing holds up what comes after")
        feed = server.ask("GET", f"/v1/users/{users[50]}/candidates")[1]
        assert {item["candidate"] for item in feed["items"] if item["score"] is not None} == {"a", "b"}
        wait_until(lambda: from_bus(server, "refused") == 3, "the others are counted")
        assert [f[b"user"] for _, f in bus.client.xrange(DEAD) if b"user" in f].count(users[0].encode()) == 1
        assert bus.client.xlen(DEAD) == 3
        assert (from_bus(server, "acknowledged"), clicks(server, "accepted")) == (41, 41)
        assert (metrics(server)["kinfolk_bus_taking"], pending(bus.client)) == (1, 0)
        assert server.stop() == 0
        assert "stranger" not in server.log.read_text()


def test_killed_between_the_store_and_the_acknowledgement_they_come_again_and_count_once(start, bus, users):
    with start() as server:
        server.start()
        bus.client.execute_command("ACL", "SETUSER", "default", "-xack")
        add(bus.client, users[:25])
        wait_until(lambda: seeds(server) == 25, "they are in the store")
        wait_until(lambda: metrics(server)["kinfolk_bus_errors"], "and cannot be acknowledged")
        assert pending(bus.client) == 25
        server.kill()
        bus.client.execute_command("ACL", "SETUSER", "default", "+xack")
        server.start()
        wait_until(lambda: pending(bus.client) == 0, "they came again, to the same reader")
        assert (clicks(server, "accepted"), clicks(server, "duplicates"), seeds(server)) == (0, 25, 25)


@pytest.mark.timeout(600)
def test_killed_at_any_moment_no_click_is_lost_or_counted_twice(start, bus, users):
    rng = np.random.default_rng(5)
    sent = 0
    with start(bus_batch=20) as server:
        for _ in range(examples(3, 30)):
            server.start()
            n = int(rng.integers(200, 2000))
            for first in range(0, n, 100):
                add(bus.client, [f"{users[i % len(users)]}" for i in range(sent, sent + 100)], first=sent)
                sent += 100
                if first == n // 200 * 100:
                    server.kill()
                    break
            server.kill()
        server.start()
        wait_until(lambda: metrics(server)["kinfolk_bus_lag"] == pending(bus.client) == 0, "all are taken")
        assert seeds(server) == len({users[i % len(users)] for i in range(sent)})
        assert bus.client.xlen(DEAD) == 0
        for first in range(0, sent, 100):
            again = [
                {"user": users[i % len(users)], "candidate": "a", "time": NOW + i} for i in range(first, first + 100)
            ]
            status, told = server.ask("POST", "/v1/clicks", again)
            assert (status, told) == (200, told | {"accepted": 0, "duplicates": 100}), "every one of them is there"


def test_two_workers_share_the_stream_and_a_dead_ones_clicks_go_to_the_other(start, bus, users):
    with start(bus.url, workers=2, bus_batch=50, bus_claim_after=0.2, takeover_after=1) as server:
        server.start()
        wait_until(lambda: server.log.read_text().count('"event": "listening"') == 2, "both workers listen")
        pids = {int(x) for x in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()}
        for n, pid in enumerate(sorted(pids)):
            other = (pids - {pid}).pop()
            os.kill(other, signal.SIGSTOP)
            try:
                add(bus.client, users[100 * n : 100 * (n + 1)], first=100 * n)
                wait_until(lambda: bus_lag(bus.client) == 0, "the one that runs takes all, the other may hold some")
            finally:
                os.kill(other, signal.SIGCONT)
        wait_until(lambda: seeds(server) == 200, "they are all there")
        assert {c["name"] for c in bus.client.xinfo_consumers(STREAM, "kinfolk")} == {b"here-0", b"here-1"}
        os.kill(min(pids), signal.SIGKILL)
        add(bus.client, users[200:300], first=200)
        wait_until(lambda: seeds(server) == 300, "the other, or who took its place, takes them")
        wait_until(lambda: pending(bus.client) == 0, "all acknowledged")
        assert server.stop() == 0


def bus_lag(client):
    return client.xinfo_groups(STREAM)[0]["lag"]


def test_a_server_answers_without_its_bus_and_takes_up_when_it_is_back(start, bus, users):
    bus.client.close()
    bus.kill()
    with start() as server:
        server.start()
        assert metrics(server)["kinfolk_bus_taking"] == 0
        assert server.ask("GET", "/readyz")[0] == 200
        wait_until(lambda: "no clicks are taken from the bus" in server.log.read_text(), "it says so")
        bus.start()
        add(bus.client, users[:10])
        wait_until(lambda: seeds(server) == 10, "it goes on")
        bus.client.close()
        bus.kill()
        wait_until(lambda: metrics(server)["kinfolk_bus_taking"] == 0, "it notices")
        bus.start()
        add(bus.client, users[10:20])
        wait_until(lambda: seeds(server) == 20, "and goes on again")
        bus.client.close()
        bus.kill()
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"bus_stream": "clicks"}, "cannot lie in sqlite"),
        ({"bus_url": "redis://h"}, "without a stream"),
        ({"bus_stream": "clicks", "bus_url": "kafka://h"}, "kafka"),
        ({"bus_stream": "clicks", "bus_url": "redis://u:hunter2@h:port"}, "no Redis URL"),
    ],
)
def test_a_bus_that_cannot_be(flags, said, tmp_path):
    with pytest.raises(OptionError, match=said) as told:
        serve(load({"bundle": tmp_path, **flags}))
    assert "hunter2" not in str(told.value)


def test_without_settings_there_is_none():
    assert open_bus(load({"store": "redis://127.0.0.1:1"})) is None
