"""Two workers on one socket and a real Redis: one answer, whoever gives it; workers may die, and the parent too."""

import os
import signal
import threading

import pytest

from kinfolk.serve.lives import LACKING, WorkerError
from kinfolk.serve.run import bind
from kinfolk.serve.supervise import supervise
from kinfolk.settings import load
from kinfolk.testing.redis_server import binary, redis_server
from kinfolk.testing.served import wait_until

PATIENCE_S = 120
needs_redis = pytest.mark.skipif(binary() is None, reason="no redis-server or valkey-server on the path")


def is_gone(pid: int) -> bool:
    """Whether a process that is not our child has ended, waited for."""
    gone = threading.Event()
    for _ in range(10 * PATIENCE_S):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        gone.wait(0.1)
    return False


@needs_redis
def test_two_workers_are_one_server(start, ask, small_bundle):
    users = [str(u) for u in small_bundle.user_ids[:30]]
    flags = ["serve", "bundle", "--no-auth", "--port", "0", "--workers", "2"]
    with redis_server() as redis, start(*flags, "--store", redis.url) as server:
        workers = {server.said("listening", n)["pid"] for n in (1, 2)}
        url = server.said("listening")["url"]
        assert len(workers | {server.process.pid}) == 3
        for n in range(6):  # a new connection each: any worker may take it
            assert ask(f"{url}/v1/candidates/c{n}/seeds", "POST", {"users": users})[1]["scorable"]
            for _ in range(4):
                feed = ask(f"{url}/v1/users/{users[0]}/candidates?n=50")[1]
                assert {item["candidate"] for item in feed["items"]} == {f"c{m}" for m in range(n + 1)}
        counted = ask(f"{url}/metrics")[1]
        at = 'kinfolk_request_seconds_count{method="GET",route="/v1/users/{id}/candidates",status="200"} 24.0'
        assert at in counted, "whichever worker is asked tells of both"

        first = min(workers)
        os.kill(first, signal.SIGKILL)
        assert server.said("a worker ended and is replaced")["code"] == -signal.SIGKILL
        third = server.said("listening", 3)["pid"]
        assert ask(f"{url}/v1/users/{users[0]}/candidates?n=50")[1]["total"] == 6
        assert server.stop() == 0
        assert all(is_gone(pid) for pid in workers | {third})


@needs_redis
def test_a_worker_without_its_bundle_comes_back_and_the_other_answers_meanwhile(home, start, ask):
    flags = ["serve", "bundle", "--no-auth", "--port", "0", "--workers", "2"]
    with redis_server() as redis, start(*flags, "--store", redis.url) as server:
        first, second = (server.said("listening", n)["pid"] for n in (1, 2))
        url = server.said("listening")["url"]
        bundle = (home / "bundle").readlink()
        (home / "bundle").unlink()
        os.kill(first, signal.SIGKILL)
        lacking = server.said("a worker ended and is replaced", 2)
        assert (lacking["code"], lacking["after_s"]) == (LACKING, 1)
        assert ask(f"{url}/readyz")[1]["ready"]
        (home / "bundle").symlink_to(bundle)
        third = server.said("listening", 3)["pid"]
        assert server.stop() == 0
        assert all(is_gone(pid) for pid in (second, third))


@needs_redis
def test_it_stops_in_order_though_its_store_is_away(start, ask):
    with redis_server() as redis, start("serve", "bundle", "--no-auth", "--port", "0", "--store", redis.url) as server:
        url = server.said("listening")["url"]
        wait_until(lambda: "kinfolk_refresher_leads 1.0" in ask(f"{url}/metrics")[1], "it has a lease to hand over")
        redis.kill()
        assert server.stop() == 0
        assert server.said("the store is away")
        assert server.said("stopped")


@needs_redis
def test_workers_do_not_outlive_their_parent(start):
    with redis_server() as redis:
        flags = ["serve", "bundle", "--no-auth", "--port", "0", "--workers", "2", "--store", redis.url]
        with start(*flags) as server:
            workers = {server.said("listening", n)["pid"] for n in (1, 2)}
            server.process.kill()
            assert all(is_gone(pid) for pid in workers)


def test_workers_that_cannot_start_end_it(home):
    settings = load({"bundle": home / "none", "workers": 2, "store": "redis://127.0.0.1:1", "port": 0})
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    with bind("127.0.0.1", 0) as sock, pytest.raises(WorkerError, match=f"code {LACKING}"):
        supervise(settings, sock)
    assert {n: signal.getsignal(n) for n in before} == before
