"""Memory and SQLite pass the ports' suites; what only SQLite promises: kills, foreign files, backups, bytes a seed."""

import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kinfolk.online.clicks import Clicks, candidate_key
from kinfolk.online.ports import Audience, Candidate, FenceError, Key, Members, StoreError, StoreOptions, UserRecord
from kinfolk.online.stores import arrays, blocks
from kinfolk.online.stores.open import open_backend
from kinfolk.online.stores.sqlite import journal, writer
from kinfolk.online.stores.sqlite.backup import backup, restore
from kinfolk.online.stores.sqlite.click_log import ClickLog
from kinfolk.online.stores.sqlite.identities import Identities
from kinfolk.testing import ports
from kinfolk.testing.harness import NOW, at_once
from kinfolk.testing.seed_model import clicks_of, seconds_of
from kinfolk.testing.snapshot_store_suite import same, snapshot

FULL = os.environ.get("KINFOLK_FULL") == "1"


class MemoryHarness:
    def open(self, options):
        return open_backend("memory:", options)

    def reopen(self, backend):
        return backend


class SqliteHarness:
    """fold_at: clicks after which the journal is folded into runs; few, so that suites meet every state of the file.

    Commits are not flushed to the disk: suites care what a new process finds, and that is the same.
    """

    def __init__(self, folder: Path, fold_at: int):
        self.folder, self.fold_at, self.numbers = folder, fold_at, itertools.count()
        self.opened = []
        self.options = {}

    def open(self, options):
        empty, new = self.folder / "empty.db", self.folder / f"{next(self.numbers)}.db"
        if not empty.exists():
            open_backend(f"sqlite:///{empty}").close()
        shutil.copy(empty, new)
        return self._open(f"sqlite:///{new}", options)

    def reopen(self, backend):
        backend.close()
        self.opened.remove(backend)
        return self._open(backend.url, self.options[backend.url])

    def _open(self, url, options):
        backend = open_backend(url, options)
        backend.seeds._fold_at = self.fold_at
        backend._db.write._connection.execute("PRAGMA synchronous = OFF")
        self.options[url] = options
        self.opened.append(backend)
        return backend

    def close(self):
        for backend in self.opened:
            backend.close()


class TestMemory(ports.PortSuites):
    @pytest.fixture
    def harness(self):
        return MemoryHarness()


class TestSqlite(ports.PortSuites):
    @pytest.fixture(params=[1 << 18, 5], ids=["journal", "folded"])
    def harness(self, request, tmp_path):
        harness = SqliteHarness(tmp_path, request.param)
        yield harness
        harness.close()


def test_no_suite_hides_a_test_of_another():
    names = [name for base in ports.PortSuites.__mro__ for name in vars(base) if name.startswith("test_")]
    assert len(names) == len(set(names)) >= 20


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/kinfolk.db"


@pytest.fixture
def file(url):
    return Path(url[len("sqlite:///") :])


def fill(backend):
    """One of everything."""
    backend.seeds.append(clicks_of([(1, "a", NOW), (2, "a", NOW + 1000), (2, "b", NOW)]), NOW)
    backend.snapshots.publish([snapshot("a", 1)], None)
    backend.candidates.put([Candidate("a", NOW)])
    backend.users.put([UserRecord(1, "u1", {}, NOW), UserRecord(2, "u2", {}, NOW)])
    backend.keys.put(Key("d", "n", "admin", NOW))
    backend.audiences.create(Audience("x", "pending", {}, NOW))
    backend.audiences.claim("w", NOW, 1000)
    backend.audiences.write_part("x", "w", 0, Members(("u1",), np.array([1], np.uint64), np.array([1], np.float32)))
    backend.audiences.finish("x", "w", "ready", {})
    return backend.secret()


def holds_all(backend, secret):
    assert seconds_of(backend.seeds.recent("a", 9)) == [(1, NOW // 1000), (2, NOW // 1000 + 1)]
    assert same(backend.snapshots.latest(["a"], "m1")[0], snapshot("a", 1))
    assert backend.candidates.get(["a"]) == [Candidate("a", NOW)]
    assert backend.users.get(1) == UserRecord(1, "u1", {}, NOW)
    assert backend.keys.find("d") is not None
    assert backend.audiences.of_user(1) == ["x"]
    assert backend.secret() == secret


# ---- who may open what


@pytest.mark.parametrize(
    "wrong", ["postgres://x", "sqlite:", "sqlite:///", "sqlite://x.db", "sqlite:////no/such/folder/x.db", "", "memory"]
)
def test_urls_that_name_no_store_are_refused(wrong):
    with pytest.raises(StoreError):
        open_backend(wrong)


def test_options_that_keep_nothing_are_refused():
    with pytest.raises(StoreError, match="keeps nothing"):
        open_backend("memory:", StoreOptions(max_seeds=0))


def test_a_second_opener_is_refused_and_the_first_goes_on(url):
    with closing(open_backend(url)) as backend:
        with pytest.raises(StoreError, match="open in another process"):
            open_backend(url)
        code = f"from kinfolk.online.stores.open import open_backend; open_backend({url!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "StoreError" in other.stderr
        assert "open in another process" in other.stderr
        backend.ping()
    open_backend(url).close()


@pytest.mark.parametrize(("link", "why"), [(os.symlink, "open in another process"), (os.link, "has 2 names")])
def test_a_second_name_of_the_file_opens_nothing_twice(url, file, tmp_path, link, why):
    """Who holds a lease goes on holding it; a child of its own is refused, too."""
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "other.db"
    with closing(open_backend(url)) as backend:
        link(file, other)
        fence = backend.leases.acquire("refresher", "me", NOW, 1000)
        with pytest.raises(StoreError, match=why):
            open_backend(f"sqlite:///{other}")
        code = f"from kinfolk.online.stores.open import open_backend; open_backend({f'sqlite:///{other}'!r})"
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert why in child.stderr
        assert backend.leases.renew("refresher", "me", NOW, 1000)
        assert backend.leases.acquire("refresher", "me", NOW, 1000) == fence
    if link is os.link:
        other.unlink()
        other = file
    with closing(open_backend(f"sqlite:///{other}")) as backend:
        assert backend.leases.acquire("refresher", "next", NOW, 1000) == fence + 1
    assert not other.is_symlink() or {p.name for p in other.parent.iterdir()} == {"other.db"}


def test_a_symbolic_link_stays_one_through_a_restore(url, file, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link, copy = tmp_path / "elsewhere" / "link.db", tmp_path / "copy.db"
    link.symlink_to(file)
    with closing(open_backend(f"sqlite:///{link}")) as backend:
        secret = fill(backend)
        backup(f"sqlite:///{link}", copy)
        backend.users.forget(2, NOW)
    restore(copy, f"sqlite:///{link}")
    assert link.is_symlink()
    for name in (f"sqlite:///{link}", url):
        with closing(open_backend(name)) as backend:
            holds_all(backend, secret)
            assert backend.users.get(2) is None


def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    (tmp_path / "a.db").symlink_to(tmp_path / "b.db")
    (tmp_path / "b.db").symlink_to(tmp_path / "a.db")
    (tmp_path / "c.db").symlink_to(tmp_path / "no folder" / "c.db")
    for name in ("a.db", "c.db"):
        with pytest.raises(StoreError):
            open_backend(f"sqlite:///{tmp_path / name}")


def test_only_the_owner_may_read_the_file(url, file):
    with closing(open_backend(url)) as backend:
        backend.ping()
        assert {p.stat().st_mode & 0o777 for p in file.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to have a header" * 30, b"x"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(url, file, content):
    file.write_bytes(content)
    with pytest.raises(StoreError, match="no SQLite database"):
        open_backend(url)
    assert file.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_alone(url, file):
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE t (x)")
    before = file.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_backend(url)
    assert file.read_bytes() == before


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_format_is_refused(url, file, version):
    open_backend(url).close()
    with closing(sqlite3.connect(file)) as other:
        other.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(StoreError, match=f"format {version}") as caught:
        open_backend(url)
    assert "version of kinfolk that wrote it" in caught.value.remedy


def test_a_closed_store_says_so(url):
    backend = open_backend(url)
    backend.close()
    backend.close()
    for call in (backend.ping, partial(backend.candidates.get, ["a"])):
        with pytest.raises(StoreError, match="closed"):
            call()


def test_a_closed_store_says_so_to_more_callers_than_it_had_room_for(url):
    backend, refused = open_backend(url), []
    backend.close()

    def ask():
        for _ in range(writer.QUEUE + 1):
            with pytest.raises(StoreError, match="closed"):
                backend.ping()
            refused.append(1)

    thread = threading.Thread(target=ask, daemon=True)  # not to wait for it if it hangs
    thread.start()
    thread.join(30)
    assert len(refused) == writer.QUEUE + 1


def test_a_damaged_block_is_noticed(url, file):
    with closing(open_backend(url)) as backend:
        fill(backend)
        backend.seeds.fold()
    with closing(sqlite3.connect(file)) as other:
        (block,) = other.execute("SELECT block FROM runs ORDER BY id LIMIT 1").fetchone()
        other.execute("UPDATE runs SET block = ? WHERE block = ?", (block[:-1] + bytes([block[-1] ^ 1]), block))
        other.commit()
    with closing(open_backend(url)) as backend, pytest.raises(StoreError, match="damaged"):
        backend.seeds.recent("a", 9)


# ---- writes that fail


def test_what_cannot_be_written_is_as_if_it_never_came(url, file):
    """A full disk, by a limit on pages: later, with room, the same clicks are new and are kept."""
    with closing(open_backend(url)) as backend:
        fill(backend)
        rng = np.random.default_rng(1)
        clicks = Clicks.of(rng.integers(0, 2**63, 50_000).astype(np.uint64), ["new"] * 50_000, NOW + np.arange(50_000))
        connection = backend._db.write._connection
        limit = lambda pages: backend._db.write(lambda t: t.execute(f"PRAGMA max_page_count = {pages}"))  # noqa: E731
        (pages,) = sqlite3.connect(file).execute("PRAGMA page_count").fetchone()
        limit(pages + 2)
        with pytest.raises(StoreError, match="disk is full"):
            backend.seeds.append(clicks, NOW)
        assert backend.seeds.count("new") == 0
        assert "new" not in backend.seeds.dirty()
        limit(1 << 30)
        assert not connection.in_transaction
        appended = backend.seeds.append(clicks, NOW)
        assert (appended.new, backend.seeds.count("new")) == (50_000, 50_000)


def test_one_job_that_fails_takes_no_other_with_it(url):
    with closing(open_backend(url)) as backend:
        backend.audiences.create(Audience("taken", "pending", {}, NOW))

        def create(id):
            try:
                backend.audiences.create(Audience(id, "pending", {}, NOW))
            except StoreError as error:
                return error
            return None

        got = at_once(partial(create, "taken" if i % 2 else f"new {i}") for i in range(12))
        assert [isinstance(error, StoreError) for error in got] == [bool(i % 2) for i in range(12)]
        assert len(backend.audiences.page("", 99)) == 7


def test_clicks_whose_batch_fails_before_it_is_written_are_new_when_they_come_again(url, monkeypatch):
    with closing(open_backend(url)) as backend:
        backend.seeds.append(clicks_of([(1, "a", NOW)]), NOW)
        again = clicks_of([(1, "a", NOW), (2, "a", NOW), (3, "b", NOW)])

        def fail(*_):
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(Clicks, "take", fail)
            with pytest.raises(MemoryError):
                backend.seeds.append(again, NOW)
        appended = backend.seeds.append(again, NOW)
        assert (appended.new, appended.duplicates) == (2, 1)
        assert (backend.seeds.count("a"), backend.seeds.count("b")) == (2, 1)


def test_names_whose_batch_fails_half_way_are_not_taken_for_written(url, file):
    with closing(open_backend(url)) as backend:
        backend._db.write(
            lambda t: t.execute(
                "CREATE TEMP TRIGGER full BEFORE INSERT ON items WHEN NEW.name = 'b'"
                " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        )
        clicks = clicks_of([(1, "a", NOW), (2, "b", NOW)])
        with pytest.raises(StoreError, match="disk is full"):
            backend.seeds.append(clicks, NOW)
        backend._db.write(lambda t: t.execute("DROP TRIGGER full"))
        assert backend.seeds.append(clicks, NOW).new == 2
    with closing(open_backend(url)) as backend:
        assert (backend.seeds.count("a"), backend.seeds.count("b")) == (1, 1)
        assert [backend.seeds.trail(user, 9)[0] for user in (1, 2)] == [["a"], ["b"]]


class Watched:
    """A lock that tells when the writer's thread asks for it."""

    def __init__(self, lock, thread):
        self.lock, self.thread, self.asked = lock, thread, False

    def __enter__(self):
        self.asked |= threading.current_thread() is self.thread
        return self.lock.__enter__()

    def __exit__(self, *error):
        return self.lock.__exit__(*error)


class Late:
    """A queue whose next `put` comes only when the writer's thread has ended, or waits for who puts."""

    def __init__(self, jobs, writer):
        self.jobs, self.writer, self.inside = jobs, writer, threading.Event()

    def put(self, job):
        self.inside.set()
        while self.writer._thread.is_alive() and not self.writer._lock.asked:
            self.writer._thread.join(0.01)
        self.jobs.put(job)

    def __getattr__(self, name):
        return getattr(self.jobs, name)


@pytest.fixture
def dying(url):
    """A backend whose writer is held up, what lets it go on, and the job that comes next, which ends its thread."""
    backend, started, go = open_backend(url), threading.Event(), threading.Event()

    def wait(transaction):
        started.set()
        assert go.wait(30)

    def fail():
        raise RuntimeError("memory and file differ")

    backend._db.write.submit(writer.Job(wait))
    assert started.wait(30)
    last = backend._db.write.submit(writer.Job(lambda transaction: transaction.committed.append(fail)))
    yield backend, go, last
    go.set()
    backend.close()


# The thread ends by an error of the kind that must not be passed over, on purpose.
dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@dies
def test_whoever_hands_over_a_job_while_the_writer_dies_hears_of_it(dying):
    backend, go, last = dying
    write = backend._db.write
    write._lock = Watched(write._lock, write._thread)
    write._jobs = Late(write._jobs, write)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(write.submit, writer.Job(lambda transaction: None))
        assert write._jobs.inside.wait(30)
        go.set()
        with pytest.raises(StoreError, match="closed"):
            late.result(30).result(30)
    with pytest.raises(RuntimeError):
        last.result(30)


@dies
def test_whoever_waits_for_room_when_the_writer_dies_hears_of_it(dying):
    """More callers than there is room for: some wait, some have handed over, some come later."""
    backend, go, _ = dying
    for _ in range(writer.QUEUE - 20):
        backend._db.write.submit(writer.Job(lambda transaction: None))
    with ThreadPoolExecutor(60) as pool:
        calls = [pool.submit(lambda: backend._db.write.submit(writer.Job(len)).result(30)) for _ in range(60)]
        go.set()
        for waiting in calls:
            with pytest.raises(StoreError, match="closed"):
                waiting.result(60)


@dies
def test_a_job_that_was_to_be_alone_after_the_one_that_ends_the_writer_hears_of_it(dying):
    backend, go, _ = dying
    alone = backend._db.write.submit(writer.Job(lambda transaction: None, alone=True))
    go.set()
    with pytest.raises(StoreError, match="closed"):
        alone.result(30)


# ---- kills

WRITER = """
import sys
import numpy as np
from kinfolk.online.clicks import Clicks
from kinfolk.online.stores.open import open_backend
backend = open_backend(sys.argv[1])
backend.seeds._fold_at = 300
first = int(sys.argv[2])
for batch in range(first, first + 100000):
    users = np.arange(20 * batch, 20 * batch + 20, dtype=np.uint64)
    backend.seeds.append(Clicks.of(users, [f"c{u % 3}" for u in users], users.astype(np.int64) * 1000), 10**12 + batch)
    print(batch, flush=True)
"""


def test_every_acknowledged_click_is_there_once_after_kills(url):
    acknowledged = -1
    for round in range(12 if FULL else 2):
        first = acknowledged + 1
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(first)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            for line in child.stdout:
                acknowledged = int(line)
                if acknowledged >= first + 20 * (round + 1):
                    break
            child.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *(int(line) for line in child.stdout if line.endswith("\n"))])
            assert child.wait(30) == -signal.SIGKILL, child.stderr.read()
        finally:
            child.kill()
            child.communicate()
        with closing(open_backend(url)) as backend:
            store = backend.seeds
            there = np.sort(np.concatenate([store.recent(f"c{c}", 10**6).user for c in range(3)]))
            # whole batches, all that were acknowledged, and at most the one that was on its way
            batches = len(there) // 20
            assert there.tolist() == list(range(20 * batches))
            assert acknowledged + 1 <= batches <= acknowledged + 2
            users = there[-2000:]
            again = Clicks.of(users, [f"c{u % 3}" for u in users], users.astype(np.int64) * 1000)
            assert store.append(again, 10**12 + batches).duplicates == len(users)
            assert sum(store.count(f"c{c}") for c in range(3)) == len(there)
            assert set(store.dirty()) == {"c0", "c1", "c2"}
            acknowledged = batches - 1


HOLDER = """
import sys
from kinfolk.online.ports import Audience
from kinfolk.online.stores.open import open_backend
backend = open_backend(sys.argv[1])
backend.audiences.create(Audience("x", "pending", {}, 0))
backend.audiences.claim("old", 0, 10**9)
print(backend.leases.acquire("refresher", "old", 0, 10**9), flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_held_is_free_at_once(url):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        fence = int(child.stdout.readline())
        with pytest.raises(StoreError):  # it lives: what it holds cannot even be asked for
            open_backend(url)
        child.kill()
        child.wait(30)
    finally:
        child.kill()
        child.communicate()
    with closing(open_backend(url)) as backend:
        assert not backend.leases.renew("refresher", "old", 1, 1000)
        assert backend.leases.acquire("refresher", "new", 1, 1000) == fence + 1
        backend.snapshots.publish([snapshot("a", 1)], fence + 1)
        with pytest.raises(FenceError):
            backend.snapshots.publish([snapshot("a", 2)], fence)
        assert backend.audiences.claim("new", 1, 1000).id == "x"
        with pytest.raises(FenceError):
            backend.audiences.finish("x", "old", "ready", {})


def test_generations_go_on_after_a_restart(url):
    """Those that only the journal knows, those of a fold, and those of a row that `forget` took from the journal."""
    seen = [0]
    for step in range(6):
        with closing(open_backend(url)) as backend:
            assert backend.seeds.generation() == seen[-1]
            for user in (2 * step, 2 * step + 1):
                seen.append(backend.seeds.append(clicks_of([(user, "a", NOW)]), NOW).generation)
            if step % 3 == 1:
                backend.seeds.fold()
            if step % 3 == 2:
                backend.seeds.forget(np.array([2 * step + 1], np.uint64))
                seen.append(backend.seeds.generation())
            assert backend.seeds.dirty() == {"a": seen[-1]}
    assert seen == sorted(set(seen))


# ---- users who left


def test_no_key_of_a_forgotten_user_stays_in_a_table(url, file):
    """Neither in the journal nor in runs nor in trails, folded or not, now or after a restart."""
    rows = [(u, f"c{u % 2}", NOW + 1000 * u) for u in range(40)]
    gone = np.array([3, 4, 17, 39], np.uint64)
    with closing(open_backend(url)) as backend:
        backend.seeds.append(clicks_of(rows[:20]), NOW)
        backend.seeds.fold()
        backend.seeds.append(clicks_of(rows[15:]), NOW)
        backend.seeds.append(clicks_of([(39, "only", NOW)]), NOW)
        assert backend.seeds.forget(gone) == ["c0", "c1", "only"]
        assert [backend.seeds.trail(int(u), 9)[0] for u in gone] == [[]] * 4
    with closing(sqlite3.connect(file)) as other:
        journaled = [journal.users(data) for (data,) in other.execute("SELECT clicks FROM journal")]
        folded = [blocks.decode(data).user for (data,) in other.execute("SELECT block FROM runs")]
    for users in (journaled, folded):
        assert set(np.concatenate(users).tolist()) == set(range(40)) - set(gone.tolist())
    with closing(open_backend(url)) as backend:
        assert [backend.seeds.trail(int(u), 9)[0] for u in gone] == [[]] * 4
        assert backend.seeds.trail(5, 9)[0] == ["c1"]
        assert backend.seeds.count("only") == 0
        assert "only" in backend.seeds.dirty()


# ---- bytes


def test_bytes_a_seed(url, file):
    """Of the whole file, 200,000 seeds of one candidate: right after they came, and when their clicks are forgotten."""
    n, hour = 200_000, 3_600_000
    rng = np.random.default_rng(2)
    users = rng.integers(0, 2**63, n).astype(np.uint64) * np.uint64(2)
    sizes = {}
    with closing(open_backend(url)) as backend:
        for part in np.array_split(np.arange(n), 200):
            backend.seeds.append(Clicks.of(users[part], ["c"] * len(part), NOW + part), NOW)
        backend.seeds.fold()
        sizes["within the hour"] = backend.seeds.stats()["bytes"] / n
        backend.seeds.append(clicks_of([(1, "c", NOW)]), NOW + 2 * hour)
        backend.seeds.fold()
        stats = backend.seeds.stats()
        assert (stats["candidates"], stats["seeds"]) == (1, n + 1)
        sizes["later"] = stats["bytes"] / n
    print(json.dumps(sizes))
    assert sizes["within the hour"] <= 40
    assert sizes["later"] <= 20
    with closing(open_backend(url)) as backend:
        assert backend.seeds.count("c") == n + 1


def test_the_journal_does_not_grow_for_ever(url, file):
    with closing(open_backend(url, StoreOptions(remember_ms=1000, max_seeds=50))) as backend:
        backend.seeds._fold_at = 100
        sizes = []
        for i in range(300):
            users = np.arange(20, dtype=np.uint64) + np.uint64(20 * i)
            backend.seeds.append(Clicks.of(users, ["c"] * 20, [NOW + 100 * i] * 20), NOW + 100 * i)
            sizes.append(backend.seeds.stats()["bytes"])
        assert max(sizes[200:]) <= max(sizes[:100])
        assert backend.seeds.count("c") == 50
        assert len(backend.seeds._identities) < 2000
    with closing(sqlite3.connect(file)) as other:
        (rows,) = other.execute("SELECT count(*) FROM journal").fetchone()
    assert rows <= 10 + 5 + 1  # a second of clicks and those that wait for the next fold


# ---- backup and restore


@pytest.mark.parametrize("step", [sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT])
def test_a_fold_that_cannot_begin_is_made_later(url, monkeypatch, step):
    """SQLite refuses its transaction or its savepoint, once."""
    with closing(open_backend(url)) as backend:
        backend.seeds._fold_at = 10
        write, refused = backend._db.write, []
        later = write.later

        def refuse(action, what, *_):
            if action != step or what != "BEGIN" or refused:
                return sqlite3.SQLITE_OK
            refused.append(what)
            return sqlite3.SQLITE_DENY

        def refused_later(job):
            write._connection.set_authorizer(refuse)
            later(job)

        monkeypatch.setattr(write, "later", refused_later)
        for part in range(2):
            backend.seeds.append(clicks_of([(20 * part + user, "a", NOW) for user in range(20)]), NOW)
            write(lambda t: None)  # after the fold, which comes before all that wait
            assert refused == ["BEGIN"]
            assert backend.seeds.stats()["waiting"] == (0 if part else 20)
        assert backend.seeds.count("a") == 40


def test_a_backup_of_a_store_in_use_is_one_moment_of_it(url, tmp_path):
    copy = tmp_path / "copy.db"
    with closing(open_backend(url)) as backend:
        secret = fill(backend)

        def write():
            for i in range(100):
                backend.seeds.append(clicks_of([(u, f"t{u}", NOW + i) for u in range(i, i + 5)]), NOW)

        at_once([write, partial(backup, url, copy)])
    assert copy.stat().st_mode & 0o777 == 0o600
    other = f"sqlite:///{tmp_path}/other.db"
    restore(copy, other)
    with closing(open_backend(other)) as restored:
        holds_all(restored, secret)
        counts = [restored.seeds.count(f"t{u}") for u in range(110)]
        whole = counts.index(0) if 0 in counts else 104
        assert all(counts[:whole])
        assert not any(counts[whole:])
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.restoring"))


def test_restore_takes_the_store_back_but_brings_nobody_back(url, file, tmp_path):
    copy = tmp_path / "copy.db"
    with closing(open_backend(url)) as backend:
        secret = fill(backend)
        backend.users.forget(7, NOW)
        backup(url, copy)
        backend.users.forget(2, NOW + 5)
        backend.users.recall(7)
        backend.candidates.put([Candidate("later", NOW)])
        seen = backend.users.version()
        with pytest.raises(StoreError, match="open in another process"):
            restore(copy, url)
        assert backend.candidates.get(["later"]) != [None]
    restore(copy, url)
    with closing(open_backend(url)) as backend:
        holds_all(backend, secret)
        assert backend.candidates.get(["later"]) == [None]
        assert backend.users.get(2) is None
        assert backend.users.tombstones() == {2: (NOW + 5, None), 7: (NOW, None)}
        assert 2 in backend.users.since(0).forgotten
        assert seen


@pytest.mark.parametrize("harm", ["cut", "other", "nothing", "flipped"])
def test_a_copy_that_is_no_good_leaves_the_store_as_it_was(url, file, tmp_path, harm):
    copy = tmp_path / "copy.db"
    with closing(open_backend(url)) as backend:
        secret = fill(backend)
        backend.users.forget(9, NOW)
    backup(url, copy)
    if harm == "cut":
        copy.write_bytes(copy.read_bytes()[:-20_000])
    elif harm == "flipped":
        data = bytearray(copy.read_bytes())
        for at in range(3 * 8192, len(data), 8192):
            data[at : at + 16] = b"\xff" * 16
        copy.write_bytes(data)
    elif harm == "other":
        copy.unlink()
        with closing(open_backend(f"sqlite:///{tmp_path}/deployment.db")) as other:
            fill(other)
        backup(f"sqlite:///{tmp_path}/deployment.db", copy)
    else:
        copy.unlink()
    with pytest.raises(StoreError):
        restore(copy, url)
    with closing(open_backend(url)) as backend:
        holds_all(backend, secret)
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.restoring"))


def test_backup_overwrites_nothing(url, tmp_path):
    with pytest.raises(StoreError, match="no store"):
        backup(url, tmp_path / "copy.db")
    open_backend(url).close()
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        backup(url, tmp_path / "taken")
    with pytest.raises(StoreError):
        backup(url, tmp_path / "no folder" / "copy.db")
    assert (tmp_path / "taken").read_text() == "mine"


# ---- the parts


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.sampled_from(["<u8", "<i8", "<u4", "<i4", "<f4"]).flatmap(
            lambda t: hnp.arrays(np.dtype(t), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        ),
        max_size=4,
    )
)
def test_arrays_come_back_and_damage_is_noticed(given_arrays):
    data = arrays.encode(*given_arrays)
    back = arrays.decode(data)
    assert [(a.dtype, a.shape, a.tobytes()) for a in back] == [(a.dtype, a.shape, a.tobytes()) for a in given_arrays]
    with pytest.raises(StoreError):
        arrays.decode(data[:-1])
    with pytest.raises(StoreError):
        arrays.decode(data[:-1] + bytes([data[-1] ^ 8]))


@pytest.mark.parametrize("event_ids", [None, ["x", None, "y"]])
@pytest.mark.parametrize("spread", [1, 2**40])
def test_journal_rows_come_back(event_ids, spread):
    clicks = Clicks.of(np.array([1, 2**64 - 1, 3], np.uint64), ["a", "b", "a"], [NOW, NOW - spread, 5], event_ids)
    keys = np.zeros(5, np.uint64)
    keys[2], keys[4] = candidate_key("a"), candidate_key("b")
    item = np.array([2, 4], np.int32)[clicks.candidate]
    data = journal.encode(item, clicks.user, clicks.time, clicks.identity, keys[item])
    back = journal.decode(data, keys)
    for got, want in zip(back, (item, clicks.user, clicks.time, clicks.identity), strict=True):
        assert got.dtype == want.dtype
        assert got.tolist() == want.tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 400), st.lists(st.integers(0, 30), max_size=80), st.booleans()), max_size=30))
def test_identities_against_a_dict(steps):
    """Known within 1,000 ms, new after it; what is revoked never came."""
    table, arrived, now = Identities(1000), {}, NOW
    for passed, keys, revoke in steps:
        now += passed
        before = dict(arrived)
        want = []
        for key in keys:
            want.append(arrived.get(key, now - 1000) <= now - 1000)
            if want[-1]:
                arrived[key] = now
        identity = np.array(keys, np.uint64) * np.uint64(2**59 + 1)
        fresh = table.admit(identity, now)
        assert fresh.tolist() == want
        if revoke:
            table.revoke(identity[fresh])
            arrived = {k: t for k, t in before.items() if not (k in keys and t <= now - 1000)}


def test_identities_are_bounded_by_time_and_by_number():
    table = Identities(1000, limit=5000)
    for i in range(200):
        assert table.admit(np.arange(500, dtype=np.uint64) + np.uint64(500 * i), NOW + 100 * i).all()
    assert len(table._key) <= 1 << 15
    crowded = Identities(10**9, limit=5000)
    for i in range(200):
        crowded.admit(np.arange(500, dtype=np.uint64) + np.uint64(500 * i), NOW + i)
    assert len(crowded._key) <= 1 << 15
    assert not crowded.admit(np.arange(500, dtype=np.uint64) + np.uint64(500 * 199), NOW + 200).any()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 600), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=2000),
                  st.sampled_from(["fold", "remove", ""])),
        max_size=12,
    )
)  # fmt: skip
def test_the_click_log_against_a_list(steps):
    log, rows, folded, now = ClickLog(1000), [], 0, NOW
    for passed, pairs, then in steps:
        now += passed
        item, user = (np.array([p[i] for p in pairs] or [], t) for i, t in ((1, np.int32), (0, np.uint64)))
        times = NOW + np.arange(len(rows), len(rows) + len(pairs))
        log.append(item, user, times, now)
        rows += [(u, i, t, now) for (u, i), t in zip(pairs, times.tolist(), strict=True)]
        if then:
            log.folded, folded = log.n, len(rows)
        if then == "remove":
            log.remove(np.array([3], np.uint64))
            rows = [(None if u == 3 else u, i, t, at) for u, i, t, at in rows]
        for number in range(6):
            users, ms = log.of_item(number)
            want = [(u, t) for u, i, t, _ in rows[folded:] if i == number]
            assert list(zip(users.tolist(), ms.tolist(), strict=True))[::-1] == want
            items, ms = log.of_user(number, 10**6)
            got = list(zip(items.tolist(), ms.tolist(), strict=True))[::-1]
            fresh = [(i, t) for u, i, t, at in rows if u == number and at > now - 1000]
            everything = [(i, t) for u, i, t, _ in rows if u == number]
            assert got[len(got) - len(fresh) :] == fresh
            assert got == everything[len(everything) - len(got) :]
    assert len(log.user) <= max(1 << 12, 12 * len(rows) + 1)


@pytest.mark.parametrize("folded", [0, 9000])
def test_the_click_log_keeps_what_is_not_folded_however_much_it_grows(folded):
    rng = np.random.default_rng(1)
    log, item, user = ClickLog(1), rng.integers(0, 700, 20_000).astype(np.int32), rng.integers(0, 90, 20_000)
    for part in np.array_split(np.arange(20_000), 77):
        log.append(item[part], user[part].astype(np.uint64), part, NOW + int(part[0]))
        if part[0] <= folded <= part[-1]:
            log.folded, last = log.n, int(part[-1]) + 1
    for number in range(700):
        times = log.of_item(number)[1]
        assert times.tolist() == [t for t in np.flatnonzero(item == number)[::-1].tolist() if t >= last]
    for number in range(90):
        times, want = log.of_user(number, 20_000)[1].tolist(), np.flatnonzero(user == number)[::-1].tolist()
        assert times == want[: len(times)]
        assert len(times) >= sum(t >= last for t in want)


def test_the_click_log_is_bounded():
    log = ClickLog(10**12, limit=20_000)
    for i in range(300):
        log.append(np.full(500, i, np.int32), np.arange(500, dtype=np.uint64), np.full(500, NOW), NOW)
        log.folded = log.n
    assert len(log.user) <= 1 << 16
    assert log.of_user(7, 10)[0].tolist() == list(range(299, 289, -1))


def test_memory_follows_what_is_remembered_not_what_has_come(url):
    """Steady traffic on the same candidates: after some turnovers of `remember_ms` nothing is larger than before."""
    with closing(open_backend(url, StoreOptions(remember_ms=1000, max_seeds=200))) as backend:
        seeds, sizes = backend.seeds, []
        seeds._fold_at = 2000
        for i in range(1200):
            now, users = NOW + 20 * i, np.arange(50, dtype=np.uint64) * np.uint64(7 * i + 1)
            seeds.append(Clicks.of(users, [f"c{j % 9}" for j in range(50)], [now] * 50), now)
            assert seeds.trail(int(users[3]), 5)[0]
            if i % 40 == 0:
                seeds.forget(np.array([i], np.uint64))
                for candidate, generation in seeds.dirty().items():
                    seeds.clean({candidate: generation})
            log = seeds._log
            memory = [seeds._identities._key, log.user, log._last_of_user, log._last_of_item, log._arrivals, log._gone]
            sizes.append([len(held) for held in (*memory, seeds._counted, seeds._items, backend._db._idle)])
        early, late = np.max(sizes[:600], axis=0), np.max(sizes[600:], axis=0)
        assert (late <= early).all(), (early, late)
        assert late[0] <= 1 << 14  # 2,500 identities, 50 bytes each at most


def test_names_of_dropped_candidates_go_with_the_last_click_that_has_them(url, file):
    """A new candidate every 20 ms, dropped 200 ms later, and now and then one comes back, against a list."""
    options, rows, live, held = StoreOptions(remember_ms=1000, trail_length=5), [], {}, []

    def right(store, now):
        for name in [*live, "c0", "c7", "never"]:
            assert seconds_of(store.recent(name, 99)) == sorted(live.get(name, [])), name
        for user in range(40, 47):
            clicked = [name for u, name, t in rows if u == user]
            got = store.trail(user, 5)[0]
            assert got == clicked[len(clicked) - len(got) :]
            assert len(got) >= min(5, sum(u == user and t > now - 1000 for u, _, t in rows))

    with closing(open_backend(url, options)) as backend:
        store = backend.seeds
        backend._db.write._connection.execute("PRAGMA synchronous = OFF")
        store._fold_at = 300
        for i in range(900):
            now, name = NOW + 20 * i, f"c{i if i % 50 else 0}"
            clicks = [(40 + i % 7, name, now), *((1000 * i + u, name, now) for u in range(40))]
            assert store.append(clicks_of(clicks), now).new == 41
            rows.append(clicks[0])
            live.setdefault(name, []).extend((u, t // 1000) for u, _, t in clicks)
            if len(live) > 10:
                gone = next(iter(live))
                store.drop(gone)
                del live[gone]
            for candidate, generation in store.dirty().items():
                store.clean({candidate: generation})
            held.append((len(store._items), len(store._bare), len(store._counted)))
            if i % 100 == 99:
                right(store, now)
                store.stats()
        early, late = np.max(held[:450], axis=0), np.max(held[450:], axis=0)
        assert (late <= early + 5).all(), (early, late)
        assert late[0] < 300
    with closing(sqlite3.connect(file)) as other:
        (names,) = other.execute("SELECT count(*) FROM items").fetchone()
    assert names < 300
    with closing(open_backend(url, options)) as backend:
        right(backend.seeds, NOW + 20 * 899)
        assert set(backend.seeds.dirty()) == set()
        backend.seeds.append(clicks_of([(1, "c7", now + 5000)]), now + 5000)
        assert seconds_of(backend.seeds.recent("c7", 9)) == [(1, (now + 5000) // 1000)]


@pytest.mark.parametrize("crowd", [1, 60])
def test_neither_what_a_trail_shows_nor_who_came_back_is_let_go(url, crowd):
    """With few clicks trails go back to the first; with many they do not, and the log names "back" no more."""
    options = StoreOptions(remember_ms=1000, trail_length=500)
    with closing(open_backend(url, options)) as backend:
        store = backend.seeds
        backend._db.write._connection.execute("PRAGMA synchronous = OFF")
        store.append(clicks_of([(1, "back", NOW)]), NOW)
        store.drop("back")
        store.append(clicks_of([(2, "back", NOW)]), NOW)
        store.clean({"back": store.generation()})
        for i in range(400):
            now, name = NOW + 100 * i, f"c{i}"
            store.append(clicks_of([(7, name, now), *((100 * i + u + 9, name, now) for u in range(crowd))]), now)
            store.drop(name)
        assert store.count("back") == 1
        assert seconds_of(store.recent("back", 9)) == [(2, NOW // 1000)]
        assert len(store._items) == 401 if crowd == 1 else len(store._items) < 300
        if crowd == 1:
            assert store.trail(7, 500)[0] == [f"c{i}" for i in range(400)]
    with closing(open_backend(url, options)) as backend:
        assert backend.seeds.count("back") == 1


def test_a_reader_does_not_wait_for_a_writer(url):
    """Reads go on inside a transaction of the writer."""
    with closing(open_backend(url)) as backend:
        fill(backend)
        inside = []

        def slow(transaction):
            transaction.execute("DELETE FROM candidates")
            inside.append(backend.candidates.get(["a"]))

        backend._db.write(slow)
        assert inside == [[Candidate("a", NOW)]]
        assert backend.candidates.get(["a"]) == [None]
