"""Several processes on one Redis: what one has acknowledged, the next request of any other shows."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from kinfolk.testing.counts import examples
from kinfolk.testing.served import wait_until


@pytest.mark.timeout(600)
def test_first_seeds_are_in_effect_in_the_next_request_of_the_other_process(start_on_redis, known_users):
    servers = [start_on_redis(), start_on_redis()]
    for n in range(examples(10, 100)):
        one, other = servers[n % 2], servers[1 - n % 2]
        seeds = known_users[n : n + 1 + n % 30]
        status, made = one.ask("POST", f"/v1/candidates/new-{n}/seeds", {"users": seeds})
        assert (status, made["scorable"]) == (200, True)
        reader = known_users[-1 - n]
        status, ranked = other.ask(
            "POST",
            "/v1/rank",
            {"user": reader, "items": [{"id": f"new-{n}", "pctr": 0.5}, {"id": "absent", "pctr": 0.5}]},
        )
        scores = {i["id"]: i["score"] for i in ranked["items"]}
        assert status == 200
        assert scores[f"new-{n}"] is not None, "scored by the other process"
        assert scores["absent"] is None
        feed = other.ask("GET", f"/v1/users/{reader}/candidates?n=1000")[1]
        assert f"new-{n}" in {i["candidate"] for i in feed["items"]}
        same = one.ask("GET", f"/v1/users/{reader}/candidates?n=1000")[1]
        assert same["version"] >= made["version"]
        if n % 3 == 0:
            assert one.ask("DELETE", f"/v1/candidates/new-{n}")[0] == 200
            feed = other.ask("GET", f"/v1/users/{reader}/candidates?n=1000")[1]
            assert f"new-{n}" not in {i["candidate"] for i in feed["items"]}, "retired at once"


@pytest.mark.timeout(600)
def test_workers_on_one_socket_show_each_others_first_seeds_at_once(start_on_redis, known_users):
    server = start_on_redis(workers=2)
    wait_until(lambda: server.log.read_text().count('"event": "listening"') == 2, "both workers listen")
    pair = _children(server.pid)
    assert len(pair) == 2
    for n in range(examples(6, 60)):
        writer, reader = pair[n % 2], pair[1 - n % 2]
        with stopped(reader):  # so that the other one answers
            assert server.ask("POST", f"/v1/candidates/s-{n}/seeds", {"users": known_users[n : n + 5]})[1]["scorable"]
        with stopped(writer):
            items = [{"id": f"s-{n}", "pctr": 0.5}]
            _, ranked = server.ask("POST", "/v1/rank", {"user": known_users[-1], "items": items})
        assert ranked["items"][0]["score"] is not None
    os.kill(pair[0], signal.SIGKILL)
    wait_until(lambda: len(set(_children(server.pid)) - {pair[0]}) == 2, "the dead worker is replaced")
    wait_until(lambda: server.log.read_text().count('"event": "listening"') == 3, "the new worker listens")
    assert server.ask("GET", f"/v1/users/{known_users[0]}/candidates")[0] == 200
    assert server.stop() == 0
    assert server.log.read_text().count('"event": "stopped"') == 2


@contextmanager
def stopped(pid):
    """A process that does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
