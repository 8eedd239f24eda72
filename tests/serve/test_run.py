"""Servers as processes on a free port: they answer, stop gracefully, and refuse what cannot be."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from kinfolk.errors import OptionError
from kinfolk.serve.run import bind, serve, url_of
from kinfolk.settings import load

PATIENCE_S = 120


class Process:
    """A command under way, with the JSON lines that it logs."""

    def __init__(self, folder, *args):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinfolk.cli", *map(str, args)],
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


def ask(url: str, method: str = "GET", body: object = None, key: str = "") -> tuple[int, object]:
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
    (tmp_path / "bundle").symlink_to(small_bundle.path)
    return tmp_path


def test_one_process_from_its_start_to_its_end(home, small_bundle):
    users = [str(u) for u in small_bundle.user_ids[:30]]
    with running(home, "serve", "bundle", "--no-auth", "--port", "0") as server:
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
    with running(home, "serve", "bundle", "--no-auth", "--port", "0") as again:
        url = again.said("listening")["url"]
        assert ask(f"{url}/v1/candidates/new%2Fitem")[1]["seeds"] == 30, "it is all there after a restart"
        assert ask(f"{url}/v1/clicks", "POST", clicks)[1]["duplicates"] == 30
        assert again.stop(signal.SIGINT) == 0


def test_a_stop_finishes_what_is_under_way(home):
    with running(home, "serve", "bundle", "--no-auth", "--port", "0") as server:
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
            answer = open_request.recv(65536)
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


def test_keys_are_asked_for(home):
    key = subprocess.run(
        [sys.executable, "-m", "kinfolk.cli", "keys", "create", "--name", "me", "--role", "admin"],
        cwd=home, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with running(home, "serve", "bundle", "--port", "0") as server:
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
