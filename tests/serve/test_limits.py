"""Bodies, lists, pages and uploads beyond their limits; ids with slashes."""

import asyncio

import pytest

from kinfolk.serve.limits import LimitBody


@pytest.fixture
def served(shared_apps):
    return shared_apps(
        max_body_bytes=2_000, max_upload_bytes=4_000, max_clicks=5, max_list=3, max_page=10, max_rank_items=2
    )


CLICK = b'{"user": "u", "candidate": "a"}'


def test_a_body_at_the_limit_passes_and_one_beyond_does_not(served):
    fits = CLICK + b" " * (2_000 - len(CLICK))
    assert served.client.post("/v1/clicks", content=fits).status_code == 200
    refused = served.client.post("/v1/clicks", content=fits + b" ")
    assert refused.status_code == 413
    assert "2000 bytes" in refused.json()["problem"]
    assert len(served.engine.clicks) == 1


@pytest.mark.parametrize("path", ["/v1/clicks", "/v1/rank", "/v1/audiences"])
def test_a_body_that_does_not_announce_its_length_is_counted(served, path):
    def chunks():
        yield CLICK
        for _ in range(100):
            yield b" " * 100

    headers = {"content-type": "application/json"}
    answer = served.client.post(path, content=chunks(), headers=headers)
    assert answer.status_code == 413
    assert not served.engine.clicks


def test_an_upload_has_a_limit_of_its_own(served):
    path = "/v1/candidates/a/seeds/upload"
    ids = b"".join(b"u%04d\n" % n for n in range(500))  # 3,000 bytes
    assert served.client.post(path, files={"file": ("seeds.txt", ids)}).json()["accepted"] == 500
    assert served.client.post(path, files={"file": ("seeds.txt", 2 * ids)}).status_code == 413


def test_only_routes_that_take_a_file_have_that_limit(served):
    large = {"content-type": "application/json", "content-length": "3000"}
    for path, methods in served.client.get("/openapi.json").json()["paths"].items():
        for method, told in methods.items():
            files = "multipart/form-data" in told.get("requestBody", {}).get("content", {})
            where = path.replace("{id}", "upload")
            answer = served.client.request(method, where, content=b" " * 3_000, headers=large)
            assert (answer.status_code != 413) == files, (method, path)
    assert served.client.put("/v1/users/a%2Fupload", content=b" " * 3_000, headers=large).status_code == 413


class HandLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is turned by hand."""

    now = 0.0

    def time(self) -> float:
        return self.now


async def turn(loop, seconds):
    """Turn the clock, and let what that wakes run."""
    loop.now += seconds
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("path", "kind", "sent"),
    [
        ("/v1/clicks", "application/json", [b"[", b" ", b" "]),
        ("/v1/rank", "application/json", [b"{", b" ", b" "]),
        (
            "/v1/audiences/upload",
            "multipart/form-data; boundary=x",
            [b"--x\r\n", b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n', b"u1\n"],
        ),
    ],
)
def test_a_body_that_stalls_is_refused(served, path, kind, sent):
    async def main(loop):
        parts = asyncio.Queue()
        request = loop.create_task(served.asked("POST", path, parts.get, {"Content-Type": kind}))
        for part in sent:
            await turn(loop, 29)
            assert not request.done(), "it goes on, if slowly"
            parts.put_nowait({"type": "http.request", "body": part, "more_body": True})
            await turn(loop, 0)
        await turn(loop, 31)
        assert request.done()
        return request.result()

    loop = HandLoop()
    try:
        assert loop.run_until_complete(main(loop)) == 408
    finally:
        loop.close()
    assert 'kinfolk_refused_total{problem="StalledError"}' in served.client.get("/metrics").text


def test_an_answer_to_a_whole_body_may_take_its_time():
    async def main(loop):
        body, said = [{"type": "http.request", "body": b"{}"}], []

        async def receive():
            return body.pop() if body else await loop.create_future()

        async def app(scope, receive, send):
            await receive()
            gone = loop.create_task(receive())
            await turn(loop, 1_000)
            assert not gone.done(), "it waits for the caller to go away"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            gone.cancel()

        async def send(message):
            said.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        await LimitBody(app, 10, 10)(scope, receive, send)
        return said

    loop = HandLoop()
    try:
        assert loop.run_until_complete(main(loop)) == [200]
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/clicks", [{"user": "u", "candidate": "a"}] * 6),
        ("POST", "/v1/impressions", [{"user": "u", "candidate": "a"}] * 6),
        ("POST", "/v1/candidates/a/seeds", {"users": ["u"] * 4}),
        ("POST", "/v1/rank", {"user": "u", "items": [{"id": "a", "pctr": 0.1}] * 3}),
        ("POST", "/v1/audiences", {"seeds": ["u"] * 4, "size": 1}),
        ("POST", "/v1/audiences/estimate", {"seeds": ["u"], "exclude": ["u"] * 4, "size": 1}),
    ],
)
def test_long_lists_are_refused(served, method, path, body):
    answer = served.client.request(method, path, json=body)
    assert answer.status_code == 413
    assert "at most" in answer.json()["problem"]


@pytest.mark.parametrize("path", ["/v1/candidates?limit=11", "/v1/audiences?limit=11", "/v1/users/u/candidates?n=11"])
def test_long_pages_are_refused(served, path):
    assert served.client.get(path).status_code == 422
    assert served.client.get(path.replace("11", "10")).status_code == 200


@pytest.mark.parametrize("id", ["a/b", "https://x.org/a?b=c#d", "/", "ä ö", "+", "..", "a.b"])
def test_ids_in_paths_may_be_anything(served, id):
    from urllib.parse import quote

    path = f"/v1/candidates/{quote(id, safe='')}".replace("/..", "/%2E%2E")
    assert served.client.put(path, json={"meta": {"x": 1}}).json()["id"] == id
    assert served.client.get(path).json()["id"] == id
    assert list(served.engine.candidates) == [id]
    assert served.client.delete(path).json()["retired"] == id


def test_a_path_cannot_smuggle_in_what_stands_for_a_slash(served):
    answer = served.client.put("/v1/candidates/a%1Fb", json={})
    assert answer.status_code in (200, 422)
    assert "a\x1fb" not in served.engine.candidates
