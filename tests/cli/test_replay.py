"""`kinfolk replay` against a small server that remembers what it was sent, and may be busy or away."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest

from kinfolk.cli.client import Client, ServerError
from kinfolk.cli.replaying import Replay, read_log
from kinfolk.errors import OptionError

T = 1_650_000_000


class Server(ThreadingHTTPServer):
    """got: (path, headers, body) of every request. answers: statuses to give first, before 200s. says: as 200s, and
    location: of 3xx, instead of what kinfolk says."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got, self.answers = [], []
        self.says, self.location = None, ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def bodies(self, path="/v1/clicks"):
        return [json.loads(body) for p, _, body in self.got if p == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.got.append((self.path, dict(self.headers), body))
        status = self.server.answers.pop(0) if self.server.answers else 200
        n = len(json.loads(body)) if body else 0
        answer = {"accepted": n} if status == 200 else {"problem": "this is wrong", "remedy": "mend it"}
        text = json.dumps(answer).encode()
        if status == 200 and self.server.says is not None:
            text = self.server.says
        self.send_response(status)
        if 300 <= status < 400:
            text = b""
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(text)))
        if status in (429, 503):
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _any  # noqa: N815 - the names that http.server calls

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def events(tmp_path):
    """25 rows an hour apart, out of order; every fifth is no click."""
    n = list(range(25))
    rows = pl.DataFrame(
        {
            "user_id": [f"u{i}" for i in n],
            "item_id": [i % 4 for i in n],
            "time": [T + 3600 * i for i in n],
            "label": [int(i % 5 != 0) for i in n],
        }
    )
    rows.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


def test_every_click_arrives_once_and_in_order(run, server, events, monkeypatch):
    monkeypatch.setenv("KINFOLK_API_KEY", "kf_mine")
    ended = run("replay", events, "--url", server.url, "--batch", "8", "--impressions")
    assert ended.code == 0, ended
    clicks = [c for body in server.bodies() for c in body]
    want = [i for i in range(25) if i % 5]
    assert [c["user"] for c in clicks] == [f"u{i}" for i in want]
    assert [c["candidate"] for c in clicks] == [str(i % 4) for i in want]
    assert [c["time"] for c in clicks] == [1000 * (T + 3600 * i) for i in want]
    assert [len(body) for body in server.bodies("/v1/impressions")] == [8, 8, 8, 1]
    assert all(headers["X-API-Key"] == "kf_mine" for _, headers, _ in server.got)
    assert "20 of 20" in ended.out
    assert "impressions sent" in ended.out
    assert "kf_mine" not in ended.out + ended.err


def test_a_part_of_the_log(run, server, events):
    ended = run("replay", events, "--url", server.url, "--from", str(T + 3600), "--until", str(T + 4 * 3600))
    assert ended.code == 0
    assert [c["user"] for body in server.bodies() for c in body] == ["u1", "u2", "u3"]
    run("replay", events, "--url", server.url, "--until", str(T)).refused("no event between")
    run("replay", events, "--url", server.url, "--from", str(T), "--until", str(T)).refused("swap them")
    run("replay", events, "--url", server.url, "--from", str(1000 * T)).refused(f"{T} if these are milliseconds")


def test_a_server_that_refuses_ends_it_with_what_it_said(run, server, events):
    server.answers = [200, 422]
    ended = run("replay", events, "--url", server.url)
    ended.refused("422: this is wrong", "mend it")
    assert "0 of 20" in ended.out, "the summary is there all the same"
    server.answers = [401]
    run("replay", events, "--url", server.url).refused("KINFOLK_API_KEY")


@pytest.mark.parametrize("says", [b"<html>welcome</html>", b"", b"[]", b'"ok"'])
def test_a_server_of_something_else(run, server, events, says):
    server.says = says
    run("replay", events, "--url", server.url).refused("is no kinfolk server", "mend --url")
    run("keys", "list", "--url", server.url).refused("is no kinfolk server", "mend --url")


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://host.example/kf/readyz", "give --url https://host.example/kf"),
        ("https://host.example/", "give --url https://host.example"),
        ("/login", "give --url of the server itself"),
        ("", "give --url of the server itself"),
    ],
)
def test_a_server_that_points_elsewhere_is_no_success(run, server, events, location, said):
    server.answers, server.location = [301], location
    assert run("replay", events, "--url", server.url).refused("answers 301", location).endswith(said)
    assert len(server.got) == 1


def test_a_key_is_stripped_and_never_quoted(run, server, events, monkeypatch):
    monkeypatch.setenv("KINFOLK_API_KEY", " kf_mine\r\n")
    assert run("replay", events, "--url", server.url).code == 0
    assert {headers["X-API-Key"] for _, headers, _ in server.got} == {"kf_mine"}
    for key in ("kf_m\rine", "kf_mïne", "kf_m\x00ine"):
        with pytest.raises(OptionError, match="the API key holds characters") as caught:
            Client(server.url, Waits(), key=key)
        assert "ine" not in str(caught.value)


def test_no_server(run, events):
    for url in ("http://127.0.0.1:1", f"http://{'a' * 70}.example"):
        run("replay", events, "--url", url, "--patience", "0").refused("cannot be reached")


class Waits:
    """What was waited, in seconds, without waiting; True, to give up, from the `most`-th on."""

    def __init__(self, most=100):
        self.seconds, self.most = [], most

    def __call__(self, seconds):
        self.seconds.append(seconds)
        return len(self.seconds) >= self.most


def test_a_busy_server_is_asked_again_after_the_time_it_names(server):
    waits = Waits()
    server.answers = [429, 503, 503]
    with Client(server.url, waits) as client:
        assert client.send("POST", "/v1/clicks", b"[1, 2]") == {"accepted": 2}
        assert client.retries == 3
    assert waits.seconds == [1, 1, 1]
    assert len(server.got) == 4


def test_patience_ends(server):
    server.answers = [503] * 100
    waits = Waits()
    with Client(server.url, waits, patience=5) as client, pytest.raises(ServerError, match="503"):
        client.send("GET", "/readyz")
    assert sum(waits.seconds) == 5


def test_a_server_that_comes_back_is_found():
    with Server() as first:
        port = first.server_address[1]
    waits = Waits(most=4)
    with Client(f"http://127.0.0.1:{port}", waits) as client, pytest.raises(ServerError, match="cannot be reached"):
        client.send("GET", "/readyz")
    assert len(waits.seconds) == 4
    assert waits.seconds == sorted(waits.seconds), "ever longer"


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://h:port"])
def test_what_is_no_url(url):
    with pytest.raises(OptionError, match="is no server"):
        Client(url, Waits())


class Clock:
    """Seconds that pass only while somebody waits, or sends."""

    def __init__(self):
        self.now = 0.0
        self.stopped = False

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        return self.stopped

    def is_set(self):
        return self.stopped

    def set(self):
        self.stopped = True


class Remembers:
    """A client that notes when what was sent."""

    def __init__(self, clock, takes=0.0):
        self.clock, self.takes, self.sent, self.retries = clock, takes, [], 0

    def send(self, method, path, body):
        clicks = json.loads(body)
        self.sent.append((self.clock.now, clicks))
        self.clock.now += self.takes
        return {"accepted": len(clicks)}


@pytest.fixture
def log(events):
    return read_log(events, None, None, None)


def test_at_its_speed_no_click_comes_early_nor_late(log):
    clock = Clock()
    client = Remembers(clock)
    Replay(client, log, batch=10, speed=3600, stop=clock, clock=clock).play()
    for at, clicks in client.sent:
        for click in clicks:
            due = (click["time"] / 1000 - T) / 3600
            assert due <= at + 1e-9
            assert at - due <= 0.05
    assert sum(len(clicks) for _, clicks in client.sent) == 20


def test_a_slow_server_slows_it_down_and_is_sent_larger_batches(log):
    clock = Clock()
    client = Remembers(clock, takes=5.0)
    notes = []
    replay = Replay(client, log, batch=10, speed=3600, stop=clock, clock=clock)
    replay.play(on_step=lambda done, total, note: notes.append(note))
    assert Counter(len(clicks) for _, clicks in client.sent)[4] >= 3, "what became due while it answered"
    assert sum(len(clicks) for _, clicks in client.sent) == 20
    slower = Remembers(clock, takes=10_000.0)
    Replay(slower, log, batch=3, speed=3600, stop=clock, clock=clock).play(on_step=lambda *at: notes.append(at[2]))
    assert any("s behind" in note for note in notes)


def test_times_may_be_those_of_sending(log):
    clock = Clock()
    client = Remembers(clock)
    replay = Replay(client, log, batch=10, speed=3600, stop=clock, clock=clock)
    replay.retime = lambda: round(1000 * clock.now)
    replay.play()
    assert all(click["time"] == round(1000 * at) for at, clicks in client.sent for click in clicks)


def test_an_interrupt_ends_it_after_the_request_under_way(log):
    clock = Clock()
    client = Remembers(clock)
    replay = Replay(client, log, batch=5, speed=0, stop=clock, clock=clock)
    replay.play(on_step=lambda done, *_: clock.set() if done == 10 else None)
    assert replay.sent == 8, "two batches of five rows, one of each no click"
    assert replay.told["accepted"] == 8
