"""Servers as processes on a free port: they answer, stop gracefully, and refuse what cannot be."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from kinfolk.errors import OptionError
from kinfolk.online.ports import StoreError
from kinfolk.serve.lane import Lane
from kinfolk.serve.run import bind, ended_early, on_signals, serve, server_of, url_of
from kinfolk.settings import load
from kinfolk.testing.served import wait_until

PATIENCE_S = 120


def test_one_process_from_its_start_to_its_end(start, ask, small_bundle):
    users = [str(u) for u in small_bundle.user_ids[:30]]
    with start("serve", "bundle", "--no-auth", "--port", "0") as server:
        url = server.said("listening")["url"]
        assert ask(f"{url}/readyz") == (200, {"ready": True, "reason": ""})
        clicks = [{"user": u, "candidate": "new/item", "time": 1_700_000_000_000} for u in users]
        assert ask(f"{url}/v1/clicks", "POST", clicks)[1]["accepted"] == 30
        assert ask(f"{url}/v1/candidates/new%2Fitem")[1]["seeds"] == 30
        assert ask(f"{url}/v1/candidates/a%252Fb", "PUT", {})[1]["id"] == "a%2Fb"
        status, feed = ask(f"{url}/v1/users/{users[0]}/candidates")
        assert (status, feed["items"][0]["candidate"]) == (200, "new/item")
        assert "kinfolk_clicks_total" in ask(f"{url}/metrics")[1]
        server.process.send_signal(signal.SIGHUP)
        assert server.said("bundle")["model"] == small_bundle.version
        assert server.stop() == 0
        assert json.loads(server.lines[-1])["event"] == "stopped"
        assert not [line for line in server.lines if users[-1] in line.split('"') or "new/item" in line]
    with start("serve", "bundle", "--no-auth", "--port", "0") as again:
        url = again.said("listening")["url"]
        assert ask(f"{url}/v1/candidates/new%2Fitem")[1]["seeds"] == 30, "it is all there after a restart"
        assert ask(f"{url}/v1/clicks", "POST", clicks)[1]["duplicates"] == 30
        assert again.stop(signal.SIGINT) == 0


def test_a_stop_finishes_what_is_under_way(start, ask):
    with start("serve", "bundle", "--no-auth", "--port", "0") as server:
        url = server.said("listening")["url"]
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps([{"user": "u", "candidate": "a"}] * 3).encode()
        names = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        head = f"POST /v1/clicks HTTP/1.1\r\n{names}\r\n"
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as open_request:
            open_request.sendall(head.encode() + body[:10])
            assert ask(f"{url}/healthz")[0] == 200, "the first half was read by now"
            server.process.send_signal(signal.SIGTERM)
            server_closed = _until_refused(host, int(port))
            open_request.sendall(body[10:])
            answer = b"".join(iter(lambda: open_request.recv(65536), b""))
        assert server_closed
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"accepted":1' in answer
        assert server.process.wait(PATIENCE_S) == 0


def _until_refused(host: str, port: int) -> bool:
    """Whether new connections are refused, or not answered, within the time there is."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_starts(start, ask, home, number):
    with start("serve", "bundle", "--no-auth", "--port", "0", "--store", "memory:") as server:
        server.said("store")  # it handles signals from before that on, and is not ready before long
        server.process.send_signal(number)
        if number == signal.SIGHUP:
            assert ask(f"{server.said('listening')['url']}/readyz")[0] == 200
            assert server.stop() == 0
        else:
            assert server.process.wait(PATIENCE_S) in (0, 130)
            server.reader.join(PATIENCE_S)
            assert not any("Traceback" in line for line in server.lines)


def test_a_stop_that_was_swallowed_while_it_started_is_made_good_for():
    ended = []
    with ended_early():
        with contextlib.suppress(KeyboardInterrupt):  # as Python does inside of callbacks
            signal.raise_signal(signal.SIGINT)
        on_signals(None, lambda: ended.append(True))
    assert ended == [True]
    with ended_early():
        on_signals(None, lambda: ended.append(True))
    assert ended == [True], "only then"


def test_while_the_store_closes_signals_change_nothing():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    ended = []
    with ended_early():
        last = on_signals(None, lambda: ended.append(True))
        signal.raise_signal(signal.SIGTERM)
        assert ended == [True]
        last()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.raise_signal(number)
        assert ended == [True]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_a_stop_with_a_full_lane_tells_those_who_wait(request):
    """The store does not answer; what runs is waited for as long as a stop may take, what waits is refused."""
    go, begun = threading.Event(), threading.Event()

    def stuck(*_, **__):
        begun.set()
        go.wait(PATIENCE_S)
        raise StoreError("the store is away", "wait")

    made = request.getfixturevalue("serve")(stop_timeout=1)  # `serve` is the function here
    made.engine.post_clicks = stuck
    server = server_of(made.app, load({"stop_timeout": 1}))
    context = made.app.state.context
    context.writes = Lane("writes", 1, 8)
    with closing(bind("127.0.0.1", 0)) as sock, ThreadPoolExecutor(8) as clients:
        running = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        running.start()
        body = json.dumps([{"user": "u", "candidate": "a"}]).encode()
        answers = [clients.submit(_post, sock.getsockname(), body) for _ in range(8)]
        try:
            assert begun.wait(PATIENCE_S)
            wait_until(lambda: context.writes._under_way == 8, "the lane is full")
            server.stop()
            running.join(PATIENCE_S)
            assert not running.is_alive(), "it has ended though the store has not answered"
        finally:
            go.set()
        said = [answer.result(PATIENCE_S) for answer in answers]
    assert said.count(503) == 7
    assert said.count(None) + said.count(500) == 1, "it runs still, and is not acknowledged"


def _post(address, body):
    """The status; None where there is no answer."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
    try:
        connection.request("POST", "/v1/clicks", body, {"content-type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_keys_are_asked_for(start, ask, home):
    key = subprocess.run(
        [sys.executable, "-m", "kinfolk", "keys", "create", "--name", "me", "--role", "admin"],
        cwd=home, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with start("serve", "bundle", "--port", "0") as server:
        url = server.said("listening")["url"]
        assert ask(f"{url}/v1/candidates")[0] == 401
        assert ask(f"{url}/v1/candidates", key=key)[0] == 200
        assert server.stop() == 0
        assert key not in "".join(server.lines)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"workers": 2}, "2 processes cannot share"),
        ({"auth": False, "host": "0.0.0.0"}, "auth is off"),
        ({"host": "no.such.host.invalid"}, "cannot listen"),
    ],
)
def test_settings_that_cannot_be_served(home, flags, said):
    with pytest.raises(OptionError, match=said):
        serve(load({"bundle": home / "bundle", **flags}))
    assert sorted(p.name for p in home.iterdir()) == ["bundle"]


def test_a_port_that_is_taken():
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert url_of(sock) == f"http://127.0.0.1:{port}"
        with pytest.raises(OptionError, match=f":{port}"):
            bind("127.0.0.1", port)
