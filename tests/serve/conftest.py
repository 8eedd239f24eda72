"""Apps without sockets: over an engine of plain dicts with the engine's methods, called through ASGI."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from starlette.testclient import TestClient

from kinfolk.errors import DataError, TooFewSeedsError
from kinfolk.online import answers
from kinfolk.online.answers import NotFoundError
from kinfolk.online.ports import Key
from kinfolk.serve import logs
from kinfolk.serve.app import create_app
from kinfolk.serve.auth import make_key
from kinfolk.settings import load

NOW = 1_700_000_000_000


class FakeKeys:
    """A KeyStore; counts how often it is asked."""

    def __init__(self):
        self.keys = {}
        self.asked = 0

    def put(self, key: Key) -> None:
        self.keys[key.digest] = key

    def find(self, digest):
        self.asked += 1
        return self.keys.get(digest)

    def list(self):
        return sorted(self.keys.values(), key=lambda k: k.name)

    def revoke(self, name):
        gone = [d for d, k in self.keys.items() if k.name == name]
        for digest in gone:
            del self.keys[digest]
        return bool(gone)


class FakeEngine:
    """Candidates have the users given to `post_seeds`; a feed lists all candidates; `fail` is raised by `feed`."""

    def __init__(self):
        self.clicks, self.shown, self.candidates, self.users = [], [], {}, {}
        self.audiences, self.forgotten = {}, set()
        self.is_ready, self.fail, self.swapped, self.model = True, None, [], "m1"

    def ready(self):
        return self.is_ready, "" if self.is_ready else "loading the index"

    def stats(self):
        return {"candidates": len(self.candidates), "refresh_age_ms": 5.0}

    def post_clicks(self, users, candidates, times, event_ids):
        self.clicks += list(zip(users, candidates, times, event_ids or [None] * len(users), strict=True))
        return answers.Accepted(len(users), 0, 0, 0, 0, 0, len(self.clicks))

    def post_impressions(self, users, candidates, times):
        self.shown += list(zip(users, candidates, times, strict=True))
        return len(users)

    def _candidate(self, id):
        if id not in self.candidates:
            raise NotFoundError(f"no candidate is called {id!r}", "create it")
        return self.candidates[id]

    def put_candidate(self, id, meta, expires_at):
        view = answers.CandidateView(id, NOW, expires_at, None, meta, 0, False, None, None, None, False)
        self.candidates[id] = view

    def get_candidate(self, id):
        return self._candidate(id)

    def list_candidates(self, after, limit):
        return [self.candidates[i] for i in sorted(self.candidates) if i > after][:limit]

    def retire(self, ids):
        for id in ids:
            self.candidates.pop(id)
        return 7

    def post_seeds(self, id, users, now):
        self.put_candidate(id, {}, None)
        self.candidates[id] = replace(self.candidates[id], seeds=len(users), scorable=True)
        return answers.SeedsAccepted(len(users), 0, 0, True, 3)

    def clusters(self, id):
        self._candidate(id)
        return answers.Clusters(id, "m1", NOW, 3, 3, 0.5, (answers.Cluster(3, 1.0, None, None),))

    def candidate_audience(self, id, size):
        self._candidate(id)
        return [("u1", 0.5)][:size]

    def feed(self, user, n, offset, explain):
        if self.fail is not None:
            raise self.fail
        items = [answers.Scored(c, 0.5, 0.5, 0.6) for c in sorted(self.candidates)][offset : offset + n]
        return answers.Feed(tuple(items), "m1", 3, True, len(self.candidates))

    def rank(self, user, items, lam, explain):
        return [answers.Ranked(id, pctr, None, pctr) for id, pctr in items]

    def explain(self, user, candidate):
        self._candidate(candidate)
        part = answers.ClusterPart(3, 1.0, 0.5)
        return answers.Explanation(
            user,
            candidate,
            "m1",
            0.5,
            0.2,
            0.3,
            0.0,
            0.0,
            0.6,
            {"city": 1.0},
            (part,),
            (0,),
            1.0,
            0.1,
            None,
            0.5,
            "",
            3,
        )

    def estimate(self, question):
        if question.candidate is not None:
            self._candidate(question.candidate)
        return answers.Estimate(5, 3, 0, 100, 0.1, 0.9, True, "m1")

    def create_audience(self, question):
        if question.seeds is not None and not question.seeds:
            raise TooFewSeedsError("0 seeds", "give more")
        made = answers.AudienceView(f"au{len(self.audiences)}", "pending", {"name": question.name}, NOW, {})
        self.audiences[made.id] = (made, question)
        return made

    def _audience(self, id):
        if id not in self.audiences:
            raise NotFoundError(f"no audience is called {id!r}", "ask for one")
        return self.audiences[id][0]

    def audience(self, id):
        return self._audience(id)

    def list_audiences(self, after, limit):
        return [self.audiences[i][0] for i in sorted(self.audiences) if i > after][:limit]

    def members(self, id, cursor, limit):
        self._audience(id)
        if cursor not in (None, "1"):
            raise DataError("the cursor is not one", "give `next`")
        found = [answers.Member("u1", 0.9), answers.Member("u2", 0.8)][int(cursor or 0) :][:limit]
        return answers.MemberPage(tuple(found), "1" if limit == 1 and cursor is None else None)

    def members_parquet(self, id):
        self._audience(id)
        return iter([b"PAR1", b"...", b"PAR1"])

    def reach(self, id):
        self._audience(id)
        return [(1, 0.9), (2, 0.8)]

    def delete_audience(self, id):
        self._audience(id)
        del self.audiences[id]

    def audiences_of(self, user):
        return sorted(self.audiences)

    def put_user(self, id, features, history):
        self.users[id] = answers.UserView(id, features, NOW, True, len(history))
        return self.users[id]

    def get_user(self, id):
        if id not in self.users:
            raise NotFoundError(f"nothing is known of {id!r}", "put them")
        return self.users[id]

    def forget(self, id):
        self.forgotten.add(id)
        return answers.ForgetStatus("pending", NOW)

    def forget_status(self, id):
        return answers.ForgetStatus(
            "pending" if id in self.forgotten else "none", NOW if id in self.forgotten else None
        )

    def recall(self, id):
        self.forgotten.discard(id)

    def swap(self, path):
        self.swapped.append(path)
        self.model = "m2"
        return self.model


@dataclass
class Hands:
    """A clock turned by hand."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Served:
    """An app, what it is made of, and a client without a key."""

    app: object
    engine: FakeEngine
    keys: FakeKeys
    clock: Hands
    client: TestClient

    def key(self, role="admin", name=None, per_second=0.0):
        """Headers with a new key."""
        name = name or f"{role}{len(self.keys.keys)}"
        text, _ = make_key(self.keys, name, role, now=NOW, per_second=per_second)
        return {"X-API-Key": text}

    def ask(self, method, path, receive, headers=()):
        """Status of a request whose body comes from `receive`, an ASGI callable; on an event loop of its own."""
        return asyncio.run(self.asked(method, path, receive, headers))

    async def asked(self, method, path, receive, headers=()):
        """As `ask`, on this event loop."""
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "method": method.upper(), "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in dict(headers).items()],
        }  # fmt: skip
        said = []

        async def send(message):
            said.append(message)

        await self.app(scope, receive, send)
        return said[0]["status"]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Settings come from the test alone."""
    for name in [n for n in os.environ if n.startswith("KINFOLK_") and n not in ("KINFOLK_FULL", "KINFOLK_SHARED")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def quiet():
    """No log on the screen."""
    logs.configure("error", stream=io.StringIO())


@contextmanager
def apps():
    """What makes apps over the fake engine, with the settings it is given."""
    with ExitStack() as stack:

        def make(**flags) -> Served:
            engine, keys, clock = FakeEngine(), FakeKeys(), Hands()
            app = create_app(engine, keys, load({"auth": False, **flags}), clock)
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            return Served(app, engine, keys, clock, client)

        yield make


@pytest.fixture
def serve():
    """`serve(auth=True, ...)`: an app over the fake engine with these settings."""
    with apps() as make:
        yield make


@pytest.fixture(scope="session")
def shared_apps():
    """As `serve`, but apps of equal settings are one, as new for each test: `shared_apps(auth=True, ...)`."""
    made = {}
    with apps() as make:

        def again(**flags) -> Served:
            served = made.setdefault(tuple(sorted(flags.items())), None) or make(**flags)
            made[tuple(sorted(flags.items()))] = served
            served.engine.__init__()
            served.keys.__init__()
            served.clock.now = NOW
            served.app.state.context._was_ready = False
            served.app.state.context.guard.forget_known()
            return served

        yield again


PATIENCE_S = 120


class Process:
    """A command under way, with the JSON lines that it logs."""

    def __init__(self, folder, *args):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinfolk", *map(str, args)],
            cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("KINFOLK_")},
        )  # fmt: skip
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def said(self, event: str, times: int = 1) -> dict:
        """The last of `times` log lines of an event, waited for."""

        def found():
            events = [json.loads(x) for x in self.lines if x.startswith("{")]
            return [e for e in events if e["event"] == event]

        with self.changed:
            assert self.changed.wait_for(lambda: len(found()) >= times, PATIENCE_S), self.lines
            return found()[times - 1]

    def stop(self, how=signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        return code


@contextmanager
def running(folder, *args):
    process = Process(folder, *args)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait(PATIENCE_S)
        process.reader.join(PATIENCE_S)
        process.process.stdout.close()
        process.process.stderr.close()


def _ask(url: str, method: str = "GET", body: object = None, key: str = "") -> tuple[int, object]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    try:
        with urlopen(Request(url, data, headers, method=method), timeout=PATIENCE_S) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()
    except HTTPError as e:
        with e:
            return e.code, json.loads(e.read())


@pytest.fixture
def home(tmp_path, small_bundle):
    """A folder with a bundle in it."""
    (tmp_path / "bundle").symlink_to(small_bundle.path)
    return tmp_path


@pytest.fixture
def start(home):
    """`with start("serve", "bundle", ...) as process`: a command, run in `home`, killed at the end."""
    return lambda *args: running(home, *args)


@pytest.fixture
def ask():
    """`ask(url, method, body, key)`: status and answer."""
    return _ask
