"""Clicks from a bus on a real server: each is written at least once, and what cannot be read holds nobody up."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinfolk.errors import DataError, OptionError
from kinfolk.online.bus import Delivery, drain, open_source
from kinfolk.online.clicks import Clicks, user_keys
from kinfolk.online.ports import StoreError
from kinfolk.testing.counts import examples
from kinfolk.testing.redis_server import binary, redis_cluster

redis = pytest.importorskip("redis")
from kinfolk.online.stores.redis import RedisBackend, connection  # noqa: E402  # after the skip
from kinfolk.online.stores.redis.stream import _CLAIM, dead_letters  # noqa: E402

pytestmark = pytest.mark.skipif(binary() is None, reason="no redis-server or valkey-server is installed")
NOW = 1_700_000_000_000


@pytest.fixture
def reader(server, client):
    opened = []

    def make(consumer="one", **options):
        opened.append(open_source(server.url, stream="clicks", group="kinfolk", consumer=consumer, **options))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


def post(client, n, first=0):
    return [
        client.xadd("clicks", {"user": f"u{i}", "candidate": f"c{i % 3}", "time": NOW + i}).decode()
        for i in range(first, first + n)
    ]


class Written:
    """Remembers what it was given; fails as told."""

    def __init__(self, fail=lambda users: None):
        self.users, self.rows, self.fail = [], [], fail

    def __call__(self, users, candidates, times, event_ids):
        self.fail(users)
        self.users += users
        self.rows += zip(users, candidates, times, event_ids, strict=True)


def pending(client):
    return client.xpending("clicks", "kinfolk")["pending"]


def test_everything_there_is_written_once_and_acknowledged(client, reader):
    post(client, 250)
    source, written = reader(), Written()
    assert drain(source, written, limit=100) == 250
    assert written.users == [f"u{i}" for i in range(250)]
    assert written.rows[7] == ("u7", "c1", NOW + 7, None)
    assert pending(client) == 0
    assert drain(source, written) == 0
    assert source.counts() == {"read": 250, "claimed": 0, "acknowledged": 250, "refused": 0}


def test_it_stops_after_so_many_batches(client, reader):
    post(client, 50)
    source, written = reader(), Written()
    assert drain(source, written, limit=10, batches=2) == 20
    assert drain(source, written, limit=10) == 30


def test_two_readers_share(client, reader):
    post(client, 40)
    a, b = reader("a"), reader("b")
    first, second = a.read(20), b.read(20)
    assert sorted([*first.users, *second.users]) == sorted(f"u{i}" for i in range(40))
    assert len(a.read(20)) == 0
    a.ack(first)
    assert pending(client) == 20


def test_a_failed_write_comes_again_and_so_does_what_a_dead_reader_held(client, reader):
    post(client, 30)

    def fail(users):
        raise StoreError("the store is away", "repeat")

    source, written = reader(), Written(fail)
    with pytest.raises(StoreError):
        drain(source, written, limit=10)
    assert pending(client) == 10
    written.fail = lambda users: None
    assert drain(source, written, limit=10) == 30
    assert sorted(written.users) == sorted(f"u{i}" for i in range(30))
    post(client, 10, first=30)
    reader("dead").read(4)  # and never again
    restarted = reader("dead")
    assert restarted.read(100).users == ("u30", "u31", "u32", "u33")
    other, seen = reader("other", claim_after_ms=1), Written()
    while len(seen.users) < 10:
        drain(other, seen)
    assert sorted(seen.users) == sorted(f"u{i}" for i in range(30, 40))
    assert other.counts()["claimed"] == 4
    assert pending(client) == 0


def test_it_tells_what_waits(client, reader):
    source = reader()
    assert source.waiting() == (0, 0), "no such stream yet"
    post(client, 10)
    assert source.waiting() == (10, 0), "no such group yet"
    source.read(1)
    held = source.read(4)
    assert source.waiting() == (5, 5)
    source.ack(held)
    assert source.waiting() == (5, 1)
    client.xdel("clicks", client.xrange("clicks")[7][0])
    assert source.waiting()[0] in (None, 4), "Redis may have lost count"


def test_a_key_that_is_no_stream_is_an_error(client, reader):
    client.set("clicks", "text")
    for ask in (lambda: reader().read(1), lambda: reader().waiting()):
        with pytest.raises(StoreError):
            ask()


def test_a_bus_that_is_away_is_an_error_at_the_first_use():
    source = open_source("redis://127.0.0.1:1", stream="s", group="g", consumer="c")
    with pytest.raises(StoreError):
        source.read(1)
    source.close()


def test_what_a_living_reader_holds_is_left_to_it(client, reader):
    post(client, 10)
    held = reader("slow").read(10)
    assert len(reader("other", claim_after_ms=3_600_000).read(100)) == 0
    assert len(held) == 10


MALFORMED = [
    {"user": "u"},
    {"candidate": "c"},
    {"user": "", "candidate": "c"},
    {"user": b"\xff", "candidate": "c"},
    {"user": "u", "candidate": "c", "time": "soon"},
    {"user": "u", "candidate": "c", "time": "-1"},
    {"user": "u", "candidate": "c", "time": str(NOW // 1000)},
    {"user": "u", "candidate": "c", "time": str(2**63)},
    {f"f{i}": "x" for i in range(5000)},
]


def test_entries_that_cannot_be_read_are_kept_aside_and_counted(client, reader):
    source, written = reader(), Written()
    post(client, 1)
    bad = [client.xadd("clicks", entry) for entry in MALFORMED]
    post(client, 1, first=1)
    while drain(source, written, limit=1):
        pass
    assert written.users == ["u0", "u1"]
    assert pending(client) == 0
    assert source.counts()["refused"] == len(bad)
    dead = client.xrange(dead_letters("clicks"))
    assert [fields[b"place"] for _, fields in dead] == bad
    assert dead[0][1][b"reason"] == b"the entry has no candidate"
    assert dead[0][1][b"user"] == b"u"
    assert dead[4][1][b"time"] == b"soon"


def test_clicks_that_the_writer_refuses_are_kept_aside_and_the_others_written(client, reader):
    post(client, 33)

    def fail(users):
        if set(users) & {"u3", "u17", "u18"}:
            raise DataError("the time is ahead of the clock", "set the sender's clock")

    source, written = reader(), Written(fail)
    assert drain(source, written) == 33
    assert sorted(written.users) == sorted({f"u{i}" for i in range(33)} - {"u3", "u17", "u18"})
    assert (source.counts()["refused"], pending(client)) == (3, 0)
    dead = [fields for _, fields in client.xrange(dead_letters("clicks"))]
    assert [(f[b"user"], f[b"reason"]) for f in dead] == [
        (user, b"the time is ahead of the clock") for user in (b"u3", b"u17", b"u18")
    ]


def test_a_click_without_a_time_has_that_of_the_bus_each_time_it_comes(client, reader):
    place = client.xadd("clicks", {"user": "u", "candidate": "c", "event_id": "e"}).decode()
    source = reader()
    first = source.read(10)
    source.again()
    assert source.read(10) == first == Delivery((place,), ("u",), ("c",), (int(place.split("-")[0]),), ("e",))


def test_an_entry_that_was_trimmed_while_it_was_pending_is_let_go(client, reader):
    post(client, 2)
    source = reader()
    held = source.read(10)
    client.xdel("clicks", held.places[0])
    source.again()
    assert source.read(10).users == ("u1",)
    assert source.counts()["refused"] == 1


@settings(deadline=None, max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["ok", "fail", "die", "lost ack"])), max_size=12))
def test_whatever_fails_every_click_ends_up_in_the_store_once(server, client, steps):
    """Three readers that fail to write, die after reading, or write and lose their acknowledgement."""
    client.flushdb()
    posted = 0
    store = RedisBackend.open(server.url)

    def name(number):
        return open_source(server.url, stream="clicks", group="kinfolk", consumer=f"r{number}", claim_after_ms=1)

    sources = [name(i) for i in range(3)]
    wrong = ""

    def write(users, candidates, times, event_ids):
        if wrong == "fail":
            raise StoreError("away", "repeat")
        store.seeds.append(Clicks.of(user_keys(b"s", users), candidates, times, event_ids), NOW)
        if wrong == "lost ack":
            raise StoreError("written, but nobody heard", "repeat")

    for number, wrong in [*steps, (0, "ok"), (1, "ok"), (2, "ok")]:
        post(client, 7, first=posted)
        posted += 7
        if wrong == "die":
            sources[number].read(5)
            sources[number].close()
            sources[number] = name(number)
            continue
        with suppress(StoreError):
            drain(sources[number], write, limit=4)
    while pending(client):
        drain(sources[0], write, limit=4)
    kept = np.concatenate([store.seeds.recent(f"c{i}", 10**6).user for i in range(3)])
    assert sorted(kept.tolist()) == sorted(user_keys(b"s", [f"u{i}" for i in range(posted)]).tolist())
    for opened in (*sources, store):
        opened.close()


def test_an_answer_that_was_lost_is_asked_for_again(client, reader, monkeypatch):
    post(client, 5)
    source, send = reader(), connection._pipe
    source.read(0 + 1)
    source.again()

    def lost(one, calls, atomic):
        send(one, calls, atomic)
        if ">" in calls[0].parts:
            raise redis.ConnectionError("gone")
        return send(one, calls, atomic)

    assert source.read(10).users == ("u0",)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "_pipe", lost)
        with pytest.raises(StoreError):
            source.read(10)
    assert source.read(10).users == ("u0", "u1", "u2", "u3", "u4")


def test_a_lost_answer_loses_nothing_that_was_claimed_from_a_dead_reader(client, reader, monkeypatch):
    """What the lost claim gave is this reader's now, and no longer silent for long enough to be claimed once more."""
    post(client, 5)
    held = reader("dead").read(10)
    client.xclaim("clicks", "kinfolk", "dead", 0, list(held.places), idle=7_200_000)
    other, send, lost = reader("other", claim_after_ms=3_600_000), connection._pipe, []

    def lose(one, calls, atomic):
        answer = send(one, calls, atomic)
        if _CLAIM.sha in calls[0].parts and answer[0] and not isinstance(answer[0], Exception) and not lost:
            lost.append(answer)
            raise redis.ConnectionError("gone")
        return answer

    monkeypatch.setattr(connection, "_pipe", lose)
    with pytest.raises(StoreError):
        other.read(10)
    assert lost
    assert other.read(10) == held


def test_on_a_cluster_too():
    with redis_cluster(appendfsync="no") as nodes:
        source = open_source(nodes[2].url, stream="{a}clicks", group="g", consumer="c")
        assert len(source.read(5)) == 0
        with redis.cluster.RedisCluster.from_url(nodes[0].url) as client:
            client.xadd("{a}clicks", {"user": "u", "candidate": "c", "time": NOW})
            client.xadd("{a}clicks", {"user": "u"})
            written = Written()
            assert drain(source, written) == 1
            assert client.xlen(dead_letters("{a}clicks")) == 1
        source.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "kafka://host"},
        {"url": "redis://host:port"},
        {"url": "sqlite:///x"},
        {"stream": ""},
        {"group": ""},
        {"consumer": ""},
        {"claim_after_ms": 0},
    ],
)
def test_options_that_make_no_sense(wrong):
    options = {"url": "redis://127.0.0.1:1", "stream": "s", "group": "g", "consumer": "c", **wrong}
    with pytest.raises(OptionError):
        open_source(**options)
