"""What the docs say of the live half is true: curl examples are answered, metrics exist, warnings read so."""

import json
import re
import shlex
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from kinfolk.online.clock import system_clock
from kinfolk.online.engine import Engine
from kinfolk.online.listener import Listener
from kinfolk.online.stores.open import open_backend
from kinfolk.serve.app import create_app
from kinfolk.settings import load

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def client(small_bundle):
    """A server in this process over a memory store."""
    with closing(open_backend("memory:")) as backend:
        engine = Engine(backend, small_bundle)
        app = create_app(engine, backend.keys, load({"auth": False}), system_clock)
        app.state.context.metrics.also(Listener(None, None).stats)  # as with a bus
        with TestClient(app) as made:
            yield made
        engine.stop()


def curls(page: str) -> list[list[str]]:
    """The words of every curl command on a page, but for those that another model would be needed for."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    found = [shlex.split(line) for line in text.splitlines() if line.strip().startswith("curl ")]
    return [words for words in found if not any("/v1/admin/bundle" in word for word in words)]


@pytest.mark.parametrize(("page", "least"), [("README.md", 3), ("docs/serving.md", 2)])
def test_every_curl_example_is_answered(page, least, client, small_bundle):
    assert len(curls(page)) >= least
    for words in curls(page):
        # the examples' users u1, u2, ... are users that the model knows
        words = [re.sub(r"\bu(\d)\b", lambda found: str(small_bundle.user_ids[int(found[1])]), word) for word in words]
        method, headers, body, url = "GET", {}, None, ""
        words = iter(words[1:])
        for word in words:
            if word == "-X":
                method = next(words)
            elif word == "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            elif word == "-d":
                body = next(words)
                json.loads(body)
            else:
                assert not word.startswith("-"), word
                url = word
        parts = urlsplit(url if "://" in url else f"http://{url}")
        assert parts.port == 8000
        answer = client.request(method, f"{parts.path}?{parts.query}", content=body, headers=headers)
        assert answer.status_code < 300, (url, answer.text)


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_metric_to_alert_on_exists(client):
    client.get("/v1/users/u1/candidates")
    client.post("/v1/clicks", json={"user": "nobody", "candidate": "a7"})
    client.get("/v1/nowhere")
    there = client.get("/metrics").text
    named = set(re.findall(r"`(kinfolk_[a-z_]+)`", section((ROOT / "docs/operations.md").read_text(), "Watch")))
    assert len(named) >= 12
    for name in named:
        assert re.search(rf"^(# TYPE )?{name}\b", there, re.M), f"{name} is not in /metrics"


def test_every_warning_at_start_is_explained():
    pytest.importorskip("redis")
    from kinfolk.online.stores.redis.durability import warnings_of

    class Told:
        def __init__(self, **settings):
            self.settings = {"appendonly": "yes", "appendfsync": "always", **settings}

        def config_get(self, name):
            default = {"no-appendfsync-on-rewrite": "no", "maxmemory-policy": "noeviction"}
            return {name: self.settings.get(name, default.get(name))}

    rows = section((ROOT / "docs/operations.md").read_text(), "Warnings at start").splitlines()
    starts = [row.split("|")[1].strip().partition("…")[0] for row in rows if row.startswith("| ")][1:]
    with closing(open_backend("memory:")) as backend:
        said = list(backend.warnings())
    for settings in (
        {"appendonly": "no"},
        {"appendfsync": "everysec"},
        {"no-appendfsync-on-rewrite": "yes"},
        {"maxmemory-policy": "allkeys-lru"},
    ):
        (warning,) = warnings_of(Told(**settings))
        said.append(warning)
    assert warnings_of(Told()) == []
    for warning in said:
        assert any(warning.startswith(start) for start in starts), warning
