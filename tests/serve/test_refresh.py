"""A refresher of its own beside a server that clusters nothing: it says how it is, and warns of its store."""

import signal

import pytest

from kinfolk.testing.redis_server import binary, redis_server
from kinfolk.testing.served import wait_until

pytestmark = pytest.mark.skipif(binary() is None, reason="no redis-server or valkey-server on the path")


def number(text, name):
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_it_gives_its_numbers_its_health_and_its_warnings(start, ask, home, small_bundle):
    users = [str(u) for u in small_bundle.user_ids[:40]]
    (home / "k.toml").write_text("refresh = false\nauth = false\n")
    with redis_server(appendfsync="everysec") as redis:
        told = ["bundle", "--store", redis.url, "--config", "k.toml"]
        alone = ["--refresh-every", "0.3", "--metrics-port", "0"]
        with start("serve", *told, "--port", "0") as server, start("refresh", *told, *alone) as refresher:
            assert "everysec" in refresher.said("store")["said"]
            at = refresher.said("refreshing")["url"]
            assert ask(f"{at}/healthz") == (200, {"alive": True})
            assert ask(f"{at}/readyz") == (200, {"ready": True, "reason": ""})
            assert ask(f"{at}/v1/candidates")[0] == 404, "it answers no question"
            url = server.said("listening")["url"]
            assert ask(f"{url}/v1/candidates/a/seeds", "POST", {"users": users[:20]})[0] == 200
            clicks = [{"user": u, "candidate": "a"} for u in users[20:]]
            assert ask(f"{url}/v1/clicks", "POST", clicks)[1]["accepted"] == 20
            wait_until(lambda: ask(f"{url}/v1/candidates/a")[1]["seeds_used"] == 40, "the crowd shows all")
            found = ask(f"{at}/metrics")[1]
            assert number(found, "kinfolk_refresher_leads") == 1
            assert number(found, "kinfolk_store_reachable") == 1
            assert number(found, "kinfolk_seeds") == 40
            assert number(ask(f"{url}/metrics")[1], "kinfolk_refresher_leads") == 0
            refresher.process.send_signal(signal.SIGHUP)
            assert refresher.said("bundle")["model"] == small_bundle.version
            assert refresher.stop() == 0
            assert server.stop() == 0


def test_without_a_port_it_listens_nowhere_and_stops_in_order(start):
    with redis_server() as redis, start("refresh", "bundle", "--store", redis.url) as refresher:
        assert "url" not in refresher.said("refreshing")
        assert refresher.stop(signal.SIGINT) == 0
        assert refresher.said("stopped")


def test_metrics_may_want_a_key(start, ask, home):
    (home / "k.toml").write_text("open_metrics = false\n")
    with redis_server() as redis:
        told = ["refresh", "bundle", "--store", redis.url, "--config", "k.toml", "--metrics-port", "0"]
        with start(*told) as refresher:
            at = refresher.said("refreshing")["url"]
            assert ask(f"{at}/metrics")[0] == 401
            assert ask(f"{at}/healthz")[0] == 200
            assert refresher.stop() == 0
