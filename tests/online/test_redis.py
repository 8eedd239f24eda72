"""The shared store on a real server: what the suites do not ask, and what only Redis can get wrong."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinfolk.errors import OptionError
from kinfolk.online.clicks import Clicks
from kinfolk.online.ports import Audience, Candidate, FenceError, Members, Snapshot, StoreError, StoreOptions
from kinfolk.online.stores.memory import MemoryBackend
from kinfolk.testing.counts import examples
from kinfolk.testing.ports import PortSuites
from kinfolk.testing.redis_server import binary, free_port, redis_server

redis = pytest.importorskip("redis")
from kinfolk.online.stores.redis import RedisBackend, connection, folding, members_codec, names, snapshot_codec, trails  # noqa: E402  # after the skip

pytestmark = pytest.mark.skipif(binary() is None, reason="no redis-server or valkey-server is installed")
NOW = 1_700_000_000_000


@pytest.fixture
def open_store(server, client):
    opened = []

    def make(**options):
        opened.append(RedisBackend.open(server.url, StoreOptions(**options)))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


class OneServer:
    """Each backend in a database of its own, all on one server."""

    def __init__(self, server):
        self.server, self.used = server, {}

    def url(self, number):
        return self.server.url.rpartition("/")[0] + f"/{number}"

    def open(self, options):
        number = len(self.used) + 1
        self.used[backend := RedisBackend.open(self.url(number), options)] = number, options
        return backend

    def reopen(self, backend):
        backend.close()
        number, options = self.used[backend]
        again = RedisBackend.open(self.url(number), options)
        self.used[again] = number, options
        return again


class TestPorts(PortSuites):
    @pytest.fixture
    def harness(self, server, client):
        harness = OneServer(server)
        yield harness
        for backend in harness.used:
            backend.close()


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(folding, "SEEDS_PER_BLOCK", 5)
    monkeypatch.setattr(folding, "YOUNG_BYTES", 48)


def clicks(rows, now=NOW):
    """rows: (user, candidate, seconds after now)."""
    users, items, seconds = zip(*rows, strict=True)
    return Clicks.of(np.array(users, np.uint64), items, [now + 1000 * s for s in seconds])


def many(n, candidate="c", first=0, time=NOW):
    return Clicks.of(np.arange(first, first + n, dtype=np.uint64), [candidate] * n, time + 1000 * np.arange(n))


CANDIDATES = st.sampled_from(["a", "{b}", "}c{", "d%7B", "é"])
USERS = st.one_of(st.integers(0, 9), st.just(2**64 - 1))
BATCH = st.lists(st.tuples(USERS, CANDIDATES, st.integers(-50, 50)), min_size=1, max_size=25)
STEP = st.one_of(
    st.tuples(st.just("append"), BATCH),
    st.tuples(st.just("append"), BATCH),
    st.tuples(st.just("forget"), st.lists(USERS, min_size=1, max_size=3)),
    st.tuples(st.just("drop"), CANDIDATES),
    st.tuples(st.just("clean"), CANDIDATES),
    st.tuples(st.just("fold"), CANDIDATES),
)


@settings(deadline=None, max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=12), st.integers(1, 12))
def test_seeds_are_those_of_the_memory_store_whatever_happens(client, open_store, small_blocks, steps, max_seeds):
    client.flushdb()
    store = open_store(max_seeds=max_seeds, trail_length=4).seeds
    model = MemoryBackend(StoreOptions(max_seeds=max_seeds, trail_length=4)).seeds
    for what, argument in steps:
        before = store.generation()
        if what == "append":
            got, want = (s.append(clicks(argument), NOW) for s in (store, model))
            assert (got.new, got.duplicates) == (want.new, want.duplicates)
            assert got.generation == store.generation()
        elif what == "forget":
            users = np.array(argument, np.uint64)
            assert set(store.forget(users)) == set(model.forget(users))
        elif what == "drop":
            store.drop(argument)
            model.drop(argument)
        elif what == "clean":
            for s in (store, model):
                s.clean({argument: s.dirty().get(argument, 0)})
        else:
            store.fold(argument)
        assert store.generation() >= before
    for candidate in ["a", "{b}", "}c{", "d%7B", "é", "never"]:
        for limit in (0, 1, 7, 10**6):
            got, want = store.recent(candidate, limit), model.recent(candidate, limit)
            assert (got.user.tolist(), got.time.tolist()) == (want.user.tolist(), want.time.tolist())
        assert store.count(candidate) == model.count(candidate)
    assert set(store.dirty()) >= set(model.dirty())
    assert {k: v for k, v in store.stats().items() if k != "bytes"} == {
        k: v for k, v in model.stats().items() if k != "bytes"
    }
    if any(what == "forget" for what, _ in steps):
        return  # clicks that come again after it are dropped by the callers, not here
    for user in (0, 5, 2**64 - 1):
        (items, times), (want_items, want_times) = store.trail(user, 9), model.trail(user, 9)
        assert (items, times.tolist()) == (want_items, want_times.tolist())


def test_identities_are_remembered_as_long_as_promised_and_not_for_ever(open_store, client):
    store = open_store(remember_ms=10_000).seeds
    batch = many(3)
    assert store.append(batch, NOW).new == 3
    for later in range(0, 10_001, 500):
        assert store.append(batch, NOW + later).duplicates == 3
    assert store.append(batch, NOW - 4_000).duplicates == 3  # a worker whose clock is behind
    assert store.append(batch, NOW + 20_000).new == 3
    assert store.count("c") == 3
    slices = client.keys("*seen:*")
    assert len({key.rpartition(b":")[2] for key in slices}) == 2
    assert all(0 < client.pttl(key) <= 600_000 for key in slices)


def test_what_was_dropped_as_a_duplicate_changes_nothing(open_store):
    store = open_store().seeds
    first = store.append(many(3), NOW)
    store.clean({"c": store.dirty()["c"]})
    assert store.append(many(3), NOW).generation == first.generation
    assert store.dirty() == {}
    assert store.append(many(4), NOW).new == 1
    assert set(store.dirty()) == {"c"}


def test_clean_spares_what_came_meanwhile(open_store):
    store = open_store().seeds
    store.append(many(3), NOW)
    seen = store.dirty()["c"]
    store.append(many(3, first=10), NOW)
    store.clean({"c": seen})
    assert store.dirty()["c"] > seen


def test_a_batch_of_many_thousand_clicks_of_one_user_or_candidate(open_store):
    store = open_store(trail_length=5).seeds
    n = 7_000
    assert store.append(many(n), NOW).new == n
    assert store.append(many(n + 1), NOW).new == 1
    items = [f"i{i % 50}" for i in range(n)]
    one = Clicks.of(np.zeros(n, np.uint64), items, NOW + np.arange(n))
    assert store.append(one, NOW).new == n
    assert store.trail(0, 5)[0] == items[-5:]
    assert store.trail(0, 5)[1].tolist() == [NOW + i for i in range(n - 5, n)]


def test_appends_are_not_lost_while_others_fold_and_forget(open_store, small_blocks):
    stores = [open_store().seeds for _ in range(4)]
    rounds, failures = examples(40, 300), []

    def append(number):
        for i in range(rounds):
            stores[number].append(many(5, first=100_000 * number + 5 * i, time=NOW + i), NOW)

    def disturb():
        try:
            for i in range(rounds):
                stores[2].fold("c")
                stores[2].forget(np.array([5_000_000 + i], np.uint64))
                stores[3].recent("c", 3)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=f) for f in (lambda: append(0), lambda: append(1), disturb, disturb)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    want = [100_000 * number + i for number in (0, 1) for i in range(5 * rounds)]
    assert sorted(open_store().seeds.recent("c", 10**6).user.tolist()) == want


def test_a_fold_that_was_overtaken_changes_nothing(open_store, client):
    backend = open_store()
    store, ask = backend.seeds, backend._connection
    store.append(many(10), NOW)
    kept = folding.read(ask, "c", 100)
    store.append(many(5, first=50), NOW)
    assert folding.commit(ask, kept, kept.block) is not None  # young clicks that came since stay
    assert store.count("c") == 15
    stale = folding.read(ask, "c", 100)
    store.fold("c")
    assert folding.commit(ask, stale, stale.block) is None
    store.drop("c")
    store.append(many(2), NOW + 10**8)
    assert folding.commit(ask, stale, stale.block) is None  # of a former life of the candidate
    assert store.count("c") == 2
    drafts = [key for key in client.keys("*block:*") if client.pttl(key) > 0]
    assert drafts  # of the stale commits; they expire
    assert all(client.pttl(key) <= folding.DRAFT_EXPIRY for key in drafts)


def test_a_fold_whose_blocks_expired_is_refused(open_store, client, monkeypatch):
    backend = open_store()
    backend.seeds.append(many(10), NOW)
    kept = folding.read(backend._connection, "c", 100)
    monkeypatch.setattr(folding, "DRAFT_EXPIRY", 1)
    run = backend._connection.run

    def late(*arguments, **options):
        while client.keys("*block:*"):
            pass
        return run(*arguments, **options)

    monkeypatch.setattr(backend._connection, "run", late)
    assert folding.commit(backend._connection, kept, kept.block) is None
    monkeypatch.undo()
    assert backend.seeds.count("c") == 10


def test_many_young_clicks_are_folded_without_being_read(open_store, client):
    store = open_store(max_seeds=500).seeds
    for i in range(12):
        store.append(many(1000, first=1000 * i, time=NOW + 10**6 * i), NOW)
    assert client.strlen(names.candidate("c", "young")) < folding.YOUNG_BYTES
    assert int(client.hget(names.candidate("c", "facts"), "count")) == 500


def test_24_bytes_a_seed(open_store, client, monkeypatch):
    monkeypatch.setattr(trails, "calls", lambda *_, **__: [])  # of users, not of candidates; slow for so many
    store = open_store().seeds
    n = 200_000
    users = np.random.default_rng(1).integers(0, 2**63, n).astype(np.uint64)
    for i in range(0, n, 10_000):
        part = users[i : i + 10_000]
        store.append(Clicks.of(part, ["large"] * len(part), NOW + np.arange(i, i + len(part))), NOW)
    store.fold("large")
    seeds, identities = (
        sum(client.memory_usage(key, samples=0) for key in client.keys(pattern))
        for pattern in (names.candidate("large", "*"), "*:seen:*")
    )
    print(f"{seeds / n:.2f} bytes a seed, {identities / n:.1f} bytes an identity remembered")
    assert store.count("large") == len(np.unique(users))
    assert 12 < seeds / n <= 24
    assert identities > 0


def test_the_newest_seeds_of_a_large_candidate_are_read_without_the_rest(open_store, client):
    store = open_store().seeds
    store.append(many(30_000), NOW)
    store.fold("c")
    oldest = min((key for key in client.keys("*block:*")), key=lambda key: int(key.rpartition(b":")[2]))
    client.delete(oldest)
    assert store.recent("c", 10_000).user.tolist() == list(range(20_000, 30_000))
    with pytest.raises(StoreError, match="missing"):
        store.recent("c", 30_000)


@given(st.text(), st.text())
def test_tags_hold_no_braces_and_no_two_ids_share_one(a, b):
    assert not set("{}") & set(names.tag(a))
    assert names.tag(a)
    assert (names.tag(a) == names.tag(b)) == (a == b)


ARRAYS = st.integers(0, 5).flatmap(lambda k: st.tuples(st.just(k), st.integers(1, 6)))


@given(ARRAYS, st.integers(0, 2**40), st.floats(0, 1e9))
def test_snapshots_round_trip(shape, number, inertia):
    rng = np.random.default_rng(number)
    k, h = shape
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((k, h), k, h)]
    snapshot = Snapshot("c", "m", number, number + 1, number + 2, number + 3, *arrays, inertia)
    back = snapshot_codec.decode(snapshot_codec.encode(snapshot), "c", "m")
    for name in ("candidate", "model", "made_at", "seeds_seen", "seeds_used", "generation", "inertia"):
        assert getattr(back, name) == getattr(snapshot, name)
    for name in ("centroids", "sizes", "global_embedding"):
        np.testing.assert_array_equal(getattr(back, name), getattr(snapshot, name))
        assert getattr(back, name).shape == getattr(snapshot, name).shape


@pytest.mark.parametrize("codec", ["snapshot", "members"])
def test_a_damaged_record_is_noticed(codec):
    if codec == "snapshot":
        ones = np.ones((2, 3), np.float32)
        data = snapshot_codec.encode(Snapshot("c", "m", 1, 2, 3, 4, ones, ones[:, 0], ones[0]))
        decode = lambda d: snapshot_codec.decode(d, "c", "m")  # noqa: E731  # one line for each codec
    else:
        data = members_codec.encode(Members(("a", "bé"), np.array([7, 3], np.uint64), np.array([1, 2], np.float32)))
        decode = members_codec.decode
    decode(data)
    for cut in range(len(data)):
        with pytest.raises(StoreError):
            decode(data[:cut])
    for byte in [*range(6), *range(8, len(data))]:  # two reserved bytes between
        harmed = bytearray(data)
        harmed[byte] ^= 4
        with pytest.raises(StoreError):
            decode(bytes(harmed))


@given(st.dictionaries(st.integers(0, 2**64 - 1), st.text(max_size=5), max_size=20))
def test_members_round_trip(rows):
    members = Members(tuple(rows.values()), np.array(list(rows), np.uint64), np.arange(len(rows), dtype=np.float32))
    back = members_codec.decode(members_codec.encode(members))
    assert back.ids == members.ids
    assert (back.keys.tolist(), back.scores.tolist()) == (members.keys.tolist(), members.scores.tolist())


def test_a_user_is_found_in_every_place_of_an_audience_and_forgotten_there(open_store):
    store = open_store().audiences
    keys = np.unique(np.random.default_rng(2).integers(0, 2**64, 60, np.uint64, endpoint=False))
    keys = np.concatenate([keys, np.array([0, 2**63, 2**64 - 1], np.uint64)])
    store.create(Audience("x", "pending", {}, NOW))
    store.claim("w", NOW, 1000)
    for part in range(3):
        some = keys[part::3]
        store.write_part("x", "w", part, Members(tuple(map(str, some)), some, np.ones(len(some), np.float32)))
    assert store.of_user(int(keys[0])) == []  # not ready yet
    store.finish("x", "w", "ready", {"size": len(keys)})
    assert all(store.of_user(int(key)) == ["x"] for key in keys)
    others = [int(key) ^ 1 for key in keys if int(key) ^ 1 not in set(keys.tolist())]
    assert all(store.of_user(key) == [] for key in others)
    gone = keys[:10]
    assert store.forget(np.concatenate([gone, np.array(others, np.uint64)])) == 10
    left = np.concatenate([store.part("x", part).keys for part in range(3)])
    assert set(left.tolist()) == set(keys[10:].tolist())
    assert store.part("x", 0).ids == tuple(map(str, store.part("x", 0).keys))
    assert store.of_user(int(gone[0])) == []
    assert store.delete("x")
    assert store.part("x", 0) is None
    assert not store.delete("x")


def test_a_listed_job_that_was_never_made_is_passed_over(open_store, client):
    store = open_store().audiences
    client.zadd(names.room("audiences", "order"), {"ghost": 0})
    client.zadd(names.room("audiences", "queue"), {"ghost": 0})
    client.hset(names.room("audiences", "queued"), "ghost", NOW)
    assert store.claim("w", NOW, 1000) is None
    store.create(Audience("x", "pending", {"a": [1]}, NOW + 1))
    assert [a.id for a in store.page("", 10)] == ["x"]
    assert store.claim("w", NOW, 1000).question == {"a": [1]}
    assert store.claim("w", NOW + 10**8, 1000).id == "x"
    assert client.zrange(names.room("audiences", "queue"), 0, -1) == [b"x"]


def test_a_lower_fence_publishes_nothing(open_store):
    store = open_store().snapshots
    point = np.ones((1, 2), np.float32)
    snapshot = Snapshot("c", "m", 1, 1, 1, 5, point, point[:, 0], point[0])
    assert store.publish([snapshot], 7) == 1
    with pytest.raises(FenceError, match="stale"):
        store.publish([Snapshot("d", "m", 1, 1, 1, 9, point, point[:, 0], point[0])], 6)
    assert store.latest(["d"], "m")[0] is None
    assert store.cursor() == 1


def test_warnings_name_what_can_lose_clicks(open_store, client):
    backend = open_store()
    try:
        for changes, words in [
            ({"appendfsync": "always"}, []),
            ({"appendfsync": "everysec"}, ["appendfsync is everysec"]),
            ({"maxmemory-policy": "allkeys-lru", "appendfsync": "always"}, ["maxmemory-policy is allkeys-lru"]),
            ({"maxmemory-policy": "noeviction", "no-appendfsync-on-rewrite": "yes"}, ["no-appendfsync-on-rewrite"]),
            ({"appendonly": "no", "no-appendfsync-on-rewrite": "no"}, ["appendonly is off"]),
        ]:
            for name, value in changes.items():
                client.config_set(name, value)
            found = backend.warnings()
            assert len(found) == len(words)
            assert all(word in text for word, text in zip(words, found, strict=True))
    finally:
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "no")


def test_a_full_server_says_so_and_keeps_nothing_of_the_batch(open_store, client):
    backend = open_store()
    backend.seeds.append(many(3), NOW)
    try:
        client.config_set("maxmemory", 1)
        for act in (lambda: backend.seeds.append(many(50, first=100), NOW), backend.ping):
            with pytest.raises(StoreError, match="is full; raise maxmemory"):
                act()
    finally:
        client.config_set("maxmemory", 0)
    backend.ping()
    assert backend.seeds.count("c") == 3
    assert backend.seeds.trail(120, 5)[0] == []
    assert backend.seeds.append(many(50, first=100), NOW).new == 50


def test_scripts_are_loaded_again_where_the_server_has_lost_them(open_store, client):
    backend = open_store()
    backend.seeds.append(many(3), NOW)
    client.script_flush()
    assert backend.seeds.append(many(4), NOW) == backend.seeds.append(many(4, first=10**6), NOW).__class__(1, 3, 2)
    client.script_flush()
    assert backend.candidates.put([Candidate("x", NOW)]) == 1


def test_one_secret_for_all(open_store, server):
    a, b = open_store(), open_store()
    assert a.secret() == b.secret()
    assert len(a.secret()) == 32
    assert a.url == server.url


def test_another_format_is_refused(open_store, client):
    open_store().close()
    client.set(names.FORMAT, "7")
    with pytest.raises(StoreError, match="has format 7"):
        open_store()


def test_a_server_that_is_not_there_is_named_with_a_remedy(monkeypatch):
    monkeypatch.setattr(connection, "PAUSES", (0.001, 0.001))
    with pytest.raises(StoreError, match=r"cannot be reached .*; see that the server runs"):
        RedisBackend.open(f"redis://:secret@127.0.0.1:{free_port()}/0")
    with pytest.raises(OptionError, match="no Redis URL"):
        RedisBackend.open("redis://127.0.0.1:port/0")


def test_a_wrong_password_is_said():
    with redis_server(appendfsync="") as guarded:
        with redis.Redis.from_url(guarded.url) as admin:
            admin.config_set("requirepass", "right")
        for wrong in ("wrong", "wro:wrong", "wrong@wrong"):
            with pytest.raises(StoreError, match="another user or password") as caught:
                RedisBackend.open(guarded.url.replace("redis://", f"redis://:{wrong}@"))
            assert "wrong" not in str(caught.value)
        with pytest.raises(StoreError, match="password"):
            RedisBackend.open(guarded.url)


def test_counting_is_not_repeated_when_the_connection_is_lost(open_store, monkeypatch):
    backend = open_store()
    sent = []

    def lost(*_):
        sent.append(1)
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(connection, "PAUSES", (0.001, 0.001))
    monkeypatch.setattr(connection, "_pipe", lost)
    with pytest.raises(StoreError, match="cannot be reached"):
        backend.counters.add("clicks", 1, {("", "c"): 1})
    assert len(sent) == 1
    with pytest.raises(StoreError, match="cannot be reached"):
        backend.seeds.append(many(2), NOW)
    assert len(sent) == 1 + 3


@pytest.mark.parametrize("rounds", [examples(3, 30)])
def test_a_killed_server_loses_nothing_that_was_acknowledged(rounds):
    rng = np.random.default_rng(5)
    kept, offered = [], []
    with redis_server() as killed:
        store = RedisBackend.open(killed.url).seeds
        batch = 0
        for _ in range(rounds):
            end = int(rng.integers(3, 12))
            killer = threading.Timer(float(rng.uniform(0.0, 0.05)), killed.kill)
            while True:
                users = np.arange(100 * batch, 100 * batch + 100, dtype=np.uint64)
                sent = Clicks.of(users, [f"c{u % 7}" for u in users], NOW + np.arange(100))
                offered.append(users)
                batch += 1
                if batch % end == 0 and killer.ident is None:  # once a round
                    killer.start()
                try:
                    store.append(sent, NOW)
                except StoreError:
                    break
                kept.append(users)
            killer.join()
            killed.start()
            assert store.append(sent, NOW).new in (0, 100)  # all or none; sent again, it counts once
            kept.append(users)
        seen = np.concatenate([store.recent(f"c{i}", 10**6).user for i in range(7)])
        assert len(kept) > rounds
        assert sorted(seen.tolist()) == sorted(np.concatenate(kept).tolist())
        assert RedisBackend.open(killed.url).seeds.stats()["seeds"] == len(seen)
